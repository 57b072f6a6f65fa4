package topics

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/spancast/spancast/changestream"
)

// A Rule gives the changes that it matches topics of their own, or drops them.
type Rule struct {
	tables    []string // globs; empty: every table
	ops       []changestream.ModType
	columns   []string // one of them must have changed; empty: none need
	templates []*Template
}

// ruleYAML is a rule as it is written:
//
//	rules:
//	  - tables: [sales.Orders, "Audit*"]   # names or globs, with their schema
//	    ops: [UPDATE]                      # INSERT, UPDATE, DELETE
//	    columns: [Status]                  # if one of these changed
//	    topic: orders/{key}/               # a template, or
//	    topics: [a/{op}/, b/{key}/]        # several, or
//	    drop: true                         # none
//
// The first rule that matches a change decides; where none does, the default
// template.
type ruleYAML struct {
	Tables  []string `yaml:"tables"`
	Ops     []string `yaml:"ops"`
	Columns []string `yaml:"columns"`
	Topic   string   `yaml:"topic"`
	Topics  []string `yaml:"topics"`
	Drop    bool     `yaml:"drop"`
}

// ParseRules reads a rules file. Its error lists all faults, each with the
// number of its rule.
func ParseRules(text []byte) ([]Rule, error) {
	var file struct {
		Rules []ruleYAML `yaml:"rules"`
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("not a rules file: %w", err)
	}
	var rules []Rule
	var faults []error
	for i, y := range file.Rules {
		r, errs := y.rule()
		for _, err := range errs {
			faults = append(faults, fmt.Errorf("rule %d: %w", i+1, err))
		}
		rules = append(rules, r)
	}
	return rules, errors.Join(faults...)
}

func (y ruleYAML) rule() (Rule, []error) {
	r := Rule{tables: y.Tables, columns: y.Columns}
	var faults []error
	for _, glob := range y.Tables {
		if _, err := path.Match(glob, ""); err != nil || glob == "" {
			faults = append(faults, fmt.Errorf("tables: %q is not a table name or glob", glob))
		}
	}
	for _, op := range y.Ops {
		m := changestream.ModType(strings.ToUpper(op))
		if m != changestream.ModInsert && m != changestream.ModUpdate && m != changestream.ModDelete {
			faults = append(faults, fmt.Errorf("ops: %q is not INSERT, UPDATE or DELETE", op))
		}
		r.ops = append(r.ops, m)
	}
	templates := y.Topics
	if y.Topic != "" {
		templates = append(templates[:len(templates):len(templates)], y.Topic)
	}
	if y.Drop == (len(templates) > 0) || y.Topic != "" && len(y.Topics) > 0 {
		faults = append(faults, errors.New("wants exactly one of topic, topics and drop: true"))
	}
	for i, text := range templates {
		t, err := ParseTemplate(text)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if slices.Contains(templates[:i], text) {
			faults = append(faults, fmt.Errorf("topics: %s stands there twice", text))
		}
		r.templates = append(r.templates, t)
	}
	return r, faults
}

// matches tells whether the rule is for a change. Changed is asked only for
// columns.
func (r *Rule) matches(table string, op changestream.ModType, changed func(column string) bool) bool {
	if len(r.ops) > 0 && !slices.Contains(r.ops, op) {
		return false
	}
	return r.isFor(table) && (len(r.columns) == 0 || slices.ContainsFunc(r.columns, changed))
}

// isFor tells whether the rule matches changes of a table.
func (r *Rule) isFor(table string) bool {
	return len(r.tables) == 0 || slices.ContainsFunc(r.tables, func(glob string) bool {
		ok, _ := path.Match(glob, table)
		return ok
	})
}
