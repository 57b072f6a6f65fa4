package sql

import (
	"slices"

	"github.com/cloudspannerecosystem/memefish/ast"

	"github.com/spancast/spancast/emulator/internal/schema"
)

// Partitionable checks that a query can be divided, as Spanner wants it: every
// row of the result must come from its part of the data alone. It returns the
// table to divide, nil where this emulator runs the query as a whole.
func Partitionable(statement ast.Statement, sch *schema.Schema) (*schema.Table, error) {
	q, ok := statement.(*ast.QueryStatement)
	if !ok {
		return nil, invalid("Only queries can be partitioned, not DML statements.")
	}
	if what := gathers(q.Query); what != "" {
		return nil, invalid("Query is not root partitionable since it does not have a DistributedUnion at the root: it has %s.", what)
	}
	table, _ := rootTable(q.Query, sch)
	return table, nil
}

// gathers names what in a query needs all data in one place; "" is nothing.
func gathers(q ast.QueryExpr) string {
	if full, ok := q.(*ast.Query); ok {
		switch {
		case full.OrderBy != nil:
			return "ORDER BY"
		case full.Limit != nil:
			return "LIMIT"
		}
		return gathers(full.Query)
	}
	switch q := q.(type) {
	case *ast.SubQuery:
		return gathers(q.Query)
	case *ast.CompoundQuery:
		return "a set operation"
	case *ast.Select:
		switch {
		case q.AllOrDistinct == ast.AllOrDistinctDistinct:
			return "DISTINCT"
		case q.GroupBy != nil:
			return "GROUP BY"
		case slices.ContainsFunc(q.Results, func(n ast.SelectItem) bool { return hasAggregate(n) }):
			return "an aggregate function"
		}
	}
	return ""
}

// rootTable finds the one table that a query selects from, and where it says so.
func rootTable(q ast.QueryExpr, sch *schema.Schema) (*schema.Table, ast.TableExpr) {
	if full, ok := q.(*ast.Query); ok {
		if full.With != nil { // its names would hide tables
			return nil, nil
		}
		q = full.Query
	}
	s, ok := q.(*ast.Select)
	if !ok || s.From == nil || gathers(s) != "" {
		return nil, nil
	}
	switch n := s.From.Source.(type) {
	case *ast.TableName:
		if table := sch.Table(n.Table.Name); table != nil {
			return table, n
		}
	case *ast.PathTableExpr:
		if names := pathNames(n.Path); len(names) == 2 {
			if table := sch.Table(names[0] + "." + names[1]); table != nil {
				return table, n
			}
		}
	}
	return nil, nil
}
