package differential

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/spancast/spancast/test/conformance"
)

// change is one row change, the unit of comparison.
type change struct {
	Table, Keys, Type, New, Old, Capture string
	Columns                              string
}

// side is one server in a round.
type side struct {
	conformance.Handle
	dialect conformance.Dialect
	google  bool
	commits map[time.Time]int // to the transaction's number
}

// read collects all changes of a stream by transaction.
func (s *side) read(ctx context.Context, stream string, from, to time.Time) (map[int][]change, error) {
	query := conformance.Query{Stream: conformance.Stream{Database: s.Name, Name: stream, Dialect: s.dialect}, Start: from}
	var tokens []string
	err := conformance.RunQuery(ctx, s.Conn, query, func(r conformance.Row) error {
		if r.Child != nil {
			for _, p := range r.Child.Partitions {
				tokens = append(tokens, p.Token)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := map[int][]change{}
	query.End = to
	for _, token := range tokens {
		query.Token = token
		err := conformance.RunQuery(ctx, s.Conn, query, func(r conformance.Row) error {
			if r.Data != nil {
				n, ok := s.commits[r.Data.CommitTimestamp.UTC()]
				if !ok {
					return fmt.Errorf("a record at %s, when nothing was committed", r.Data.CommitTimestamp)
				}
				out[n] = append(out[n], flatten(r.Data)...)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for n := range out {
		out[n] = normalise(out[n])
	}
	return out, nil
}

func flatten(r *conformance.Record) []change {
	columns := make([]string, 0, len(r.Columns))
	for _, c := range r.Columns {
		columns = append(columns, fmt.Sprintf("%s %s %v %d", c.Name, sortedJSON(c.Type), c.Key, c.Ordinal))
	}
	var out []change
	for _, m := range r.Mods {
		out = append(out, change{Table: r.Table, Keys: sortedJSON(m.Keys), Type: r.ModType, New: sortedJSON(m.New), Old: sortedJSON(m.Old), Capture: r.CaptureType,
			Columns: strings.Join(columns, ", ")})
	}
	return out
}

func sortedJSON(text string) string {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return "not JSON: " + text
	}
	out, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// normalise takes the known differences out: the order of changes within a
// transaction (Google's emulator orders by table and key), and the DELETE
// before the INSERT of a row that was replaced, which it leaves out.
func normalise(in []change) []change {
	type row struct{ table, keys string }
	inserted := map[row]bool{}
	for _, c := range in {
		if c.Type == "INSERT" {
			inserted[row{c.Table, c.Keys}] = true
		}
	}
	out := slices.DeleteFunc(in, func(c change) bool { return c.Type == "DELETE" && inserted[row{c.Table, c.Keys}] })
	sort.Slice(out, func(i, j int) bool { return fmt.Sprint(out[i]) < fmt.Sprint(out[j]) })
	return out
}
