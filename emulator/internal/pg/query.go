package pg

import (
	"strconv"
	"strings"
)

// keywords are passed on as they are; all other words are names.
func keyword(s string) bool {
	return strings.Contains(" select from where group by having order limit offset asc desc distinct all as on using inner left right full outer cross join union "+
		"intersect except and or not in is null true false between like case when then else end cast exists insert into values default update set delete with "+
		"conflict do nothing unnest for nulls first last primary key interval ", " "+s+" ")
}

// rewriter turns tokens into GoogleSQL.
type rewriter struct {
	in  []token
	at  int
	out []string
}

// Query rewrites a query, a DML statement or an expression.
func Query(s string) (string, error) {
	in, err := scan(s)
	if err != nil {
		return "", err
	}
	return rewrite(withWhere(in))
}

func rewrite(in []token) (string, error) {
	r := &rewriter{in: in}
	for r.at < len(r.in) {
		if err := r.step(); err != nil {
			return "", err
		}
	}
	return strings.Join(r.out, " "), nil
}

// withWhere gives an UPDATE or DELETE without WHERE the one that GoogleSQL
// demands.
func withWhere(in []token) []token {
	if len(in) == 0 || !in[0].is("update") && !in[0].is("delete") {
		return in
	}
	depth, end := 0, len(in)
	for i, t := range in {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case depth == 0 && t.is("where"):
			return in
		case depth == 0 && t.is("returning"):
			end = i
		}
	}
	out := append([]token(nil), in[:end]...)
	out = append(out, token{kind: word, text: "where"}, token{kind: word, text: "true"})
	return append(out, in[end:]...)
}

func (r *rewriter) peek(n int) token {
	if r.at+n < len(r.in) {
		return r.in[r.at+n]
	}
	return token{kind: symbol}
}

func (r *rewriter) emit(s ...string) { r.out = append(r.out, s...) }

func (r *rewriter) step() error {
	t := r.peek(0)
	r.at++
	switch t.kind {
	case text:
		r.emit(quote(t.text))
	case quoted:
		r.emit(name(t.text))
	case number:
		r.emit(t.text)
	case param:
		r.emit("@p" + t.text)
	case word:
		return r.word(t)
	case symbol:
		return r.symbol(t)
	}
	return nil
}

func quote(s string) string { return strconv.QuoteToGraphic(s) }

func name(s string) string { return "`" + strings.ReplaceAll(s, "`", "\\`") + "`" }

func (r *rewriter) symbol(t token) error {
	switch t.text {
	case "::":
		typ, err := r.dataType()
		if err != nil {
			return err
		}
		from := r.operand()
		operand := strings.Join(r.out[from:], " ")
		r.out = append(r.out[:from], "CAST("+operand+" AS "+typ.google+")")
		return nil
	case "->", "->>":
		return unsupported("The operator " + t.text)
	case "=":
		if r.peek(0).is("any") && r.peek(1).is("(") {
			r.at++
			r.emit("IN UNNEST")
			return nil
		}
	}
	r.emit(t.text)
	return nil
}

// operand finds where the operand that was written last begins.
func (r *rewriter) operand() int {
	i := len(r.out) - 1
	if i < 0 {
		return 0
	}
	if r.out[i] == ")" || r.out[i] == "]" {
		depth := 0
		for ; i >= 0; i-- {
			switch r.out[i] {
			case ")", "]":
				depth++
			case "(", "[":
				depth--
			}
			if depth == 0 {
				break
			}
		}
		i = max(i, 0)
		if i > 0 && callee(r.out[i-1]) {
			i--
		}
	}
	for i >= 2 && r.out[i-1] == "." {
		i -= 2
	}
	return i
}

// callee reports whether an emitted text can be the name of a function.
func callee(s string) bool {
	return s != "" && letter(s[0]) && !keyword(strings.ToLower(s)) || s == "EXISTS"
}

func (r *rewriter) word(t token) error {
	next := r.peek(0)
	switch {
	case t.text == "returning":
		r.emit("THEN RETURN")
	case t.text == "array" && next.is("["):
	case t.text == "cast" && next.is("("):
		return r.cast()
	case next.kind == text && typedLiteral(t.text) != "":
		r.emit(typedLiteral(t.text))
	case t.text == "spanner" && next.is("."):
		r.at++ // functions of Spanner's own schema
	case t.text == "extract" && next.is("("):
		return r.extract()
	case next.is("(") && !keyword(t.text) && !r.afterInto():
		r.emit(function(t.text))
	case t.text == "current_timestamp" || t.text == "current_date":
		r.emit(strings.ToUpper(t.text) + "()")
	case keyword(t.text):
		r.emit(strings.ToUpper(t.text))
	default:
		r.emit(name(t.text))
	}
	return nil
}

// afterInto reports whether the current word is the table of INSERT INTO, behind
// which a parenthesis opens a list of columns.
func (r *rewriter) afterInto() bool {
	i := r.at - 2
	for i >= 1 && r.in[i].is(".") {
		i -= 2
	}
	return i >= 0 && r.in[i].is("into")
}

func typedLiteral(s string) string {
	switch s {
	case "date":
		return "DATE"
	case "timestamptz", "timestamp":
		return "TIMESTAMP"
	case "numeric", "decimal":
		return "NUMERIC"
	case "jsonb", "json":
		return "JSON"
	}
	return ""
}

func function(s string) string {
	switch s {
	case "now":
		return "CURRENT_TIMESTAMP"
	case "strpos":
		return "STRPOS"
	case "gen_random_uuid", "generate_uuid":
		return "GENERATE_UUID"
	case "char_length", "character_length":
		return "CHAR_LENGTH"
	case "array_length", "cardinality":
		return "ARRAY_LENGTH"
	}
	return strings.ToUpper(s)
}

// extract keeps the date part of EXTRACT(part FROM x) a bare word.
func (r *rewriter) extract() error {
	part := r.peek(1)
	if part.kind != word || !r.peek(2).is("from") {
		return invalid("Syntax error in EXTRACT")
	}
	r.at += 3
	r.emit("EXTRACT", "(", strings.ToUpper(part.text), "FROM")
	return nil
}

// cast rewrites CAST(x AS type); x may contain casts itself.
func (r *rewriter) cast() error {
	depth, as := 0, -1
	for i := r.at; i < len(r.in) && as < 0; i++ {
		switch t := r.in[i]; {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case depth == 1 && t.is("as"):
			as = i
		}
		if depth == 0 {
			break
		}
	}
	if as < 0 {
		return invalid("Syntax error in CAST")
	}
	inner, err := rewrite(r.in[r.at+1 : as])
	if err != nil {
		return err
	}
	r.at = as + 1
	typ, err := r.dataType()
	if err != nil {
		return err
	}
	if !r.peek(0).is(")") {
		return invalid("Syntax error in CAST: expected )")
	}
	r.at++
	r.emit("CAST(" + inner + " AS " + typ.google + ")")
	return nil
}

// dataType is a type in both dialects.
type dataType struct {
	google string // as in a query
	column string // as in a column definition
	commit bool   // spanner.commit_timestamp
}

// dataType reads a type.
func (r *rewriter) dataType() (dataType, error) {
	t := r.peek(0)
	if !t.isName() {
		return dataType{}, invalid("Syntax error: expected a type but found %.40q", t.text)
	}
	r.at++
	var d dataType
	switch t.text {
	case "bigint", "int8", "int", "integer", "int4", "smallint", "int2":
		d.google = "INT64"
	case "boolean", "bool":
		d.google = "BOOL"
	case "bytea":
		d.google, d.column = "BYTES", "BYTES(MAX)"
	case "date":
		d.google = "DATE"
	case "double":
		if !r.peek(0).is("precision") {
			return d, invalid("Syntax error: expected precision after double")
		}
		r.at++
		d.google = "FLOAT64"
	case "float8":
		d.google = "FLOAT64"
	case "real", "float4":
		d.google = "FLOAT32"
	case "text", "varchar", "character":
		return r.stringType(t.text)
	case "timestamptz", "timestamp":
		d.google = "TIMESTAMP"
		if r.peek(0).is("with") {
			r.at += 3
		} else if t.text == "timestamp" {
			return d, unsupported("The type timestamp without time zone")
		}
	case "spanner":
		if r.peek(0).is(".") && r.peek(1).is("commit_timestamp") {
			r.at += 2
			d.google, d.commit = "TIMESTAMP", true
		}
	case "jsonb":
		d.google = "JSON"
	case "numeric", "decimal":
		d.google = "NUMERIC"
	case "uuid":
		d.google = "UUID"
	}
	if d.google == "" {
		return d, unsupported("The type " + t.text)
	}
	return r.arrayType(d), nil
}

func (r *rewriter) stringType(s string) (dataType, error) {
	d := dataType{google: "STRING", column: "STRING(MAX)"}
	if s == "character" {
		if !r.peek(0).is("varying") {
			return d, unsupported("The type character")
		}
		r.at++
	}
	if r.peek(0).is("(") && r.peek(1).kind == number && r.peek(2).is(")") && s != "text" {
		d.column = "STRING(" + r.peek(1).text + ")"
		r.at += 3
	}
	return r.arrayType(d), nil
}

func (r *rewriter) arrayType(d dataType) dataType {
	if d.column == "" {
		d.column = d.google
	}
	if r.peek(0).is("[") && r.peek(1).is("]") {
		r.at += 2
		d.google, d.column = "ARRAY<"+d.google+">", "ARRAY<"+d.column+">"
	}
	return d
}
