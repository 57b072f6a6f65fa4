package pg

import "strings"

// Call is a call of a change stream's read function.
type Call struct {
	Function  string // read_json_S or read_proto_bytes_S
	Qualified bool   // with the schema spanner, as it must be
	Args      []Arg
	Alone     bool // the statement is SELECT * FROM the call and nothing else
	Text      string
}

// Arg is one argument.
type Arg struct {
	Param  string // name of the parameter, without $: p1
	Text   string // of a literal
	Number bool   // the literal is a number
	Null   bool
	Bad    bool // neither parameter nor literal
}

// FindCall looks for a call of a change stream read function.
func FindCall(s string) (*Call, error) {
	in, err := scan(s)
	if err != nil {
		return nil, err
	}
	for i, t := range in {
		if !t.isName() || i+1 >= len(in) || !in[i+1].is("(") || !strings.HasPrefix(t.text, "read_json_") && !strings.HasPrefix(t.text, "read_proto_bytes_") {
			continue
		}
		c := &Call{Function: t.text}
		first := i
		if i >= 2 && in[i-1].is(".") && in[i-2].isName() && in[i-2].text == "spanner" {
			c.Qualified, first = true, i-2
		}
		end := c.arguments(in, i+1)
		c.Alone = end == len(in) && first == 3 && in[0].is("select") && in[1].is("*") && in[2].is("from")
		c.Text = s[in[first].from:in[end-1].to]
		return c, nil
	}
	return nil, nil
}

// arguments reads the arguments behind the opening parenthesis at from and
// returns where the call ends.
func (c *Call) arguments(in []token, from int) int {
	depth, start := 0, from+1
	for i := from; i < len(in); i++ {
		switch {
		case in[i].is("(") || in[i].is("["):
			depth++
		case in[i].is(")") || in[i].is("]"):
			if depth--; depth == 0 {
				if i > start || len(c.Args) > 0 {
					c.Args = append(c.Args, argument(in[start:i]))
				}
				return i + 1
			}
		case in[i].is(",") && depth == 1:
			c.Args = append(c.Args, argument(in[start:i]))
			start = i + 1
		}
	}
	return len(in)
}

// argument reads one argument; a cast of a literal is a literal.
func argument(in []token) Arg {
	if len(in) >= 3 && in[1].is("::") {
		in = in[:1]
	}
	if len(in) == 2 && in[0].kind == word && in[1].kind == text && typedLiteral(in[0].text) != "" {
		in = in[1:]
	}
	if len(in) != 1 {
		return Arg{Bad: true}
	}
	switch t := in[0]; {
	case t.kind == param:
		return Arg{Param: "p" + t.text}
	case t.kind == text:
		return Arg{Text: t.text}
	case t.kind == number:
		return Arg{Text: t.text, Number: true}
	case t.is("null"):
		return Arg{Null: true}
	}
	return Arg{Bad: true}
}
