package topics

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/internal/jsonscan"
)

// Read is the operation of rows that a snapshot sends.
const Read changestream.ModType = "READ"

// A Router knows the template and the rules. It may be used by any number of
// goroutines, each through a Planner.
type Router struct {
	database, stream string
	template         *Template
	rules            []Rule
	byColumn         bool // whether a rule asks for changed columns

	mu     sync.Mutex
	routes map[string]*Route
}

// New returns a router. Database is the last part of the database's name.
func New(database, stream string, template *Template, rules []Rule) *Router {
	r := &Router{database: database, stream: stream, template: template, rules: rules, routes: make(map[string]*Route)}
	for _, rule := range rules {
		r.byColumn = r.byColumn || len(rule.columns) > 0
	}
	return r
}

// FromRows tells whether topics are made of row data.
func (r *Router) FromRows() bool {
	return r.template.fromRows() || slices.ContainsFunc(r.rules, func(rule Rule) bool {
		return slices.ContainsFunc(rule.templates, (*Template).fromRows)
	})
}

// A KeyColumn is a {key.NAME} of a template.
type KeyColumn struct {
	Template *Template
	Rule     int // that has the template, from 1; 0: it is the default template
	Name     string
}

// From says where the template stands.
func (k KeyColumn) From() string {
	if k.Rule == 0 {
		return "the default template"
	}
	return fmt.Sprint("rule ", k.Rule)
}

// NoKeys lists those {key.NAME} that are always NULL: no table that their
// template is for has such a key column. Keys are the names of the key columns of
// every table; without any table, all are listed.
func (r *Router) NoKeys(keys map[string][]string) []KeyColumn {
	out := r.template.noKeys(0, func(string) bool { return true }, keys)
	for i := range r.rules {
		for _, t := range r.rules[i].templates {
			out = append(out, t.noKeys(i+1, r.rules[i].isFor, keys)...)
		}
	}
	return out
}

// Shown is a prefix for people to look at, who need not be allowed to see rows:
// where topics are made of row data, it ends at the last level that is not, as
// far as changes have shown which those are.
func (r *Router) Shown(prefix string) string {
	if !r.FromRows() {
		return prefix
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known := ""
	for _, route := range r.routes {
		for _, level := range route.Levels {
			if len(level) > len(known) && strings.HasPrefix(prefix, level) {
				known = level
			}
		}
	}
	if known == prefix {
		return prefix
	}
	return known + "…"
}

// A Planner finds the routes of changes, and remembers them. It is for one
// goroutine.
type Planner struct {
	router *Router
	keep   func(*Route) bool // nil keeps all
	plans  map[planKey][]*Route
	last   planKey
	latest []*Route
}

type planKey struct {
	schema *changestream.Schema
	op     changestream.ModType
	rule   int // that matched; -1: to be found by schema and op alone
}

// maxPlans bounds what a planner remembers.
const maxPlans = 4096

// Planner returns a planner, of those routes that keep says yes to, if it is
// given: it is asked once for each.
func (r *Router) Planner(keep ...func(*Route) bool) *Planner {
	p := &Planner{router: r, plans: make(map[planKey][]*Route)}
	if len(keep) > 0 {
		p.keep = keep[0]
	}
	return p
}

// Routes returns the routes of a change: none when it is dropped. Within one
// record only changes under NEW_ROW_AND_OLD_VALUES, and rules that ask for
// columns, can make them differ.
func (p *Planner) Routes(rec *changestream.DataChangeRecord, mod *changestream.Mod) []*Route {
	key := planKey{schema: rec.Schema, op: rec.ModType, rule: -1}
	if p.router.byColumn && rec.ModType == changestream.ModUpdate && rec.ValueCaptureType == changestream.NewRowAndOldValues {
		key.rule = p.router.match(rec.Schema.Table, rec.ModType, func(column string) bool { return hasMember(mod.OldValues, column) })
	}
	if key == p.last && p.latest != nil {
		return p.latest
	}
	routes, ok := p.plans[key]
	if !ok {
		if len(p.plans) >= maxPlans {
			clear(p.plans)
		}
		routes = p.router.plan(key)
		if p.keep != nil {
			routes = slices.DeleteFunc(routes, func(r *Route) bool { return !p.keep(r) })
		}
		p.plans[key] = routes
	}
	p.last, p.latest = key, routes
	return routes
}

// match returns the index of the rule that decides, len(rules) for none.
func (r *Router) match(table string, op changestream.ModType, changed func(string) bool) int {
	for i := range r.rules {
		if r.rules[i].matches(table, op, changed) {
			return i
		}
	}
	return len(r.rules)
}

// plan works out the routes for a kind of change. What has changed is, for an
// update, what its column list names (under NEW_ROW that is all that is watched:
// which of it changed, Spanner does not say); for other operations every column.
func (r *Router) plan(key planKey) []*Route {
	rule := key.rule
	if rule < 0 {
		rule = r.match(key.schema.Table, key.op, func(column string) bool { return hasColumn(key.schema, column) })
	}
	templates := []*Template{r.template}
	if rule < len(r.rules) {
		templates = r.rules[rule].templates
	}
	routes := make([]*Route, len(templates))
	for i, t := range templates {
		routes[i] = r.intern(newRoute(t, names{database: r.database, stream: r.stream, schema: key.schema, op: key.op}))
	}
	return routes
}

func (r *Router) intern(route *Route) *Route {
	r.mu.Lock()
	defer r.mu.Unlock()
	hash := route.hash()
	if old := r.routes[hash]; old != nil && old.equal(route) {
		return old
	}
	r.routes[hash] = route
	return route
}

// hasColumn looks for a column that is no key: keys do not change.
func hasColumn(s *changestream.Schema, name string) bool {
	for _, c := range s.Columns {
		if !c.IsPrimaryKey && strings.EqualFold(c.Name, name) {
			return true
		}
	}
	return false
}

func hasMember(object []byte, name string) bool {
	m, err := jsonscan.Object(object)
	for err == nil && m.Next() {
		if strings.EqualFold(string(m.Key), name) {
			return true
		}
	}
	return false
}
