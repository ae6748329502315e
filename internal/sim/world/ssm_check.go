package world

import (
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ec2patch/internal/sim/world/core"
)

// checkSend judges the request by its model, then by the document's parameters.
func (s *SSM) checkSend(in *ssm.SendCommandInput) (sendRequest, error) {
	pat := s.w.sendPatterns()
	req := sendRequest{
		comment: aws.ToString(in.Comment), document: aws.ToString(in.DocumentName), version: "$DEFAULT",
		concurrency: defaultSlots, errors: defaultErrorsText, parameters: in.Parameters,
		ids: in.InstanceIds, targets: in.Targets, timeout: defaultTimeout * time.Second,
	}
	if err := unsupportedSend(in); err != nil {
		return req, err
	}
	switch {
	case req.document == "":
		return req, core.Invalid("documentName", "a value")
	case len(in.InstanceIds) > maxIDs:
		return req, core.Invalid("instanceIds", "length less than or equal to 50")
	case len(in.Targets) > maxTargets:
		return req, core.Invalid("targets", "length less than or equal to 5")
	case len(req.comment) > maxComment:
		return req, core.Invalid("comment", "length less than or equal to 100")
	case (len(in.InstanceIds) == 0) == (len(in.Targets) == 0):
		return req, invalidParameters("specify either InstanceIds or Targets")
	}
	for _, id := range in.InstanceIds {
		if !pat.id.MatchString(id) {
			return req, core.Invalid("instanceIds", "a value that satisfies regular expression pattern: "+pat.id.String())
		}
	}
	if in.MaxConcurrency != nil {
		req.concurrency = *in.MaxConcurrency
	}
	if in.MaxErrors != nil {
		req.errors = *in.MaxErrors
	}
	if !pat.concurrency.MatchString(req.concurrency) || len(req.concurrency) > 7 {
		return req,
			core.Invalid("maxConcurrency", "a value that satisfies regular expression pattern: "+pat.concurrency.String())
	}
	if !pat.errors.MatchString(req.errors) || len(req.errors) > 7 {
		return req, core.Invalid("maxErrors", "a value that satisfies regular expression pattern: "+pat.errors.String())
	}
	if in.TimeoutSeconds != nil {
		if *in.TimeoutSeconds < minTimeout || *in.TimeoutSeconds > maxTimeout {
			return req, core.Invalid("timeoutSeconds", "value between 30 and 2592000")
		}
		req.timeout = time.Duration(*in.TimeoutSeconds) * time.Second
	}
	return req, s.checkDocument(in, &req)
}

// unsupportedSend refuses the members that the simulation does not model.
func unsupportedSend(in *ssm.SendCommandInput) error {
	for _, m := range []struct {
		what  string
		given bool
	}{
		{"SendCommand AlarmConfiguration", in.AlarmConfiguration != nil},
		{"SendCommand CloudWatchOutputConfig", in.CloudWatchOutputConfig != nil},
		{"SendCommand DocumentHash", in.DocumentHash != nil || in.DocumentHashType != ""},
		{"SendCommand NotificationConfig", in.NotificationConfig != nil || in.ServiceRoleArn != nil},
		{"SendCommand output to S3", in.OutputS3BucketName != nil || in.OutputS3KeyPrefix != nil || in.OutputS3Region != nil},
	} {
		if m.given {
			return core.Unmodelled(m.what)
		}
	}
	return nil
}

// checkDocument accepts AWS-RunPatchBaseline with the parameters that it has.
// Source: TK; D23:patch-manager-aws-runpatchbaseline.
func (s *SSM) checkDocument(in *ssm.SendCommandInput, req *sendRequest) error {
	pat := s.w.sendPatterns()
	if req.document != patchDocument && req.document != "arn:aws:ssm:"+s.region+"::document/"+patchDocument {
		return &ssmtypes.InvalidDocument{Message: aws.String("Document with name " + req.document + " does not exist.")}
	}
	if in.DocumentVersion != nil {
		req.version = *in.DocumentVersion
		if !pat.version.MatchString(req.version) {
			return &ssmtypes.InvalidDocumentVersion{Message: aws.String("The document version " + req.version +
				" is not valid.")}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in.Parameters)) {
		values := in.Parameters[name]
		switch name {
		case "Operation":
			if len(values) != 1 || values[0] != scan && values[0] != install {
				return invalidParameters("Operation must be one of [Scan, Install]")
			}
		case "RebootOption":
			if len(values) != 1 || values[0] != rebootIfNeeded && values[0] != noReboot {
				return invalidParameters("RebootOption must be one of [RebootIfNeeded, NoReboot]")
			}
		case "SnapshotId":
			if len(values) != 1 || values[0] != "" && !pat.guid.MatchString(values[0]) {
				return invalidParameters("SnapshotId must be a GUID or empty")
			}
		case "InstallOverrideList", "BaselineOverride", "AssociationId":
			if len(values) != 1 || values[0] != "" {
				return core.Unmodelled("the parameter " + name + " of " + patchDocument)
			}
		default:
			return invalidParameters("Parameter " + name + " is not defined by " + patchDocument)
		}
	}
	if len(in.Parameters["Operation"]) == 0 {
		return invalidParameters("Parameter Operation is required by " + patchDocument)
	}
	return nil
}

func invalidParameters(text string) error {
	return &ssmtypes.InvalidParameters{Message: aws.String(text)}
}

// sendPatterns are the patterns of SendCommand's members.
type sendPatterns struct{ id, concurrency, errors, guid, version *regexp.Regexp }

func newSendPatterns() *sendPatterns {
	return &sendPatterns{
		id:          regexp.MustCompile(`^(i-(\w{8}|\w{17})|mi-\w{17})$`),
		concurrency: regexp.MustCompile(`^([1-9][0-9]*|[1-9][0-9]%|[1-9]%|100%)$`),
		errors:      regexp.MustCompile(`^([1-9][0-9]*|[0]|[1-9][0-9]%|[0-9]%|100%)$`),
		guid:        regexp.MustCompile(`^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`),
		version:     regexp.MustCompile(`^(\$LATEST|\$DEFAULT|[1-9][0-9]*)$`),
	}
}

// sendPatterns returns the compiled patterns of SendCommand.
func (w *World) sendPatterns() *sendPatterns {
	if w.patterns == nil {
		w.patterns = newSendPatterns()
	}
	return w.patterns
}
