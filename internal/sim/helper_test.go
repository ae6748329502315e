package sim

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ec2patch/internal/outcome"
	"ec2patch/internal/sim/check"
	"ec2patch/internal/sim/stage"
	"ec2patch/internal/sim/world/fleetfile"
)

func read(tb testing.TB, elem ...string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, elem...)...))
	require.NoError(tb, err)
	return data
}

// shipped reads the templates once for all tests and each set of parameters: nothing writes to them.
func shipped(hub, spoke, reader []byte, given map[string]string) (*stage.Templates, error) {
	sharedLock.Lock()
	defer sharedLock.Unlock()
	key := fmt.Sprint(given)
	if shared[key] == nil {
		t, err := stage.LoadTemplates(hub, spoke, reader, given)
		if err != nil {
			return nil, err
		}
		shared[key] = t
	}
	return shared[key], nil
}

var (
	sharedLock sync.Mutex
	shared     = map[string]*stage.Templates{}
)

// options are those of a rehearsal of an input with the shipped templates, on a hub that leaves approval to its inputs.
func options(tb testing.TB, input string) Options {
	tb.Helper()
	return optionsOn(tb, map[string]string{"MinimumApproval": "none"}, input)
}

// optionsOn are those on a hub with these parameters.
func optionsOn(tb testing.TB, parameters map[string]string, input string) Options {
	tb.Helper()
	hub, spoke := read(tb, "cloudformation", "hub-cfn.yaml"), read(tb, "cloudformation", "spoke-cfn.yaml")
	reader := read(tb, "cloudformation", "organization-reader-cfn.yaml")
	shipped, err := shipped(hub, spoke, reader, parameters)
	require.NoError(tb, err)
	return Options{Input: []byte(input), Seed: 1, Instances: 12, Hub: hub, Spoke: spoke, Reader: reader,
		Parameters: parameters, templates: shipped}
}

// rehearse runs and fails on anything but a result.
func rehearse(tb testing.TB, o Options) *Result {
	tb.Helper()
	res, err := Run(o)
	require.NoError(tb, err)
	return res
}

// replay is how a person repeats a rehearsal that broke a rule.
func replay(input string, o Options) string {
	return fmt.Sprintf("ec2patch simulate %s --seed %d --instances %d --faults %s", input, o.Seed, o.Instances, o.Faults)
}

// exampleFiles are all run inputs that we show to people.
func exampleFiles(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "examples", "*-inputs", "*.json"))
	require.NoError(tb, err)
	require.NotEmpty(tb, files)
	for i, f := range files {
		files[i] = filepath.ToSlash(f[len(filepath.Join("..", ".."))+1:])
	}
	return files
}

const (
	first  = "111111111111"
	second = "222222222222"
	region = "us-east-1"
)

// oneWave is the smallest input: one account, one region, nobody asked.
func oneWave(more string) string {
	return `{"waves":[{"name":"only","accounts":["` + first + `"],"regions":["` + region + `"]` + more + `}],"approval":"none"}`
}

// generous lets everything fail without a stop, so that each instance gets its turn.
const generous = `,"ssm":{"maxConcurrency":"100%","maxErrors":"100%"},"budget":{"maxFailedInstances":"100%","maxFailedAccounts":"100%","perAccount":"100%"}`

// fleet is a fleet file with these instances in the first account and region.
func fleet(tb testing.TB, instances ...fleetfile.Instance) []byte {
	tb.Helper()
	return fleetFile(tb, map[string]fleetfile.Account{
		first: {Regions: map[string]fleetfile.Region{region: {Instances: instances}}},
	})
}

func fleetFile(tb testing.TB, accounts map[string]fleetfile.Account) []byte {
	tb.Helper()
	data, err := json.Marshal(fleetfile.File{Accounts: accounts})
	require.NoError(tb, err)
	return data
}

// outcomes counts the report's outcomes of instances with that name.
func outcomes(r *Result, name string) map[outcome.Outcome]int {
	n := map[outcome.Outcome]int{}
	for _, i := range r.Report.Instances {
		if name == "" || i.Name == name {
			n[i.Outcome]++
		}
	}
	return n
}

// rules lists the broken rules, each once.
func rules(found []check.Violation) []string {
	var all []string
	for _, v := range found {
		if !slices.Contains(all, v.Rule) {
			all = append(all, v.Rule)
		}
	}
	return all
}
