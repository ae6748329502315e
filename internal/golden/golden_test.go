package golden

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDifference(t *testing.T) {
	tests := []struct {
		name      string
		want, got string
		text      string
	}{
		{name: "equal texts", want: "a\nb\n", got: "a\nb\n", text: ""},
		{name: "first differing line is named", want: "a\nb\nc", got: "a\nx\ny",
			text: "line 2\n  want \"b\"\n  got  \"x\""},
		{name: "text that ends early", want: "a\nb", got: "a", text: "line 2\n  want \"b\"\n  got  (end of text)"},
		{name: "text that goes on", want: "a", got: "a\n", text: "line 2\n  want (end of text)\n  got  \"\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.text, difference([]byte(tt.want), []byte(tt.got)))
		})
	}
}

func TestEqual_AcceptsTheFileItself(t *testing.T) {
	Equal(t, "hello.txt", []byte("hello\n"))
}
