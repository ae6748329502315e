package stage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/smithy-go"

	"ec2patch/internal/sim/world/core"
)

// ShortPages is the class of faults that is none: a page may hold less than was asked for.
const ShortPages = "F-10"

// fault is one class of trouble: its rate per call, and where it strikes.
type fault struct {
	ID    string
	Light float64 // rate under "light"
	Storm float64 // rate under "storm"
}

// Classes are the faults that the rehearsal can inject, by the id of the fault
// catalogue. Rates are per API call of the kind that the class strikes, those of
// F-12, F-40 and F-41 per invocation, those of F-54 and F-55 per message.
func Classes() []fault {
	return []fault{
		{"F-01", 0.005, 0.05},   // throttled
		{"F-02", 0.002, 0.03},   // server error before the effect
		{"F-03", 0.001, 0.02},   // no answer, no effect
		{"F-04", 0.001, 0.02},   // no answer, but the effect
		{"F-05", 0.0005, 0.005}, // no answer, and the effect comes late
		{"F-06", 0.002, 0.02},   // the SDK sends a request again
		{"F-07", 0.002, 0.02},   // slow
		{"F-10", 0.01, 0.1},     // short pages
		{"F-12", 0.01, 0.1},     // the function's clock is off
		{"F-38", 0.0005, 0.005}, // the process dies before or after the effect
		{"F-40", 0.002, 0.02},   // the same event twice
		{"F-41", 0.002, 0.02},   // Lambda does not start the function
		{"F-49", 0.01, 0.1},     // keys that DynamoDB leaves out
		{"F-53", 0.005, 0.05},   // an object arrives in part
		{"F-54", 0.01, 0.1},     // a notice is refused, or its answer lost
		{"F-55", 0.01, 0.1},     // a mail comes late, twice or never
		{"F-58", 0.001, 0.01},   // the signing key is disabled
		{"F-59", 0.01, 0.1},     // an alarm is missing or has no data
		{"F-64", 0.002, 0.02},   // the audit table fails
		{"F-66", 0.01, 0.1},     // a transaction meets another one
	}
}

// swarmShare is how likely each class is on under "swarm".
const swarmShare = 0.5

// Faults injects trouble at given rates, drawn from the seed.
type Faults struct {
	Rates  map[string]float64
	Rand   *rand.Rand
	Struck map[string]int
	Look   func(*core.Call) // sees every call before it arrives; nil: nobody looks
}

// ParseFaults reads calm, light, storm, swarm or NAME=RATE,...
func ParseFaults(s string, r *rand.Rand) (*Faults, error) {
	f := &Faults{Rates: map[string]float64{}, Rand: r, Struck: map[string]int{}}
	switch s {
	case "", "calm":
		return f, nil
	case "light", "storm":
		for _, c := range Classes() {
			f.Rates[c.ID] = map[string]float64{"light": c.Light, "storm": c.Storm}[s]
		}
		return f, nil
	case "swarm":
		for _, c := range Classes() {
			if r.Float64() < swarmShare {
				f.Rates[c.ID] = c.Light + r.Float64()*(c.Storm-c.Light)
			}
		}
		return f, nil
	}
	var problems []error
	for part := range strings.SplitSeq(s, ",") {
		name, rate, ok := strings.Cut(part, "=")
		known := slices.ContainsFunc(Classes(), func(c fault) bool { return c.ID == name })
		value, err := strconv.ParseFloat(rate, 64)
		switch {
		case !ok || !known:
			problems = append(problems, fmt.Errorf("faults: %q is none of calm, light, storm, swarm, and no NAME=RATE with a "+
				"name of %s", part, strings.Join(FaultNames(), ", ")))
		case err != nil || value < 0 || value > 1:
			problems = append(problems, fmt.Errorf("faults: the rate of %s must be a number from 0 to 1, not %q", name, rate))
		default:
			f.Rates[name] = value
		}
	}
	return f, errors.Join(problems...)
}

// FaultNames lists the names that --faults knows.
func FaultNames() []string {
	var names []string
	for _, c := range Classes() {
		names = append(names, c.ID)
	}
	return names
}

// strikes draws whether a class strikes now. A class that is off draws nothing.
func (f *Faults) strikes(id string) bool {
	rate := f.Rates[id]
	if rate == 0 || f.Rand.Float64() >= rate {
		return false
	}
	f.Struck[id]++
	return true
}

// Before refuses a call, or loses it on the way.
func (f *Faults) Before(c *core.Call) error {
	if f.Look != nil {
		f.Look(c)
	}
	switch {
	case c.Service == "lambda" || c.SessionOf("states"):
		return nil // what Step Functions does itself has its own retries
	case f.strikes("F-01"):
		return &smithy.GenericAPIError{Code: throttleCode(c.Service), Message: "Rate exceeded", Fault: smithy.FaultClient}
	case f.strikes("F-02"):
		return &smithy.GenericAPIError{Code: "InternalServerError", Message: "We encountered an internal error",
			Fault: smithy.FaultServer}
	case f.strikes("F-03"):
		return &core.ConnectionError{Call: c.Name()}
	case f.strikes("F-38"):
		panic(core.Crash{Call: c.Name() + " before its effect"})
	}
	return f.refused(c)
}

// After loses the answer of a call that took effect.
func (f *Faults) After(c *core.Call) error {
	switch {
	case c.Service == "lambda" || c.SessionOf("states"):
		return nil
	case f.strikes("F-04"):
		return &core.ConnectionError{Call: c.Name()}
	case f.strikes("F-38"):
		panic(core.Crash{Call: c.Name() + " after its effect"})
	case c.Service == "sns" && f.strikes("F-54"):
		return &core.ConnectionError{Call: c.Name()}
	}
	return nil
}

// PageSize shortens a page, sometimes to nothing, mostly to less than a small fleet has.
func (f *Faults) PageSize(_ *core.Call, size int) int {
	if !f.strikes(ShortPages) {
		return size
	}
	if f.Rand.IntN(4) > 0 {
		size = min(size, fewItems)
	}
	return f.Rand.IntN(size + 1)
}

// fewItems is what a page holds that is short relative to what there is in a small fleet.
const fewItems = 7

// Unprocessed leaves keys of a batch out.
func (f *Faults) Unprocessed(_ *core.Call, n int) int {
	if !f.strikes("F-49") {
		return 0
	}
	return f.Rand.IntN(n + 1)
}

// throttleCode is what the service says when it is asked too often.
func throttleCode(service string) string {
	codes := map[string]string{"ec2": "RequestLimitExceeded", "s3": "SlowDown", "dynamodb": "ThrottlingException",
		"sts": "Throttling", "organizations": "TooManyRequestsException"}
	if code, ok := codes[service]; ok {
		return code
	}
	return "ThrottlingException"
}
