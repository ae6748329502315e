package iam

import (
	"maps"
	"slices"
	"strings"
)

// entry is a row of the catalogue: actions of a service that take the same resources and the same condition keys.
type entry struct {
	service string
	actions string
	on      string // resource types; "*" where a call may also be judged without a resource; "" means * only
	keys    string // condition keys besides the global ones
}

// catalogue has every action that a policy of ours may name, to allow it or to deny it.
// Source: Service Authorization Reference, read 2026-11. states:SendTask* are granted on the state machine, as the CDK
// does it, although the reference lists no resource for them.
func catalogue() []entry {
	return []entry{
		{"ssm", "SendCommand", "document instance managed-instance output-bucket", "ssm:resourceTag/ aws:ResourceTag/"},
		{"ssm", "CancelCommand ListCommands ListCommandInvocations GetCommandInvocation DescribeInstanceInformation",
			"", ""},
		{"ssm", "DescribeInstancePatchStates DescribeInstancePatches", "* instance managed-instance",
			"ssm:resourceTag/ aws:ResourceTag/"},
		{"ssm", "DescribeInstancePatchStatesForPatchGroup DescribePatchBaselines DescribePatchGroups " +
			"DescribePatchGroupState DescribeAvailablePatches GetDeployablePatchSnapshotForInstance ListDocuments " +
			"DescribeParameters GetInventory ListComplianceItems ListAssociations DescribeSessions GetConnectionStatus",
			"", ""},
		{"ssm", "StartSession", "document instance managed-instance",
			"ssm:resourceTag/ aws:ResourceTag/ ssm:SessionDocumentAccessCheck"},
		{"ssm", "ResumeSession TerminateSession", "session", "ssm:resourceTag/ aws:ResourceTag/"},
		{"ssm", "CreateAssociation CreateAssociationBatch UpdateAssociation DeleteAssociation StartAssociationsOnce",
			"association document instance managed-instance", "ssm:resourceTag/ aws:ResourceTag/"},
		{"ssm", "StartAutomationExecution", "document automation-definition", "aws:ResourceTag/"},
		{"ssm", "GetDocument DescribeDocument CreateDocument UpdateDocument UpdateDocumentDefaultVersion " +
			"DeleteDocument ModifyDocumentPermission",
			"document", "aws:ResourceTag/"},
		{"ssm", "GetParameter GetParameters GetParametersByPath GetParameterHistory PutParameter DeleteParameter " +
			"DeleteParameters",
			"parameter", "aws:ResourceTag/"},
		{"ssm", "RegisterPatchBaselineForPatchGroup CreatePatchBaseline UpdatePatchBaseline GetPatchBaseline",
			"* patch-baseline", "aws:ResourceTag/"},
		{"ssm", "AddTagsToResource RemoveTagsFromResource ListTagsForResource",
			"document instance managed-instance parameter patch-baseline",
			"aws:ResourceTag/"},

		{"ec2", "DescribeInstances DescribeInstanceStatus DescribeTags DescribeRegions DescribeVolumes " +
			"DescribeSnapshots DescribeImages", "", "ec2:Region"},
		{"ec2", "RebootInstances StartInstances StopInstances TerminateInstances", "instance",
			"ec2:Region aws:ResourceTag/ ec2:ResourceTag/"},
		{"ec2", "CreateTags DeleteTags ModifyInstanceAttribute RunInstances CreateImage", "instance",
			"ec2:Region aws:ResourceTag/ ec2:ResourceTag/ aws:RequestTag/ aws:TagKeys"},

		{"ec2-instance-connect", "SendSSHPublicKey SendSerialConsoleSSHPublicKey", "instance",
			"ec2:osuser aws:ResourceTag/ ec2:ResourceTag/"},

		{"sts", "AssumeRole", "role", "sts:ExternalId sts:RoleSessionName sts:SourceIdentity sts:TransitiveTagKeys " +
			"aws:RequestTag/ aws:TagKeys iam:ResourceTag/ aws:ResourceTag/"},
		{"sts", "AssumeRoleWithWebIdentity", "role",
			"sts:RoleSessionName sts:SourceIdentity aws:RequestTag/ aws:TagKeys " +
				"token.actions.githubusercontent.com:aud token.actions.githubusercontent.com:sub"},
		{"sts", "TagSession", "role user", "sts:TransitiveTagKeys aws:RequestTag/ aws:TagKeys sts:ExternalId"},
		{"sts", "SetSourceIdentity", "role user", "sts:SourceIdentity sts:ExternalId"},
		{"sts", "GetCallerIdentity GetSessionToken", "", ""},

		{"dynamodb", "GetItem PutItem UpdateItem DeleteItem BatchGetItem BatchWriteItem ConditionCheckItem",
			"table", tableKeys},
		{"dynamodb", "PartiQLSelect PartiQLInsert PartiQLUpdate PartiQLDelete Query", "table index", tableKeys},
		{"dynamodb", "Scan", "table index",
			"dynamodb:Attributes dynamodb:Select dynamodb:ReturnConsumedCapacity aws:ResourceTag/"},
		{"dynamodb",
			"DescribeTable DescribeTimeToLive DescribeContinuousBackups UpdateTable DeleteTable UpdateTimeToLive " +
				"UpdateContinuousBackups PutResourcePolicy DeleteResourcePolicy", "table", "aws:ResourceTag/"},

		{"s3", "GetObject GetObjectVersion GetObjectTagging GetObjectAttributes DeleteObject DeleteObjectVersion " +
			"AbortMultipartUpload ListMultipartUploadParts",
			"object", s3Keys + " s3:ExistingObjectTag/ s3:versionid"},
		{"s3", "PutObject PutObjectTagging PutObjectAcl PutObjectRetention PutObjectLegalHold " +
			"BypassGovernanceRetention", "object",
			s3Keys + " s3:x-amz-server-side-encryption s3:x-amz-server-side-encryption-aws-kms-key-id s3:x-amz-acl " +
				"s3:if-none-match s3:if-match"},
		{"s3", "ListBucket ListBucketVersions", "bucket", s3Keys + " s3:prefix s3:delimiter s3:max-keys"},
		{"s3", "GetBucketLocation GetBucketVersioning GetEncryptionConfiguration ListBucketMultipartUploads " +
			"PutBucketPolicy GetBucketPolicy DeleteBucketPolicy DeleteBucket PutBucketVersioning " +
			"PutLifecycleConfiguration PutEncryptionConfiguration PutBucketPublicAccessBlock",
			"bucket", s3Keys},
		{"s3", "ListAllMyBuckets", "", s3Keys},

		{"sns", "Publish GetTopicAttributes SetTopicAttributes ListSubscriptionsByTopic AddPermission " +
			"RemovePermission DeleteTopic", "topic", "aws:ResourceTag/ aws:SourceOwner"},
		{"sns", "Subscribe Receive", "topic", "sns:Endpoint sns:Protocol aws:ResourceTag/ aws:SourceOwner"},
		{"sns", "ListTopics Unsubscribe", "", ""},
		{"sqs", "SendMessage ReceiveMessage DeleteMessage GetQueueAttributes SetQueueAttributes GetQueueUrl " +
			"PurgeQueue DeleteQueue ChangeMessageVisibility",
			"queue", "aws:ResourceTag/"},

		{"kms", "Encrypt Decrypt GenerateDataKey GenerateDataKeyWithoutPlaintext GenerateDataKeyPair " +
			"GenerateDataKeyPairWithoutPlaintext ReEncryptFrom ReEncryptTo",
			"key", kmsKeys + " kms:EncryptionContext: kms:EncryptionContextKeys kms:EncryptionAlgorithm"},
		{"kms", "GenerateMac VerifyMac", "key", kmsKeys + " kms:MacAlgorithm"},
		{"kms", "CreateGrant", "key", kmsKeys + " kms:GrantIsForAWSResource kms:GrantOperations kms:GranteePrincipal " +
			"kms:EncryptionContext: kms:EncryptionContextKeys"},
		{"kms", "DescribeKey GetKeyPolicy PutKeyPolicy GetKeyRotationStatus EnableKeyRotation DisableKeyRotation " +
			"EnableKey DisableKey CancelKeyDeletion UpdateKeyDescription ListGrants RevokeGrant " +
			"RetireGrant ListKeyPolicies ListResourceTags TagResource UntagResource GetPublicKey " +
			"ReplicateKey RotateKeyOnDemand ListKeyRotations", "key", kmsKeys},
		{"kms", "ScheduleKeyDeletion", "key", kmsKeys + " kms:ScheduleKeyDeletionPendingWindowInDays"},
		{"kms", "Sign Verify", "key", kmsKeys + " kms:MessageType kms:SigningAlgorithm"},
		{"kms", "CreateAlias UpdateAlias DeleteAlias", "key alias", kmsKeys},
		{"kms", "CreateKey ListAliases ListKeys GenerateRandom", "", kmsKeys},

		{"cloudwatch", "DescribeAlarms DescribeAlarmHistory", "* alarm", "aws:ResourceTag/"},
		{"cloudwatch", "PutMetricAlarm DeleteAlarms SetAlarmState DisableAlarmActions EnableAlarmActions", "alarm",
			"aws:ResourceTag/"},
		{"cloudwatch", "GetDashboard PutDashboard DeleteDashboards", "dashboard", "aws:ResourceTag/"},
		{"cloudwatch", "PutMetricData", "", "cloudwatch:namespace"},
		{"cloudwatch", "GetMetricData GetMetricStatistics ListMetrics ListDashboards", "", ""},

		{"logs", "CreateLogGroup PutRetentionPolicy DeleteLogGroup DescribeLogStreams FilterLogEvents StartQuery " +
			"AssociateKmsKey", "log-group", "aws:ResourceTag/"},
		{"logs", "CreateLogStream", "log-group log-stream", "aws:ResourceTag/"},
		{"logs", "PutLogEvents GetLogEvents DeleteLogStream", "log-stream", "aws:ResourceTag/"},
		{"logs", "CreateLogDelivery GetLogDelivery UpdateLogDelivery DeleteLogDelivery ListLogDeliveries " +
			"PutResourcePolicy DescribeResourcePolicies DescribeLogGroups GetQueryResults StopQuery", "", ""},

		{"states", "StartExecution StartSyncExecution", "state-machine",
			"aws:ResourceTag/ states:StateMachineQualifier"},
		{"states", "DescribeStateMachine CreateStateMachine UpdateStateMachine DeleteStateMachine " +
			"PublishStateMachineVersion ListStateMachineVersions ListStateMachineAliases", "state-machine",
			"aws:ResourceTag/ states:StateMachineQualifier"},
		{"states", "DescribeExecution GetExecutionHistory StopExecution RedriveExecution " +
			"DescribeStateMachineForExecution ListMapRuns", "execution", "aws:ResourceTag/"},
		{"states", "ListExecutions", "state-machine map-run", "aws:ResourceTag/ states:StateMachineQualifier"},
		{"states", "DescribeMapRun UpdateMapRun", "map-run", ""},
		{"states", "SendTaskSuccess SendTaskFailure SendTaskHeartbeat", "* state-machine", ""},
		{"states", "ListStateMachines ValidateStateMachineDefinition TestState", "", ""},

		{"lambda", "InvokeFunction", "function",
			"aws:ResourceTag/ lambda:InvokedViaFunctionUrl lambda:EventSourceToken"},
		{"lambda", "InvokeFunctionUrl", "function", "aws:ResourceTag/ lambda:FunctionUrlAuthType"},
		{"lambda", "GetFunction GetFunctionConfiguration UpdateFunctionCode UpdateFunctionConfiguration " +
			"DeleteFunction PublishVersion AddPermission RemovePermission PutFunctionConcurrency CreateFunction",
			"function", "aws:ResourceTag/"},
		{"lambda", "ListFunctions GetAccountSettings", "", ""},

		{"events", "PutEvents", "event-bus", "aws:ResourceTag/ events:source events:detail-type"},
		{"events", "PutRule PutTargets RemoveTargets DeleteRule EnableRule DisableRule DescribeRule", "rule",
			"aws:ResourceTag/"},
		{"events", "ListRules", "", ""},
		{"scheduler", "CreateSchedule GetSchedule UpdateSchedule DeleteSchedule", "schedule", "aws:ResourceTag/"},
		{"scheduler", "CreateScheduleGroup GetScheduleGroup DeleteScheduleGroup", "schedule-group", "aws:ResourceTag/"},
		{"scheduler", "ListSchedules ListScheduleGroups", "", ""},

		{"organizations", "ListRoots ListAccounts DescribeOrganization ListDelegatedAdministrators", "", ""},
		{"organizations", "ListAccountsForParent ListOrganizationalUnitsForParent ListChildren",
			"organizational-unit organization-root", "aws:ResourceTag/"},
		{"organizations", "DescribeOrganizationalUnit", "organizational-unit", "aws:ResourceTag/"},
		{"organizations", "ListParents DescribeAccount", "organization-account organizational-unit",
			"aws:ResourceTag/"},

		{"execute-api", "Invoke InvalidateCache ManageConnections", "api", ""},

		{"cloudformation", "CreateChangeSet DescribeChangeSet ExecuteChangeSet DeleteChangeSet CreateStack " +
			"UpdateStack DeleteStack DescribeStackEvents", "stack",
			"aws:ResourceTag/ cloudformation:ChangeSetName cloudformation:RoleArn cloudformation:TemplateUrl " +
				"cloudformation:ResourceTypes"},
		{"cloudformation", "DescribeStacks GetTemplateSummary", "* stack", "aws:ResourceTag/"},

		{"iam", "PassRole", "role", "iam:PassedToService iam:AssociatedResourceArn iam:ResourceTag/ aws:ResourceTag/"},
		{"iam", "CreateRole GetRole UpdateRole DeleteRole UpdateAssumeRolePolicy PutRolePolicy DeleteRolePolicy " +
			"AttachRolePolicy DetachRolePolicy PutRolePermissionsBoundary DeleteRolePermissionsBoundary TagRole " +
			"UntagRole ListRolePolicies ListAttachedRolePolicies GetRolePolicy",
			"role", "iam:PermissionsBoundary iam:PolicyARN iam:ResourceTag/ aws:ResourceTag/ aws:RequestTag/ " +
				"aws:TagKeys"},
		{"iam", "CreateUser DeleteUser CreateAccessKey CreateLoginProfile UpdateLoginProfile AttachUserPolicy " +
			"PutUserPolicy", "user",
			"iam:PermissionsBoundary iam:PolicyARN"},
		{"iam", "CreatePolicy CreatePolicyVersion SetDefaultPolicyVersion DeletePolicy", "managed-policy", ""},
		{"iam", "ListRoles ListUsers ListAccountAliases", "", ""},
	}
}

const (
	tableKeys = "dynamodb:LeadingKeys dynamodb:Attributes dynamodb:Select dynamodb:ReturnValues " +
		"dynamodb:ReturnConsumedCapacity dynamodb:EnclosingOperation aws:ResourceTag/"
	s3Keys  = "s3:ResourceAccount s3:TlsVersion s3:authType s3:signatureversion"
	kmsKeys = "kms:ViaService kms:CallerAccount kms:RequestAlias kms:ResourceAliases kms:KeySpec kms:KeyUsage " +
		"kms:KeyOrigin kms:MultiRegion aws:ResourceTag/"
)

// resourceType is the shape of the ARNs of one kind of resource.
type resourceType struct {
	service string
	prefix  string // what the last segment begins with
	needs   string // what it has after the prefix
	without string // what it has not after the prefix
}

// resourceTypes is never written to. Source: Service Authorization Reference, read 2026-11.
var resourceTypes = map[string]resourceType{
	"document": {service: "ssm", prefix: "document/"}, "managed-instance": {service: "ssm",
		prefix: "managed-instance/"},
	"parameter": {service: "ssm", prefix: "parameter/"}, "association": {service: "ssm", prefix: "association/"},
	"session": {service: "ssm", prefix: "session/"}, "automation-definition": {service: "ssm",
		prefix: "automation-definition/"},
	"patch-baseline": {service: "ssm", prefix: "patchbaseline/"}, "output-bucket": {service: "s3", without: "/"},
	"instance": {service: "ec2", prefix: "instance/"},
	"role":     {service: "iam", prefix: "role/"}, "user": {service: "iam", prefix: "user/"},
	"managed-policy": {service: "iam", prefix: "policy/"},
	"table":          {service: "dynamodb", prefix: "table/", without: "/"}, "index": {service: "dynamodb",
		prefix: "table/", needs: "/index/"},
	"bucket": {service: "s3", without: "/"}, "object": {service: "s3", needs: "/"},
	"topic": {service: "sns"}, "queue": {service: "sqs"},
	"key": {service: "kms", prefix: "key/"}, "alias": {service: "kms", prefix: "alias/"},
	"alarm": {service: "cloudwatch", prefix: "alarm:"}, "dashboard": {service: "cloudwatch", prefix: "dashboard/"},
	"stack":     {service: "cloudformation", prefix: "stack/"},
	"log-group": {service: "logs", prefix: "log-group:"}, "log-stream": {service: "logs", prefix: "log-group:",
		needs: ":log-stream:"},
	"state-machine": {service: "states", prefix: "stateMachine:"}, "execution": {service: "states",
		prefix: "execution:"},
	"map-run":  {service: "states", prefix: "mapRun:"},
	"function": {service: "lambda", prefix: "function:"}, "event-bus": {service: "events", prefix: "event-bus/"},
	"rule": {service: "events", prefix: "rule/"}, "schedule": {service: "scheduler", prefix: "schedule/"},
	"schedule-group":      {service: "scheduler", prefix: "schedule-group/"},
	"organizational-unit": {service: "organizations", prefix: "ou/"}, "organization-root": {service: "organizations",
		prefix: "root/"},
	"organization-account": {service: "organizations", prefix: "account/"}, "api": {service: "execute-api"},
}

// action is what the catalogue says about one action.
type action struct {
	name    string // as AWS writes it
	service string
	on      []resourceType
	star    bool // judged on "*", always or where no resource is known
	keys    []string
}

// actions is the catalogue by the action's name in lower case; exact by the name as AWS writes it. Never written to.
var (
	actions = index(catalogue())
	exact   = byName(actions)
)

func index(rows []entry) map[string]*action {
	out := map[string]*action{}
	for _, row := range rows {
		for _, name := range strings.Fields(row.actions) {
			a := &action{name: row.service + ":" + name, service: row.service,
				keys: strings.Fields(strings.ToLower(row.keys))}
			for _, kind := range strings.Fields(row.on) {
				if kind == "*" {
					a.star = true
					continue
				}
				a.on = append(a.on, resourceTypes[kind])
			}
			a.star = a.star || len(a.on) == 0
			out[strings.ToLower(a.name)] = a
		}
	}
	return out
}

func byName(all map[string]*action) map[string]*action {
	out := make(map[string]*action, len(all))
	for _, a := range all {
		out[a.name] = a
	}
	return out
}

// Actions lists every action of the catalogue, in order.
func Actions() []string { return slices.Sorted(maps.Keys(exact)) }

// Sample gives resources that a call of an action may be judged on, one of each kind that the action has, and "*"
// where it needs none. Nil for an unknown action. With Actions it answers what else a role may do.
func Sample(name, account, region string) []string {
	a := exact[name]
	if a == nil {
		return nil
	}
	var out []string
	if a.star {
		out = append(out, "*")
	}
	for _, t := range a.on {
		rest := t.prefix + "sample"
		if t.needs != "" {
			rest += t.needs + "sample"
		}
		where := region + ":" + account
		switch t.service {
		case "s3":
			where = ":"
		case "iam", "organizations":
			where = ":" + account
		}
		out = append(out, "arn:aws:"+t.service+":"+where+":"+rest)
	}
	return out
}

// Known says whether the catalogue has an action, written as AWS writes it.
func Known(name string) bool { return exact[name] != nil }

// takes says whether a call of this action can be judged on a resource.
func (a *action) takes(arn string) bool {
	if arn == "*" {
		return a.star
	}
	parts, ok := split(arn)
	if !ok {
		return false
	}
	for _, t := range a.on {
		rest, ok := strings.CutPrefix(parts[5], t.prefix)
		if ok && t.service == parts[2] && strings.Contains(rest, t.needs) && (t.without == "" ||
			!strings.Contains(rest, t.without)) {
			return true
		}
	}
	return false
}
