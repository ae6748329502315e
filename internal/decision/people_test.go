package decision_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/decision"
)

func TestPeople_Of(t *testing.T) {
	p, err := decision.ParsePeople("Oncall-*,Deputy")
	require.NoError(t, err)
	const account = "arn:aws:sts::999999999999:"
	for identity, want := range map[string]string{
		"link":                                                "",
		"ann@example.com":                                     "ann@example.com",
		"arn:aws:iam::999999999999:user/ann":                  "arn:aws:iam::999999999999:user/ann",
		"arn:aws:iam::999999999999:root":                      "arn:aws:iam::999999999999:root",
		account + "assumed-role/Operators/ann":                account + "assumed-role/operators",
		account + "assumed-role/operators/bob":                account + "assumed-role/operators",
		account + "assumed-role/Oncall-eu/ann":                "ann",
		account + "assumed-role/MyOncall-eu/ann":              account + "assumed-role/myoncall-eu",
		account + "assumed-role/Deputy/ann":                   "ann",
		account + "assumed-role/AWSReservedSSO_Ops_0a/ann":    "ann",
		account + "assumed-role/xAWSReservedSSO_Ops_0a/ann":   account + "assumed-role/xawsreservedsso_ops_0a",
		account + "assumed-role/AWSReservedSSO_Ops_0a":        account + "assumed-role/awsreservedsso_ops_0a",
		account + "federated-user/ann":                        account + "federated-user",
		"arn:aws-cn:sts::999999999999:assumed-role/Deputy/li": "li",
	} {
		assert.Equal(t, want, p.Of(identity), identity)
	}
	assert.Equal(t, "ann", decision.People{}.Of(account+"assumed-role/AWSReservedSSO_Ops_0a/ann"),
		"without any pattern too")
}

func TestParsePeople(t *testing.T) {
	for _, good := range []string{"", " ", "Deputy", "Oncall-*, Deputy"} {
		_, err := decision.ParsePeople(good)
		assert.NoError(t, err, good)
	}
	for _, bad := range []string{",", "a,,b", "a b", "[a-z]*", `a\*`, "role/Deputy", "arn:aws:iam::1:role/x"} {
		_, err := decision.ParsePeople(bad)
		assert.Error(t, err, bad)
	}
}

// A record may say of several approvals what the hub's rules made of them when it was written.
func TestApproval_Fits(t *testing.T) {
	const role = "arn:aws:sts::999999999999:assumed-role/Operators/"
	yes := func(who string) decision.Decision {
		return decision.Decision{Identity: who, Decision: decision.Approve}
	}
	two := []decision.Decision{yes(role + "ann"), yes(role + "bob")}
	named, err := decision.ParsePeople("Operators")
	require.NoError(t, err)
	for _, tt := range []struct {
		name   string
		needed int
		people decision.People
		status decision.Status
		valid  []decision.Decision
		fits   bool
	}{
		{"approved while the role was named", 2, decision.People{}, decision.ApprovalApproved, two, true},
		{"pending while it was not", 2, named, decision.ApprovalPending, two, true},
		{"approved by one", 2, named, decision.ApprovalApproved, two[:1], false},
		{"rejected by nobody", 2, named, decision.ApprovalRejected, two, false},
		{"pending although rejected", 2, named, decision.ApprovalPending,
			append(two, decision.Decision{Identity: "x", Decision: decision.Reject}), false},
		{"pending although approved", 1, named, decision.ApprovalPending, two[:1], false},
	} {
		a := approval()
		a.RequireDistinct, a.Status = tt.needed, tt.status
		assert.Equal(t, tt.fits, a.Fits(tt.people, tt.valid), tt.name)
	}
}
