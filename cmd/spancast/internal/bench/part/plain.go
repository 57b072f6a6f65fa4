package part

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"cloud.google.com/go/spanner"
	zmq "github.com/pebbe/zmq4"
	"google.golang.org/api/iterator"

	"github.com/spancast/spancast/cmd/spancast/internal/connect"
)

// plain is what one writes without Spancast: the rows of spanner.Client, made
// structs by ToStruct, and if it publishes, SendMessage for each change.
type plain struct {
	q       *Request
	ctx     *zmq.Context
	socket  *zmq.Socket // nil: not published
	sending sync.Mutex
	sent    atomic.Uint64
}

// record is what users of spanner.Client decode a change record into.
type record struct {
	Data []*struct {
		CommitTimestamp     time.Time `spanner:"commit_timestamp"`
		RecordSequence      string    `spanner:"record_sequence"`
		ServerTransactionID string    `spanner:"server_transaction_id"`
		Last                bool      `spanner:"is_last_record_in_transaction_in_partition"`
		Table               string    `spanner:"table_name"`
		ColumnTypes         []*struct {
			Name    string           `spanner:"name"`
			Type    spanner.NullJSON `spanner:"type"`
			Key     bool             `spanner:"is_primary_key"`
			Ordinal int64            `spanner:"ordinal_position"`
		} `spanner:"column_types"`
		Mods []*struct {
			Keys spanner.NullJSON `spanner:"keys"`
			New  spanner.NullJSON `spanner:"new_values"`
			Old  spanner.NullJSON `spanner:"old_values"`
		} `spanner:"mods"`
		ModType    string `spanner:"mod_type"`
		Capture    string `spanner:"value_capture_type"`
		Records    int64  `spanner:"number_of_records_in_transaction"`
		Partitions int64  `spanner:"number_of_partitions_in_transaction"`
		Tag        string `spanner:"transaction_tag"`
		System     bool   `spanner:"is_system_transaction"`
	} `spanner:"data_change_record"`
	Heartbeat []*struct {
		Timestamp time.Time `spanner:"timestamp"`
	} `spanner:"heartbeat_record"`
	Children []*struct {
		Start      time.Time `spanner:"start_timestamp"`
		Sequence   string    `spanner:"record_sequence"`
		Partitions []*struct {
			Token   string   `spanner:"token"`
			Parents []string `spanner:"parent_partition_tokens"`
		} `spanner:"child_partitions"`
	} `spanner:"child_partitions_record"`
}

func newPlain(q *Request, publish bool) (_ *plain, err error) {
	p := &plain{q: q}
	if !publish {
		return p, nil
	}
	if p.ctx, err = zmq.NewContext(); err != nil {
		return nil, err
	}
	if p.socket, err = p.ctx.NewSocket(zmq.XPUB); err != nil {
		return nil, err
	}
	return p, errors.Join(p.socket.SetSndhwm(20000), p.socket.SetXpubNodrop(true), p.socket.SetLinger(0), p.socket.SetSndtimeo(100*time.Millisecond), p.socket.Bind("tcp://127.0.0.1:*"))
}

func (p *plain) status(out *Status) {
	out.Messages = p.sent.Load()
	if p.socket != nil {
		p.sending.Lock()
		defer p.sending.Unlock()
		out.Endpoint, _ = p.socket.GetLastEndpoint()
	}
}

func (p *plain) run(ctx context.Context) error {
	client, err := connect.Client(ctx, p.q.target(), "")
	if err != nil {
		return err
	}
	defer client.Close()
	errs := make(chan error, len(p.q.Tokens))
	for _, token := range p.q.Tokens {
		go func() { errs <- p.read(ctx, client, token) }()
	}
	for range p.q.Tokens {
		if failed := <-errs; ctx.Err() == nil {
			err = errors.Join(err, failed)
		}
	}
	if p.socket != nil {
		p.socket.Close()
		p.ctx.Term()
	}
	return err
}

// read reads one partition.
func (p *plain) read(ctx context.Context, client *spanner.Client, token string) error {
	rows := client.Single().Query(ctx, spanner.Statement{
		SQL:    fmt.Sprintf("SELECT ChangeRecord FROM READ_%s(@start, NULL, @token, 10000)", p.q.Stream),
		Params: map[string]any{"start": p.q.Since, "token": token},
	})
	defer rows.Stop()
	for {
		row, err := rows.Next()
		if errors.Is(err, iterator.Done) {
			return nil
		}
		if err != nil {
			return err
		}
		var out struct{ ChangeRecord []*record }
		if err := row.ToStruct(&out); err != nil {
			return err
		}
		for _, r := range out.ChangeRecord {
			if err := p.publish(ctx, r); err != nil {
				return err
			}
		}
	}
}

// publish sends the changes of a record; without a socket they are only counted.
func (p *plain) publish(ctx context.Context, r *record) error {
	for _, d := range r.Data {
		if p.socket == nil {
			p.sent.Add(1)
			continue
		}
		for i, m := range d.Mods {
			header, err := json.Marshal(map[string]any{"table": d.Table, "op": d.ModType, "capture": d.Capture, "records": d.Records, "partitions": d.Partitions, "last": d.Last})
			if err != nil {
				return err
			}
			body, err := json.Marshal(map[string]any{"keys": m.Keys, "new_values": m.New, "old_values": m.Old})
			if err != nil {
				return err
			}
			version := fmt.Sprintf("%s/%s/%s/%d %s", d.CommitTimestamp.UTC().Format("2006-01-02T15:04:05.000000000Z"), d.ServerTransactionID, d.RecordSequence, i, header)
			if err := p.send(ctx, d.Table+"/"+d.ModType+"/", version, string(body)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *plain) send(ctx context.Context, frames ...any) error {
	p.sending.Lock()
	defer p.sending.Unlock()
	for {
		_, err := p.socket.SendMessage(frames...)
		if err == nil {
			p.sent.Add(1)
			return nil
		}
		if ctx.Err() != nil || !isFull(err) {
			return err
		}
	}
}

func isFull(err error) bool { return zmq.AsErrno(err) == zmq.Errno(syscall.EAGAIN) }
