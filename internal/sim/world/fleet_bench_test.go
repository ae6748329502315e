package world

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ec2patch/internal/iam"
	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
)

// BenchmarkFleet patches 200 accounts in 2 regions of 25 instances, one command a region, under IAM, to the end.
func BenchmarkFleet(b *testing.B) {
	accounts := map[string]map[string][]fleetfile.Wanted{}
	for n := range 200 {
		accounts[fmt.Sprintf("%012d", n+1)] = anything(testRegion, "eu-west-1")
	}
	doc, err := iam.ParsePolicy("spoke", []byte(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"ssm:SendCommand","Resource":["arn:aws:ssm:*::document/AWS-RunPatchBaseline","arn:aws:ec2:*:*:instance/*"]},
		{"Effect":"Allow","Action":["ssm:List*","ssm:Describe*"],"Resource":"*"}]}`))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		w := New(1, testStart())
		if err := w.AddFleet(fleetfile.Default(1, accounts, 25)); err != nil {
			b.Fatal(err)
		}
		for n := range 200 {
			account := fmt.Sprintf("%012d", n+1)
			role := "arn:aws:iam::" + account + ":role/PatchExecRole"
			w.AddRole(core.Role{ARN: role, Policies: []*iam.Policy{doc}})
			p, err := w.Session(role, "bench")
			if err != nil {
				b.Fatal(err)
			}
			for _, region := range []string{testRegion, "eu-west-1"} {
				benchRegion(b, w, w.SSM(p, region), account, region)
			}
		}
		for w.Step() {
		}
		if now, most := w.InFlightAll(); now != 0 || most < 1000 {
			b.Fatalf("in flight %d, most %d", now, most)
		}
	}
}

func benchRegion(b *testing.B, w *World, s *SSM, account, region string) {
	b.Helper()
	var found []string
	for _, i := range w.fleet(account, region).instances {
		if i.Managed() {
			found = append(found, i.ID)
		}
	}
	in := patching(found...)
	in.MaxConcurrency = aws.String("10")
	out, err := s.SendCommand(context.Background(), in)
	if err != nil {
		b.Fatal(err)
	}
	if _,
		err := s.ListCommandInvocations(context.Background(),
		&ssm.ListCommandInvocationsInput{CommandId: out.Command.CommandId}); err != nil {
		b.Fatal(err)
	}
}
