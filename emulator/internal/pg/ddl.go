package pg

import "strings"

// definition rewrites a DDL statement.
type definition struct {
	rewriter
	s     string
	texts map[string]string
}

// DDL rewrites a DDL statement and returns, for each expression in it, the
// text that it had, keyed by its GoogleSQL form.
func DDL(s string) (string, map[string]string, error) {
	in, err := scan(s)
	if err != nil {
		return "", nil, err
	}
	d := &definition{rewriter: rewriter{in: in}, s: s, texts: map[string]string{}}
	out, err := d.statement()
	return out, d.texts, err
}

// take moves past words if they come next.
func (d *definition) take(words ...string) bool {
	for i, w := range words {
		if !d.peek(i).is(w) {
			return false
		}
	}
	d.at += len(words)
	return true
}

func (d *definition) expected(what string) error {
	found := d.peek(0).text
	if d.at >= len(d.in) {
		found = "the end of the statement"
	}
	return invalid("Error parsing PostgreSQL DDL statement: expected %s but found %.60q", what, found)
}

func (d *definition) statement() (string, error) {
	var out string
	var err error
	switch {
	case d.take("create", "table"):
		out, err = d.createTable()
	case d.take("create", "unique", "index"):
		out, err = d.createIndex("UNIQUE ")
	case d.take("create", "index"):
		out, err = d.createIndex("")
	case d.take("alter", "table"):
		out, err = d.alterTable()
	case d.take("create", "schema"), d.take("drop", "table"), d.take("drop", "index"), d.take("drop", "schema"):
		out, err = d.plain()
	default:
		return "", unsupported("The statement " + strings.Join(strings.Fields(d.s), " "))
	}
	if err == nil && d.at < len(d.in) {
		err = d.expected("the end of the statement")
	}
	return out, err
}

// plain rewrites statements that are the verb, IF [NOT] EXISTS and a name.
func (d *definition) plain() (string, error) {
	out := strings.ToUpper(d.in[0].text + " " + d.in[1].text)
	out += d.exists()
	name, err := d.name()
	d.take("cascade")
	d.take("restrict")
	return out + " " + name, err
}

func (d *definition) exists() string {
	switch {
	case d.take("if", "not", "exists"):
		return " IF NOT EXISTS"
	case d.take("if", "exists"):
		return " IF EXISTS"
	}
	return ""
}

// name reads a name, without the schema public.
func (d *definition) name() (string, error) {
	if !d.peek(0).isName() {
		return "", d.expected("a name")
	}
	parts := []string{d.peek(0).text}
	d.at++
	for d.peek(0).is(".") && d.peek(1).isName() {
		parts = append(parts, d.peek(1).text)
		d.at += 2
	}
	if len(parts) > 1 && parts[0] == "public" {
		parts = parts[1:]
	}
	for i := range parts {
		parts[i] = name(parts[i])
	}
	return strings.Join(parts, "."), nil
}

// names reads a parenthesised list of columns, with ASC and DESC for keys.
func (d *definition) names() (string, error) {
	if !d.take("(") {
		return "", d.expected("(")
	}
	var out []string
	for {
		column, err := d.name()
		if err != nil {
			return "", err
		}
		if d.take("desc") {
			column += " DESC"
		} else {
			d.take("asc")
		}
		if d.take("nulls") {
			d.at++ // NULLS FIRST and LAST are as they are
		}
		out = append(out, column)
		if d.take(")") {
			return "(" + strings.Join(out, ", ") + ")", nil
		}
		if !d.take(",") {
			return "", d.expected(", or )")
		}
	}
}

// expression reads up to a token that ends it, and remembers its text.
func (d *definition) expression(ends func(token) bool) (string, error) {
	from, depth := d.at, 0
	for d.at < len(d.in) {
		t := d.peek(0)
		if depth == 0 && ends(t) {
			break
		}
		if t.is("(") || t.is("[") {
			depth++
		}
		if t.is(")") || t.is("]") {
			depth--
		}
		d.at++
	}
	if d.at == from {
		return "", d.expected("an expression")
	}
	part := d.in[from:d.at]
	out, err := rewrite(part)
	d.texts[out] = d.s[part[0].from:part[len(part)-1].to]
	return out, err
}

// inParens reads a parenthesised expression.
func (d *definition) inParens() (string, error) {
	if !d.take("(") {
		return "", d.expected("(")
	}
	out, err := d.expression(func(t token) bool { return t.is(")") })
	if err == nil && !d.take(")") {
		err = d.expected(")")
	}
	return "(" + out + ")", err
}

func (d *definition) createTable() (string, error) {
	out := "CREATE TABLE" + d.exists()
	table, err := d.name()
	if err != nil {
		return "", err
	}
	if !d.take("(") {
		return "", d.expected("(")
	}
	var items []string
	key := ""
	for !d.take(")") {
		if len(items) > 0 || key != "" {
			if !d.take(",") {
				return "", d.expected(", or )")
			}
		}
		item, primary, err := d.item()
		if err != nil {
			return "", err
		}
		if item != "" {
			items = append(items, item)
		}
		if primary != "" {
			key = primary
		}
	}
	if key == "" {
		return "", invalid("Primary key must be defined for table %s.", table)
	}
	tail, err := d.tail()
	return out + " " + table + " (" + strings.Join(items, ", ") + ") PRIMARY KEY " + key + tail, err
}

// tail reads INTERLEAVE and TTL.
func (d *definition) tail() (string, error) {
	out := ""
	if d.take("interleave", "in") {
		out += ", INTERLEAVE IN "
		if d.take("parent") {
			out += "PARENT "
		}
		parent, err := d.name()
		if err != nil {
			return "", err
		}
		out += parent + d.onDelete()
	}
	if d.take("ttl", "interval") {
		interval := d.peek(0)
		days, unit, _ := strings.Cut(interval.text, " ")
		if interval.kind != text || !strings.HasPrefix(strings.ToLower(unit), "day") || strings.Trim(days, "0123456789") != "" || days == "" {
			return "", unsupported("TTL INTERVAL other than whole days")
		}
		d.at++
		if !d.take("on") {
			return "", d.expected("ON")
		}
		column, err := d.name()
		if err != nil {
			return "", err
		}
		out += ", ROW DELETION POLICY (OLDER_THAN(" + column + ", INTERVAL " + days + " DAY))"
	}
	return out, nil
}

func (d *definition) onDelete() string {
	switch {
	case d.take("on", "delete", "cascade"):
		return " ON DELETE CASCADE"
	case d.take("on", "delete", "no", "action"):
		return " ON DELETE NO ACTION"
	}
	return ""
}

// item reads one column or constraint; a primary key comes back by itself.
func (d *definition) item() (item, key string, err error) {
	constraint := ""
	if d.take("constraint") {
		if constraint, err = d.name(); err != nil {
			return "", "", err
		}
		constraint = "CONSTRAINT " + constraint + " "
	}
	switch {
	case d.take("primary", "key"):
		key, err = d.names()
		return "", key, err
	case d.peek(0).is("foreign"), d.peek(0).is("check"):
		item, err = d.tableConstraint()
		return constraint + item, "", err
	case d.peek(0).is("unique"):
		return "", "", unsupported("UNIQUE as a table constraint")
	case constraint != "":
		return "", "", d.expected("a constraint")
	}
	return d.column()
}

func (d *definition) tableConstraint() (string, error) {
	if d.take("check") {
		out, err := d.inParens()
		return "CHECK " + out, err
	}
	if !d.take("foreign", "key") {
		return "", d.expected("FOREIGN KEY or CHECK")
	}
	columns, err := d.names()
	if err != nil {
		return "", err
	}
	if !d.take("references") {
		return "", d.expected("REFERENCES")
	}
	table, err := d.name()
	if err != nil {
		return "", err
	}
	referenced, err := d.names()
	return "FOREIGN KEY " + columns + " REFERENCES " + table + " " + referenced + d.onDelete(), err
}

// column reads a column definition.
func (d *definition) column() (out, key string, err error) {
	column, err := d.name()
	if err != nil {
		return "", "", err
	}
	typ, err := d.dataType()
	if err != nil {
		return "", "", err
	}
	notNull, semantics := "", ""
	for {
		switch {
		case d.take("not", "null"):
			notNull = " NOT NULL"
		case d.take("null"):
		case d.take("primary", "key"):
			key = "(" + column + ")"
		case d.take("default"):
			e, err := d.expression(func(t token) bool {
				return t.is(",") || t.is(")") || t.is("not") || t.is("primary") || t.is("null") && d.in[d.at-1].text != "default" || t.is("generated") || t.is("constraint")
			})
			if err != nil {
				return "", "", err
			}
			semantics = " DEFAULT (" + e + ")"
		case d.take("generated", "always", "as"):
			e, err := d.inParens()
			if err != nil {
				return "", "", err
			}
			semantics = " AS " + e
			if d.take("stored") {
				semantics += " STORED"
			}
			d.take("virtual")
		case d.take("generated", "by", "default", "as", "identity"):
			if d.peek(0).is("(") {
				if _, err := d.inParens(); err != nil {
					return "", "", err
				}
			}
			semantics = " GENERATED BY DEFAULT AS IDENTITY (BIT_REVERSED_POSITIVE)"
		default:
			out = column + " " + typ.column + notNull + semantics
			if typ.commit {
				out += " OPTIONS (allow_commit_timestamp = true)"
			}
			return out, key, nil
		}
	}
}
