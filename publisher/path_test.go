package publisher

import (
	"testing"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/topics"
)

// recordPath returns the record path, warm, to be run over one frame: from the
// bytes of a PartialResultSet to the three frames of its messages, without
// socket. Bytes counts what came out.
func recordPath(t testing.TB, records, mods int, template string) (pass func(), bytes *int) {
	t.Helper()
	first, next := benchFrames(t, records, mods)
	parsed, err := topics.ParseTemplate(template)
	check(t, err)
	router := topics.New("shop", "Everything", parsed, nil)
	p := &Publisher{opt: Options{Router: func() *topics.Router { return router }, NewBody: func() Body { return Native{} }, Ignore: func(string) bool { return false }}}
	p.batches.New = func() any { return new(batch) }
	p.coverage.Store(newCoverage([][]string{{""}}))
	o := newOutlet(&Options{Epoch: testEpoch}, Audience{Topics: []string{""}})
	s := p.Sink(changestream.Partition{}).(*sink)
	d := changestream.NewDecoder(new(changestream.Schemas))
	check(t, d.Reset(first))
	bytes = new(int)
	fail := func(err error) { // check, whose Helper costs more than a record
		if err != nil {
			t.Fatal(err)
		}
	}
	pass = func() {
		fail(d.Reset(next))
		for {
			kind, err := d.Next()
			fail(err)
			if kind == changestream.KindNone {
				break
			}
			fail(s.Change(d.Data()))
		}
		batch := s.batch
		for i := range batch.entries {
			e := &batch.entries[i]
			if schema := batch.records[e.record].schema; o.schemas.isNew(e.route.SchemaLevel, schema) {
				o.schemas.add(e.route.SchemaLevel, schema)
			}
			plan := o.plan(e.route)
			topic, header, body := o.assemble(batch, e, &plan)
			*bytes += len(topic) + len(header) + len(body)
		}
		batch.reset()
	}
	pass()
	return pass, bytes
}
