package guard_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/guard"
	"ec2patch/internal/iam"
	"ec2patch/internal/patch"
	"ec2patch/internal/runinput"
	"ec2patch/internal/store"
)

// TestPolicies_oneWriter lets each role write each object of a run. Who makes the plan cannot write what became of it,
// and the other way round, so that no one function can make both agree. A wave's name is a part of keys: no name that
// an input may have brings an object into another role's reach.
func TestPolicies_oneWriter(t *testing.T) {
	hub := deployed(t, guard.Hub)
	bucket := hub.Resources["DataBucket"].ARN
	policies := map[string][]*iam.Policy{}
	for _, role := range hub.Roles() {
		policies[role.LogicalID] = policiesOf(t, hub, role.LogicalID)
	}
	waves := waveNames(t)
	require.Subset(t, waves, []string{"canary", "PLAN", "report"})
	for _, wave := range waves {
		for object, writer := range objectsOf("run", wave) {
			for id, own := range policies {
				for _, action := range []string{"s3:PutObject", "s3:DeleteObject"} {
					d := iam.Evaluate(iam.Request{Principal: iam.Session("arn:aws:iam::"+hubAccount+":role/somebody",
						"test"), Action: action,
						Resources: []string{bucket + "/" + object}, ResourceAccount: hubAccount},
						iam.Policies{Identity: own})
					assert.Equal(t, id == writer && action == "s3:PutObject", d.Allowed, "%s: %s on %s", id,
						action, object)
				}
			}
		}
	}
}

// TestPolicies_writeOnce lets the one role that writes plans, and an administrator, write over them and delete them.
func TestPolicies_writeOnce(t *testing.T) {
	hub := deployed(t, guard.Hub)
	bucket := hub.Resources["DataBucket"].ARN
	var rules []*iam.Policy
	for _, p := range hub.ResourcePolicies() {
		if slices.Contains(p.On, bucket) {
			parsed, err := iam.ParsePolicy(p.LogicalID, p.JSON)
			require.NoError(t, err)
			rules = append(rules, parsed)
		}
	}
	require.Len(t, rules, 1)
	all, err := iam.ParsePolicy("admin", []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`))
	require.NoError(t, err)
	callers := map[string][]*iam.Policy{"admin": {all}, "InventoryRole": policiesOf(t, hub, "InventoryRole")}
	once := 0
	for object, writer := range objectsOf("run", "canary") {
		inPlan := writer == "InventoryRole"
		for caller, own := range callers {
			may := func(action, ifNoneMatch string) bool {
				r := iam.Request{Principal: iam.Session("arn:aws:iam::"+hubAccount+":role/somebody", "test"),
					Action:    action,
					Resources: []string{bucket + "/" + object}, ResourceAccount: hubAccount,
					Context: map[string][]string{}}
				if ifNoneMatch != "" {
					r.Context["s3:if-none-match"] = []string{ifNoneMatch}
				}
				return iam.Evaluate(r, iam.Policies{Identity: own, Resource: rules}).Allowed
			}
			if !inPlan && caller != "admin" {
				continue // TestPolicies_oneWriter
			}
			assert.Equal(t, !inPlan, may("s3:PutObject", ""), "%s writes over %s", caller, object)
			assert.True(t, may("s3:PutObject", "*"), "%s creates %s", caller, object)
			assert.Equal(t, !inPlan && caller == "admin", may("s3:DeleteObject", ""), "%s hides %s", caller, object)
			assert.False(t, may("s3:DeleteObjectVersion", ""), "%s deletes %s", caller, object)
			once++
		}
	}
	assert.GreaterOrEqual(t, once, 20)
}

// objectsOf are the keys of a run's objects, and who writes each.
func objectsOf(run patch.RunID, wave string) map[string]string {
	target := patch.Target{Run: run, Wave: wave, Account: "111111111111", Region: "us-east-1"}
	children := store.ChildrenPrefix(run, wave) + "/00000000-0000-0000-0000-000000000000/"
	return map[string]string{
		store.InputObject(run): "InventoryRole", store.AccountsObject(run): "InventoryRole", store.InventoryObject(run,
			target.Account, target.Region): "InventoryRole",
		store.WaveAccountsObject(run, wave): "InventoryRole", store.LeafObject(target): "InventoryRole",
		store.IndexObject(run): "InventoryRole", store.RefusedObject(run): "InventoryRole",
		store.LooksObject(target): "VerifyRole", store.ResultObject(target, "0f"): "VerifyRole", store.RollUpObject(run,
			wave, target.Account): "VerifyRole",
		store.HeadsObject(run, "0f"): "VerifyRole", store.ReportSliceObject(run, 0): "VerifyRole",
		store.ReportObject(run, "json"): "VerifyRole",
		store.ReportObject(run, "csv"):  "VerifyRole", store.ReportObject(run, "html"): "VerifyRole",
		children + "manifest.json": "OrchestratorRole", children + "SUCCEEDED_0.json": "OrchestratorRole",
	}
}

var dataPattern = regexp.MustCompile(`\$\{DataBucket\.Arn\}/([^"]*)"`)

// waveNames are the names that an input may give a wave, out of those that could be mistaken for another part of a
// key: the words of every key and of every pattern over the bucket, whole and in variations.
func waveNames(t *testing.T) []string {
	t.Helper()
	paths := slices.Collect(maps.Keys(objectsOf("run", "canary")))
	for _, pattern := range dataPattern.FindAllSubmatch(read(t, guard.Hub), -1) {
		paths = append(paths, string(pattern[1]))
	}
	names := map[string]bool{}
	for _, path := range paths {
		for word := range strings.SplitSeq(path, "/") {
			stem, _, _ := strings.Cut(word, ".")
			for _, name := range []string{word, stem, strings.ToUpper(stem), stem + "-", stem + ".json", stem + "/x",
				"x/" + stem, "../" + stem} {
				input, err := json.Marshal(map[string]any{"waveId": name, "accounts": []string{"111111111111"},
					"regions": []string{"us-east-1"}})
				require.NoError(t, err)
				if _, err = runinput.ParseInput(input, runinput.HubDefaults()); err == nil {
					names[name] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
