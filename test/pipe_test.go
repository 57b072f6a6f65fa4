package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/test/conformance"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/spannerdb"
)

// TestConformance_ThroughTheWholePipe runs the data-record cases of the protocol
// sheet (A to G and N) with spancast between the change stream and the one who
// looks: what a subscriber makes of the messages is compared with what a plain
// reader of the API would see. Cases that Google's emulator cannot pass are
// listed in package conformance with the reason, and the rule of production,
// which the embedded Spanner follows. The cases of section H are about single
// queries, which nobody sees through a pipe; they are run against the API itself
// there, and case 109, seven generations, is TestServe_FollowsEveryPartition….
func TestConformance_ThroughTheWholePipe(t *testing.T) {
	t.Run("google", func(t *testing.T) {
		runPipe(t, conformance.Server{Addr: spannerdb.Host(t), Kind: conformance.Google}, nil)
	})
	t.Run("embedded", func(t *testing.T) {
		server := embedded(t, emulator.Options{})
		// Between two transactions, never during one: the cases say how many
		// records a transaction makes in one partition.
		runPipe(t, conformance.Server{Addr: server.Addr(), Kind: conformance.Production}, func(s conformance.Stream) error {
			for range 2 { // a split or a merge, and what undoes it
				if err := server.Churn(s.Database, s.Name, emulator.Step, ""); err != nil && !errors.Is(err, emulator.ErrChurn) {
					return err
				}
			}
			return nil
		})
	})
}

// runPipe runs the cases; churn, if there is one, is called after each
// transaction and changes the partitions of the stream.
func runPipe(t *testing.T, server conformance.Server, churn func(conformance.Stream) error) {
	conformance.Run(t, server, &pipe{t: t, host: server.Addr, churn: churn, streams: make(map[conformance.Stream]*pipeStream)})
}

// pipe collects records through spancast.
type pipe struct {
	t     *testing.T
	host  string
	churn func(conformance.Stream) error

	mu      sync.Mutex
	streams map[conformance.Stream]*pipeStream
}

type pipeStream struct {
	replica    *harness.Replica
	subscriber *harness.Subscriber
}

// Open starts a replica for the stream and a subscriber to it.
func (p *pipe) Open(_ context.Context, s conformance.Stream) error {
	metadata := strings.Replace(s.Database, "/databases/c", "/databases/m", 1)
	env := map[string]string{
		"SPANNER_EMULATOR_HOST": p.host, "SPANCAST_DATABASE": s.Database, "SPANCAST_CHANGE_STREAM": s.Name,
		"SPANCAST_METADATA_DATABASE": metadata, "SPANCAST_METADATA_PREFIX": "For" + s.Name,
	}
	args := []string{"admin", "bootstrap"}
	if s.Dialect == conformance.PostgreSQL {
		args = append(args, "--dialect", "postgresql")
	}
	if status, _, stderr := harness.Run(p.t, env, args...); status != 0 {
		return fmt.Errorf("bootstrap: %d %s", status, stderr)
	}
	ps := &pipeStream{replica: harness.Serve(p.t, env)}
	ps.subscriber = harness.Subscribe(p.t, []string{ps.replica.Endpoint}, "")
	ps.subscriber.Reading()
	p.mu.Lock()
	p.streams[s] = ps
	p.mu.Unlock()
	return nil
}

// Collect waits until everything up to the commit was published.
func (p *pipe) Collect(_ context.Context, s conformance.Stream, commit time.Time) ([]conformance.Record, error) {
	p.mu.Lock()
	ps := p.streams[s]
	p.mu.Unlock()
	all := ps.subscriber.Resolved(commit)
	if p.churn != nil {
		if err := p.churn(s); err != nil {
			return nil, err
		}
	}
	return recordsAt(all, commit)
}

// Close ends the replica in order.
func (p *pipe) Close(s conformance.Stream) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams[s].replica.Stop()
	return nil
}

// recordsAt puts the records of a commit together again from its messages, of
// which there is one for each mod; columns come from the schema messages.
func recordsAt(all []*harness.Message, commit time.Time) ([]conformance.Record, error) {
	schemas := map[string]changestream.Schema{}
	var out []conformance.Record
	for _, m := range all {
		if m.Kind == message.Schema {
			var s struct {
				Table   string                `json:"table"`
				Hash    string                `json:"schema"`
				Columns []changestream.Column `json:"columns"`
			}
			if err := json.Unmarshal(m.Body, &s); err != nil {
				return nil, err
			}
			schemas[s.Table+" "+s.Hash] = changestream.Schema{Table: s.Table, Columns: s.Columns}
		}
		if m.Kind != "" || m.Version.CommitTimestamp != message.FormatTime(commit) {
			continue
		}
		if m.Version.Mod == 0 {
			r, err := record(m, schemas)
			if err != nil {
				return nil, err
			}
			out = append(out, r)
		}
		if len(out) == 0 || out[len(out)-1].Sequence != m.Version.RecordSequence || len(out[len(out)-1].Mods) != m.Version.Mod {
			return nil, fmt.Errorf("mod %s does not follow the one before", m.Version)
		}
		mods, err := m.Mods()
		if err != nil {
			return nil, err
		}
		last := &out[len(out)-1]
		last.Mods = append(last.Mods, conformance.Mod{Keys: string(mods.Keys), New: string(mods.New), Old: string(mods.Old)})
	}
	return out, nil
}

func record(m *harness.Message, schemas map[string]changestream.Schema) (conformance.Record, error) {
	a := m.Attributes
	at, err := m.Version.Time()
	r := conformance.Record{
		CommitTimestamp: at, Sequence: m.Version.RecordSequence, ServerTransactionID: m.Version.ServerTransactionID, Last: a.Last,
		Table: a.Table, ModType: a.Op, CaptureType: a.Capture, NumberOfRecords: a.Records, NumberOfPartitions: a.Partitions, Tag: a.Tag, System: a.System,
	}
	schema, ok := schemas[a.Table+" "+a.Schema]
	if !ok {
		return r, fmt.Errorf("the schema %s of %s was not announced before its first use", a.Schema, a.Table)
	}
	for _, c := range schema.Columns {
		r.Columns = append(r.Columns, conformance.Column{Name: c.Name, Type: string(c.Type), Key: c.IsPrimaryKey, Ordinal: c.OrdinalPosition})
	}
	if want := a.Table + "/" + a.Op + "/"; m.Topic != want {
		return r, fmt.Errorf("topic %q, want %q", m.Topic, want)
	}
	return r, err
}
