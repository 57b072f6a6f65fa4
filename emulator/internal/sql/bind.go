package sql

import (
	"github.com/cloudspannerecosystem/memefish"
	"github.com/cloudspannerecosystem/memefish/ast"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/value"
	"time"
)

// Bind compiles an expression of a table's definition: a default, a generated
// column, a check. It becomes a value of the given type.
func Bind(sch *schema.Schema, t *schema.Table, text string, typ *value.Type, now func() time.Time) (schema.Eval, error) {
	if err := Guard(text); err != nil {
		return nil, err
	}
	n, err := Caught(memefish.ParseExpr, text)
	if err != nil {
		return nil, parseError(err)
	}
	return bind(sch, t, n, typ, now)
}

func bind(sch *schema.Schema, t *schema.Table, n ast.Expr, typ *value.Type, now func() time.Time) (schema.Eval, error) {
	compile := func() (expr, error) {
		c := &compiler{schema: sch, run: &run{now: now()}}
		var s *scope
		if t != nil {
			s = &scope{columns: tableColumns(t, t.Name)}
		}
		e, err := c.expr(n, s)
		if err != nil {
			return e, err
		}
		return c.storable(e, &schema.Column{Type: typ})
	}
	e, err := compile()
	if err != nil {
		return nil, err
	}
	if t == nil && dependsOnTime(n) { // the time is that of the write, so it is compiled anew
		return func([]any) (any, error) {
			e, err := compile()
			if err != nil {
				return nil, err
			}
			return e.eval(nil)
		}, nil
	}
	return func(row []any) (any, error) {
		at := &env{}
		if t != nil && row != nil {
			at.row = visible(t, row)
		}
		return e.eval(at)
	}, nil
}

func dependsOnTime(n ast.Expr) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			switch call.Func.Idents[0].Name[0] | 0x20 {
			case 'c', 'n': // CURRENT_TIMESTAMP, CURRENT_DATE, NOW
				found = true
			}
		}
		return !found
	})
	return found
}
