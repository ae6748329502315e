package world

import (
	"slices"
	"strconv"
)

// maxExpression is the length of one expression in bytes. Source: D23:ServiceQuotas.
const maxExpression = 4096

// pathStep is one part of a document path: an attribute, possibly by placeholder,
// or an index into a list.
type pathStep struct {
	name  string
	index int // -1 for a name
}

// docPath leads to a value inside an item.
type docPath []pathStep

// operand is a path, a value's placeholder, or the size of a path.
type operand struct {
	path  docPath
	value string // ":v"
	size  bool
}

// condition is one node of a condition. Op says which: AND, OR, NOT, a
// comparator, BETWEEN, IN, or a function's name.
type condition struct {
	op       string
	children []*condition
	operands []operand
}

// expression is a parsed expression. Placeholders stay in it, so that one text
// is parsed once whatever names and values come with it. It is never written to.
type expression struct {
	kind   string // "ConditionExpression"
	cond   *condition
	paths  []docPath // of a projection
	update *update
	names  []string // placeholders used
	values []string
}

type exprKey struct{ kind, text string }

// exprCache keeps parsed expressions by kind and text.
type exprCache map[exprKey]*expression

// parse returns the parsed expression, nil for none.
func (c exprCache) parse(kind string, text *string) (*expression, error) {
	if text == nil {
		return nil, nil
	}
	k := exprKey{kind, *text}
	if e, ok := c[k]; ok {
		return e, nil
	}
	e, err := parseExpression(kind, *text)
	if err != nil {
		return nil, err
	}
	c[k] = e
	return e, nil
}

func parseExpression(kind, text string) (*expression, error) {
	if text == "" {
		return nil, validation("Invalid %s: The expression can not be empty;", kind)
	}
	if len(text) > maxExpression {
		return nil, validation("Invalid %s: Expression size has exceeded the maximum allowed size;", kind)
	}
	tokens, err := lex(kind, text)
	if err != nil {
		return nil, err
	}
	p := &parser{kind: kind, text: text, tokens: tokens, out: &expression{kind: kind}}
	switch kind {
	case "UpdateExpression":
		err = p.parseUpdate()
	case "ProjectionExpression":
		err = p.parseProjection()
	default:
		p.out.cond, err = p.parseOr(0)
	}
	if err == nil && p.peek().kind != 0 {
		err = p.unexpected()
	}
	if err != nil {
		return nil, err
	}
	return p.out, nil
}

// parser reads tokens from left to right.
type parser struct {
	kind, text string
	tokens     []token
	pos        int
	out        *expression
}

func (p *parser) peek() token { return p.tokens[p.pos] }

func (p *parser) next() token {
	t := p.tokens[p.pos]
	if t.kind != 0 {
		p.pos++
	}
	return t
}

func (p *parser) accept(sign string) bool {
	if p.peek().sign(sign) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) acceptWord(word string) bool {
	if p.peek().keyword(word) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) expect(sign string) error {
	if !p.accept(sign) {
		return p.unexpected()
	}
	return nil
}

func (p *parser) unexpected() error {
	t := p.peek()
	return syntaxError(p.kind, p.text, t.text, t.at)
}

// maxParentheses bounds the recursion of the parser. DynamoDB's own limit is
// 300 operators in one expression. Source: D23:ServiceQuotas.
const maxParentheses = 300

func (p *parser) parseOr(depth int) (*condition, error) {
	return p.chain("OR", depth, func() (*condition, error) {
		return p.chain("AND", depth, func() (*condition, error) { return p.parseNot(depth) })
	})
}

func (p *parser) chain(op string, depth int, part func() (*condition, error)) (*condition, error) {
	first, err := part()
	if err != nil || !p.peek().keyword(op) {
		return first, err
	}
	c := &condition{op: op, children: []*condition{first}}
	for p.acceptWord(op) {
		another, err := part()
		if err != nil {
			return nil, err
		}
		c.children = append(c.children, another)
	}
	return c, nil
}

func (p *parser) parseNot(depth int) (*condition, error) {
	if depth > maxParentheses {
		return nil, validation("Invalid %s: The expression contains too many operators", p.kind)
	}
	if p.acceptWord("NOT") {
		c, err := p.parseNot(depth + 1)
		return &condition{op: "NOT", children: []*condition{c}}, err
	}
	if p.accept("(") {
		c, err := p.parseOr(depth + 1)
		if err != nil {
			return nil, err
		}
		return c, p.expect(")")
	}
	if p.atFunction() && !p.peek().keyword("size") {
		return p.parseFunction()
	}
	return p.parseComparison()
}

// atFunction tells a word followed by a parenthesis.
func (p *parser) atFunction() bool {
	return p.peek().kind == 'i' && p.tokens[min(p.pos+1, len(p.tokens)-1)].sign("(")
}

// arity is how many operands each function of a condition takes.
func arity(function string) int {
	switch function {
	case "attribute_exists", "attribute_not_exists":
		return 1
	case "attribute_type", "begins_with", "contains":
		return 2
	}
	return 0
}

func (p *parser) parseFunction() (*condition, error) {
	name := p.next().text
	want := arity(name)
	if want == 0 {
		return nil, validation("Invalid %s: Invalid function name; function: %s", p.kind, name)
	}
	p.pos++ // the parenthesis that atFunction saw
	args, err := p.parseOperands()
	if err != nil {
		return nil, err
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	if len(args) != want {
		return nil, validation("Invalid %s: Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d",
			p.kind, name, len(args))
	}
	if args[0].path == nil && want == 1 {
		return nil, validation("Invalid %s: Operator or function requires a document path; operator or function: %s", p.kind, name)
	}
	return &condition{op: name, operands: args}, nil
}

func (p *parser) parseOperands() ([]operand, error) {
	var all []operand
	for {
		o, err := p.parseOperand()
		if err != nil {
			return nil, err
		}
		all = append(all, o)
		if !p.accept(",") {
			return all, nil
		}
	}
}

func (p *parser) parseComparison() (*condition, error) {
	left, err := p.parseOperand()
	if err != nil {
		return nil, err
	}
	switch t := p.peek(); {
	case t.kind == 'p' && slices.Contains([]string{"=", "<>", "<", "<=", ">", ">="}, t.text):
		p.pos++
		right, err := p.parseOperand()
		if err == nil && left.same(right) {
			err = validation("Invalid %s: The first operand must be distinct from the remaining operands for this operator or function; operator: %s",
				p.kind, t.text)
		}
		return &condition{op: t.text, operands: []operand{left, right}}, err
	case p.acceptWord("BETWEEN"):
		return p.parseBetween(left)
	case p.acceptWord("IN"):
		return p.parseIn(left)
	}
	return nil, p.unexpected()
}

func (p *parser) parseBetween(left operand) (*condition, error) {
	low, err := p.parseOperand()
	if err != nil {
		return nil, err
	}
	if !p.acceptWord("AND") {
		return nil, p.unexpected()
	}
	high, err := p.parseOperand()
	return &condition{op: "BETWEEN", operands: []operand{left, low, high}}, err
}

// maxIn is the number of values that IN takes. Source: D23:OperatorsAndFunctions.
const maxIn = 100

func (p *parser) parseIn(left operand) (*condition, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	list, err := p.parseOperands()
	if err != nil {
		return nil, err
	}
	if len(list) > maxIn {
		return nil, validation("Invalid %s: The IN operator is provided with too many operands; number of operands: %d", p.kind, len(list))
	}
	return &condition{op: "IN", operands: append([]operand{left}, list...)}, p.expect(")")
}

func (p *parser) parseOperand() (operand, error) {
	t := p.peek()
	if t.kind == ':' {
		p.pos++
		p.uses(&p.out.values, t.text)
		return operand{value: t.text}, nil
	}
	if !p.atFunction() {
		path, err := p.parsePath()
		return operand{path: path}, err
	}
	if t.text != "size" {
		return operand{}, validation("Invalid %s: The function is not allowed to be used this way in an expression; function: %s", p.kind, t.text)
	}
	p.pos += 2
	path, err := p.parsePath()
	if err != nil {
		return operand{}, err
	}
	return operand{path: path, size: true}, p.expect(")")
}

func (o operand) same(other operand) bool {
	return o.path != nil && o.size == other.size && slices.Equal(o.path, other.path)
}

// maxPathIndex bounds an index in a path; DynamoDB's lists are shorter than that.
const maxPathIndex = 1 << 20

func (p *parser) parsePath() (docPath, error) {
	var path docPath
	for {
		name, err := p.parseName()
		if err != nil {
			return nil, err
		}
		path = append(path, pathStep{name: name, index: -1})
		for p.accept("[") {
			t := p.next()
			index, err := strconv.Atoi(t.text)
			if t.kind != 'n' || err != nil || index > maxPathIndex {
				return nil, syntaxError(p.kind, p.text, t.text, t.at)
			}
			path = append(path, pathStep{index: index})
			if err := p.expect("]"); err != nil {
				return nil, err
			}
		}
		if !p.accept(".") {
			return path, nil
		}
	}
}

func (p *parser) parseName() (string, error) {
	t := p.peek()
	if t.kind == '#' {
		p.pos++
		p.uses(&p.out.names, t.text)
		return t.text, nil
	}
	if t.kind != 'i' || t.text[0] == '_' {
		return "", p.unexpected()
	}
	if reserved(t.text) {
		return "", validation("Invalid %s: Attribute name is a reserved keyword; reserved keyword: %s", p.kind, t.text)
	}
	p.pos++
	return t.text, nil
}

func (p *parser) uses(list *[]string, placeholder string) {
	if !slices.Contains(*list, placeholder) {
		*list = append(*list, placeholder)
	}
}

func (p *parser) parseProjection() error {
	for {
		path, err := p.parsePath()
		if err != nil {
			return err
		}
		p.out.paths = append(p.out.paths, path)
		if !p.accept(",") {
			return nil
		}
	}
}
