package sql

import (
	"strconv"
	"strings"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/value"
)

// view is a table of INFORMATION_SCHEMA: the names of its columns, with the
// type after a colon where it is not STRING, and its rows.
type view struct {
	columns string
	rows    func(i *informer)
}

// informer collects rows of a view.
type informer struct {
	s   *schema.Schema
	out [][]any
}

func (i *informer) pg() bool { return i.s.Dialect == schema.PostgreSQL }

// row adds a row; bools become YES and NO where a view has them as text.
func (i *informer) row(values ...any) {
	for n, v := range values {
		if v, ok := v.(int); ok {
			values[n] = int64(v)
		}
	}
	i.out = append(i.out, values)
}

func (i *informer) catalog() string {
	if i.pg() {
		return i.s.Name
	}
	return ""
}

// names splits a name into its schema and itself.
func (i *informer) names(name string) (string, string) {
	if before, after, ok := strings.Cut(name, "."); ok {
		return before, after
	}
	if i.pg() {
		return "public", name
	}
	return "", name
}

func yesNo(b bool) string {
	if b {
		return "YES"
	}
	return "NO"
}

// flag is a bool as change stream views have it: BOOL, or YES and NO.
func (i *informer) flag(b bool) any {
	if i.pg() {
		return yesNo(b)
	}
	return b
}

// information is a table of INFORMATION_SCHEMA.
func (c *compiler) information(name, as string) (*source, error) {
	v, ok := views(strings.ToLower(name))
	if !ok {
		return nil, invalid("Table not found: INFORMATION_SCHEMA.%s", clip(name))
	}
	var columns []column
	for col := range strings.SplitSeq(v.columns, " ") {
		col, typ, _ := strings.Cut(col, ":")
		t := value.String
		if typ == "INT64" || typ == "BOOL" && c.schema.Dialect == schema.GoogleSQL {
			t = ScalarType(typ)
		}
		if c.schema.Dialect == schema.PostgreSQL {
			col = strings.ToLower(col)
		}
		columns = append(columns, column{table: as, name: col, typ: t})
	}
	return &source{columns: columns, run: func(_ *env, yield func([]any) error) error {
		i := &informer{s: c.schema}
		v.rows(i)
		for _, row := range i.out {
			if err := yield(row); err != nil {
				return err
			}
		}
		return nil
	}}, nil
}

func views(name string) (view, bool) {
	const table = "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME"
	const stream = "CHANGE_STREAM_CATALOG CHANGE_STREAM_SCHEMA CHANGE_STREAM_NAME"
	switch name {
	case "schemata":
		return view{"CATALOG_NAME SCHEMA_NAME EFFECTIVE_TIMESTAMP:INT64", (*informer).schemata}, true
	case "database_options":
		return view{"CATALOG_NAME SCHEMA_NAME OPTION_NAME OPTION_TYPE OPTION_VALUE", (*informer).databaseOptions}, true
	case "tables":
		return view{table + " TABLE_TYPE PARENT_TABLE_NAME ON_DELETE_ACTION SPANNER_STATE INTERLEAVE_TYPE ROW_DELETION_POLICY_EXPRESSION", (*informer).tables}, true
	case "columns":
		return view{table + " COLUMN_NAME ORDINAL_POSITION:INT64 COLUMN_DEFAULT DATA_TYPE IS_NULLABLE SPANNER_TYPE IS_GENERATED GENERATION_EXPRESSION IS_STORED SPANNER_STATE IS_IDENTITY IS_HIDDEN:BOOL", (*informer).columns}, true
	case "column_options":
		return view{table + " COLUMN_NAME OPTION_NAME OPTION_TYPE OPTION_VALUE", (*informer).columnOptions}, true
	case "indexes":
		return view{table + " INDEX_NAME INDEX_TYPE PARENT_TABLE_NAME IS_UNIQUE:BOOL IS_NULL_FILTERED:BOOL INDEX_STATE SPANNER_IS_MANAGED:BOOL", (*informer).indexes}, true
	case "index_columns":
		return view{table + " INDEX_NAME INDEX_TYPE COLUMN_NAME ORDINAL_POSITION:INT64 COLUMN_ORDERING IS_NULLABLE SPANNER_TYPE", (*informer).indexColumns}, true
	case "table_constraints":
		return view{"CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME " + table + " CONSTRAINT_TYPE IS_DEFERRABLE INITIALLY_DEFERRED ENFORCED", (*informer).constraints}, true
	case "key_column_usage":
		return view{"CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME " + table + " COLUMN_NAME ORDINAL_POSITION:INT64 POSITION_IN_UNIQUE_CONSTRAINT:INT64", (*informer).keyColumns}, true
	case "referential_constraints":
		return view{"CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME UNIQUE_CONSTRAINT_CATALOG UNIQUE_CONSTRAINT_SCHEMA UNIQUE_CONSTRAINT_NAME MATCH_OPTION UPDATE_RULE DELETE_RULE SPANNER_STATE", (*informer).referential}, true
	case "check_constraints":
		return view{"CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME CHECK_CLAUSE SPANNER_STATE", (*informer).checks}, true
	case "change_streams":
		return view{stream + " ALL:BOOL", (*informer).streams}, true
	case "change_stream_tables":
		return view{stream + " " + table + " ALL_COLUMNS:BOOL", (*informer).streamTables}, true
	case "change_stream_columns":
		return view{stream + " " + table + " COLUMN_NAME", (*informer).streamColumns}, true
	case "change_stream_options":
		return view{stream + " OPTION_NAME OPTION_TYPE OPTION_VALUE", (*informer).streamOptions}, true
	case "views":
		return view{table + " VIEW_DEFINITION SECURITY_TYPE", func(*informer) {}}, true
	case "sequences":
		return view{"CATALOG SCHEMA NAME DATA_TYPE", func(*informer) {}}, true
	case "roles", "change_stream_privileges", "role_change_stream_grants":
		return view{"ROLE_NAME", func(*informer) {}}, true
	}
	return view{}, false
}

func (i *informer) schemata() {
	for _, name := range append([]string{"", "INFORMATION_SCHEMA", "SPANNER_SYS"}, i.s.Schemas...) {
		if i.pg() {
			name = map[string]string{"": "public", "INFORMATION_SCHEMA": "information_schema", "SPANNER_SYS": "spanner_sys"}[name]
		}
		i.row(i.catalog(), name, nil)
	}
}

func (i *informer) databaseOptions() {
	dialect, typ := "GOOGLE_STANDARD_SQL", "STRING"
	schemaName := ""
	if i.pg() {
		dialect, typ, schemaName = "POSTGRESQL", "character varying", "public"
	}
	i.row(i.catalog(), schemaName, "database_dialect", typ, dialect)
}

func (i *informer) tables() {
	for _, t := range i.s.Tables {
		sch, name := i.names(t.Name)
		var parent, action, kind, ttl any
		if t.Parent != nil {
			parent, kind = t.Parent.Name, "IN"
			if t.Enforced {
				action, kind = "NO ACTION", "IN PARENT"
			}
			if t.Cascade {
				action = "CASCADE"
			}
		}
		if t.TTL != "" {
			ttl = t.TTL
		}
		i.row(i.catalog(), sch, name, "BASE TABLE", parent, action, "COMMITTED", kind, ttl)
	}
}

func (i *informer) columns() {
	for _, t := range i.s.Tables {
		sch, name := i.names(t.Name)
		for n, c := range t.Columns {
			var def, gen, data, stored any
			typ := schema.TypeName(i.s.Dialect, c)
			if i.pg() {
				data = strings.SplitN(typ, "(", 2)[0]
			}
			if c.DefaultText != "" {
				def = c.DefaultText
			}
			generated := "NEVER"
			if c.GeneratedText != "" {
				gen, generated, stored = c.GeneratedText, "ALWAYS", yesNo(c.Stored)
			}
			i.row(i.catalog(), sch, name, c.Name, n+1, def, data, yesNo(!c.NotNull), typ, generated, gen, stored, "COMMITTED", yesNo(c.Identity), i.flag(c.Hidden))
		}
	}
}

func (i *informer) columnOptions() {
	for _, t := range i.s.Tables {
		sch, name := i.names(t.Name)
		for _, c := range t.Columns {
			if c.CommitTime && !i.pg() {
				i.row(i.catalog(), sch, name, c.Name, "allow_commit_timestamp", "BOOL", "TRUE")
			}
		}
	}
}

func (i *informer) indexes() {
	for _, t := range i.s.Tables {
		sch, name := i.names(t.Name)
		i.row(i.catalog(), sch, name, "PRIMARY_KEY", "PRIMARY_KEY", "", i.flag(true), i.flag(false), nil, i.flag(false))
		for _, x := range t.Indexes {
			i.row(i.catalog(), sch, name, x.Name, "INDEX", "", i.flag(x.Unique), i.flag(x.NullFiltered), "READ_WRITE", i.flag(false))
		}
	}
}

func (i *informer) indexColumns() {
	for _, t := range i.s.Tables {
		i.indexParts(t, "PRIMARY_KEY", "PRIMARY_KEY", t.Key, nil)
		for _, x := range t.Indexes {
			i.indexParts(t, x.Name, "INDEX", x.Key, x.Storing)
		}
	}
}

func (i *informer) indexParts(t *schema.Table, index, kind string, parts []schema.KeyPart, storing []*schema.Column) {
	sch, name := i.names(t.Name)
	for n, part := range parts {
		order := "ASC"
		if part.Desc {
			order = "DESC"
		}
		i.row(i.catalog(), sch, name, index, kind, part.Column.Name, n+1, order, yesNo(!part.Column.NotNull), schema.TypeName(i.s.Dialect, part.Column))
	}
	for _, c := range storing {
		i.row(i.catalog(), sch, name, index, kind, c.Name, nil, nil, yesNo(!c.NotNull), schema.TypeName(i.s.Dialect, c))
	}
}

func primaryName(t *schema.Table) string { return "PK_" + strings.ReplaceAll(t.Name, ".", "_") }

func (i *informer) constraints() {
	for _, t := range i.s.Tables {
		sch, name := i.names(t.Name)
		add := func(constraint, kind string, enforced bool) {
			i.row(i.catalog(), sch, constraint, i.catalog(), sch, name, kind, "NO", "NO", yesNo(enforced))
		}
		add(primaryName(t), "PRIMARY KEY", true)
		for _, f := range t.Foreign {
			add(f.Name, "FOREIGN KEY", f.Enforced)
		}
		for n, c := range t.Checks {
			add(checkName(t, c, n), "CHECK", true)
		}
	}
}

func checkName(t *schema.Table, c *schema.Check, n int) string {
	if c.Name != "" {
		return c.Name
	}
	return "CK_" + t.Name + "_" + strconv.Itoa(n+1)
}

func (i *informer) keyColumns() {
	for _, t := range i.s.Tables {
		sch, name := i.names(t.Name)
		for n, part := range t.Key {
			i.row(i.catalog(), sch, primaryName(t), i.catalog(), sch, name, part.Column.Name, n+1, nil)
		}
		for _, f := range t.Foreign {
			for n, c := range f.Columns {
				i.row(i.catalog(), sch, f.Name, i.catalog(), sch, name, c.Name, n+1, n+1)
			}
		}
	}
}

func (i *informer) referential() {
	for _, t := range i.s.Tables {
		sch, _ := i.names(t.Name)
		for _, f := range t.Foreign {
			action := "NO ACTION"
			if f.Cascade {
				action = "CASCADE"
			}
			i.row(i.catalog(), sch, f.Name, i.catalog(), sch, primaryName(f.Table), "SIMPLE", "NO ACTION", action, "COMMITTED")
		}
	}
}

func (i *informer) checks() {
	for _, t := range i.s.Tables {
		sch, _ := i.names(t.Name)
		for n, c := range t.Checks {
			i.row(i.catalog(), sch, checkName(t, c, n), c.Text, "COMMITTED")
		}
	}
}

func (i *informer) streams() {
	for _, x := range i.s.Streams {
		sch, name := i.names(x.Name)
		i.row(i.catalog(), sch, name, i.flag(x.All))
	}
}

func (i *informer) streamTables() {
	for _, x := range i.s.Streams {
		sch, name := i.names(x.Name)
		for _, w := range x.Tables {
			tableSchema, table := i.names(w.Table)
			i.row(i.catalog(), sch, name, i.catalog(), tableSchema, table, i.flag(w.Whole))
		}
	}
}

func (i *informer) streamColumns() {
	for _, x := range i.s.Streams {
		sch, name := i.names(x.Name)
		for _, w := range x.Tables {
			tableSchema, table := i.names(w.Table)
			for _, c := range w.Columns {
				i.row(i.catalog(), sch, name, i.catalog(), tableSchema, table, c)
			}
		}
	}
}

func (i *informer) streamOptions() {
	for _, x := range i.s.Streams {
		sch, name := i.names(x.Name)
		for _, o := range x.Options {
			typ := "BOOL"
			if i.pg() {
				typ = "boolean"
			}
			if o.Text {
				typ = "STRING"
				if i.pg() {
					typ = "character varying"
				}
			}
			i.row(i.catalog(), sch, name, o.Name, typ, o.Value)
		}
	}
}
