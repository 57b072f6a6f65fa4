// Package ddl changes a catalogue by DDL statements.
//
// GoogleSQL is parsed by memefish, except for change streams, whose statements
// are the same in both dialects up to quoting and are parsed here. PostgreSQL
// statements come rewritten to GoogleSQL, with the texts of their expressions
// beside them so that they can be printed as they were written.
package ddl

import (
	"strings"
	"time"

	"github.com/cloudspannerecosystem/memefish"
	"github.com/cloudspannerecosystem/memefish/ast"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator/internal/pg"
	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/sql"
)

// Apply returns the catalogue after one statement; the given one stays as it is.
func Apply(current *schema.Schema, statement string, now func() time.Time) (*schema.Schema, error) {
	a := &applier{s: current.Clone(), now: now}
	if err := a.apply(statement); err != nil {
		return nil, err
	}
	if err := a.bindAll(); err != nil {
		return nil, err
	}
	return a.s, nil
}

// applier works on a copy of the catalogue.
type applier struct {
	s     *schema.Schema
	now   func() time.Time
	texts map[string]string // PostgreSQL's text of an expression by its GoogleSQL
}

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

func failed(format string, args ...any) error {
	return status.Errorf(codes.FailedPrecondition, format, args...)
}

func notFound(format string, args ...any) error {
	return status.Errorf(codes.NotFound, format, args...)
}

func (a *applier) apply(statement string) error {
	if a.s.Dialect == schema.GoogleSQL {
		if err := sql.Guard(statement); err != nil {
			return err
		}
	}
	tokens, err := lex(statement, a.s.Dialect)
	if err != nil {
		return err
	}
	if len(tokens) == 0 {
		return invalid("Error parsing Spanner DDL statement: it is empty")
	}
	if tokens.is(1, "CHANGE") && tokens.is(2, "STREAM") {
		return a.streamStatement(tokens)
	}
	if done, err := a.accept(statement, tokens); done || err != nil {
		return err
	}
	if a.s.Dialect == schema.PostgreSQL {
		google, texts, err := pg.DDL(statement)
		if err != nil {
			return err
		}
		statement, a.texts = google, normalised(texts)
		if err := sql.Guard(statement); err != nil {
			return err
		}
	}
	node, err := sql.Caught(memefish.ParseDDL, strings.TrimRight(statement, "; \t\r\n"))
	if err != nil {
		text, _, _ := strings.Cut(err.Error(), "\n")
		return invalid("Error parsing Spanner DDL statement: %s", text)
	}
	return a.node(node)
}

// normalised keys expressions by the text that the parser prints for them.
func normalised(texts map[string]string) map[string]string {
	out := map[string]string{}
	for google, postgres := range texts {
		if n, err := sql.Caught(memefish.ParseExpr, google); err == nil {
			out[n.SQL()] = postgres
		}
	}
	return out
}

// text is an expression as the user wrote it.
func (a *applier) text(n ast.Expr) string {
	text := n.SQL()
	if postgres, ok := a.texts[text]; ok {
		return postgres
	}
	return text
}

// accept takes statements that have no effect here: roles, grants, options of
// the database, statistics. They are printed back.
func (a *applier) accept(statement string, t tokens) (bool, error) {
	for _, words := range [][]string{{"GRANT"}, {"REVOKE"}, {"CREATE", "ROLE"}, {"DROP", "ROLE"}, {"ALTER", "DATABASE"}, {"ALTER", "STATISTICS"}, {"ANALYZE"}} {
		match := true
		for i, word := range words {
			match = match && t.is(i, word)
		}
		if !match {
			continue
		}
		if t.is(0, "CREATE") || t.is(0, "GRANT") || t.is(0, "ALTER") {
			a.s.Accepted = append(a.s.Accepted, strings.TrimRight(statement, "; \t\r\n"))
		}
		return true, nil
	}
	return false, nil
}

func (a *applier) node(node ast.DDL) error {
	switch n := node.(type) {
	case *ast.CreateTable:
		return a.createTable(n)
	case *ast.AlterTable:
		return a.alterTable(n)
	case *ast.DropTable:
		return a.dropTable(n)
	case *ast.CreateIndex:
		return a.createIndex(n)
	case *ast.DropIndex:
		return a.dropIndex(n)
	case *ast.AlterIndex:
		return a.alterIndex(n)
	case *ast.CreateSchema:
		if a.hasSchema(n.Name.Name) {
			if n.IfNotExists {
				return nil
			}
			return failed("Duplicate name in schema: %s.", n.Name.Name)
		}
		a.s.Schemas = append(a.s.Schemas, n.Name.Name)
		return nil
	case *ast.DropSchema:
		return a.dropSchema(n)
	}
	text, _, _ := strings.Cut(node.SQL(), "(")
	return status.Errorf(codes.Unimplemented, "The statement %.60s is not supported by this emulator.", text)
}

func (a *applier) hasSchema(name string) bool {
	for _, s := range a.s.Schemas {
		if a.s.Same(s, name) {
			return true
		}
	}
	return false
}

func (a *applier) dropSchema(n *ast.DropSchema) error {
	for i, s := range a.s.Schemas {
		if !a.s.Same(s, n.Name.Name) {
			continue
		}
		for _, t := range a.s.Tables {
			if before, _, ok := strings.Cut(t.Name, "."); ok && a.s.Same(before, s) {
				return failed("Cannot drop schema %s: it is not empty.", s)
			}
		}
		a.s.Schemas = append(a.s.Schemas[:i], a.s.Schemas[i+1:]...)
		return nil
	}
	if n.IfExists {
		return nil
	}
	return notFound("Schema not found: %s", n.Name.Name)
}

// free checks that a name of the database is not taken. The read function of
// a change stream takes one too.
func (a *applier) free(name string) error {
	taken := a.s.Table(name) != nil || a.s.Index(name) != nil || a.s.Stream(name) != nil
	for _, x := range a.s.Streams {
		taken = taken || a.s.Same("READ_"+x.Name, name)
	}
	if taken {
		return failed("Duplicate name in schema: %s.", name)
	}
	if len(name) > schema.MaxNameLength {
		return invalid("Name is too long: %.20s… has %d characters, the limit is %d.", name, len(name), schema.MaxNameLength)
	}
	if before, _, ok := strings.Cut(name, "."); ok && !a.hasSchema(before) {
		return notFound("Schema not found: %s", before)
	}
	return nil
}

func path(p *ast.Path) string {
	var names []string
	for _, id := range p.Idents {
		names = append(names, id.Name)
	}
	return strings.TrimPrefix(strings.Join(names, "."), "public.")
}
