// Package sql runs GoogleSQL queries and DML on rows that a Source yields.
//
// A statement is parsed by memefish and compiled into closures: every
// expression knows its type before the first row is read, so names, types and
// what is not supported are errors before anything happens. Queries push their
// rows to the caller one by one; nothing but sorting, grouping and joins holds
// rows back.
//
// Errors carry gRPC codes: INVALID_ARGUMENT for what Spanner would refuse too,
// UNIMPLEMENTED with the construct's name for what only this emulator refuses.
package sql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"github.com/cloudspannerecosystem/memefish"
	"github.com/cloudspannerecosystem/memefish/ast"
	"github.com/cloudspannerecosystem/memefish/token"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/store"
	"github.com/spancast/spancast/emulator/internal/value"
)

// Source is what statements read, and write where it is not read-only.
type Source interface {
	Schema() *schema.Schema
	ReadOnly() bool
	Scan(table *schema.Table, from, to string, each func(key string, row []any) bool)
	Insert(table *schema.Table, columns []*schema.Column, values []any) ([]any, error)
	Update(table *schema.Table, key string, columns []*schema.Column, values []any) ([]any, error)
	Delete(table *schema.Table, key string) error
}

// Params are a request's query parameters.
type Params struct {
	Values *structpb.Struct
	Types  map[string]*sppb.Type
	Part   store.Range // of the table that Partitionable names; the zero value is all
}

// Result is a statement that has been compiled, and for DML also executed.
type Result struct {
	Columns []value.Field // empty for DML without THEN RETURN
	DML     bool
	Count   int64 // rows that DML changed
	Rows    func(each func(row []any) error) error
}

// The limits of a statement, so that parsing one cannot exhaust the stack.
const (
	maxText   = 1 << 20
	maxNested = 100
)

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

func unsupported(format string, args ...any) error {
	return status.Errorf(codes.Unimplemented, format+" is not supported by this emulator.", args...)
}

// Parse reads one query or DML statement.
func Parse(text string) (ast.Statement, error) {
	if err := Guard(text); err != nil {
		return nil, err
	}
	text = strings.TrimRight(text, "; \t\r\n")
	statement, err := Caught(memefish.ParseStatement, text)
	if err != nil {
		return nil, parseError(err)
	}
	switch statement.(type) {
	case *ast.QueryStatement, *ast.Insert, *ast.Update, *ast.Delete:
		return statement, nil
	case ast.DDL:
		return nil, invalid("DDL statements are run by UpdateDatabaseDdl, not as queries.")
	}
	return nil, unsupported("The statement %T", statement)
}

// Caught calls a parser of memefish. Where that describes an error at the very
// end of a text it may look beyond the end, as for an escape sequence that is
// cut off; then the text is as wrong as with any other error.
func Caught[T any](parse func(file, text string) (T, error), text string) (node T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the statement ends too early (%v)", r)
		}
	}()
	return parse("", text)
}

func parseError(err error) error {
	text := err.Error()
	if i := strings.IndexByte(text, '\n'); i > 0 {
		text = text[:i]
	}
	return invalid("Syntax error: %s", text)
}

// Guard refuses texts that are too long or nested too deeply to be parsed by
// recursion.
func Guard(text string) error {
	if len(text) > maxText {
		return invalid("The statement is longer than %d characters.", maxText)
	}
	kinds, err := Caught(lex, text)
	if err != nil {
		return parseError(err)
	}
	depth, prefixes, types := 0, 0, 0
	for _, kind := range kinds {
		prefix := false
		switch kind {
		case "(", "[", "{", "CASE":
			depth++
		case ")", "]", "}", "END":
			depth--
		case "-", "+", "~", "NOT":
			prefix = true
		case "ARRAY", "STRUCT":
			types++
		}
		if prefix {
			prefixes++
		} else {
			prefixes = 0
		}
		if depth > maxNested || prefixes > maxNested || types > 10*maxNested {
			return invalid("The statement is nested too deeply.")
		}
	}
	return nil
}

// lex lists the kinds of a text's tokens.
func lex(_, text string) (kinds []token.TokenKind, err error) {
	lexer := &memefish.Lexer{File: &token.File{Buffer: text}}
	for {
		if err := lexer.NextToken(); err != nil {
			return nil, err
		}
		if lexer.Token.Kind == token.TokenEOF {
			return kinds, nil
		}
		kinds = append(kinds, lexer.Token.Kind)
	}
}

// IsDML reports whether a statement changes data.
func IsDML(statement ast.Statement) bool {
	_, query := statement.(*ast.QueryStatement)
	return !query
}

// Run compiles a statement and executes it if it is DML. With plan set nothing
// is executed.
func Run(ctx context.Context, src Source, statement ast.Statement, params Params, now time.Time, plan bool) (*Result, error) {
	c := &compiler{src: src, schema: src.Schema(), params: params, run: &run{ctx: ctx, now: now}}
	switch s := statement.(type) {
	case *ast.QueryStatement:
		if params.Part != (store.Range{}) {
			if _, c.whole = rootTable(s.Query, c.schema); c.whole == nil {
				return nil, invalid("The query cannot be partitioned.")
			}
		}
		p, err := c.query(s.Query, nil)
		if err != nil {
			return nil, err
		}
		return &Result{Columns: p.fields(), Rows: func(each func([]any) error) error {
			return ignoreStop(p.run(nil, each))
		}}, nil
	case *ast.Insert, *ast.Update, *ast.Delete:
		if src.ReadOnly() && !plan {
			return nil, invalid("DML statements can only be performed in a read-write or partitioned-dml transaction.")
		}
		return c.dml(s, plan)
	}
	return nil, unsupported("The statement %T", statement)
}

// errStop ends the flow of rows without being an error.
var errStop = errors.New("stop")

func ignoreStop(err error) error {
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}
