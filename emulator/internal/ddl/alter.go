package ddl

import (
	"slices"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"github.com/cloudspannerecosystem/memefish/ast"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/value"
)

func (a *applier) alterTable(n *ast.AlterTable) error {
	t, err := a.table(n.Name)
	if err != nil {
		return err
	}
	switch alt := n.TableAlteration.(type) {
	case *ast.AddColumn:
		if alt.IfNotExists && a.s.Column(t, alt.Column.Name.Name) != nil {
			return nil
		}
		c, err := a.column(t, alt.Column)
		if err == nil && c.NotNull && c.DefaultText == "" && c.GeneratedText == "" && !c.Identity {
			return status.Errorf(codes.Unimplemented, "Cannot add NOT NULL column %s.%s to existing table %s: it has no default.", t.Name, c.Name, t.Name)
		}
		return err
	case *ast.DropColumn:
		return a.dropColumn(t, alt.Name.Name)
	case *ast.AlterColumn:
		return a.alterColumn(t, alt)
	case *ast.AddTableConstraint:
		return a.constraint(t, alt.TableConstraint)
	case *ast.DropConstraint:
		return a.dropConstraint(t, alt.Name.Name)
	case *ast.SetOnDelete:
		if t.Parent == nil {
			return failed("Table %s is not interleaved.", t.Name)
		}
		t.Cascade = alt.OnDelete == ast.OnDeleteCascade
		return nil
	case *ast.AddRowDeletionPolicy:
		return a.rowDeletion(t, alt.RowDeletionPolicy)
	case *ast.ReplaceRowDeletionPolicy:
		return a.rowDeletion(t, alt.RowDeletionPolicy)
	case *ast.DropRowDeletionPolicy:
		t.TTL = ""
		return nil
	}
	return status.Errorf(codes.Unimplemented, "ALTER TABLE with %.60s is not supported by this emulator.", n.TableAlteration.SQL())
}

// watches reports whether a stream names the table, or the column, itself.
func (a *applier) watches(t *schema.Table, c *schema.Column) (string, bool) {
	for _, x := range a.s.Streams {
		for _, w := range x.Tables {
			if !a.s.Same(w.Table, t.Name) {
				continue
			}
			if c == nil || slices.ContainsFunc(w.Columns, func(n string) bool { return a.s.Same(n, c.Name) }) {
				return x.Name, true
			}
		}
	}
	return "", false
}

func (a *applier) dropColumn(t *schema.Table, name string) error {
	c := a.s.Column(t, name)
	if c == nil {
		return notFound("Column not found in table %s: %s", t.Name, name)
	}
	if c.IsKey {
		return failed("Cannot drop key column %s from table %s.", c.Name, t.Name)
	}
	if stream, ok := a.watches(t, c); ok {
		return failed("Cannot drop column %s.%s: it is tracked by the change stream %s.", t.Name, c.Name, stream)
	}
	for _, x := range t.Indexes {
		if slices.Contains(x.Storing, c) || slices.ContainsFunc(x.Key, func(p schema.KeyPart) bool { return p.Column == c }) {
			return failed("Cannot drop column %s from table %s because it is used by index %s.", c.Name, t.Name, x.Name)
		}
	}
	for _, other := range a.s.Tables {
		for _, f := range other.Foreign {
			if slices.Contains(f.References, c) || slices.Contains(f.Columns, c) {
				return failed("Cannot drop column %s from table %s because it is used by foreign key %s.", c.Name, t.Name, f.Name)
			}
		}
	}
	t.Columns = slices.DeleteFunc(t.Columns, func(o *schema.Column) bool { return o == c })
	return nil // an expression that needs the column fails to compile
}

func (a *applier) alterColumn(t *schema.Table, n *ast.AlterColumn) error {
	c := a.s.Column(t, n.Name.Name)
	if c == nil {
		return notFound("Column not found in table %s: %s", t.Name, n.Name.Name)
	}
	switch alt := n.Alteration.(type) {
	case *ast.AlterColumnType:
		return a.changeType(t, c, alt)
	case *ast.AlterColumnSetDefault:
		c.DefaultText = a.text(alt.DefaultExpr.Expr)
		return nil
	case *ast.AlterColumnDropDefault:
		c.DefaultText = ""
		return nil
	case *ast.AlterColumnSetOptions:
		return a.columnOptions(c, alt.Options)
	}
	return status.Errorf(codes.Unimplemented, "ALTER COLUMN with %.60s is not supported by this emulator.", n.Alteration.SQL())
}

// changeType allows what Spanner allows: another size, STRING and BYTES for
// each other, and NOT NULL on or off. The rows are checked by the engine.
func (a *applier) changeType(t *schema.Table, c *schema.Column, n *ast.AlterColumnType) error {
	before := *c
	if err := a.columnType(c, n.Type); err != nil {
		return err
	}
	if c.Type.Code != before.Type.Code || c.Type.Code == sppb.TypeCode_ARRAY && !c.Type.Same(before.Type) {
		return failed("Cannot change type of column %s.%s from %s to %s.", t.Name, c.Name, before.Type, c.Type)
	}
	if c.Size > 0 && (before.Size == 0 || c.Size < before.Size) {
		return status.Errorf(codes.Unimplemented, "Making column %s.%s shorter is not supported by this emulator.", t.Name, c.Name)
	}
	if c.IsKey && n.NotNull && !before.NotNull {
		return failed("Cannot add NOT NULL to key column %s.%s.", t.Name, c.Name)
	}
	c.NotNull = n.NotNull
	if n.DefaultExpr != nil {
		c.DefaultText = a.text(n.DefaultExpr.Expr)
	}
	return nil
}

func (a *applier) dropConstraint(t *schema.Table, name string) error {
	n := len(t.Foreign) + len(t.Checks)
	t.Foreign = slices.DeleteFunc(t.Foreign, func(f *schema.ForeignKey) bool { return a.s.Same(f.Name, name) })
	t.Checks = slices.DeleteFunc(t.Checks, func(c *schema.Check) bool { return a.s.Same(c.Name, name) })
	if len(t.Foreign)+len(t.Checks) == n {
		return notFound("%s is not a constraint in %s.", name, t.Name)
	}
	return nil
}

func (a *applier) dropTable(n *ast.DropTable) error {
	t := a.s.Table(path(n.Name))
	if t == nil {
		if n.IfExists {
			return nil
		}
		return notFound("Table not found: %s", path(n.Name))
	}
	if stream, ok := a.watches(t, nil); ok {
		return failed("Cannot drop table %s: it is tracked by the change stream %s.", t.Name, stream)
	}
	if len(t.Children) > 0 {
		return failed("Cannot drop table %s with interleaved tables: %s.", t.Name, t.Children[0].Name)
	}
	if len(t.Indexes) > 0 {
		return failed("Cannot drop table %s with indices: %s.", t.Name, t.Indexes[0].Name)
	}
	for _, other := range a.s.Tables {
		for _, f := range other.Foreign {
			if f.Table == t && other != t {
				return failed("Cannot drop table %s: it is referenced by foreign key %s.", t.Name, f.Name)
			}
		}
	}
	a.s.Tables = slices.DeleteFunc(a.s.Tables, func(o *schema.Table) bool { return o == t })
	if t.Parent != nil {
		t.Parent.Children = slices.DeleteFunc(t.Parent.Children, func(o *schema.Table) bool { return o == t })
	}
	return nil
}

func (a *applier) createIndex(n *ast.CreateIndex) error {
	name := path(n.Name)
	if n.IfNotExists && a.s.Index(name) != nil {
		return nil
	}
	if err := a.free(name); err != nil {
		return err
	}
	if n.Where != nil {
		return status.Error(codes.Unimplemented, "CREATE INDEX with WHERE is not supported by this emulator.")
	}
	t, err := a.table(n.TableName)
	if err != nil {
		return err
	}
	a.s.NextID++
	x := &schema.Index{ID: a.s.NextID, Name: name, Table: t, Unique: n.Unique, NullFiltered: n.NullFiltered}
	if x.Key, err = a.parts(t, n.Keys); err != nil {
		return err
	}
	for _, part := range x.Key {
		if part.Column.Type.Code == sppb.TypeCode_ARRAY || part.Column.Type.Code == value.JSONType.Code {
			return failed("Index %s is defined on column %s of unsupported type %s.", name, part.Column.Name, part.Column.Type)
		}
	}
	if n.Storing != nil {
		if x.Storing, err = a.columns(t, n.Storing.Columns); err != nil {
			return err
		}
	}
	t.Indexes = append(t.Indexes, x)
	a.s.Indexes = append(a.s.Indexes, x)
	return nil
}

func (a *applier) dropIndex(n *ast.DropIndex) error {
	x := a.s.Index(path(n.Name))
	if x == nil {
		if n.IfExists {
			return nil
		}
		return notFound("Index not found: %s", path(n.Name))
	}
	same := func(o *schema.Index) bool { return o == x }
	x.Table.Indexes = slices.DeleteFunc(x.Table.Indexes, same)
	a.s.Indexes = slices.DeleteFunc(a.s.Indexes, same)
	return nil
}

func (a *applier) alterIndex(n *ast.AlterIndex) error {
	x := a.s.Index(path(n.Name))
	if x == nil {
		return notFound("Index not found: %s", path(n.Name))
	}
	switch alt := n.IndexAlteration.(type) {
	case *ast.AddStoredColumn:
		columns, err := a.columns(x.Table, []*ast.Ident{alt.Name})
		x.Storing = append(x.Storing, columns...)
		return err
	case *ast.DropStoredColumn:
		x.Storing = slices.DeleteFunc(x.Storing, func(c *schema.Column) bool { return a.s.Same(c.Name, alt.Name.Name) })
		return nil
	}
	return status.Errorf(codes.Unimplemented, "ALTER INDEX with %.60s is not supported by this emulator.", n.IndexAlteration.SQL())
}
