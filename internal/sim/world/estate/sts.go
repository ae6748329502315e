package estate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"ec2patch/internal/iam"
	"ec2patch/internal/sim/world/core"
)

// STS is a Security Token Service client of one principal, at the endpoint of one region.
type STS struct {
	w      *Estate
	p      *core.Principal
	region string
}

// STS returns a client for the regional endpoint.
func (w *Estate) STS(p *core.Principal, region string) *STS { return &STS{w, p, region} }

// Limits of AssumeRole. Source: B:sts; D23:id_roles_terms-and-concepts for role chaining.
const (
	minSession       = 900
	maxChained       = 3600
	standardSession  = 3600
	maxSessionPolicy = 2048
	maxSessionName   = 64
	maxExternalID    = 1224
)

// AssumeRole opens a session of a role. Callers are sessions of roles, so this is always role chaining
// and lasts an hour at most. The caller's policies and the role's trust policy must both allow it.
// Source: B:sts/AssumeRole; docs/aws-semantics.md 4.
func (s *STS) AssumeRole(ctx context.Context, in *sts.AssumeRoleInput, _ ...func(*sts.Options)) (*sts.AssumeRoleOutput,
	error) {
	copied := *in
	role := aws.ToString(in.RoleArn)
	call := &core.Call{
		Principal: s.p, Account: s.p.Account, Region: s.region, Service: "sts", Operation: "AssumeRole",
		Attempts: core.Attempts, Input: &copied,
	}
	seconds, err := checkAssume(&copied)
	if err != nil {
		return core.Do(ctx, s.w.Core, call, core.Refused[*sts.AssumeRoleOutput](err))
	}
	call.Access = []core.Access{s.assumeAccess(&copied)}
	return core.Do(ctx, s.w.Core, call, func() (*sts.AssumeRoleOutput, error) {
		if err := s.trusted(role, aws.ToString(in.ExternalId)); err != nil {
			return nil, err
		}
		session := &core.Principal{
			Account: core.AccountOf(role), RoleARN: role, SessionName: *in.RoleSessionName,
			Expires: s.w.Now().Add(time.Duration(seconds) * time.Second),
		}
		if in.Policy != nil {
			p, err := iam.ParsePolicy("session policy", []byte(*in.Policy))
			if err != nil {
				return nil, &ststypes.MalformedPolicyDocumentException{Message: aws.String(err.Error())}
			}
			session.Session = []*iam.Policy{p}
		}
		return s.w.open(session), nil
	})
}

// assumeAccess is what IAM judges: the caller's policies and, as the resource's policy, the trust policy.
func (s *STS) assumeAccess(in *sts.AssumeRoleInput) core.Access {
	a := core.Access{Action: "sts:AssumeRole", Resources: []string{aws.ToString(in.RoleArn)}}
	if in.ExternalId != nil {
		a.Context = map[string][]string{"sts:ExternalId": {*in.ExternalId}}
	}
	if in.RoleSessionName != nil {
		a.Context = withKey(a.Context, "sts:RoleSessionName", *in.RoleSessionName)
	}
	if r, ok := s.w.Roles[aws.ToString(in.RoleArn)]; ok {
		a.Trust = r.Trust
	}
	return a
}

func withKey(keys map[string][]string, key, value string) map[string][]string {
	if keys == nil {
		keys = map[string][]string{}
	}
	keys[key] = []string{value}
	return keys
}

// checkAssume judges the request by its model and returns its duration in seconds.
func checkAssume(in *sts.AssumeRoleInput) (int32, error) {
	switch {
	case len(in.PolicyArns) > 0:
		return 0, core.Unmodelled("AssumeRole PolicyArns")
	case len(in.Tags) > 0 || len(in.TransitiveTagKeys) > 0:
		return 0, core.Unmodelled("AssumeRole Tags")
	case in.SourceIdentity != nil:
		return 0, core.Unmodelled("AssumeRole SourceIdentity")
	case in.SerialNumber != nil || in.TokenCode != nil || len(in.ProvidedContexts) > 0 ||
		in.MinimumSessionTokenSize != nil:
		return 0, core.Unmodelled("AssumeRole with MFA, provided contexts or a token size")
	case !named(aws.ToString(in.RoleSessionName), "_+=,.@-", maxSessionName):
		return 0, core.Invalid("roleSessionName", `2 to 64 characters that satisfy regular expression pattern: [\w+=,.@-]*`)
	case in.ExternalId != nil && !named(*in.ExternalId, "_+=,.@:/-", maxExternalID):
		return 0, core.Invalid("externalId", `2 to 1224 characters that satisfy regular expression pattern: [\w+=,.@:\/-]*`)
	case in.Policy != nil && len(*in.Policy) > maxSessionPolicy:
		return 0, core.Invalid("policy", "length less than or equal to 2048")
	}
	if in.DurationSeconds == nil {
		return standardSession, nil
	}
	d := *in.DurationSeconds
	if d < minSession || d > 43200 {
		return 0, core.Invalid("durationSeconds", "value between 900 and 43200")
	}
	if d > maxChained {
		return 0,
			core.Refusal("ValidationError",
				"The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	}
	return d, nil
}

// named tells whether a text has 2 to limit characters, all of them ASCII letters, digits or in more.
func named(text, more string, limit int) bool {
	for _, r := range text {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(more, r)) {
			return false
		}
	}
	return len(text) >= 2 && len(text) <= limit
}

// trusted refuses what AddFleet declared refused, beside the trust policy. The region of the endpoint must be
// enabled in the role's account. Source: D23:id_credentials_temp_enable-regions.
func (s *STS) trusted(role, externalID string) error {
	if s.w.disabled[Place{core.AccountOf(role), s.region}] {
		return &ststypes.RegionDisabledException{Message: aws.String("STS is not activated in this region for account:" +
			core.AccountOf(role))}
	}
	a, ok := s.w.accounts[core.AccountOf(role)]
	if ok && (a.Refused || a.Suspended || a.ExternalID != "" && a.ExternalID != externalID) {
		return core.Refusal("AccessDenied", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s",
			s.p.ARN(), role)
	}
	return nil
}

// open registers a session under a new access key id.
func (w *Estate) open(p *core.Principal) *sts.AssumeRoleOutput {
	w.tokens++
	id := fmt.Sprintf("ASIA%016X", w.tokens)
	w.sessions[id] = p
	return &sts.AssumeRoleOutput{
		AssumedRoleUser: &ststypes.AssumedRoleUser{
			Arn: aws.String(p.ARN()), AssumedRoleId: aws.String("AROA" + p.Account + ":" + p.SessionName),
		},
		Credentials: &ststypes.Credentials{
			AccessKeyId: aws.String(id), SecretAccessKey: aws.String("secret-of-" + id),
			SessionToken: aws.String("token-of-" + id), Expiration: aws.Time(p.Expires),
		},
	}
}

// ByAccessKey returns the session that the credentials with that access key id belong to.
func (w *Estate) ByAccessKey(id string) (*core.Principal, bool) {
	p, ok := w.sessions[id]
	return p, ok
}

// GetCallerIdentity says who calls. It needs no permission. Source: B:sts/GetCallerIdentity.
func (s *STS) GetCallerIdentity(ctx context.Context, in *sts.GetCallerIdentityInput,
	_ ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error) {
	call := &core.Call{
		Principal: s.p, Account: s.p.Account, Region: s.region, Service: "sts", Operation: "GetCallerIdentity",
		Attempts: core.Attempts, Input: in,
	}
	return core.Do(ctx, s.w.Core, call, func() (*sts.GetCallerIdentityOutput, error) {
		return &sts.GetCallerIdentityOutput{
			Account: aws.String(s.p.Account), Arn: aws.String(s.p.ARN()),
			UserId: aws.String("AROA" + s.p.Account + ":" + s.p.SessionName),
		}, nil
	})
}
