package changestream

import (
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// protoRow reads the rows of MUTABLE_KEY_RANGE streams: each a
// google.spanner.v1.ChangeStreamRecord, base64 in a string.
//
//	ChangeStreamRecord: data_change = 1 | heartbeat = 2 | partition_start = 3 |
//	                    partition_end = 4 | partition_event = 5
//
// Keys and values come as protobuf values, from which JSON objects are built
// that are like those of the other row forms.
type protoRow struct {
	raw  []byte // the record, decoded from base64
	todo bool   // whether it is still to be read
	text []byte // JSON of the record's mods
}

func (p *protoRow) open(v value) error {
	b, err := v.text()
	if err != nil || len(b) == 0 {
		return err
	}
	p.raw, err = base64.StdEncoding.AppendDecode(p.raw[:0], b)
	p.todo = err == nil
	return err
}

func (p *protoRow) next(r *records) (Kind, error) {
	if !p.todo {
		return KindNone, nil
	}
	p.todo = false
	kind, body := KindNone, []byte(nil)
	f := fields{rest: p.raw}
	for f.next() {
		if f.typ == protowire.BytesType && f.num <= 5 {
			kind, body = protoKinds[f.num], f.data
		}
	}
	if f.err != nil {
		return KindNone, fmt.Errorf("change stream record: %w", f.err)
	}
	switch kind {
	case KindData:
		return kind, p.data(r, body)
	case KindHeartbeat:
		return kind, protoHeartbeat(r, body)
	case KindPartitionStart, KindPartitionEnd, KindPartitionEvent:
		return kind, protoPartition(r, kind, body)
	}
	return KindNone, nil
}

// protoKinds are the kinds by the number of their field.
var protoKinds = [...]Kind{1: KindData, KindHeartbeat, KindPartitionStart, KindPartitionEnd, KindPartitionEvent}

// data reads a DataChangeRecord: commit_timestamp = 1, record_sequence = 2,
// server_transaction_id = 3, is_last… = 4, table = 5, column_metadata = 6,
// mods = 7, mod_type = 8, value_capture_type = 9, number_of_records… = 10,
// number_of_partitions… = 11, transaction_tag = 12, is_system_transaction = 13.
func (p *protoRow) data(r *records, b []byte) (err error) {
	rec := r.begin()
	var table []byte
	var columns, mods span
	f := fields{rest: b}
	for from := 0; f.next(); from = len(b) - len(f.rest) {
		switch f.num {
		case 1:
			rec.CommitTimestamp, err = protoTimestamp(f.data)
		case 2:
			rec.RecordSequence = f.data
		case 3:
			rec.ServerTransactionID = f.data
		case 5:
			table = f.data
		case 6:
			columns.add(from, len(b)-len(f.rest))
		case 7:
			mods.add(from, len(b)-len(f.rest))
		case 12:
			rec.TransactionTag = f.data
		default:
			protoNumber(rec, f.num, f.bits)
		}
		if err != nil {
			return fmt.Errorf("data_change_record.commit_timestamp: %w", err)
		}
	}
	if f.err != nil {
		return fmt.Errorf("data_change_record: %w", f.err)
	}
	list := r.columns.get(table, columns.of(b))
	if list == nil {
		all, err := protoColumns(columns.of(b))
		if err == nil {
			list, err = r.columns.put(table, columns.of(b), all)
		}
		if err != nil {
			return fmt.Errorf("column_metadata of table %s: %w", table, err)
		}
	}
	rec.Schema = list.schema
	if err := p.mods(rec, list.names, mods.of(b)); err != nil {
		return fmt.Errorf("mods: %w", err)
	}
	return r.finish()
}

// A span is the piece of a message from the first to the last occurrence of a
// repeated field.
type span struct{ from, to int }

func (s *span) add(from, to int) {
	if s.to == 0 {
		s.from = from
	}
	s.to = to
}

func (s span) of(b []byte) []byte { return b[s.from:s.to] }

func protoNumber(rec *DataChangeRecord, num protowire.Number, bits uint64) {
	switch num {
	case 4:
		rec.LastInTransaction = bits != 0
	case 8:
		rec.ModType = ModType(enumName(spannerpb.ChangeStreamRecord_DataChangeRecord_ModType_name, bits))
	case 9:
		rec.ValueCaptureType = ValueCaptureType(enumName(spannerpb.ChangeStreamRecord_DataChangeRecord_ValueCaptureType_name, bits))
	case 10:
		rec.RecordsInTransaction = int64(int32(bits))
	case 11:
		rec.PartitionsInTransaction = int64(int32(bits))
	case 13:
		rec.SystemTransaction = bits != 0
	}
}

func enumName(names map[int32]string, bits uint64) string {
	if name, ok := names[int32(bits)]; ok {
		return name
	}
	return fmt.Sprint(int32(bits))
}

// protoColumns reads ColumnMetadata: name = 1, type = 2, is_primary_key = 3,
// ordinal_position = 4.
func protoColumns(b []byte) ([]Column, error) {
	var columns []Column
	all := fields{rest: b}
	for all.next() {
		if all.num != 6 || all.typ != protowire.BytesType {
			continue
		}
		var c Column
		f := fields{rest: all.data}
		for f.next() {
			var err error
			switch f.num {
			case 1:
				c.Name = string(f.data)
			case 2:
				c.Type, err = protoType(f.data)
			case 3:
				c.IsPrimaryKey = f.bits != 0
			case 4:
				c.OrdinalPosition = int64(f.bits)
			}
			if err != nil {
				return nil, err
			}
		}
		if f.err != nil {
			return nil, f.err
		}
		columns = append(columns, c)
	}
	return columns, all.err
}

// protoType writes a google.spanner.v1.Type as the JSON that the other row
// forms send.
func protoType(b []byte) ([]byte, error) {
	var t spannerpb.Type
	if err := proto.Unmarshal(b, &t); err != nil {
		return nil, err
	}
	return appendType(nil, &t), nil
}

func appendType(dst []byte, t *spannerpb.Type) []byte {
	dst = fmt.Appendf(dst, `{"code":%q`, t.GetCode().String())
	if e := t.GetArrayElementType(); e != nil {
		dst = appendType(append(dst, `,"array_element_type":`...), e)
	}
	if a := t.GetTypeAnnotation(); a != spannerpb.TypeAnnotationCode_TYPE_ANNOTATION_CODE_UNSPECIFIED {
		dst = fmt.Appendf(dst, `,"type_annotation":%q`, a.String())
	}
	if name := t.GetProtoTypeFqn(); name != "" {
		dst = fmt.Appendf(dst, `,"proto_type_fqn":%q`, name)
	}
	return append(dst, '}')
}

// mods reads Mod: keys = 1, old_values = 2, new_values = 3.
func (p *protoRow) mods(rec *DataChangeRecord, names [][]byte, b []byte) error {
	p.text = p.text[:0]
	all := fields{rest: b}
	for all.next() {
		if all.num != 7 || all.typ != protowire.BytesType {
			continue
		}
		var m Mod
		var err [3]error
		m.Keys, err[0] = p.object(all.data, 1, names)
		m.OldValues, err[1] = p.object(all.data, 2, names)
		m.NewValues, err[2] = p.object(all.data, 3, names)
		if err := errors.Join(err[:]...); err != nil {
			return err
		}
		rec.Mods = append(rec.Mods, m)
	}
	return all.err
}

// object builds a JSON object of the ModValues in one field of a Mod:
// column_metadata_index = 1, value = 2.
func (p *protoRow) object(mod []byte, num protowire.Number, names [][]byte) ([]byte, error) {
	start := len(p.text)
	p.text = append(p.text, '{')
	f := fields{rest: mod}
	for f.next() {
		if f.num != num || f.typ != protowire.BytesType {
			continue
		}
		index, encoded := uint64(0), []byte(nil)
		mv := fields{rest: f.data}
		for mv.next() {
			switch mv.num {
			case 1:
				index = mv.bits
			case 2:
				encoded = mv.data
			}
		}
		if mv.err != nil {
			return nil, mv.err
		}
		if index >= uint64(len(names)) {
			return nil, fmt.Errorf("value of column %d of %d", index, len(names))
		}
		if len(p.text) > start+1 {
			p.text = append(p.text, ',')
		}
		p.text = append(append(p.text, names[index]...), ':')
		var err error
		if p.text, err = appendJSON(p.text, encoded); err != nil {
			return nil, err
		}
	}
	p.text = append(p.text, '}')
	return p.text[start:], f.err
}

func protoHeartbeat(r *records, b []byte) (err error) {
	r.heartbeat = time.Time{}
	f := fields{rest: b}
	for f.next() {
		if f.num == 1 {
			r.heartbeat, err = protoTimestamp(f.data)
		}
	}
	if err = errors.Join(err, f.err); err == nil && r.heartbeat.IsZero() {
		err = errors.New("no timestamp")
	}
	if err != nil {
		return fmt.Errorf("heartbeat_record: %w", err)
	}
	return nil
}

// protoTimestamp reads google.protobuf.Timestamp: seconds = 1, nanos = 2.
func protoTimestamp(b []byte) (time.Time, error) {
	f := fields{rest: b}
	var seconds, nanos int64
	for f.next() {
		switch f.num {
		case 1:
			seconds = int64(f.bits)
		case 2:
			nanos = int64(int32(f.bits))
		}
	}
	return time.Unix(seconds, nanos).UTC(), f.err
}
