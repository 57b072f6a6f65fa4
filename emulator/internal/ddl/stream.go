package ddl

import (
	"slices"
	"strings"

	"github.com/spancast/spancast/emulator/internal/schema"
)

// streamStatement parses and applies a statement on change streams:
//
//	CREATE CHANGE STREAM name [FOR …] [OPTIONS (…) | WITH (…)]
//	ALTER CHANGE STREAM name SET FOR … | DROP FOR ALL | SET OPTIONS (…) | SET (…)
//	DROP CHANGE STREAM name
func (a *applier) streamStatement(t tokens) error {
	p := &parser{tokens: t, pg: a.s.Dialect == schema.PostgreSQL}
	verb := p.word()
	p.word()
	p.word()
	name, ok := p.name()
	if !ok {
		return p.expected("the name of a change stream")
	}
	switch verb {
	case "CREATE":
		return a.createStream(p, name)
	case "ALTER":
		return a.alterStream(p, name)
	case "DROP":
		if !p.done() {
			return p.expected("the end of the statement")
		}
		if a.s.Stream(name) == nil {
			return notFound("Change Stream not found: %s", name)
		}
		a.s.Streams = slices.DeleteFunc(a.s.Streams, func(x *schema.Stream) bool { return a.s.Same(x.Name, name) })
		return nil
	}
	return invalid("Error parsing Spanner DDL statement: %s CHANGE STREAM", verb)
}

func (a *applier) createStream(p *parser, name string) error {
	x := &schema.Stream{Name: name}
	if p.take("FOR") {
		if err := p.forClause(x); err != nil {
			return err
		}
	}
	word := "OPTIONS"
	if p.pg {
		word = "WITH"
	}
	if p.take(word) {
		if err := p.options(x, true); err != nil {
			return err
		}
	}
	if !p.done() {
		return p.expected("the end of the statement")
	}
	if err := a.free(name); err != nil {
		return err
	}
	if a.s.Table("READ_"+name) != nil {
		return failed("Duplicate name in schema: READ_%s.", name)
	}
	if len(a.s.Streams) >= schema.MaxStreams {
		return failed("Cannot create Change Stream %s: the maximum number of Change Streams per database (limit %d) has been reached.", name, schema.MaxStreams)
	}
	a.s.Streams = append(a.s.Streams, x)
	return a.checkStream(x)
}

func (a *applier) alterStream(p *parser, name string) error {
	x := a.s.Stream(name)
	next := schema.Stream{}
	if x != nil {
		next = *x
	}
	switch {
	case p.take("SET"):
		var err error
		switch {
		case p.take("FOR"):
			next.All, next.Tables = false, nil
			err = p.forClause(&next)
		case p.pg || p.take("OPTIONS"):
			before := next.Mutable()
			if err = p.options(&next, false); err == nil && before != next.Mutable() {
				err = failed("The option partition_mode of Change Stream %s cannot be altered.", name)
			}
		default:
			err = p.expected("FOR or OPTIONS")
		}
		if err != nil {
			return err
		}
	case p.take("DROP"):
		if !p.take("FOR") || !p.take("ALL") {
			return p.expected("FOR ALL")
		}
		if x != nil && !next.All && len(next.Tables) == 0 {
			return failed("Cannot drop the FOR clause of Change Stream %s: it has none.", name)
		}
		next.All, next.Tables = false, nil
	default:
		return p.expected("SET or DROP")
	}
	if !p.done() {
		return p.expected("the end of the statement")
	}
	if x == nil {
		return notFound("Change Stream not found: %s", name)
	}
	*x = next
	return a.checkStream(x)
}

// checkStream checks what a stream watches, and its options.
func (a *applier) checkStream(x *schema.Stream) error {
	for i := range x.Tables {
		if err := a.checkWatched(x, i); err != nil {
			return err
		}
	}
	if v, ok := x.Option("retention_period"); ok {
		if d, ok := schema.ParseRetention(v); !ok || d < schema.MinRetention || d > schema.MaxRetention {
			return failed("Invalid retention_period %q of Change Stream %s: it must be between 24h and 30d.", v, x.Name)
		}
	}
	if v, ok := x.Option("value_capture_type"); ok {
		switch schema.CaptureType(v) {
		case schema.OldAndNewValues, schema.NewValues, schema.NewRow, schema.NewRowAndOldValues:
		default:
			return failed("Invalid value_capture_type %q of Change Stream %s: it must be OLD_AND_NEW_VALUES, NEW_VALUES, NEW_ROW or NEW_ROW_AND_OLD_VALUES.", v, x.Name)
		}
	}
	if v, ok := x.Option("partition_mode"); ok && v != "IMMUTABLE_KEY_RANGE" && v != "MUTABLE_KEY_RANGE" {
		return failed("Invalid partition_mode %q of Change Stream %s: it must be IMMUTABLE_KEY_RANGE or MUTABLE_KEY_RANGE.", v, x.Name)
	}
	return a.countWatchers()
}

// checkWatched checks one table of a FOR clause and puts the names into the
// form of their definitions.
func (a *applier) checkWatched(x *schema.Stream, i int) error {
	w := &x.Tables[i]
	t := a.s.Table(w.Table)
	if t == nil {
		return failed("Cannot track %s in Change Stream %s: it is not a table.", w.Table, x.Name)
	}
	w.Table = t.Name
	for _, other := range x.Tables[:i] {
		if other.Table == t.Name {
			return failed("Table %s is listed more than once in Change Stream %s.", t.Name, x.Name)
		}
	}
	w.Columns = slices.Clone(w.Columns)
	for j, name := range w.Columns {
		c := a.s.Column(t, name)
		switch {
		case c == nil:
			return failed("Column %s.%s in Change Stream %s does not exist.", t.Name, name, x.Name)
		case c.IsKey:
			return failed("Key column %s.%s cannot be listed in Change Stream %s: it is always tracked.", t.Name, c.Name, x.Name)
		case c.GeneratedText != "":
			return failed("Generated column %s.%s cannot be tracked by Change Stream %s.", t.Name, c.Name, x.Name)
		case slices.Contains(w.Columns[:j], c.Name):
			return failed("Column %s.%s is listed more than once in Change Stream %s.", t.Name, c.Name, x.Name)
		}
		w.Columns[j] = c.Name
	}
	return nil
}

// countWatchers enforces the limit of streams for each column. A table without
// non-key columns counts as a whole.
func (a *applier) countWatchers() error {
	for _, t := range a.s.Tables {
		counts := map[string]int{}
		for _, x := range a.s.Streams {
			w := a.s.Watched(x, t)
			if w == nil {
				continue
			}
			names := []string{}
			for _, c := range w.Columns {
				names = append(names, c.Name)
			}
			if w.Whole {
				names = append(names, "")
			}
			for _, name := range names {
				if counts[name]++; name != "" && counts[name] > schema.MaxStreamsPerColumn {
					return failed("Column %s.%s is tracked by more than %d Change Streams.", t.Name, name, schema.MaxStreamsPerColumn)
				}
			}
		}
		if counts[""] > schema.MaxStreamsPerColumn {
			return failed("Table %s is tracked by more than %d Change Streams.", t.Name, schema.MaxStreamsPerColumn)
		}
	}
	return a.countAll()
}

func (a *applier) countAll() error {
	n := 0
	for _, x := range a.s.Streams {
		if x.All {
			n++
		}
	}
	if n > schema.MaxStreamsPerColumn {
		return failed("The database is tracked by more than %d Change Streams.", schema.MaxStreamsPerColumn)
	}
	return nil
}

// forClause parses what follows FOR.
func (p *parser) forClause(x *schema.Stream) error {
	if p.take("ALL") {
		x.All = true
		if !p.done() && !p.peek("OPTIONS") && !p.peek("WITH") {
			return p.expected("the end of the FOR clause")
		}
		return nil
	}
	for {
		table, ok := p.name()
		if !ok {
			return p.expected("a table")
		}
		w := schema.WatchedTable{Table: table, Whole: true}
		if p.take("(") {
			w.Whole = false
			for !p.take(")") {
				if len(w.Columns) > 0 && !p.take(",") {
					return p.expected(", or )")
				}
				column, ok := p.identifier()
				if !ok {
					return p.expected("a column")
				}
				w.Columns = append(w.Columns, column)
			}
		}
		x.Tables = append(x.Tables, w)
		if !p.take(",") {
			return nil
		}
	}
}

// options parses a parenthesised list of options and sets them.
func (p *parser) options(x *schema.Stream, create bool) error {
	if !p.take("(") {
		return p.expected("(")
	}
	seen := map[string]bool{}
	for {
		name, ok := p.identifier()
		if !ok {
			return p.expected("an option")
		}
		if seen[name] {
			return invalid("Error parsing Spanner DDL statement: Duplicate option: %s", name)
		}
		seen[name] = true
		if !p.take("=") {
			return p.expected("=")
		}
		if err := p.option(x, name); err != nil {
			return err
		}
		if p.take(")") {
			return nil
		}
		if !p.take(",") {
			return p.expected(", or )")
		}
	}
}

func (p *parser) option(x *schema.Stream, name string) error {
	text := false
	switch name {
	case "retention_period", "value_capture_type", "partition_mode":
		text = true
	case "exclude_ttl_deletes", "exclude_insert", "exclude_update", "exclude_delete", "allow_txn_exclusion":
	default:
		return invalid("Error parsing Spanner DDL statement: Option: %s is unknown.", name)
	}
	v := p.next()
	switch {
	case v.kind == wordToken && strings.EqualFold(v.text, "NULL"):
		x.SetOption(name, nil)
	case text && v.kind == stringToken:
		x.SetOption(name, &schema.Option{Name: name, Value: v.text, Text: true})
	case !text && (v.kind == wordToken || v.kind == stringToken && p.pg) && (strings.EqualFold(v.text, "true") || strings.EqualFold(v.text, "false")):
		x.SetOption(name, &schema.Option{Name: name, Value: strings.ToLower(v.text)})
	default:
		return invalid("Error parsing Spanner DDL statement: Unexpected value for option: %s.", name)
	}
	return nil
}
