package ddl

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"github.com/cloudspannerecosystem/memefish/ast"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/sql"
	"github.com/spancast/spancast/emulator/internal/value"
)

func (a *applier) table(p *ast.Path) (*schema.Table, error) {
	t := a.s.Table(path(p))
	if t == nil {
		return nil, notFound("Table not found: %s", path(p))
	}
	return t, nil
}

func (a *applier) createTable(n *ast.CreateTable) error {
	name := path(n.Name)
	if n.IfNotExists && a.s.Table(name) != nil {
		return nil
	}
	if err := a.free(name); err != nil {
		return err
	}
	a.s.NextID++
	t := &schema.Table{ID: a.s.NextID, Root: a.s.NextID, Name: name}
	keys := n.PrimaryKeys
	for _, def := range n.Columns {
		c, err := a.column(t, def)
		if err != nil {
			return err
		}
		if def.PrimaryKey {
			keys = append(keys, &ast.IndexKey{Name: &ast.Ident{Name: c.Name}})
		}
	}
	for _, constraint := range n.TableConstraints {
		if primary, ok := constraint.Constraint.(*ast.TablePrimaryKey); ok {
			keys = append(keys, primary.Columns...)
		}
	}
	if len(keys) == 0 && n.PrimaryKeyRparen.Invalid() && !slices.ContainsFunc(n.TableConstraints, isPrimaryKey) {
		return invalid("Table %s has no PRIMARY KEY.", t.Name)
	}
	var err error
	if t.Key, err = a.parts(t, keys); err != nil {
		return err
	}
	if err := checkKey(t); err != nil {
		return err
	}
	if err := a.interleave(t, n.Cluster); err != nil {
		return err
	}
	if n.RowDeletionPolicy != nil {
		if err := a.rowDeletion(t, n.RowDeletionPolicy.RowDeletionPolicy); err != nil {
			return err
		}
	}
	a.s.Tables = append(a.s.Tables, t)
	for _, constraint := range n.TableConstraints {
		if err := a.constraint(t, constraint); err != nil {
			return err
		}
	}
	return nil
}

func isPrimaryKey(c *ast.TableConstraint) bool {
	_, ok := c.Constraint.(*ast.TablePrimaryKey)
	return ok
}

// rowDeletion notes a row deletion policy, which is not carried out.
func (a *applier) rowDeletion(t *schema.Table, p *ast.RowDeletionPolicy) error {
	if c := a.s.Column(t, p.ColumnName.Name); c == nil || c.Type.Code != sppb.TypeCode_TIMESTAMP {
		return invalid("Cannot create ROW DELETION POLICY because there is no TIMESTAMP column named %s in table %s.", p.ColumnName.Name, t.Name)
	}
	t.TTL = p.SQL()
	return nil
}

// checkKey refuses types that cannot be keys.
func checkKey(t *schema.Table) error {
	for _, part := range t.Key {
		switch part.Column.Type.Code {
		case sppb.TypeCode_ARRAY, sppb.TypeCode_JSON:
			return invalid("Key column %s.%s has type %s, which is not supported for keys.", t.Name, part.Column.Name, part.Column.Type)
		}
		part.Column.IsKey = true
	}
	return nil
}

// interleave makes a table the child of another.
func (a *applier) interleave(t *schema.Table, n *ast.Cluster) error {
	if n == nil {
		return nil
	}
	parent, err := a.table(n.TableName)
	if err != nil {
		return err
	}
	if len(t.Key) < len(parent.Key) {
		return failed("Interleaved table %s must have the key of its parent %s.", t.Name, parent.Name)
	}
	for i, part := range parent.Key {
		own := t.Key[i]
		if !a.s.Same(own.Column.Name, part.Column.Name) || !own.Column.Type.Same(part.Column.Type) || own.Desc != part.Desc {
			return failed("Interleaved table %s: key column %s does not match key column %s of its parent %s.", t.Name, own.Column.Name, part.Column.Name, parent.Name)
		}
	}
	t.Parent, t.Root = parent, parent.Root
	t.Enforced = n.Enforced
	t.Cascade = n.OnDelete == ast.OnDeleteCascade
	parent.Children = append(parent.Children, t)
	return nil
}

// column adds a column to a table.
func (a *applier) column(t *schema.Table, n *ast.ColumnDef) (*schema.Column, error) {
	if a.s.Column(t, n.Name.Name) != nil {
		return nil, failed("Duplicate column name %s.%s.", t.Name, n.Name.Name)
	}
	c := &schema.Column{Name: n.Name.Name, NotNull: n.NotNull, Slot: t.Slots}
	if err := a.columnType(c, n.Type); err != nil {
		return nil, err
	}
	switch d := n.DefaultSemantics.(type) {
	case *ast.ColumnDefaultExpr:
		c.DefaultText = a.text(d.Expr)
	case *ast.GeneratedColumnExpr:
		c.GeneratedText = a.text(d.Expr)
		c.Stored = d.Stored >= 0
	case *ast.IdentityColumn, *ast.AutoIncrement:
		c.Identity = true
	}
	c.Hidden = n.Hidden >= 0
	if err := a.columnOptions(c, n.Options); err != nil {
		return nil, err
	}
	t.Slots++
	t.Columns = append(t.Columns, c)
	return c, nil
}

func (a *applier) columnType(c *schema.Column, n ast.SchemaType) error {
	typ, size, err := a.schemaType(n)
	if err != nil {
		return err
	}
	if typ == nil {
		c.Type, c.TokenList = value.BytesType, true
		return nil
	}
	c.Type, c.Size = typ, size
	return nil
}

// schemaType is a column's type; nil for TOKENLIST.
func (a *applier) schemaType(n ast.SchemaType) (*value.Type, int64, error) {
	switch n := n.(type) {
	case *ast.ScalarSchemaType:
		if n.Name == ast.TokenListTypeName {
			return nil, 0, nil
		}
		if t := sql.ScalarType(string(n.Name)); t != nil {
			return a.s.Dialect.Type(t), 0, nil
		}
	case *ast.SizedSchemaType:
		t := sql.ScalarType(string(n.Name))
		if t == nil || n.Max {
			return t, 0, nil
		}
		size, ok := n.Size.(*ast.IntLiteral)
		if !ok {
			return nil, 0, invalid("Invalid size of %s", n.Name)
		}
		v, err := strconv.ParseInt(size.Value, 0, 64)
		if err != nil || v < 1 || v > 10<<20 {
			return nil, 0, failed("Allowed range for the length of %s is [1, 10485760].", n.Name)
		}
		return t, v, nil
	case *ast.ArraySchemaType:
		t, size, err := a.schemaType(n.Item)
		if err != nil || t == nil {
			return nil, 0, err
		}
		if t.Code == sppb.TypeCode_ARRAY {
			return nil, 0, invalid("Arrays of arrays are not supported.")
		}
		return value.ArrayOf(t), size, nil
	case *ast.NamedType:
		if len(n.Path) == 1 && strings.EqualFold(n.Path[0].Name, "UUID") {
			return value.UUIDType, 0, nil
		}
	}
	return nil, 0, status.Errorf(codes.Unimplemented, "The column type %s is not supported by this emulator.", n.SQL())
}

func (a *applier) columnOptions(c *schema.Column, n *ast.Options) error {
	if n == nil {
		return nil
	}
	for _, o := range n.Records {
		if o.Name.Name != "allow_commit_timestamp" {
			return invalid("Option: %s is unknown.", o.Name.Name)
		}
		b, ok := o.Value.(*ast.BoolLiteral)
		if _, null := o.Value.(*ast.NullLiteral); !ok && !null {
			return invalid("Unexpected value for option: allow_commit_timestamp. Supported option values are true, false, and null.")
		}
		if c.Type.Code != sppb.TypeCode_TIMESTAMP {
			return failed("Option only allowed on TIMESTAMP columns, not on column %s of type %s.", c.Name, c.Type)
		}
		c.CommitTime = ok && b.Value
	}
	return nil
}

// parts finds the columns of a key.
func (a *applier) parts(t *schema.Table, keys []*ast.IndexKey) ([]schema.KeyPart, error) {
	var out []schema.KeyPart
	for _, k := range keys {
		c := a.s.Column(t, k.Name.Name)
		if c == nil {
			return nil, invalid("Table %s does not have column %s.", t.Name, k.Name.Name)
		}
		if slices.ContainsFunc(out, func(p schema.KeyPart) bool { return p.Column == c }) {
			return nil, failed("Key column %s appears more than once.", c.Name)
		}
		out = append(out, schema.KeyPart{Column: c, Desc: k.Dir == ast.DirectionDesc})
	}
	return out, nil
}

// constraint adds a foreign key or a check.
func (a *applier) constraint(t *schema.Table, n *ast.TableConstraint) error {
	name := ""
	if n.Name != nil {
		name = n.Name.Name
	}
	switch c := n.Constraint.(type) {
	case *ast.Check:
		t.Checks = append(t.Checks, &schema.Check{Name: name, Text: a.text(c.Expr)})
	case *ast.ForeignKey:
		other, err := a.table(c.ReferenceTable)
		if err != nil {
			return err
		}
		if name == "" {
			name = fmt.Sprintf("FK_%s_%s_%d", strings.ReplaceAll(t.Name, ".", "_"), strings.ReplaceAll(other.Name, ".", "_"), len(t.Foreign)+1)
		}
		f := &schema.ForeignKey{Name: name, Table: other, Cascade: c.OnDelete == ast.OnDeleteCascade, Enforced: c.Enforcement != ast.NotEnforced}
		if f.Columns, err = a.columns(t, c.Columns); err != nil {
			return err
		}
		if f.References, err = a.columns(other, c.ReferenceColumns); err != nil {
			return err
		}
		if len(f.References) != len(f.Columns) || len(f.Columns) == 0 {
			return failed("Foreign key %s: the numbers of referencing and referenced columns differ.", name)
		}
		t.Foreign = append(t.Foreign, f)
	}
	return nil
}

func (a *applier) columns(t *schema.Table, names []*ast.Ident) ([]*schema.Column, error) {
	var out []*schema.Column
	for _, id := range names {
		c := a.s.Column(t, id.Name)
		if c == nil {
			return nil, notFound("Table %s does not have column %s.", t.Name, id.Name)
		}
		out = append(out, c)
	}
	return out, nil
}

// bindAll compiles the expressions of all tables: their columns are new copies.
func (a *applier) bindAll() error {
	for _, t := range a.s.Tables {
		for _, c := range t.Columns {
			if err := a.bindColumn(t, c); err != nil {
				return err
			}
		}
		for i, check := range t.Checks {
			eval, err := a.bind(t, check.Text, value.Bool)
			if err != nil {
				return err
			}
			copied := *check
			copied.Eval = eval
			t.Checks[i] = &copied
		}
	}
	return nil
}

func (a *applier) bindColumn(t *schema.Table, c *schema.Column) error {
	c.Default, c.Generated = nil, nil
	if c.DefaultText != "" {
		eval, err := a.bind(nil, c.DefaultText, c.Type)
		if err != nil {
			return invalid("Error parsing the default value of column `%s`.`%s`: %s", t.Name, c.Name, status.Convert(err).Message())
		}
		c.Default = eval
	}
	if c.GeneratedText != "" && !c.TokenList {
		eval, err := a.bind(t, c.GeneratedText, c.Type)
		if err != nil {
			return invalid("Error parsing the definition of generated column `%s`.`%s`: %s", t.Name, c.Name, status.Convert(err).Message())
		}
		c.Generated = eval
	}
	return nil
}
