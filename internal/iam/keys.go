package iam

import "strings"

type keyKind int

const (
	textKey keyKind = iota
	arnKey
	boolKey
	numberKey
	dateKey
	addressKey
)

// conditionKey is what IAM knows about a condition key.
type conditionKey struct {
	kind keyKind
	many bool // a request may have several values: ForAllValues or ForAnyValue is needed
}

// globalKeys are those that any action may be limited by; in lower case, as keys are the same in any case. A name that
// ends in / is followed by a tag. Source: IAM user guide, global condition context keys, read 2026-11. Never written
// to.
var globalKeys = map[string]conditionKey{
	"aws:principalarn": {kind: arnKey}, "aws:principalaccount": {}, "aws:principalorgid": {},
	"aws:principalorgpaths": {many: true},
	"aws:principaltype":     {}, "aws:principalservicename": {}, "aws:principalservicenameslist": {many: true},
	"aws:principalisawsservice": {kind: boolKey}, "aws:principaltag/": {}, "aws:userid": {}, "aws:username": {},
	"aws:federatedprovider": {},
	"aws:sourceidentity":    {}, "aws:tokenissuetime": {kind: dateKey}, "aws:multifactorauthpresent": {kind: boolKey},
	"aws:multifactorauthage": {kind: numberKey},
	"aws:sourcearn":          {kind: arnKey}, "aws:sourceaccount": {}, "aws:sourceorgid": {},
	"aws:sourceorgpaths": {many: true},
	"aws:sourceip":       {kind: addressKey}, "aws:vpcsourceip": {kind: addressKey}, "aws:sourcevpc": {},
	"aws:sourcevpce":      {},
	"aws:requestedregion": {}, "aws:resourceaccount": {}, "aws:resourceorgid": {}, "aws:resourceorgpaths": {many: true},
	"aws:securetransport": {kind: boolKey}, "aws:viaawsservice": {kind: boolKey}, "aws:calledvia": {many: true},
	"aws:calledviafirst": {}, "aws:calledvialast": {}, "aws:currenttime": {kind: dateKey},
	"aws:epochtime": {kind: numberKey},
	"aws:referer":   {}, "aws:useragent": {},
	// On every call that a function makes with its role's credentials. Source: Lambda developer guide, working with
	// lambda:SourceFunctionArn, read 2026-11.
	"lambda:sourcefunctionarn": {kind: arnKey},
}

// serviceKeys are those of the actions in the catalogue that name them. Never written to.
var serviceKeys = map[string]conditionKey{
	"aws:resourcetag/": {}, "aws:requesttag/": {}, "aws:tagkeys": {many: true},
	"ssm:resourcetag/": {}, "ssm:sessiondocumentaccesscheck": {kind: boolKey}, "ec2:resourcetag/": {}, "ec2:region": {},
	"ec2:osuser":     {},
	"sts:externalid": {}, "sts:rolesessionname": {}, "sts:sourceidentity": {}, "sts:transitivetagkeys": {many: true},
	"token.actions.githubusercontent.com:aud": {}, "token.actions.githubusercontent.com:sub": {},
	"dynamodb:leadingkeys": {many: true}, "dynamodb:attributes": {many: true}, "dynamodb:select": {},
	"dynamodb:returnvalues":           {},
	"dynamodb:returnconsumedcapacity": {}, "dynamodb:enclosingoperation": {},
	"s3:resourceaccount": {}, "s3:tlsversion": {kind: numberKey}, "s3:authtype": {}, "s3:signatureversion": {},
	"s3:existingobjecttag/": {},
	"s3:versionid":          {}, "s3:prefix": {}, "s3:delimiter": {}, "s3:max-keys": {kind: numberKey},
	"s3:x-amz-server-side-encryption":                {},
	"s3:x-amz-server-side-encryption-aws-kms-key-id": {kind: arnKey}, "s3:x-amz-acl": {}, "s3:if-none-match": {},
	"s3:if-match":     {},
	"aws:sourceowner": {}, "sns:endpoint": {}, "sns:protocol": {},
	"kms:viaservice": {}, "kms:calleraccount": {}, "kms:requestalias": {}, "kms:resourcealiases": {many: true},
	"kms:keyspec":  {},
	"kms:keyusage": {}, "kms:keyorigin": {}, "kms:multiregion": {kind: boolKey},
	"kms:encryptioncontext:":    {kind: arnKey},
	"kms:encryptioncontextkeys": {many: true}, "kms:encryptionalgorithm": {}, "kms:macalgorithm": {},
	"kms:messagetype": {}, "kms:signingalgorithm": {}, "kms:schedulekeydeletionpendingwindowindays": {kind: numberKey},
	"kms:grantisforawsresource": {kind: boolKey}, "kms:grantoperations": {many: true}, "kms:granteeprincipal": {},
	"cloudwatch:namespace": {}, "states:statemachinequalifier": {}, "lambda:functionurlauthtype": {},
	"lambda:invokedviafunctionurl": {kind: boolKey}, "lambda:eventsourcetoken": {}, "events:source": {many: true},
	"events:detail-type": {}, "iam:passedtoservice": {}, "iam:associatedresourcearn": {kind: arnKey},
	"iam:resourcetag/":        {},
	"iam:permissionsboundary": {kind: arnKey}, "iam:policyarn": {kind: arnKey},
}

// family is the name under which the tables have a key: aws:ResourceTag/Team stands under aws:resourcetag/.
func family(lower string) string {
	const context = "kms:encryptioncontext:"
	if strings.HasPrefix(lower, context) && len(lower) > len(context) {
		return context
	}
	if at := strings.IndexByte(lower, '/'); at >= 0 && at < len(lower)-1 {
		return lower[:at+1]
	}
	return lower
}

// knownKey looks a condition key up, however it is written.
func knownKey(name string) (conditionKey, bool) {
	lower := strings.ToLower(name)
	if strings.HasSuffix(lower, "/") || strings.HasSuffix(lower, ":") {
		return conditionKey{}, false
	}
	of := family(lower)
	if key, ok := globalKeys[of]; ok {
		return key, true
	}
	key, ok := serviceKeys[of]
	return key, ok
}
