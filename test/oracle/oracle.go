// Package oracle decodes change stream rows slowly and simply, with generated
// protobuf types and encoding/json. Tests hold the decoder of package
// changestream to it, record by record; benchmarks stand it beside.
package oracle

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sort"
	"strconv"
	"time"

	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// Record is any record of a change stream; Kind says which fields count.
type Record struct {
	Kind string // data, heartbeat, children, start, end, event

	CommitTimestamp     time.Time // of a heartbeat its timestamp, of others the start, end or commit
	RecordSequence      string
	ServerTransactionID string
	Last                bool
	Table               string
	Columns             []Column
	Mods                []Mod
	ModType             string
	Capture             string
	Records, Partitions int64
	Tag                 string
	System              bool

	Children []Child  // of a child partitions record
	Tokens   []string // of start, end and event records
	In, Out  []string // of event records
}

// Column is one entry of column_types, its type as compact JSON.
type Column struct {
	Name    string
	Type    string
	Key     bool
	Ordinal int64
}

// Mod holds the JSON text of keys, new and old values.
type Mod struct{ Keys, New, Old string }

// Child is a child partition.
type Child struct {
	Token   string
	Parents []string
}

// Decoder decodes the results of one query.
type Decoder struct {
	row     *spannerpb.Type
	pending *structpb.Value
}

// Frame decodes the records of one PartialResultSet, which it does not change.
func (d *Decoder) Frame(frame *spannerpb.PartialResultSet) ([]Record, error) {
	if frame.GetMetadata() != nil {
		fields := frame.GetMetadata().GetRowType().GetFields()
		if len(fields) != 1 {
			return nil, fmt.Errorf("%d columns", len(fields))
		}
		d.row = fields[0].GetType()
	}
	values, err := d.whole(frame)
	if err != nil {
		return nil, err
	}
	var out []Record
	for _, v := range values {
		records, err := d.decodeRow(v)
		if err != nil {
			return nil, err
		}
		out = append(out, records...)
	}
	return out, nil
}

func (d *Decoder) decodeRow(v *structpb.Value) ([]Record, error) {
	switch d.row.GetCode() {
	case spannerpb.TypeCode_ARRAY:
		var out []Record
		for _, element := range v.GetListValue().GetValues() {
			records, err := fromMap(named(element, d.row.GetArrayElementType()))
			if err != nil {
				return nil, err
			}
			out = append(out, records...)
		}
		return out, nil
	case spannerpb.TypeCode_JSON, spannerpb.TypeCode_STRING:
		if v.GetStringValue() == "" {
			return nil, nil
		}
		return fromJSON([]byte(v.GetStringValue()))
	case spannerpb.TypeCode_PROTO, spannerpb.TypeCode_BYTES:
		raw, err := base64.StdEncoding.DecodeString(v.GetStringValue())
		if err != nil {
			return nil, err
		}
		var rec spannerpb.ChangeStreamRecord
		if err := proto.Unmarshal(raw, &rec); err != nil {
			return nil, err
		}
		return fromProto(&rec)
	}
	return nil, errors.New("no metadata")
}

// whole applies chunked_value.
func (d *Decoder) whole(frame *spannerpb.PartialResultSet) ([]*structpb.Value, error) {
	values := append([]*structpb.Value(nil), frame.GetValues()...)
	if len(values) == 0 {
		return nil, nil
	}
	if d.pending != nil {
		joined, err := merge(d.pending, values[0])
		if err != nil {
			return nil, err
		}
		values[0], d.pending = joined, nil
	}
	if frame.GetChunkedValue() {
		d.pending = values[len(values)-1]
		values = values[:len(values)-1]
	}
	return values, nil
}

func merge(a, b *structpb.Value) (*structpb.Value, error) {
	if as, ok := a.Kind.(*structpb.Value_StringValue); ok {
		bs, ok := b.Kind.(*structpb.Value_StringValue)
		if !ok {
			return nil, errors.New("pieces do not fit")
		}
		return structpb.NewStringValue(as.StringValue + bs.StringValue), nil
	}
	al, bl := a.GetListValue(), b.GetListValue()
	if al == nil || bl == nil {
		return nil, errors.New("pieces do not fit")
	}
	out := append([]*structpb.Value(nil), al.Values...)
	rest := bl.Values
	if len(out) > 0 && len(rest) > 0 && cut(out[len(out)-1]) && cut(rest[0]) {
		joined, err := merge(out[len(out)-1], rest[0])
		if err != nil {
			return nil, err
		}
		out[len(out)-1], rest = joined, rest[1:]
	}
	return structpb.NewListValue(&structpb.ListValue{Values: append(out, rest...)}), nil
}

func cut(v *structpb.Value) bool {
	switch v.GetKind().(type) {
	case *structpb.Value_StringValue, *structpb.Value_ListValue:
		return true
	}
	return false
}

// named turns a struct value into a map by the names of its type.
func named(v *structpb.Value, t *spannerpb.Type) map[string]any {
	out := map[string]any{}
	for i, f := range t.GetStructType().GetFields() {
		values := v.GetListValue().GetValues()
		if i >= len(values) {
			continue
		}
		inner := f.GetType().GetArrayElementType()
		if inner.GetCode() != spannerpb.TypeCode_STRUCT {
			out[f.GetName()] = values[i].AsInterface()
			continue
		}
		var list []map[string]any
		for _, element := range values[i].GetListValue().GetValues() {
			list = append(list, named(element, inner))
		}
		out[f.GetName()] = list
	}
	return out
}

func fromMap(row map[string]any) ([]Record, error) {
	var out []Record
	var c checked
	for _, m := range structs(row["data_change_record"]) {
		r := Record{
			Kind: "data", CommitTimestamp: c.instant(m["commit_timestamp"]), RecordSequence: c.text(m["record_sequence"]),
			ServerTransactionID: c.text(m["server_transaction_id"]), Last: c.boolean(m["is_last_record_in_transaction_in_partition"]),
			Table: c.text(m["table_name"]), ModType: c.text(m["mod_type"]), Capture: c.text(m["value_capture_type"]),
			Records: c.integer(m["number_of_records_in_transaction"]), Partitions: c.integer(m["number_of_partitions_in_transaction"]),
			Tag: c.text(m["transaction_tag"]), System: c.boolean(m["is_system_transaction"]),
		}
		for _, col := range structs(m["column_types"]) {
			r.Columns = append(r.Columns, Column{c.text(col["name"]), compact(c.text(col["type"])), c.boolean(col["is_primary_key"]), c.integer(col["ordinal_position"])})
		}
		for _, mod := range structs(m["mods"]) {
			r.Mods = append(r.Mods, Mod{c.json(mod["keys"]), c.json(mod["new_values"]), c.json(mod["old_values"])})
		}
		sortColumns(r.Columns)
		out = append(out, r)
	}
	for _, m := range structs(row["heartbeat_record"]) {
		out = append(out, Record{Kind: "heartbeat", CommitTimestamp: c.instant(m["timestamp"])})
	}
	for _, m := range structs(row["child_partitions_record"]) {
		r := Record{Kind: "children", CommitTimestamp: c.instant(m["start_timestamp"]), RecordSequence: c.text(m["record_sequence"])}
		for _, p := range structs(m["child_partitions"]) {
			r.Children = append(r.Children, Child{Token: c.text(p["token"]), Parents: c.tokens(p["parent_partition_tokens"])})
		}
		out = append(out, r)
	}
	return out, c.err
}

func structs(v any) []map[string]any {
	list, _ := v.([]map[string]any)
	return list
}

// checked reads values of given types, and remembers when one was of another.
type checked struct{ err error }

func (c *checked) fail(v any) { c.err = fmt.Errorf("unexpected %T %v", v, v) }

func (c *checked) text(v any) string {
	s, ok := v.(string)
	if !ok && v != nil {
		c.fail(v)
	}
	return s
}

func (c *checked) json(v any) string {
	if v == nil {
		return "null"
	}
	return c.text(v)
}

func (c *checked) boolean(v any) bool {
	b, ok := v.(bool)
	if !ok && v != nil {
		c.fail(v)
	}
	return b
}

func (c *checked) integer(v any) int64 {
	switch v := v.(type) {
	case nil:
		return 0
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			c.err = err
		}
		return n
	case float64:
		if v == math.Trunc(v) {
			return int64(v)
		}
	}
	c.fail(v)
	return 0
}

func (c *checked) instant(v any) time.Time {
	t, err := time.Parse(time.RFC3339Nano, c.text(v))
	if err != nil {
		c.err = err
	}
	return t.UTC()
}

func (c *checked) tokens(v any) (out []string) {
	list, ok := v.([]any)
	if !ok && v != nil {
		c.fail(v)
	}
	for _, p := range list {
		if token := c.text(p); token != "" {
			out = append(out, token)
		}
	}
	return out
}

func compact(s string) string {
	var v any
	if json.Unmarshal([]byte(s), &v) != nil {
		return s
	}
	b, _ := json.Marshal(v)
	return string(b)
}

func sortColumns(c []Column) {
	sort.SliceStable(c, func(i, j int) bool { return c[i].Ordinal < c[j].Ordinal })
}
