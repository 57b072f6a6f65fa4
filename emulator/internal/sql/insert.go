package sql

import (
	"github.com/cloudspannerecosystem/memefish/ast"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator/internal/schema"
)

// insertion is a compiled INSERT.
type insertion struct {
	c       *compiler
	table   *schema.Table
	columns []*schema.Column
	sets    []assignment // of ON CONFLICT DO UPDATE
	where   *expr
	ignore  bool
	update  bool // INSERT OR UPDATE
	ret     *returning
	count   int64
}

func (c *compiler) insert(n *ast.Insert, plan bool) (*Result, error) {
	t, err := c.target(n.TableName)
	if err != nil {
		return nil, err
	}
	in := &insertion{c: c, table: t, ignore: n.InsertOrType == ast.InsertOrTypeIgnore, update: n.InsertOrType == ast.InsertOrTypeUpdate}
	if n.AssertRowsModified != nil {
		return nil, unsupported("ASSERT_ROWS_MODIFIED")
	}
	for _, id := range n.Columns {
		col := c.schema.Column(t, id.Name)
		if col == nil {
			return nil, invalid("Column %s is not present in table %s", clip(id.Name), t.Name)
		}
		for _, other := range in.columns {
			if other == col {
				return nil, invalid("INSERT has columns with duplicate name: %s", col.Name)
			}
		}
		in.columns = append(in.columns, col)
	}
	if len(in.columns) == 0 {
		return nil, invalid("INSERT must have a column list")
	}
	s := &scope{columns: tableColumns(t, t.Name)}
	if err := in.conflict(n.OnConflict, s); err != nil {
		return nil, err
	}
	if in.ret, err = c.thenReturn(n.ThenReturn, s); err != nil {
		return nil, err
	}
	rows, err := in.input(n.Input)
	if err != nil || plan {
		return in.ret.result(0), err
	}
	all, err := rows()
	if err != nil {
		return nil, err
	}
	for _, row := range all {
		if err := in.write(row); err != nil {
			return nil, err
		}
	}
	return in.ret.result(in.count), nil
}

// conflict compiles ON CONFLICT. The target must be the primary key.
func (in *insertion) conflict(n *ast.OnConflict, s *scope) error {
	if n == nil {
		return nil
	}
	switch target := n.ConflictTarget.(type) {
	case nil:
	case *ast.ConflictTargetColumns:
		if len(target.Columns) != len(in.table.Key) {
			return unsupported("ON CONFLICT on something other than the primary key")
		}
		for i, id := range target.Columns {
			if !in.c.schema.Same(id.Name, in.table.Key[i].Column.Name) {
				return unsupported("ON CONFLICT on something other than the primary key")
			}
		}
	default:
		return unsupported("ON CONFLICT ON UNIQUE CONSTRAINT")
	}
	switch action := n.ConflictAction.(type) {
	case *ast.ConflictActionDoNothing:
		in.ignore = true
	case *ast.ConflictActionDoUpdate:
		both := &scope{columns: append(tableColumns(in.table, in.table.Name), excluded(in.table)...)}
		sets, err := in.c.assignments(in.table, action.UpdateItems, both)
		if err != nil {
			return err
		}
		in.sets = sets
		if action.Where != nil {
			where, err := in.c.condition(action.Where.Expr, both)
			if err != nil {
				return err
			}
			in.where = &where
		}
	}
	return nil
}

// excluded is the row that was to be inserted, as ON CONFLICT sees it.
func excluded(t *schema.Table) []column {
	out := tableColumns(t, "excluded")
	for i := range out {
		out[i].hidden = true
	}
	return out
}

// input compiles VALUES or a query; the rows are read before any is written.
func (in *insertion) input(n ast.InsertInput) (func() ([][]any, error), error) {
	switch n := n.(type) {
	case *ast.ValuesInput:
		return in.values(n)
	case *ast.SubQueryInput:
		p, err := in.c.query(n.Query, nil)
		if err != nil {
			return nil, err
		}
		if len(p.columns) != len(in.columns) {
			return nil, invalid("Inserted row has wrong column count; Has %d, expected %d", len(p.columns), len(in.columns))
		}
		casts := make([]expr, len(in.columns))
		for i, col := range in.columns {
			if casts[i], err = in.c.storable(columnExpr(p.columns[i].typ, i, 0), col); err != nil {
				return nil, invalid("Query column %d has type %s which cannot be inserted into column %s", i+1, p.columns[i].typ, col.Name)
			}
		}
		return func() ([][]any, error) {
			var out [][]any
			err := p.run(nil, func(row []any) error {
				converted, err := evalAll(casts, &env{row: row})
				out = append(out, converted)
				return err
			})
			return out, ignoreStop(err)
		}, nil
	}
	return nil, unsupported("The input %s", clip(n.SQL()))
}

func (in *insertion) values(n *ast.ValuesInput) (func() ([][]any, error), error) {
	var rows [][]expr
	for _, row := range n.Rows {
		if len(row.Exprs) != len(in.columns) {
			return nil, invalid("Inserted row has wrong column count; Has %d, expected %d", len(row.Exprs), len(in.columns))
		}
		exprs := make([]expr, len(row.Exprs))
		for i, value := range row.Exprs {
			e, err := in.c.columnValue(in.table, in.columns[i], value, nil)
			if err != nil {
				return nil, err
			}
			exprs[i] = e
		}
		rows = append(rows, exprs)
	}
	return func() ([][]any, error) {
		out := make([][]any, len(rows))
		for i, exprs := range rows {
			var err error
			if out[i], err = evalAll(exprs, nil); err != nil {
				return nil, err
			}
		}
		return out, nil
	}, nil
}

func evalAll(exprs []expr, e *env) ([]any, error) {
	out := make([]any, len(exprs))
	for i, x := range exprs {
		if x.eval == nil { // DEFAULT of a generated column
			continue
		}
		v, err := x.eval(e)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// write inserts one row, or does what is to be done when it exists.
func (in *insertion) write(values []any) error {
	columns := in.columns
	for i := len(columns) - 1; i >= 0; i-- { // generated columns that were given as DEFAULT
		if columns[i].Generated != nil {
			columns = append(append([]*schema.Column(nil), columns[:i]...), columns[i+1:]...)
			values = append(append([]any(nil), values[:i]...), values[i+1:]...)
		}
	}
	row, err := in.c.src.Insert(in.table, columns, values)
	action := "INSERT"
	if status.Code(err) == codes.AlreadyExists && (in.ignore || in.update || in.sets != nil) {
		if in.ignore {
			return nil
		}
		action = "UPDATE"
		if row, err = in.overwrite(columns, values); row == nil && err == nil {
			return nil
		}
	}
	if err != nil {
		return err
	}
	in.count++
	return in.ret.add(&env{row: visible(in.table, row)}, action)
}

// overwrite updates the row that was in the way.
func (in *insertion) overwrite(columns []*schema.Column, values []any) ([]any, error) {
	scratch := make([]any, in.table.Slots)
	for i, col := range columns {
		scratch[col.Slot] = values[i]
	}
	key := string(in.table.AppendKey(nil, scratch))
	if in.update {
		return in.c.src.Update(in.table, key, columns, values)
	}
	var old []any
	in.c.src.Scan(in.table, key, key+"\x00", func(_ string, row []any) bool {
		old = row
		return false
	})
	if old == nil {
		return nil, nil
	}
	e := &env{row: append(visible(in.table, old), visible(in.table, scratch)...)}
	if in.where != nil {
		if ok, err := in.where.eval(e); err != nil || ok != true {
			return nil, err
		}
	}
	return in.c.set(in.table, key, in.sets, e)
}
