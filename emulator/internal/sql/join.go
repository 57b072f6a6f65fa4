package sql

import (
	"slices"

	"github.com/cloudspannerecosystem/memefish/ast"

	"github.com/spancast/spancast/emulator/internal/value"
)

// join compiles a join as nested loops; the right side is read once unless it
// depends on the left row.
func (c *compiler) join(n *ast.Join, outer *scope, conditions []ast.Expr) (*source, error) {
	outerJoin := n.Op == ast.RightOuterJoin || n.Op == ast.FullOuterJoin
	leftConditions := conditions
	if outerJoin {
		leftConditions = nil
	}
	left, err := c.tableIn(n.Left, outer, leftConditions)
	if err != nil {
		return nil, err
	}
	sides := &scope{parent: outer.parent, columns: append(slices.Clone(outer.columns), left.columns...)}
	rightConditions := conditions
	if on, ok := n.Cond.(*ast.On); ok {
		rightConditions = conjuncts(on.Expr, slices.Clone(conditions))
	}
	if outerJoin {
		rightConditions = nil
	}
	right, err := c.tableIn(n.Right, sides, rightConditions)
	if err != nil {
		return nil, err
	}
	j := &joining{c: c, left: left, right: right, base: len(outer.columns), keepLeft: n.Op == ast.LeftOuterJoin || n.Op == ast.FullOuterJoin, keepRight: outerJoin,
		on: constant(value.Bool, true), columns: append(slices.Clone(left.columns), right.columns...)}
	all := &scope{parent: outer.parent, columns: append(slices.Clone(outer.columns), j.columns...)}
	switch cond := n.Cond.(type) {
	case *ast.On:
		j.on, err = c.condition(cond.Expr, all)
	case *ast.Using:
		err = j.using(cond, all)
	}
	if err != nil {
		return nil, err
	}
	return &source{columns: j.columns, lateral: left.lateral || right.lateral, run: j.run}, nil
}

// joining is a compiled join.
type joining struct {
	c                   *compiler
	left, right         *source
	base                int // columns of the tables to the left of the join
	keepLeft, keepRight bool
	on                  expr
	columns             []column
}

// using compiles USING: the columns are equal, and the right one is hidden.
func (j *joining) using(n *ast.Using, all *scope) error {
	nl := len(j.left.columns)
	for _, id := range n.Idents {
		l, usedL, errL := j.c.find(&scope{columns: j.left.columns}, []string{id.Name})
		r, usedR, errR := j.c.find(&scope{columns: j.right.columns}, []string{id.Name})
		if errL != nil || errR != nil || usedL == 0 || usedR == 0 {
			return invalid("Column %s in USING clause not found on both sides of join", clip(id.Name))
		}
		equal, err := comparison(ast.OpEqual, columnExpr(j.left.columns[l].typ, j.base+l, 0), columnExpr(j.right.columns[r].typ, j.base+nl+r, 0))
		if err == nil {
			j.on, err = logical(true, j.on, equal)
		}
		if err != nil {
			return err
		}
		j.columns[nl+r].hidden = true
		all.columns[j.base+nl+r].hidden = true
	}
	return nil
}

func (j *joining) run(outer *env, yield func([]any) error) error {
	var cached [][]any
	read := false
	rightRows := func(e *env, each func([]any) error) error {
		if j.right.lateral && !j.keepRight {
			return j.right.run(e, each)
		}
		if !read {
			read = true
			if err := j.right.run(e, func(row []any) error {
				cached = append(cached, row)
				return j.c.run.tick()
			}); err != nil {
				return err
			}
		}
		for _, row := range cached {
			if err := each(row); err != nil {
				return err
			}
		}
		return nil
	}
	matched := map[int]bool{}
	err := j.left.run(outer, func(left []any) error {
		e := &env{row: append(slices.Clone(outer.row), left...), parent: outer.parent}
		found, i := false, -1
		err := rightRows(e, func(right []any) error {
			i++
			if err := j.c.run.tick(); err != nil {
				return err
			}
			row := append(slices.Clone(left), right...)
			ok, err := j.on.eval(&env{row: append(slices.Clone(outer.row), row...), parent: outer.parent})
			if err != nil || ok != true {
				return err
			}
			found = true
			if j.keepRight {
				matched[i] = true
			}
			return yield(row)
		})
		if err != nil || found || !j.keepLeft {
			return err
		}
		return yield(append(slices.Clone(left), make([]any, len(j.right.columns))...))
	})
	if err != nil || !j.keepRight {
		return err
	}
	i := -1
	return rightRows(&env{row: outer.row, parent: outer.parent}, func(right []any) error {
		if i++; matched[i] {
			return nil
		}
		return yield(append(make([]any, len(j.left.columns)), right...))
	})
}
