package demo

import (
	"math/big"
	"math/rand/v2"

	"cloud.google.com/go/spanner"
)

// work makes up the transactions of a small shop: customers come and move,
// orders are placed, paid, shipped, and deleted in the end.
type work struct {
	customers int64
	placed    int64
	open      []order
}

type order struct {
	id     int64
	status int
}

var (
	orderStatus = []string{"placed", "paid", "shipped", "delivered"}
	names       = []string{"Ada", "Edsger", "Grace", "Barbara", "Donald", "Katherine", "Niklaus", "Radia"}
	cities      = []string{"Lisbon", "Osaka", "Tallinn", "Lagos", "Valparaíso", "Galway", "Pune", "Tromsø"}
)

func newWork() *work { return &work{} }

// next returns the mutations of one transaction.
func (w *work) next() []*spanner.Mutation {
	switch n := rand.IntN(10); {
	case w.customers == 0 || n == 0:
		w.customers++
		return []*spanner.Mutation{spanner.Insert("Customers", []string{"CustomerId", "Name", "City"}, []any{w.customers, pick(names), pick(cities)})}
	case n == 1:
		return []*spanner.Mutation{spanner.Update("Customers", []string{"CustomerId", "City"}, []any{1 + rand.Int64N(w.customers), pick(cities)})}
	case len(w.open) == 0 || n < 5:
		return w.place()
	}
	i := rand.IntN(len(w.open))
	o := &w.open[i]
	if o.status++; o.status < len(orderStatus) {
		return []*spanner.Mutation{spanner.Update("Orders", []string{"OrderId", "Status"}, []any{o.id, orderStatus[o.status]})}
	}
	id := o.id
	w.open = append(w.open[:i], w.open[i+1:]...)
	return []*spanner.Mutation{spanner.Delete("Orders", spanner.Key{id})}
}

func (w *work) place() []*spanner.Mutation {
	w.placed++
	w.open = append(w.open, order{id: w.placed})
	total := big.NewRat(rand.Int64N(20000)+99, 100)
	return []*spanner.Mutation{spanner.Insert("Orders", []string{"OrderId", "CustomerId", "Status", "Total"},
		[]any{w.placed, 1 + rand.Int64N(w.customers), orderStatus[0], total})}
}

func pick(of []string) string { return of[rand.IntN(len(of))] }
