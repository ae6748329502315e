package backing

import (
	"errors"
	"strconv"
	"strings"
	"time"

	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"

	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/dynamo"
)

// Services are the stores and messengers of the hub: tables, buckets, topics, keys
// and the state machine engine. Each is found by its ARN.
type Services struct {
	*core.Core

	// OnMail, when set, is called as each mail arrives.
	OnMail func(Mail)

	tables  map[string]*table
	buckets map[string]*bucket // by name: bucket names are global
	topics  map[string]*topic
	keys    map[string]*key
	aliases map[string]string // ARN of the key by ARN of the alias

	expressions  dynamo.Cache // of DynamoDB, parsed once
	transactions transactions

	mailboxes map[string][]Mail
	macs      []MacEntry
	machines  machines
}

// newServices plugs the services into a world that has none yet.
func New(c *core.Core) *Services {
	w := &Services{
		Core:        c,
		tables:      map[string]*table{},
		buckets:     map[string]*bucket{},
		topics:      map[string]*topic{},
		keys:        map[string]*key{},
		aliases:     map[string]string{},
		expressions: dynamo.Cache{},
		mailboxes:   map[string][]Mail{},
	}
	c.Owner = w.resourceAccount
	return w
}

// staleReads tells whether reads of DynamoDB may see what stood there before.
func (w *Services) staleReads() bool {
	_, ok := w.Faults.(core.StaleReads)
	return ok
}

// PartialBatches is what Faults may also implement. It tells how many of the n
// keys of a BatchGetItem come back as unprocessed, from the last one backwards.
type PartialBatches interface {
	Unprocessed(c *core.Call, n int) int
}

// BrokenBodies is what Faults may also implement. It tells how many of the n
// bytes of an object arrive before the connection breaks; n for all of them.
type BrokenBodies interface {
	Arriving(c *core.Call, n int) int
}

// MailFaults is what Faults may also implement. It tells how many copies of a
// mail reach its endpoint and by how much the delivery is late.
type MailFaults interface {
	Deliver(m Mail) (copies int, late time.Duration)
}

// seat is what every client of the hub's services stands on: who calls, where.
type seat struct {
	w         *Services
	principal *core.Principal
	region    string
	service   string
}

func (s seat) call(operation string, mutating bool, input any, access ...core.Access) *core.Call {
	return &core.Call{
		Principal: s.principal, Account: s.principal.Account, Region: s.region,
		Service: s.service, Operation: operation, Mutating: mutating, Attempts: core.Attempts,
		Access: access, Input: input,
	}
}

// param is a request parameter that the simulation does not model, and whether
// the request uses it.
type param struct {
	name string
	used bool
}

// unsupported refuses a request that uses something the simulation would
// otherwise silently ignore.
func unsupported(operation string, params ...param) error {
	for _, p := range params {
		if p.used {
			return core.Refusal("UnsupportedParameter", "the simulation of %s does not model %s", operation, p.name)
		}
	}
	return nil
}

// keyUse is the permission that a service needs of its caller to use a KMS key
// on the caller's behalf. The service names itself in kms:ViaService.
// Source: KMS Developer Guide, "Condition keys for AWS KMS".
func keyUse(s seat, keyARN, action string, encryption map[string]string) core.Access {
	keys := map[string][]string{
		"kms:ViaService":    {s.service + "." + s.region + ".amazonaws.com"},
		"kms:CallerAccount": {s.principal.Account},
	}
	for name, value := range encryption {
		keys["kms:EncryptionContext:"+name] = []string{value}
		keys["kms:EncryptionContextKeys"] = append(keys["kms:EncryptionContextKeys"], name)
	}
	return core.Access{Action: action, Resources: []string{keyARN}, Context: keys}
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func ptr[T any](v T) *T { return &v }

// keyTrouble is why a service cannot use a key on behalf of its caller, in
// KMS's words; no code when it can.
func (w *Services) keyTrouble(arn string) (code, text string) {
	k := w.keys[arn]
	if k == nil {
		return "NotFoundException", "Key '" + arn + "' does not exist"
	}
	var api interface {
		ErrorCode() string
		ErrorMessage() string
	}
	if errors.As(k.usable(kmstypes.KeyUsageTypeEncryptDecrypt), &api) {
		return api.ErrorCode(), api.ErrorMessage()
	}
	return "", ""
}

// pageToken is a token for the next page of a list that begins at an index.
func pageToken(index int) string { return "page-" + strconv.Itoa(index) }

// pageStart reads a token of pageToken for a list of n.
func pageStart(token string, n int) (int, error) {
	index, err := strconv.Atoi(strings.TrimPrefix(token, "page-"))
	if err != nil || !strings.HasPrefix(token, "page-") || index < 0 || index > n {
		return 0, core.Refusal("InvalidToken", "The token is not one that was given")
	}
	return index, nil
}

// resourceAccount is the owner of a bucket or of its objects: their ARNs name no
// account. "" for anything else.
func (w *Services) resourceAccount(resources []string) string {
	for _, arn := range resources {
		_, path, found := strings.Cut(arn, ":s3:::")
		if !found {
			continue
		}
		name, _, _ := strings.Cut(path, "/")
		if b := w.buckets[name]; b != nil {
			return b.spec.Account
		}
	}
	return ""
}
