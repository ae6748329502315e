package words_test

import (
	"testing"

	"ec2patch/internal/words"
)

func TestCount(t *testing.T) {
	tests := []struct {
		name string
		n    int
		noun string
		want string
	}{
		{"none", 0, "instance", "0 instances"},
		{"one", 1, "account-region", "1 account-region"},
		{"several", 12, "account", "12 accounts"},
		{"one that hisses", 1, "patch", "1 patch"},
		{"several that hiss", 3, "patch", "3 patches"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := words.Count(test.n, test.noun); got != test.want {
				t.Errorf("Count(%d, %q) = %q, want %q", test.n, test.noun, got, test.want)
			}
		})
	}
}
