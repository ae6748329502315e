package cli_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/audit"
	"ec2patch/internal/decision"
	"ec2patch/internal/fake"
	"ec2patch/internal/golden"
	"ec2patch/internal/hub"
	"ec2patch/internal/patch"
	"ec2patch/internal/plan"
	"ec2patch/internal/store"
)

// auditStory is what the audit holds of a run of one account-region.
func auditStory(t *testing.T) *fake.Ledger {
	t.Helper()
	const run = patch.RunID("october")
	l := fake.NewLedger(at("00:00"))
	index := plan.Index{Run: run, Waves: []plan.IndexWave{{Name: "w", Planned: 1, Targets: []plan.IndexTarget{
		{Account: "111111111111", Region: "us-east-1", Planned: 1},
	}}}}
	require.NoError(t, index.Seal())
	data, err := patch.Canonical(index)
	require.NoError(t, err)
	l.Objects[store.IndexObject(run)] = data
	about, question := store.RunSubject(run), store.ApprovalSubject(decision.ApprovalID(run, "run"))
	target := store.TargetSubject(patch.Target{Run: run, Account: "111111111111", Region: "us-east-1"})
	l.Append(store.Inventory, about, "plan", "RunOpened", "input 00", false)
	frozen := store.Note{Actor: "freeze", Action: "PlanFrozen", Detail: "digest " + index.Digest + ", 1 instance",
		Binds: index.Digest}
	l.Note(store.Inventory, about, frozen, true)
	l.Append(store.Request, question, "approval-request", "Asked", "round 1 of run", true)
	l.Append(store.Callback, question, "approval-callback", "Decided", "approve by ann, reason \"ok\x1b[2J\"; approved",
		true)
	l.Append(store.Send, target, "send", "LeaseTaken", "fence 1", false)
	l.Append(store.Send, target, "send", "SendCommand", "m1, 1 instance, fence 1: [i-1]", true)
	l.Bind(run, "judge", "Verdict", "wave w: good")
	l.Bind(run, "report", "RunEnded", "Succeeded")
	return l
}

func TestAudit(t *testing.T) {
	ended := []hub.Execution{{Run: "october", Status: "SUCCEEDED", Started: at("00:00"), Ended: at("00:09")}}
	full := story(t, "{}", succeeded())
	rehashed, cut := auditStory(t), auditStory(t)
	for chain := range rehashed.Chains {
		if strings.HasPrefix(chain, "SEND#") {
			rehashed.Chains[chain][1].Detail = "m1, 1 instance, fence 1: [i-9]"
			rehashed.Rehash(chain)
			cut.Chains[chain] = cut.Chains[chain][:1]
		}
	}
	var keys strings.Builder
	keys.WriteString("# noted when the hub was deployed\n\n")
	for _, w := range store.Writers() {
		public := fake.NewPair(string(w)).Public()
		value := audit.Fingerprint(public)
		if w == store.Verify {
			value = base64.StdEncoding.EncodeToString(public)
		}
		fmt.Fprintf(&keys, "%s %s\n", w, value)
	}
	files := map[string]string{
		"keys.txt": keys.String(), "other.txt": "SEND " + audit.Fingerprint([]byte("x")),
		"bad.txt": "SEND x\n", "who.txt": "JUDGE sha256:00\n",
	}
	tests := []struct {
		name, args string
		hub        anAccount
	}{
		{"audit", "audit october", anAccount{audit: auditStory(t)}},
		{"audit-verify", "audit october --verify", anAccount{audit: auditStory(t)}},
		{"audit-verify-keys", "audit october --verify --keys keys.txt", anAccount{audit: auditStory(t)}},
		{"audit-verify-other-key", "audit october --verify --keys other.txt", anAccount{audit: auditStory(t)}},
		{"audit-verify-no-key", "audit october --verify",
			anAccount{audit: auditStory(t), keyless: []store.Writer{store.Poll, store.Callback}}},
		{"audit-verify-rehashed", "audit october --verify", anAccount{audit: rehashed}},
		{"audit-verify-cut", "audit october --verify", anAccount{audit: cut}},
		{"audit-verify-json", "audit october --verify --format json", anAccount{audit: auditStory(t)}},
		{"audit-denied", "audit october", anAccount{}},
		{"audit-unknown", "audit november", anAccount{audit: auditStory(t)}},
		{"audit-bad-keys", "audit october --verify --keys bad.txt", anAccount{audit: auditStory(t)}},
		{"audit-bad-writer", "audit october --verify --keys who.txt", anAccount{audit: auditStory(t)}},
		{"audit-keys-alone", "audit october --keys keys.txt", anAccount{audit: auditStory(t)}},
		{"audit-nothing", "audit", anAccount{audit: auditStory(t)}},
		{"help-audit", "help audit", anAccount{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := program()
			tt.hub.t, tt.hub.known = t, ended
			if tt.hub.audit != nil {
				tt.hub.looks = full[len(full)-1:]
			}
			tt.hub.reach(&p)
			var c call
			t.Run("call", func(t *testing.T) {
				t.Chdir(t.TempDir())
				for name, text := range files {
					require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
				}
				c = run(t.Context(), p, []string{machineEnv, "NO_COLOR=1"}, "", strings.Fields(tt.args)...)
			})
			assert.NotContains(t, c.stdout, "\x1b", "what a person wrote is cleaned")
			golden.Equal(t, "script/"+tt.name+".txt", []byte(transcript(tt.args, c)))
		})
	}
}
