package words_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/words"
)

func TestNumber(t *testing.T) {
	for n, want := range map[int]string{
		0: "0", 999: "999", 1000: "1,000", 12345: "12,345", 1234567: "1,234,567", -999: "-999", -123456: "-123,456",
	} {
		assert.Equal(t, want, words.Number(n))
	}
}

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
		{"many", 1234, "account", "1,234 accounts"},
		{"one that hisses", 1, "patch", "1 patch"},
		{"several that hiss", 3, "patch", "3 patches"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, words.Count(test.n, test.noun))
		})
	}
}

// Reasons are read by programs, which know no commas.
func TestBareCount(t *testing.T) {
	assert.Equal(t, "1 patch", words.BareCount(1, "patch"))
	assert.Equal(t, "1234 patches", words.BareCount(1234, "patch"))
}
