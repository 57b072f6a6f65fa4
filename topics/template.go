package topics

import (
	"fmt"
	"slices"
	"strings"
)

// A Template says how topics are made of changes.
type Template struct {
	text     string
	segments []segment
}

// A segment of a template: prefix, one value or none, suffix, and '/'.
type segment struct {
	prefix, suffix string
	value          placeholder
	column         string // of {key.NAME}
}

type placeholder int

const (
	noValue placeholder = iota
	vDatabase
	vStream
	vSchema
	vTable
	vOp
	vKey
	vKeyColumn
	vTag
)

func placeholderNamed(name string) (placeholder, bool) {
	switch name {
	case "database":
		return vDatabase, true
	case "stream":
		return vStream, true
	case "schema":
		return vSchema, true
	case "table":
		return vTable, true
	case "op":
		return vOp, true
	case "key":
		return vKey, true
	case "tag":
		return vTag, true
	}
	return noValue, false
}

// fromRow tells whether the value differs from row to row, so that there may be
// any number of them.
func (p placeholder) fromRow() bool { return p == vKey || p == vKeyColumn || p == vTag }

// Default is the template that is used where nothing else is said.
const Default = "{table}/{op}/"

// ParseTemplate reads a template. Its error says what is wrong with which
// segment.
func ParseTemplate(text string) (*Template, error) {
	if text == "" {
		return nil, fmt.Errorf("topic template is empty; the default is %s", Default)
	}
	body, ok := strings.CutSuffix(text, "/")
	if !ok {
		return nil, fmt.Errorf("topic template %q does not end in /", text)
	}
	t := &Template{text: text}
	for _, s := range strings.Split(body, "/") {
		seg, err := parseSegment(s)
		if err != nil {
			return nil, fmt.Errorf("topic template %q: segment %q: %w", text, s, err)
		}
		t.segments = append(t.segments, seg)
	}
	return t, nil
}

// String returns the template as it was written.
func (t *Template) String() string { return t.text }

func (t *Template) fromRows() bool {
	return slices.ContainsFunc(t.segments, func(s segment) bool { return s.value.fromRow() })
}

// noKeys lists what Router.NoKeys does, of a template that is for some tables.
func (t *Template) noKeys(rule int, isFor func(table string) bool, keys map[string][]string) []KeyColumn {
	var out []KeyColumn
	for _, s := range t.segments {
		has := func(column string) bool { return strings.EqualFold(column, s.column) }
		found := s.value != vKeyColumn
		for table, columns := range keys {
			found = found || isFor(table) && slices.ContainsFunc(columns, has)
		}
		if !found {
			out = append(out, KeyColumn{Template: t, Rule: rule, Name: s.column})
		}
	}
	return out
}

func parseSegment(s string) (segment, error) {
	var seg segment
	if s == "" {
		return seg, fmt.Errorf("is empty")
	}
	if s[0] == '$' {
		return seg, fmt.Errorf("begins with $, which is kept for Spancast's own topics")
	}
	prefix, rest, found := strings.Cut(s, "{")
	seg.prefix = prefix
	if found {
		name, suffix, closed := strings.Cut(rest, "}")
		if !closed {
			return seg, fmt.Errorf("has a { without }")
		}
		seg.suffix = suffix
		if err := seg.setValue(name); err != nil {
			return seg, err
		}
	}
	for _, literal := range []string{seg.prefix, seg.suffix} {
		if err := checkLiteral(literal); err != nil {
			return seg, err
		}
	}
	return seg, nil
}

func (seg *segment) setValue(name string) error {
	if column, ok := strings.CutPrefix(name, "key."); ok {
		if column == "" {
			return fmt.Errorf("{key.} names no column")
		}
		seg.value, seg.column = vKeyColumn, column
		return nil
	}
	v, ok := placeholderNamed(name)
	if !ok {
		return fmt.Errorf("{%s} is not known; there are {database} {stream} {schema} {table} {op} {key} {key.COLUMN} {tag}", name)
	}
	if v == vKey && seg.prefix+seg.suffix != "" {
		return fmt.Errorf("{key} may become several segments and so stands alone in its own; {key.COLUMN} need not")
	}
	seg.value = v
	return nil
}

func checkLiteral(s string) error {
	for _, r := range s {
		switch {
		case r == '{':
			return fmt.Errorf("has two values, which could not be told apart; put a / between them")
		case r == '}':
			return fmt.Errorf("has a } without {")
		case r == '%':
			return fmt.Errorf("has a %%, which is kept for escapes")
		case r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0xfffd:
			return fmt.Errorf("has a character that cannot be printed")
		}
	}
	return nil
}
