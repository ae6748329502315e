package world

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// Limits of SendCommand. Source: B:ssm/SendCommandRequest.
const (
	maxIDs            = 50
	maxTargets        = 5
	maxTargetValues   = 50
	maxComment        = 100
	minTimeout        = 30
	maxTimeout        = 2592000
	defaultTimeout    = 3600
	documentSteps     = 3 // PatchWindows, PatchLinux, PatchMacOS; all three count towards ExpiresAfter
	patchDocument     = "AWS-RunPatchBaseline"
	defaultSlots      = "50"
	defaultErrorsText = "0"
)

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

// sendRequest is a checked request, with its own copy of what the caller gave.
type sendRequest struct {
	comment, document, version, concurrency, errors string
	parameters                                      map[string][]string
	ids                                             []string
	targets                                         []ssmtypes.Target
	timeout                                         time.Duration
}

// SendCommand starts AWS-RunPatchBaseline on instances. It is judged on the document
// (arn:aws:ssm:<region>::document/AWS-RunPatchBaseline) and on each instance
// (arn:aws:ec2:<region>:<account>:instance/<id>), whose tags stand in ssm:resourceTag/<key> and
// aws:ResourceTag/<key>; with Targets on the instances that match.
// Source: Service Authorization Reference, AWS Systems Manager; B:SendCommandRequest.
func (s *SSM) SendCommand(ctx context.Context, in *ssm.SendCommandInput, _ ...func(*ssm.Options)) (*ssm.SendCommandOutput, error) {
	copied := copySend(in)
	call := s.call("SendCommand", true, &copied)
	req, err := s.checkSend(&copied)
	if err != nil {
		call.Access = nil // a malformed request is refused before permissions are looked at
		return do(ctx, s.w, call, refused[*ssm.SendCommandOutput](err))
	}
	call.Access = []Access{s.sendAccess(&copied)}
	return do(ctx, s.w, call, func() (*ssm.SendCommandOutput, error) {
		insts, err := s.sendTargets(req)
		if err != nil {
			return nil, err
		}
		c := s.newCommand(req, insts)
		out := &ssm.SendCommandOutput{Command: c.describe()}
		out.Command.Status, out.Command.StatusDetails = statusPending, aws.String(statusPending)
		out.Command.CompletedCount, out.Command.ErrorCount = 0, 0
		return out, nil
	})
}

// copySend copies a request with all that it points to, so that the caller may change his.
func copySend(in *ssm.SendCommandInput) ssm.SendCommandInput {
	c := *in
	c.InstanceIds, c.Targets, c.Parameters = slices.Clone(in.InstanceIds), slices.Clone(in.Targets), maps.Clone(in.Parameters)
	for n, t := range c.Targets {
		c.Targets[n].Values = slices.Clone(t.Values)
	}
	for name, values := range c.Parameters {
		c.Parameters[name] = slices.Clone(values)
	}
	return c
}

func (s *SSM) sendAccess(in *ssm.SendCommandInput) Access {
	document := aws.ToString(in.DocumentName)
	if !strings.HasPrefix(document, "arn:") {
		owner := s.p.Account
		if strings.HasPrefix(document, "AWS-") {
			owner = ""
		}
		document = fmt.Sprintf("arn:aws:ssm:%s:%s:document/%s", s.region, owner, document)
	}
	ids := in.InstanceIds
	if len(ids) == 0 {
		for _, i := range s.fleet().instances {
			if i.targeted(in.Targets) {
				ids = append(ids, i.ID)
			}
		}
	}
	a := Access{
		Action: "ssm:SendCommand", Resources: make([]string, 1, 1+len(ids)),
		ResourceContext: make(map[string]map[string][]string, len(ids)),
	}
	a.Resources[0] = document
	prefix := "arn:aws:ec2:" + s.region + ":" + s.p.Account + ":instance/"
	for _, id := range ids {
		arn := prefix + id
		if strings.HasPrefix(id, "mi-") {
			arn = "arn:aws:ssm:" + s.region + ":" + s.p.Account + ":managed-instance/" + id
		}
		a.Resources = append(a.Resources, arn)
		if i, ok := s.w.instances[id]; ok && i.Account == s.p.Account && i.Region == s.region {
			a.ResourceContext[arn] = i.tagKeys()
		}
	}
	return a
}

// tagKeys are the condition keys of an instance's tags. IAM does not tell keys by case: of tags
// that differ in nothing else the first in order counts here.
func (i *Instance) tagKeys() map[string][]string {
	if i.conditions != nil {
		return i.conditions
	}
	i.conditions = make(map[string][]string, 2*len(i.Tags))
	seen := map[string]bool{}
	for _, k := range slices.Sorted(maps.Keys(i.Tags)) {
		if lower := strings.ToLower(k); !seen[lower] {
			seen[lower] = true
			value := []string{i.Tags[k]}
			i.conditions["ssm:resourceTag/"+k], i.conditions["aws:ResourceTag/"+k] = value, value
		}
	}
	return i.conditions
}

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
		return req, invalid("documentName", "a value")
	case len(in.InstanceIds) > maxIDs:
		return req, invalid("instanceIds", "length less than or equal to 50")
	case len(in.Targets) > maxTargets:
		return req, invalid("targets", "length less than or equal to 5")
	case len(req.comment) > maxComment:
		return req, invalid("comment", "length less than or equal to 100")
	case (len(in.InstanceIds) == 0) == (len(in.Targets) == 0):
		return req, invalidParameters("specify either InstanceIds or Targets")
	}
	for _, id := range in.InstanceIds {
		if !pat.id.MatchString(id) {
			return req, invalid("instanceIds", "a value that satisfies regular expression pattern: "+pat.id.String())
		}
	}
	if in.MaxConcurrency != nil {
		req.concurrency = *in.MaxConcurrency
	}
	if in.MaxErrors != nil {
		req.errors = *in.MaxErrors
	}
	if !pat.concurrency.MatchString(req.concurrency) || len(req.concurrency) > 7 {
		return req, invalid("maxConcurrency", "a value that satisfies regular expression pattern: "+pat.concurrency.String())
	}
	if !pat.errors.MatchString(req.errors) || len(req.errors) > 7 {
		return req, invalid("maxErrors", "a value that satisfies regular expression pattern: "+pat.errors.String())
	}
	if in.TimeoutSeconds != nil {
		if *in.TimeoutSeconds < minTimeout || *in.TimeoutSeconds > maxTimeout {
			return req, invalid("timeoutSeconds", "value between 30 and 2592000")
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
			return unmodelled(m.what)
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
			return &ssmtypes.InvalidDocumentVersion{Message: aws.String("The document version " + req.version + " is not valid.")}
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
				return unmodelled("the parameter " + name + " of " + patchDocument)
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

// sendTargets finds the instances. Ids are all or nothing. Source: B:SendCommand, aws-facts 2.1.
func (s *SSM) sendTargets(req sendRequest) ([]*Instance, error) {
	if len(req.targets) > 0 {
		if err := checkTargets(req.targets); err != nil {
			return nil, err
		}
		var found []*Instance
		for _, i := range s.fleet().instances {
			if s.w.sendable(i) && i.targeted(req.targets) {
				found = append(found, i)
			}
		}
		return found, nil
	}
	var found []*Instance
	var bad []string
	for n, id := range req.ids {
		if slices.Contains(req.ids[:n], id) {
			return nil, &ssmtypes.DuplicateInstanceId{Message: aws.String("An instance ID is duplicated: " + id)}
		}
		i, ok := s.w.instances[id]
		if !ok || i.Account != s.p.Account || i.Region != s.region || !s.w.sendable(i) {
			bad = append(bad, id)
			continue
		}
		found = append(found, i)
	}
	if len(bad) > 0 {
		return nil, invalidInstanceID(bad, s.p.Account)
	}
	return found, nil
}

func (w *World) sendable(i *Instance) bool {
	if !i.managed || i.State == stateShuttingDown || i.State == stateTerminated {
		return false
	}
	return !w.SSMOptions.RefuseOffline || i.online
}

// checkTargets accepts tag:<key>, tag-key and InstanceIds targets.
func checkTargets(targets []ssmtypes.Target) error {
	for _, t := range targets {
		key := aws.ToString(t.Key)
		switch {
		case len(t.Values) > maxTargetValues:
			return invalid("targets.values", "length less than or equal to 50")
		case strings.HasPrefix(key, "tag:") || key == "tag-key" || key == "InstanceIds":
		default:
			return unmodelled("a SendCommand target with key " + key)
		}
	}
	return nil
}

// targeted tells whether all targets match: keys AND, values OR.
func (i *Instance) targeted(targets []ssmtypes.Target) bool {
	for _, t := range targets {
		if !i.hit(aws.ToString(t.Key), t.Values) {
			return false
		}
	}
	return len(targets) > 0
}

func (i *Instance) hit(key string, values []string) bool {
	switch {
	case key == "InstanceIds":
		return slices.Contains(values, i.ID)
	case key == "tag-key":
		for _, v := range values {
			if _, ok := i.Tags[v]; ok {
				return true
			}
		}
		return false
	}
	v, ok := i.Tags[strings.TrimPrefix(key, "tag:")]
	return ok && slices.Contains(values, v)
}

// newCommand registers a command and starts its rollout.
func (s *SSM) newCommand(req sendRequest, insts []*Instance) *command {
	f, w := s.fleet(), s.w
	rng := stream(w.seed, fmt.Sprintf("command/%s/%s/%d", f.place.account, f.place.region, len(f.commands)))
	c := &command{
		w: w, f: f, id: uuid(rng), seq: len(f.commands), request: req, at: w.Now(),
		operation: req.parameters["Operation"][0], reboot: rebootIfNeeded,
		expires: w.Now().Add(req.timeout + documentSteps*stepTimeout), visible: w.Now(),
		slots: max(1, share(req.concurrency, len(insts))), maxErrors: share(req.errors, len(insts)),
		byInstance: make(map[string]*invocation, len(insts)), stopClock: func() {},
	}
	if v := req.parameters["RebootOption"]; len(v) == 1 {
		c.reboot = v[0]
	}
	if v := req.parameters["SnapshotId"]; len(v) == 1 {
		c.snapshot = v[0]
	}
	lag := time.Duration(0)
	if !w.SSMOptions.NoReadLag {
		lag = readLag(rng.Float64(), rng.Float64())
	}
	c.visible = c.visible.Add(lag)
	f.commands = append(f.commands, c)
	f.byID[c.id] = c
	switch {
	case len(insts) == 0:
		c.early = detailNoInstances
		return c
	case w.SSMOptions.MaxPending > 0 && f.unfinished()+len(insts) > w.SSMOptions.MaxPending:
		c.early = detailRateExceeded
		return c
	}
	for _, i := range insts {
		inv := &invocation{cmd: c, inst: i, status: statusPending, detail: statusPending, code: -1, visible: c.visible}
		if lag > 0 {
			inv.visible = c.visible.Add(time.Duration(rng.Int64N(int64(lag)/2 + 1)))
		}
		c.invs = append(c.invs, inv)
		c.byInstance[i.ID] = inv
	}
	c.begin()
	return c
}

// readLag draws how late a command is seen: half of them at once, most others
// within ten seconds, one in ten within sixty.
func readLag(which, how float64) time.Duration {
	switch {
	case which < 0.5:
		return 0
	case which < 0.9:
		return time.Duration(how * float64(10*time.Second))
	}
	return time.Duration(how * float64(maxReadLag*2/3)) // a row may come half as late again
}

func (f *fleet) unfinished() int {
	n := 0
	for _, c := range f.commands {
		n += len(c.invs) - c.done
	}
	return n
}

// share is what a count or a percentage comes to, rounded down.
func share(text string, total int) int {
	percent, isPercent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(percent)
	if err != nil {
		return 0
	}
	if isPercent {
		return total * n / 100
	}
	return n
}
