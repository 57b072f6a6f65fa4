// Package pg rewrites statements of the PostgreSQL dialect into GoogleSQL, token
// by token. It knows the part of the dialect that applications on Spanner use
// for tables, reads and writes; what it does not know is left as it is and then
// refused, by name, by GoogleSQL's parser.
package pg

import (
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

func unsupported(what string) error {
	return status.Errorf(codes.Unimplemented, "%.60s is not supported by this emulator.", what)
}

type kind uint8

const (
	word   kind = iota // unquoted, folded to lower case
	quoted             // "name"
	text               // string literal
	number
	param // $n
	symbol
)

// token is one token; from and to are where it stands in the statement.
type token struct {
	kind     kind
	text     string
	from, to int
}

func (t token) is(s string) bool { return (t.kind == word || t.kind == symbol) && t.text == s }

func (t token) isName() bool { return t.kind == word || t.kind == quoted }

const maxDepth = 100

// scan splits a statement into tokens.
func scan(s string) ([]token, error) {
	if len(s) > 1<<20 {
		return nil, invalid("The statement is longer than %d characters.", 1<<20)
	}
	var out []token
	depth := 0
	for i := skipSpace(s, 0); i < len(s); i = skipSpace(s, i) {
		t, err := scanOne(s, i)
		if err != nil {
			return nil, err
		}
		if t.is("(") || t.is("[") {
			depth++
		}
		if t.is(")") || t.is("]") {
			depth--
		}
		if depth > maxDepth {
			return nil, invalid("The statement is nested too deeply.")
		}
		out, i = append(out, t), t.to
	}
	for len(out) > 0 && out[len(out)-1].is(";") {
		out = out[:len(out)-1]
	}
	return out, nil
}

func skipSpace(s string, i int) int {
	for i < len(s) {
		switch {
		case s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r' || s[i] == '\f':
			i++
		case strings.HasPrefix(s[i:], "--"):
			n := strings.IndexByte(s[i:], '\n')
			if n < 0 {
				return len(s)
			}
			i += n
		case strings.HasPrefix(s[i:], "/*"):
			n := strings.Index(s[i+2:], "*/")
			if n < 0 {
				return len(s)
			}
			i += n + 4
		default:
			return i
		}
	}
	return i
}

func letter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func scanOne(s string, i int) (token, error) {
	c := s[i]
	switch {
	case c == '\'':
		return scanQuoted(s, i, i, '\'', text, false)
	case (c == 'e' || c == 'E') && i+1 < len(s) && s[i+1] == '\'':
		return scanQuoted(s, i, i+1, '\'', text, true)
	case c == '"':
		return scanQuoted(s, i, i, '"', quoted, false)
	case c == '$' && i+1 < len(s) && digit(s[i+1]):
		n := i + 1
		for n < len(s) && digit(s[n]) {
			n++
		}
		return token{param, s[i+1 : n], i, n}, nil
	case c == '$':
		return scanDollar(s, i)
	case letter(c):
		n := i
		for n < len(s) && (letter(s[n]) || digit(s[n]) || s[n] == '$') {
			n++
		}
		return token{word, strings.ToLower(s[i:n]), i, n}, nil
	case digit(c) || c == '.' && i+1 < len(s) && digit(s[i+1]):
		return scanNumber(s, i), nil
	}
	for _, op := range []string{"->>", "::", "||", "<>", "!=", "<=", ">=", "->", "=>"} {
		if strings.HasPrefix(s[i:], op) {
			return token{symbol, op, i, i + len(op)}, nil
		}
	}
	return token{symbol, s[i : i+1], i, i + 1}, nil
}

func scanNumber(s string, i int) token {
	n := i
	for n < len(s) && (digit(s[n]) || s[n] == '.' || (s[n] == 'e' || s[n] == 'E') && n+1 < len(s) && (digit(s[n+1]) || s[n+1] == '-' || s[n+1] == '+') ||
		(s[n] == '-' || s[n] == '+') && n > i && (s[n-1] == 'e' || s[n-1] == 'E')) {
		n++
	}
	return token{number, s[i:n], i, n}
}

// scanQuoted reads a quoted text in which the quote is doubled.
func scanQuoted(s string, from, i int, quote byte, k kind, escapes bool) (token, error) {
	var b strings.Builder
	for i++; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\' && i+1 < len(s):
			i++
			if at := strings.IndexByte("ntrbf", s[i]); at >= 0 {
				b.WriteByte("\n\t\r\b\f"[at])
			} else {
				b.WriteByte(s[i])
			}
		case s[i] == quote && i+1 < len(s) && s[i+1] == quote:
			i++
			b.WriteByte(quote)
		case s[i] == quote:
			return token{k, b.String(), from, i + 1}, nil
		default:
			b.WriteByte(s[i])
		}
	}
	return token{}, invalid("Syntax error: a quoted text does not end")
}

// scanDollar reads $tag$text$tag$.
func scanDollar(s string, i int) (token, error) {
	end := strings.IndexByte(s[i+1:], '$')
	if end < 0 {
		return token{}, invalid("Syntax error at $")
	}
	tag := s[i : i+end+2]
	body := i + len(tag)
	n := strings.Index(s[body:], tag)
	if n < 0 {
		return token{}, invalid("Syntax error: a dollar-quoted text does not end")
	}
	return token{text, s[body : body+n], i, body + n + len(tag)}, nil
}
