package dynamo

import "github.com/aws/smithy-go"

// update is a parsed UpdateExpression.
type update struct {
	set    []assignment
	remove []docPath
	add    []change
	del    []change
}

// assignment is one action of SET: path = left, left + right or left - right.
type assignment struct {
	path        docPath
	left, right *term
	sign        string // "", "+" or "-"
}

// term is an operand of SET: a path, a value, or a function of terms.
type term struct {
	operand  Operand
	function string // "", "if_not_exists", "list_append"
	args     []*term
}

// change is one action of ADD or DELETE.
type change struct {
	path  docPath
	value string
}

func (p *parser) parseUpdate() error {
	u := &update{}
	p.out.Update = u
	seen := map[string]bool{}
	for p.peek().kind != 0 {
		clause := p.next()
		read := map[string]func() error{
			"SET":    func() error { return p.parseSet(u) },
			"REMOVE": func() error { return p.parseRemove(u) },
			"ADD":    func() error { return p.parseChanges(&u.add) },
			"DELETE": func() error { return p.parseChanges(&u.del) },
		}
		word := clauseWord(clause)
		if word == "" {
			return syntaxError(p.kind, p.text, clause.text, clause.at)
		}
		if seen[word] {
			return Invalid("Invalid UpdateExpression: The %q section can only be used once in an update expression;", word)
		}
		seen[word] = true
		if err := read[word](); err != nil {
			return err
		}
	}
	return nil
}

func clauseWord(t token) string {
	for _, word := range []string{"SET", "REMOVE", "ADD", "DELETE"} {
		if t.keyword(word) {
			return word
		}
	}
	return ""
}

func (p *parser) parseSet(u *update) error {
	for {
		var a assignment
		var err error
		if a.path, err = p.parsePath(); err != nil {
			return err
		}
		if err = p.expect("="); err != nil {
			return err
		}
		if a.left, err = p.parseTerm(0); err != nil {
			return err
		}
		if t := p.peek(); t.sign("+") || t.sign("-") {
			p.pos++
			a.sign = t.text
			if a.right, err = p.parseTerm(0); err != nil {
				return err
			}
		}
		u.set = append(u.set, a)
		if !p.accept(",") {
			return nil
		}
	}
}

func (p *parser) parseTerm(depth int) (*term, error) {
	if !p.atFunction() {
		o, err := p.parseOperand()
		return &term{operand: o}, err
	}
	t := &term{function: p.next().text}
	if depth > maxParentheses || (t.function != "if_not_exists" && t.function != "list_append") {
		return nil, Invalid("Invalid UpdateExpression: Invalid function name; function: %s", t.function)
	}
	p.pos++ // the parenthesis that atFunction saw
	for {
		arg, err := p.parseTerm(depth + 1)
		if err != nil {
			return nil, err
		}
		t.args = append(t.args, arg)
		if !p.accept(",") {
			break
		}
	}
	if len(t.args) != 2 {
		return nil,
			Invalid("Invalid UpdateExpression: Incorrect number of operands for operator or function; operator or function: "+
				"%s, number of operands: %d",
				t.function, len(t.args))
	}
	if t.function == "if_not_exists" && t.args[0].operand.Path == nil {
		return nil,
			Invalid("Invalid UpdateExpression: Operator or function requires a document path; operator or function: " +
				"if_not_exists")
	}
	return t, p.expect(")")
}

func (p *parser) parseRemove(u *update) error {
	for {
		path, err := p.parsePath()
		if err != nil {
			return err
		}
		u.remove = append(u.remove, path)
		if !p.accept(",") {
			return nil
		}
	}
}

func (p *parser) parseChanges(list *[]change) error {
	for {
		path, err := p.parsePath()
		if err != nil {
			return err
		}
		if len(path) > 1 {
			return &smithy.GenericAPIError{
				Code: "UnsupportedParameter", Message: "the simulation models ADD and DELETE of top-level attributes only",
				Fault: smithy.FaultClient,
			}
		}
		t := p.next()
		if t.kind != ':' {
			return syntaxError(p.kind, p.text, t.text, t.at)
		}
		p.uses(&p.out.values, t.text)
		*list = append(*list, change{path, t.text})
		if !p.accept(",") {
			return nil
		}
	}
}
