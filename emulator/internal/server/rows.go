package server

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"unicode/utf8"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/spancast/spancast/emulator/internal/engine"
	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/store"
	"github.com/spancast/spancast/emulator/internal/value"
)

const (
	rowsPerPart  = 100
	bytesPerPart = 256 << 10
	chunkDefault = 1 << 20
)

func (s *Server) chunkSize() int {
	if n := s.config.Faults.Get().ChunkSize; n > 0 {
		return n
	}
	return chunkDefault
}

func (w *work) commitOptions() engine.CommitOptions {
	return engine.CommitOptions{Tag: w.named.tag, Exclude: w.named.options.GetExcludeTxnFromChangeStreams()}
}

// A resume token of a query or read is "timestamp:rows", in base64: the rows
// sent so far of a result as of a timestamp, at which a single-use transaction
// then reads again.
func (w *work) resume(token []byte) (skip int, err error) {
	if len(token) == 0 {
		return 0, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(string(token))
	if err != nil {
		return 0, invalid("Invalid resume token.")
	}
	left, right, _ := strings.Cut(string(raw), ":")
	ts, err1 := strconv.ParseInt(left, 10, 64)
	n, err2 := strconv.Atoi(right)
	if err1 != nil || err2 != nil || n < 0 {
		return 0, invalid("Invalid resume token.")
	}
	if w.named == nil {
		w.Txn = w.db.Snapshot(store.Timestamp(ts))
	}
	return n, nil
}

// rowStream sends rows as PartialResultSets. Those of a read-write transaction
// are held until the transaction is released.
type rowStream struct {
	w       *work
	stream  parts
	held    []*sppb.PartialResultSet
	part    *sppb.PartialResultSet
	at      store.Timestamp
	skip    int
	sent    int // rows in all parts so far, skipped ones included
	rows    int // in the current part
	size    int
	chunk   int
	started bool
}

func (w *work) rowStream(stream parts, m *sppb.ResultSetMetadata, skip, chunk int) *rowStream {
	if w.ReadOnly() && w.named != nil {
		w.release()
	}
	return &rowStream{w: w, stream: stream, part: &sppb.PartialResultSet{Metadata: m}, at: w.ReadTimestamp(), skip: skip, chunk: chunk}
}

func (o *rowStream) row(row []any) error {
	if o.sent++; o.sent <= o.skip {
		return nil
	}
	for _, v := range row {
		p := value.ToProto(v)
		o.size += proto.Size(p)
		o.part.Values = append(o.part.Values, p)
	}
	if o.rows++; o.rows < rowsPerPart && o.size < bytesPerPart {
		return nil
	}
	return o.flush()
}

func (o *rowStream) flush() error {
	token := strconv.FormatInt(int64(o.at), 10) + ":" + strconv.Itoa(o.sent)
	o.part.ResumeToken = []byte(base64.RawURLEncoding.EncodeToString([]byte(token)))
	err := o.w.Valid()
	if err == nil && o.w.open {
		o.held = append(o.held, o.part)
	} else if err == nil {
		err = sendChunks(o.stream, o.part, o.chunk)
	}
	o.part, o.rows, o.size, o.started = &sppb.PartialResultSet{}, 0, 0, true
	return err
}

func (o *rowStream) finish(stats *sppb.ResultSetStats, token *sppb.MultiplexedSessionPrecommitToken) error {
	o.part.Stats, o.part.PrecommitToken, o.part.Last = stats, token, true
	if !o.started || len(o.part.Values) > 0 || stats != nil || token != nil {
		if err := o.flush(); err != nil {
			return err
		}
	}
	o.w.release()
	for _, part := range o.held {
		if err := sendChunks(o.stream, part, o.chunk); err != nil {
			return err
		}
	}
	return nil
}

// sendChunks sends a part, cut into several where it is longer than chunk.
func sendChunks(stream parts, part *sppb.PartialResultSet, chunk int) error {
	if proto.Size(part) <= chunk {
		return stream.Send(part)
	}
	pieces := cut(part.Values, chunk)
	for i, piece := range pieces {
		out := &sppb.PartialResultSet{Values: piece.values, ChunkedValue: piece.chunked}
		if i == 0 {
			out.Metadata = part.Metadata
		}
		if i == len(pieces)-1 {
			out.ResumeToken, out.Stats, out.PrecommitToken, out.Last = part.ResumeToken, part.Stats, part.PrecommitToken, part.Last
		}
		if err := stream.Send(out); err != nil {
			return err
		}
	}
	return nil
}

// piece is the values of one PartialResultSet; chunked says that the last one
// goes on in the next piece.
type piece struct {
	values  []*structpb.Value
	chunked bool
}

// cut divides values into pieces of about limit bytes.
func cut(values []*structpb.Value, limit int) []piece {
	var out []piece
	var current []*structpb.Value
	size := 0
	for _, v := range values {
		parts := []*structpb.Value{v}
		if n := proto.Size(v); n > limit {
			parts = split(v, limit)
		}
		for i, part := range parts {
			current = append(current, part)
			size += proto.Size(part)
			if more := i < len(parts)-1; more || size >= limit {
				out = append(out, piece{current, more})
				current, size = nil, 0
			}
		}
	}
	if len(current) > 0 {
		out = append(out, piece{current, false})
	}
	return out
}

// split cuts one value into parts that merge into it again: strings anywhere
// between characters; lists between elements, where a part that would begin
// with an element of the kind that merges begins with an empty one instead.
func split(v *structpb.Value, limit int) []*structpb.Value {
	switch k := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		return splitString(k.StringValue, limit)
	case *structpb.Value_ListValue:
		return splitList(k.ListValue.GetValues(), limit)
	}
	return []*structpb.Value{v}
}

func splitString(s string, limit int) []*structpb.Value {
	var out []*structpb.Value
	for len(s) > limit {
		n := limit
		for n > 1 && !utf8.RuneStart(s[n]) {
			n--
		}
		if !utf8.RuneStart(s[n]) { // a character longer than the limit
			_, n = utf8.DecodeRuneInString(s)
		}
		out = append(out, structpb.NewStringValue(s[:n]))
		s = s[n:]
	}
	return append(out, structpb.NewStringValue(s))
}

func splitList(elements []*structpb.Value, limit int) []*structpb.Value {
	var out []*structpb.Value
	var current []*structpb.Value
	size := 0
	flush := func() {
		out = append(out, structpb.NewListValue(&structpb.ListValue{Values: current}))
		current, size = nil, 0
	}
	for _, e := range elements {
		if size > 0 && size+proto.Size(e) > limit {
			last := current[len(current)-1]
			flush()
			if filler := empty(last); filler != nil {
				current = append(current, filler)
			}
		}
		parts := []*structpb.Value{e}
		if proto.Size(e) > limit {
			parts = split(e, limit)
		}
		for i, part := range parts {
			if i > 0 {
				flush()
			}
			current = append(current, part)
			size += proto.Size(part)
		}
	}
	flush()
	return out
}

// empty is what merges with a value without changing it; nil where values of
// the kind are not merged at all.
func empty(v *structpb.Value) *structpb.Value {
	switch v.GetKind().(type) {
	case *structpb.Value_StringValue:
		return structpb.NewStringValue("")
	case *structpb.Value_ListValue:
		return structpb.NewListValue(&structpb.ListValue{})
	}
	return nil
}

func (s *spannerService) Read(ctx context.Context, r *sppb.ReadRequest) (out *sppb.ResultSet, err error) {
	w, err := s.work(ctx, r.GetSession(), r.GetTransaction(), r.GetRequestOptions().GetTransactionTag())
	if err != nil {
		return nil, err
	}
	defer func() { w.done(err) }()
	request, err := readRequest(r.GetTransaction().GetId(), r)
	if err != nil {
		return nil, err
	}
	columns, rows, err := w.Read(request)
	if err != nil {
		return nil, err
	}
	out = &sppb.ResultSet{Metadata: &sppb.ResultSetMetadata{RowType: rowType(fieldsOf(columns)), Transaction: w.metadata(r.GetTransaction())}}
	rows(func(row []any) bool {
		out.Rows = append(out.Rows, listRow(row))
		return ctx.Err() == nil
	})
	out.PrecommitToken = w.named.precommitToken()
	if err := w.Valid(); err != nil {
		return nil, err
	}
	return out, ctx.Err()
}

// readRequest is a read in the engine's words, in a transaction or with none.
func readRequest(tx []byte, r *sppb.ReadRequest) (engine.ReadRequest, error) {
	if len(r.GetPartitionToken()) > 0 && r.GetLimit() != 0 {
		return engine.ReadRequest{}, invalid("A read of a partition must not have a limit.")
	}
	part, err := part(r.GetPartitionToken(), readDigest(tx, r))
	return engine.ReadRequest{Table: r.GetTable(), Index: r.GetIndex(), Columns: r.GetColumns(), Keys: r.GetKeySet(), Limit: r.GetLimit(), Part: part}, err
}

func (s *spannerService) StreamingRead(r *sppb.ReadRequest, stream sppb.Spanner_StreamingReadServer) (err error) {
	ctx := stream.Context()
	w, err := s.work(ctx, r.GetSession(), r.GetTransaction(), r.GetRequestOptions().GetTransactionTag())
	if err != nil {
		return err
	}
	defer func() { w.done(err) }()
	skip, err := w.resume(r.GetResumeToken())
	if err != nil {
		return err
	}
	request, err := readRequest(r.GetTransaction().GetId(), r)
	if err != nil {
		return err
	}
	columns, rows, err := w.Read(request)
	if err != nil {
		return err
	}
	out := w.rowStream(stream, &sppb.ResultSetMetadata{RowType: rowType(fieldsOf(columns)), Transaction: w.metadata(r.GetTransaction())}, skip, s.chunkSize())
	rows(func(row []any) bool {
		if err = ctx.Err(); err == nil {
			err = out.row(row)
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	return out.finish(nil, w.named.precommitToken())
}

// head is the metadata of a change stream result, encoded.
func head(m *sppb.ResultSetMetadata) ([]byte, error) {
	return proto.Marshal(&sppb.PartialResultSet{Metadata: m})
}

// tail is the resume token of a frame.
func tail(resume string) []byte {
	out := append(make([]byte, 0, len(resume)+3), 0x22)
	for n := uint(len(resume)); ; n >>= 7 {
		if n < 0x80 {
			out = append(out, byte(n))
			break
		}
		out = append(out, byte(n)|0x80)
	}
	return append(out, resume...)
}

func fieldsOf(columns []*schema.Column) []value.Field {
	out := make([]value.Field, len(columns))
	for i, c := range columns {
		out[i] = value.Field{Name: c.Name, Type: c.Type}
	}
	return out
}
