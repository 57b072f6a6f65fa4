package ddl

import (
	"strings"
	"unicode"

	"github.com/spancast/spancast/emulator/internal/schema"
)

type tokenKind uint8

const (
	wordToken   tokenKind = iota // unquoted name or keyword
	quotedToken                  // quoted name
	stringToken                  // string literal
	otherToken                   // number or punctuation
)

type ddlToken struct {
	kind tokenKind
	text string
}

type tokens []ddlToken

// is reports whether the i-th token is an unquoted word or punctuation.
func (t tokens) is(i int, word string) bool {
	return i < len(t) && (t[i].kind == wordToken || t[i].kind == otherToken) && strings.EqualFold(t[i].text, word)
}

// lex splits a statement into tokens: as far as change streams need it, and
// to see what kind of statement it is.
func lex(text string, d schema.Dialect) (tokens, error) {
	var out tokens
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case strings.HasPrefix(text[i:], "--") || c == '#' && d == schema.GoogleSQL:
			if n := strings.IndexByte(text[i:], '\n'); n >= 0 {
				i += n
			} else {
				i = len(text)
			}
		case strings.HasPrefix(text[i:], "/*"):
			n := strings.Index(text[i+2:], "*/")
			if n < 0 {
				return nil, invalid("Error parsing Spanner DDL statement: a comment does not end")
			}
			i += n + 4
		case c == '`' || c == '"' || c == '\'':
			t, n, err := lexQuoted(text[i:], d)
			if err != nil {
				return nil, err
			}
			out, i = append(out, t), i+n
		case isWord(rune(c)):
			n := i
			for n < len(text) && (isWord(rune(text[n])) || text[n] >= '0' && text[n] <= '9') {
				n++
			}
			out, i = append(out, ddlToken{wordToken, text[i:n]}), n
		default:
			out, i = append(out, ddlToken{otherToken, text[i : i+1]}), i+1
		}
	}
	for len(out) > 0 && out[len(out)-1].text == ";" {
		out = out[:len(out)-1]
	}
	return out, nil
}

func isWord(c rune) bool { return c == '_' || c >= 0x80 || unicode.IsLetter(c) }

// lexQuoted reads a quoted name or string. GoogleSQL quotes names with ` and
// strings with either quote; PostgreSQL names with " and strings with '.
func lexQuoted(text string, d schema.Dialect) (ddlToken, int, error) {
	quote := text[0]
	kind := stringToken
	if quote == '`' && d == schema.GoogleSQL || quote == '"' && d == schema.PostgreSQL {
		kind = quotedToken
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && d == schema.GoogleSQL && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case text[i] == quote && d == schema.PostgreSQL && i+1 < len(text) && text[i+1] == quote:
			i++
			b.WriteByte(quote)
		case text[i] == quote:
			return ddlToken{kind, b.String()}, i + 1, nil
		default:
			b.WriteByte(text[i])
		}
	}
	return ddlToken{}, 0, invalid("Error parsing Spanner DDL statement: a quoted text does not end")
}

// parser walks over tokens.
type parser struct {
	tokens tokens
	at     int
	pg     bool
}

func (p *parser) done() bool { return p.at >= len(p.tokens) }

func (p *parser) next() ddlToken {
	if p.done() {
		return ddlToken{kind: otherToken}
	}
	p.at++
	return p.tokens[p.at-1]
}

func (p *parser) word() string { return strings.ToUpper(p.next().text) }

func (p *parser) peek(word string) bool { return p.tokens.is(p.at, word) }

// take moves past an unquoted word or punctuation if it comes next.
func (p *parser) take(word string) bool {
	if !p.peek(word) {
		return false
	}
	p.at++
	return true
}

// identifier reads one name. An unquoted one of PostgreSQL is folded.
func (p *parser) identifier() (string, bool) {
	if p.done() {
		return "", false
	}
	t := p.next()
	switch {
	case t.kind == quotedToken && t.text != "":
		return t.text, true
	case t.kind == wordToken && !strings.EqualFold(t.text, "ALL") && !strings.EqualFold(t.text, "FOR"):
		if p.pg {
			return strings.ToLower(t.text), true
		}
		return t.text, true
	}
	p.at--
	return "", false
}

// name reads a name that may have its schema before it.
func (p *parser) name() (string, bool) {
	if p.done() {
		return "", false
	}
	name, ok := p.identifier()
	for ok && p.take(".") {
		var part string
		part, ok = p.identifier()
		name += "." + part
	}
	if p.pg {
		name = strings.TrimPrefix(name, "public.")
	}
	return name, ok
}

func (p *parser) expected(what string) error {
	found := "the end of the statement"
	if !p.done() {
		found = "'" + p.tokens[p.at].text + "'"
	}
	return invalid("Error parsing Spanner DDL statement: Syntax error: expected %s but found %.60s", what, found)
}
