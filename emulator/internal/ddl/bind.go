package ddl

import (
	"github.com/spancast/spancast/emulator/internal/pg"
	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/sql"
	"github.com/spancast/spancast/emulator/internal/value"
)

// bind compiles an expression from the text that the user wrote.
func (a *applier) bind(t *schema.Table, text string, typ *value.Type) (schema.Eval, error) {
	if a.s.Dialect == schema.PostgreSQL {
		google, err := pg.Query(text)
		if err != nil {
			return nil, err
		}
		text = google
	}
	return sql.Bind(a.s, t, text, typ, a.now)
}
