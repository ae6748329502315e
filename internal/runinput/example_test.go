package runinput_test

import (
	"errors"
	"fmt"

	"ec2patch/internal/runinput"
)

// Every problem of an input is named at once, with its place and what to write instead.
func ExampleParseInput() {
	_, err := runinput.ParseInput([]byte(`{
  "waves": [{"accounts": ["1111-1111-1111"], "regions": ["us-east-1"]}],
  "wavePauseSecond": 900
}`), runinput.HubDefaults())

	var problems runinput.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			fmt.Printf("%d:%d %s, %s: %s\n", p.Line, p.Column, p.Rule, p.Path, p.Remedy)
		}
	}
	// Output:
	// 2:27 wrong-text, waves[0].accounts[0]: write its twelve digits and nothing else: "111111111111"
	// 3:3 unknown-field, wavePauseSecond: did you mean "wavePauseSeconds"?
}

// What the input leaves out has its default afterwards.
func ExampleParseInput_defaults() {
	in, err := runinput.ParseInput(
		[]byte(`{"waves": [{"accounts": ["111111111111"], "regions": ["us-east-1"]}]}`), runinput.HubDefaults())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(in.Waves[0].Filters.Tags, in.Waves[0].SSM.MaxConcurrency, in.Approval)
	// Output:
	// map[PatchGroup:[default]] 10% once
}
