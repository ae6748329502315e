package world

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ec2patch/internal/sim/world/core"
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
func (s *SSM) SendCommand(ctx context.Context, in *ssm.SendCommandInput,
	_ ...func(*ssm.Options)) (*ssm.SendCommandOutput, error) {
	copied := copySend(in)
	call := s.call("SendCommand", true, &copied)
	req, err := s.checkSend(&copied)
	if err != nil {
		call.Access = nil // a malformed request is refused before permissions are looked at
		return core.Do(ctx, s.w.Core, call, core.Refused[*ssm.SendCommandOutput](err))
	}
	call.Access = []core.Access{s.sendAccess(&copied)}
	return core.Do(ctx, s.w.Core, call, func() (*ssm.SendCommandOutput, error) {
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
	c.InstanceIds, c.Targets, c.Parameters = slices.Clone(in.InstanceIds), slices.Clone(in.Targets),
		maps.Clone(in.Parameters)
	for n, t := range c.Targets {
		c.Targets[n].Values = slices.Clone(t.Values)
	}
	for name, values := range c.Parameters {
		c.Parameters[name] = slices.Clone(values)
	}
	return c
}

func (s *SSM) sendAccess(in *ssm.SendCommandInput) core.Access {
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
	a := core.Access{
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

// newCommand registers a command and starts its rollout.
func (s *SSM) newCommand(req sendRequest, insts []*Instance) *command {
	f, w := s.fleet(), s.w
	rng := core.Stream(w.Seed, fmt.Sprintf("command/%s/%s/%d", f.place.Account, f.place.Region, len(f.commands)))
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
