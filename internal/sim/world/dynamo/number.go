package dynamo

import (
	"cmp"
	"math/big"
	"strconv"
	"strings"
)

// Limits of a DynamoDB number. Source: D23:HowItWorks.NamingRulesDataTypes.
const (
	maxDigits    = 38
	maxMagnitude = 126  // below 10^126
	minMagnitude = -129 // from 10^-130, that is 0.1 × 10^-129
)

// decimal is digits × 10^exp, without leading or trailing zeros in digits; no
// digits for zero.
type decimal struct {
	negative bool
	digits   string
	exp      int
}

// canonicalNumber is the number as DynamoDB gives it back: without exponent,
// sign of plus, or zeros that say nothing.
func canonicalNumber(text string) (string, error) {
	if plainInteger(text) {
		return text, nil
	}
	d, err := parseDecimal(text)
	if err != nil {
		return "", err
	}
	return d.String(), nil
}

// plainInteger tells a short integer that is already in canonical form.
func plainInteger(text string) bool {
	digits := strings.TrimPrefix(text, "-")
	if len(digits) == 0 || len(digits) > 18 {
		return false
	}
	if digits[0] == '0' {
		return text == "0"
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return false
		}
	}
	return true
}

func parseDecimal(text string) (decimal, error) {
	var d decimal
	rest := text
	if rest != "" && (rest[0] == '+' || rest[0] == '-') {
		d.negative = rest[0] == '-'
		rest = rest[1:]
	}
	mantissa, exponent, scientific := cutExponent(rest)
	whole, fraction, _ := strings.Cut(mantissa, ".")
	exp, ok := 0, true
	if scientific {
		exp, ok = smallInt(exponent)
	}
	if !ok || len(whole)+len(fraction) == 0 || !allDigits(whole) || !allDigits(fraction) {
		return decimal{}, Invalid("The parameter cannot be converted to a numeric value: %s", text)
	}
	d.digits, d.exp = whole+fraction, exp-len(fraction)
	return d.normal()
}

func cutExponent(text string) (mantissa, exponent string, found bool) {
	i := strings.IndexAny(text, "eE")
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}

// smallInt reads an exponent of at most four digits.
func smallInt(text string) (int, bool) {
	negative := strings.HasPrefix(text, "-")
	digits := strings.TrimLeft(text, "+-")
	if digits == "" || len(digits) > 4 || len(text)-len(digits) > 1 || !allDigits(digits) {
		return 0, false
	}
	n := 0
	for _, c := range digits {
		n = n*10 + int(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

func allDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// normal drops zeros that say nothing and checks precision and magnitude.
func (d decimal) normal() (decimal, error) {
	d.digits = strings.TrimLeft(d.digits, "0")
	trimmed := strings.TrimRight(d.digits, "0")
	d.exp += len(d.digits) - len(trimmed)
	d.digits = trimmed
	if d.digits == "" {
		return decimal{}, nil
	}
	if len(d.digits) > maxDigits {
		return decimal{}, Invalid("Attempting to store more than 38 significant digits in a Number")
	}
	if d.magnitude() > maxMagnitude {
		return decimal{}, Invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
	}
	if d.magnitude() < minMagnitude {
		return decimal{},
			Invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")
	}
	return d, nil
}

// magnitude is the exponent that d has when written as 0.digits × 10^magnitude.
func (d decimal) magnitude() int { return len(d.digits) + d.exp }

func (d decimal) String() string {
	if d.digits == "" {
		return "0"
	}
	sign := ""
	if d.negative {
		sign = "-"
	}
	if d.exp >= 0 {
		return sign + d.digits + strings.Repeat("0", d.exp)
	}
	if point := len(d.digits) + d.exp; point > 0 {
		return sign + d.digits[:point] + "." + d.digits[point:]
	}
	return sign + "0." + strings.Repeat("0", -d.magnitude()) + d.digits
}

// big is d × 10^-exp for an exponent that is not above d's own.
func (d decimal) big(exp int) *big.Int {
	n, _ := new(big.Int).SetString("0"+d.digits+strings.Repeat("0", d.exp-exp), 10)
	if d.negative {
		n.Neg(n)
	}
	return n
}

// shortIntegers reads two integers of at most 18 digits, as nearly all are.
func shortIntegers(a, b string) (x, y int64, ok bool) {
	if !plainInteger(a) || !plainInteger(b) {
		return 0, 0, false
	}
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	return x, y, errX == nil && errY == nil
}

// addNumbers is a+b, or a-b; both are canonical.
func addNumbers(a, b string, subtract bool) (string, error) {
	if x, y, ok := shortIntegers(a, b); ok {
		if subtract {
			y = -y
		}
		return strconv.FormatInt(x+y, 10), nil // at most 2 × 10^18
	}
	x, err := parseDecimal(a)
	if err != nil {
		return "", err
	}
	y, err := parseDecimal(b)
	if err != nil {
		return "", err
	}
	if subtract {
		y.negative = !y.negative
	}
	exp := min(x.exp, y.exp)
	sum := new(big.Int).Add(x.big(exp), y.big(exp))
	d, err := decimal{negative: sum.Sign() < 0, digits: new(big.Int).Abs(sum).String(), exp: exp}.normal()
	if err != nil {
		return "", err
	}
	return d.String(), nil
}

// compareNumbers orders two canonical numbers.
func compareNumbers(a, b string) int {
	if a == b {
		return 0
	}
	if x, y, ok := shortIntegers(a, b); ok {
		return cmp.Compare(x, y)
	}
	x, errX := parseDecimal(a)
	y, errY := parseDecimal(b)
	if errX != nil || errY != nil {
		return strings.Compare(a, b) // only canonical numbers come here
	}
	if x.sign() != y.sign() {
		return x.sign() - y.sign()
	}
	size := x.compareSize(y)
	if x.negative {
		return -size
	}
	return size
}

func (d decimal) sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.negative:
		return -1
	}
	return 1
}

// compareSize orders two numbers by their distance from zero.
func (d decimal) compareSize(e decimal) int {
	if d.magnitude() != e.magnitude() {
		return d.magnitude() - e.magnitude()
	}
	return strings.Compare(d.digits, e.digits) // a prefix is the smaller number
}
