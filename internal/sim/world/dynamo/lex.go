package dynamo

import "strings"

// token is one word or sign of a DynamoDB expression.
type token struct {
	kind byte // 'i' identifier, '#' name, ':' value, 'n' number, 'p' sign, 0 end
	text string
	at   int
}

// keyword tells whether an identifier is this keyword; case does not matter.
func (t token) keyword(word string) bool { return t.kind == 'i' && strings.EqualFold(t.text, word) }

func (t token) sign(text string) bool { return t.kind == 'p' && t.text == text }

// lex splits an expression. kind is the parameter's name, for the error text.
func lex(kind, text string) ([]token, error) {
	var tokens []token
	for i := 0; i < len(text); {
		c := text[i]
		if c == ' ' || c == '\t' || c == '\n' || c == '\r' {
			i++
			continue
		}
		t, err := nextToken(kind, text, i)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		i += len(t.text)
	}
	return append(tokens, token{text: "<EOF>", at: len(text)}), nil
}

func nextToken(kind, text string, at int) (token, error) {
	c := text[at]
	switch {
	case c == '#' || c == ':':
		n := span(text[at+1:], wordByte)
		if n == 0 {
			return token{}, syntaxError(kind, text, text[at:at+1], at)
		}
		return token{c, text[at : at+1+n], at}, nil
	case c >= '0' && c <= '9':
		return token{'n', text[at : at+span(text[at:], digitByte)], at}, nil
	case wordByte(c):
		return token{'i', text[at : at+span(text[at:], wordByte)], at}, nil
	case strings.HasPrefix(text[at:], "<>"), strings.HasPrefix(text[at:], "<="), strings.HasPrefix(text[at:], ">="):
		return token{'p', text[at : at+2], at}, nil
	case strings.IndexByte("()[],.=<>+-", c) >= 0:
		return token{'p', text[at : at+1], at}, nil
	}
	return token{}, syntaxError(kind, text, text[at:at+1], at)
}

func span(text string, in func(byte) bool) int {
	n := 0
	for n < len(text) && in(text[n]) {
		n++
	}
	return n
}

func digitByte(c byte) bool { return c >= '0' && c <= '9' }

func wordByte(c byte) bool {
	return c == '_' || digitByte(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
}

// syntaxError is worded as DynamoDB does: the token and its surroundings.
func syntaxError(kind, text, tok string, at int) error {
	near := text[max(0, at-10):min(len(text), at+len(tok)+10)]
	return Invalid("Invalid %s: Syntax error; token: %q, near: %q", kind, tok, near)
}
