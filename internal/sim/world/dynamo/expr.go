package dynamo

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

// Operand is a path, a value's placeholder, or the size of a path.
type Operand struct {
	Path  docPath
	Value string // ":v"
	Size  bool
}

// Condition is one node of a condition. Op says which: AND, OR, NOT, a
// comparator, BETWEEN, IN, or a function's name.
type Condition struct {
	Op       string
	Children []*Condition
	Operands []Operand
}

// Expression is a parsed expression. Placeholders stay in it, so that one text
// is parsed once whatever names and values come with it. It is never written to.
type Expression struct {
	kind   string // "ConditionExpression"
	Cond   *Condition
	paths  []docPath // of a projection
	Update *update
	names  []string // placeholders used
	values []string
}

type exprKey struct{ kind, text string }

// exprCache keeps parsed expressions by kind and text.
type Cache map[exprKey]*Expression

// Parse returns the parsed expression, nil for none.
func (c Cache) Parse(kind string, text *string) (*Expression, error) {
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

func parseExpression(kind, text string) (*Expression, error) {
	if text == "" {
		return nil, Invalid("Invalid %s: The expression can not be empty;", kind)
	}
	if len(text) > maxExpression {
		return nil, Invalid("Invalid %s: Expression size has exceeded the maximum allowed size;", kind)
	}
	tokens, err := lex(kind, text)
	if err != nil {
		return nil, err
	}
	p := &parser{kind: kind, text: text, tokens: tokens, out: &Expression{kind: kind}}
	switch kind {
	case "UpdateExpression":
		err = p.parseUpdate()
	case "ProjectionExpression":
		err = p.parseProjection()
	default:
		p.out.Cond, err = p.parseOr(0)
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
	out        *Expression
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

func (p *parser) parseOr(depth int) (*Condition, error) {
	return p.chain("OR", depth, func() (*Condition, error) {
		return p.chain("AND", depth, func() (*Condition, error) { return p.parseNot(depth) })
	})
}

func (p *parser) chain(op string, depth int, part func() (*Condition, error)) (*Condition, error) {
	first, err := part()
	if err != nil || !p.peek().keyword(op) {
		return first, err
	}
	c := &Condition{Op: op, Children: []*Condition{first}}
	for p.acceptWord(op) {
		another, err := part()
		if err != nil {
			return nil, err
		}
		c.Children = append(c.Children, another)
	}
	return c, nil
}

func (p *parser) parseNot(depth int) (*Condition, error) {
	if depth > maxParentheses {
		return nil, Invalid("Invalid %s: The expression contains too many operators", p.kind)
	}
	if p.acceptWord("NOT") {
		c, err := p.parseNot(depth + 1)
		return &Condition{Op: "NOT", Children: []*Condition{c}}, err
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

func (p *parser) parseFunction() (*Condition, error) {
	name := p.next().text
	want := arity(name)
	if want == 0 {
		return nil, Invalid("Invalid %s: Invalid function name; function: %s", p.kind, name)
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
		return nil,
			Invalid("Invalid %s: Incorrect number of operands for operator or function; operator or function: %s, number of "+
				"operands: %d",
				p.kind, name, len(args))
	}
	if args[0].Path == nil && want == 1 {
		return nil,
			Invalid("Invalid %s: Operator or function requires a document path; operator or function: %s", p.kind, name)
	}
	return &Condition{Op: name, Operands: args}, nil
}

func (p *parser) parseOperands() ([]Operand, error) {
	var all []Operand
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

func (p *parser) parseComparison() (*Condition, error) {
	left, err := p.parseOperand()
	if err != nil {
		return nil, err
	}
	switch t := p.peek(); {
	case t.kind == 'p' && slices.Contains([]string{"=", "<>", "<", "<=", ">", ">="}, t.text):
		p.pos++
		right, err := p.parseOperand()
		if err == nil && left.same(right) {
			err = Invalid("Invalid %s: The first operand must be distinct from the remaining operands for this operator or "+
				"function; operator: %s",
				p.kind, t.text)
		}
		return &Condition{Op: t.text, Operands: []Operand{left, right}}, err
	case p.acceptWord("BETWEEN"):
		return p.parseBetween(left)
	case p.acceptWord("IN"):
		return p.parseIn(left)
	}
	return nil, p.unexpected()
}

func (p *parser) parseBetween(left Operand) (*Condition, error) {
	low, err := p.parseOperand()
	if err != nil {
		return nil, err
	}
	if !p.acceptWord("AND") {
		return nil, p.unexpected()
	}
	high, err := p.parseOperand()
	return &Condition{Op: "BETWEEN", Operands: []Operand{left, low, high}}, err
}

// maxIn is the number of values that IN takes. Source: D23:OperatorsAndFunctions.
const maxIn = 100

func (p *parser) parseIn(left Operand) (*Condition, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	list, err := p.parseOperands()
	if err != nil {
		return nil, err
	}
	if len(list) > maxIn {
		return nil,
			Invalid("Invalid %s: The IN operator is provided with too many operands; number of operands: %d", p.kind, len(list))
	}
	return &Condition{Op: "IN", Operands: append([]Operand{left}, list...)}, p.expect(")")
}

func (p *parser) parseOperand() (Operand, error) {
	t := p.peek()
	if t.kind == ':' {
		p.pos++
		p.uses(&p.out.values, t.text)
		return Operand{Value: t.text}, nil
	}
	if !p.atFunction() {
		path, err := p.parsePath()
		return Operand{Path: path}, err
	}
	if t.text != "size" {
		return Operand{},
			Invalid("Invalid %s: The function is not allowed to be used this way in an expression; function: %s", p.kind, t.text)
	}
	p.pos += 2
	path, err := p.parsePath()
	if err != nil {
		return Operand{}, err
	}
	return Operand{Path: path, Size: true}, p.expect(")")
}

func (o Operand) same(other Operand) bool {
	return o.Path != nil && o.Size == other.Size && slices.Equal(o.Path, other.Path)
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
		return "", Invalid("Invalid %s: Attribute name is a reserved keyword; reserved keyword: %s", p.kind, t.text)
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

// Visit calls f for every operand of a condition.
func (c *Condition) Visit(f func(Operand)) {
	for _, o := range c.Operands {
		f(o)
	}
	for _, child := range c.Children {
		child.Visit(f)
	}
}
