package words_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"ec2patch/internal/words"
)

func TestJoined(t *testing.T) {
	assert.Equal(t, "one; two", words.Joined("one", "two"))
	assert.Equal(t, "one", words.Joined("one", ""))
	assert.Equal(t, "two", words.Joined("", "two"))
	assert.Empty(t, words.Joined("", ""))
	assert.Equal(t, []string{"one", "two", "three"}, words.Parts(words.Joined("one", "two", "three")))
}

func TestUpperFirst(t *testing.T) {
	assert.Equal(t, "The whole plan", words.UpperFirst("the whole plan"))
	assert.Empty(t, words.UpperFirst(""))
}
