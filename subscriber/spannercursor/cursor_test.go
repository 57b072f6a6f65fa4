package spannercursor_test

import (
	"testing"
	"time"

	"cloud.google.com/go/spanner"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/subscriber"
	"github.com/spancast/spancast/subscriber/spannercursor"
)

func TestCursor_KeepsPositionsInBothDialects(t *testing.T) {
	google, postgres := spannercursor.DDL("Cursors")
	s, err := emulator.Start(t.Context(), emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for dialect, ddl := range map[emulator.Dialect]string{emulator.GoogleSQL: google, emulator.PostgreSQL: postgres} {
		name := "projects/p/instances/i/databases/" + map[emulator.Dialect]string{emulator.GoogleSQL: "google", emulator.PostgreSQL: "postgres"}[dialect]
		if err := s.CreateDatabase(name, dialect, ddl); err != nil {
			t.Fatal(err)
		}
		client, err := spanner.NewClientWithConfig(t.Context(), name, spanner.ClientConfig{DisableNativeMetrics: true}, s.ClientOptions()...)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		a, b := spannercursor.New(client, "Cursors", "a"), spannercursor.New(client, "Cursors", "b")
		if p, err := a.Load(t.Context()); err != nil || !p.IsZero() {
			t.Errorf("%s: a new cursor is at %+v, %v", dialect, p, err)
		}
		for i, c := range []*spannercursor.Cursor{a, b, a} {
			if err := c.Save(t.Context(), subscriber.Position{Complete: time.Unix(int64(i), 5).UTC()}); err != nil {
				t.Fatalf("%s: %v", dialect, err)
			}
		}
		for want, c := range map[int64]*spannercursor.Cursor{2: a, 1: b} {
			if p, err := c.Load(t.Context()); err != nil || !p.Complete.Equal(time.Unix(want, 5)) {
				t.Errorf("%s: %+v, %v; want %d", dialect, p, err, want)
			}
		}
		if _, err := spannercursor.New(client, "Nope", "a").Load(t.Context()); err == nil {
			t.Errorf("%s: a missing table is taken for a missing row", dialect)
		}
	}
}
