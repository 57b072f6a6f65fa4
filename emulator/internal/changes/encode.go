package changes

import (
	"encoding/base64"
	"strconv"
	"time"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/store"
	"github.com/spancast/spancast/emulator/internal/value"
)

// format is the form of a stream's rows.
type format uint8

const (
	formatStruct format = iota // GoogleSQL, immutable: ARRAY<STRUCT<…>>
	formatJSON                 // PostgreSQL, immutable: JSONB
	formatProto                // mutable: ChangeStreamRecord
)

// Time is a commit timestamp as a time.
func Time(at store.Timestamp) time.Time { return time.UnixMicro(int64(at)).UTC() }

// appendMicros writes an instant with exactly six fractional digits.
func appendMicros(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z07:00")
}

// encodeRecord appends a data change record as a whole row.
func (s *Stream) encodeRecord(dst []byte, txn *Txn, r *record, seq, records, partitions int) []byte {
	dst, row := open(dst, tagValues)
	switch s.format {
	case formatJSON:
		s.text = s.appendJSONRecord(s.text[:0], txn, r, seq, records, partitions)
		dst = appendStringValue(dst, s.text)
	case formatProto:
		dst = s.appendProto(dst, protoRecord(s, txn, r, seq, records, partitions))
	default:
		var outer int
		dst, outer = open(dst, tagList)
		dst = s.appendStructRecord(dst, txn, r, seq, records, partitions)
		dst = closeAt(dst, outer)
	}
	return closeAt(dst, row)
}

// appendStructRecord writes [data_change_record[1], [], []].
func (s *Stream) appendStructRecord(dst []byte, txn *Txn, r *record, seq, records, partitions int) []byte {
	dst, kinds := openList(dst)
	dst, array := openList(dst)
	dst, data := openList(dst)
	s.text = appendMicros(s.text[:0], Time(txn.At))
	dst = appendString(dst, s.text)
	s.text = appendPadded(s.text[:0], seq)
	dst = appendString(dst, s.text)
	dst = appendString(dst, txn.ID)
	dst = appendBool(dst, r.last)
	dst = append(append(dst, r.plan.name...), r.shape.types...)
	dst, mods := openList(dst)
	for _, c := range r.mods {
		var mod [2]int
		dst, mod = openList(dst)
		s.text = appendObject(s.text[:0], r.shape.keys, c.either())
		dst = appendString(dst, s.text)
		s.text = appendObject(s.text[:0], r.shape.new, c.New)
		dst = appendString(dst, s.text)
		s.text = appendObject(s.text[:0], r.shape.old, c.Old)
		dst = appendString(dst, s.text)
		dst = closeList(dst, mod)
	}
	dst = closeList(dst, mods)
	dst = appendString(dst, r.shape.modType.String())
	dst = appendString(dst, string(s.capture))
	s.text = strconv.AppendInt(s.text[:0], int64(records), 10)
	dst = appendString(dst, s.text)
	s.text = strconv.AppendInt(s.text[:0], int64(partitions), 10)
	dst = appendString(dst, s.text)
	dst = appendString(dst, txn.Tag)
	dst = appendBool(dst, txn.System)
	dst = closeList(closeList(dst, data), array)
	dst = append(append(dst, emptyList...), emptyList...)
	return closeList(dst, kinds)
}

// either is the row as it was or is, for its key.
func (c *Change) either() []any {
	if c.New != nil {
		return c.New
	}
	return c.Old
}

func appendPadded(dst []byte, n int) []byte {
	for width := 10000000; width > n && width > 1; width /= 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, int64(n), 10)
}

// appendObject writes the named values of a row as a JSON object.
func appendObject(dst []byte, members []member, row []any) []byte {
	dst = append(dst, '{')
	for i, m := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, m.label...)
		if m.slot < len(row) {
			dst = value.AppendJSON(dst, row[m.slot])
		} else {
			dst = append(dst, "null"...)
		}
	}
	return append(dst, '}')
}

// appendJSONRecord writes the record as PostgreSQL's read_json function has it.
func (s *Stream) appendJSONRecord(dst []byte, txn *Txn, r *record, seq, records, partitions int) []byte {
	text := func(name, v string) {
		dst = value.AppendJSONString(append(append(append(dst, `,"`...), name...), `":`...), v)
	}
	dst = append(dst, `{"data_change_record":{"commit_timestamp":"`...)
	dst = append(appendMicros(dst, Time(txn.At)), `","record_sequence":"`...)
	dst = append(appendPadded(dst, seq), '"')
	text("server_transaction_id", txn.ID)
	dst = strconv.AppendBool(append(dst, `,"is_last_record_in_transaction_in_partition":`...), r.last)
	text("table_name", r.plan.table.Name)
	dst = append(append(dst, `,"column_types":`...), r.shape.types...)
	dst = append(dst, `,"mods":[`...)
	for i, c := range r.mods {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendObject(append(dst, `{"keys":`...), r.shape.keys, c.either())
		dst = appendObject(append(dst, `,"new_values":`...), r.shape.new, c.New)
		dst = append(appendObject(append(dst, `,"old_values":`...), r.shape.old, c.Old), '}')
	}
	dst = append(dst, ']')
	text("mod_type", r.shape.modType.String())
	text("value_capture_type", string(s.capture))
	dst = strconv.AppendInt(append(dst, `,"number_of_records_in_transaction":`...), int64(records), 10)
	dst = strconv.AppendInt(append(dst, `,"number_of_partitions_in_transaction":`...), int64(partitions), 10)
	text("transaction_tag", txn.Tag)
	dst = strconv.AppendBool(append(dst, `,"is_system_transaction":`...), txn.System)
	return append(dst, '}', '}')
}

// encodeTypes encodes column_types for the stream's format; the proto form is
// built with the record.
func (s *Stream) encodeTypes(t *schema.Table, columns []*schema.Column) []byte {
	switch s.format {
	case formatJSON:
		dst := []byte{'['}
		for i, c := range columns {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(value.AppendJSONString(append(dst, `{"name":`...), c.Name), `,"type":`...)
			dst = append(c.Type.AppendJSON(dst), `,"is_primary_key":`...)
			dst = append(strconv.AppendBool(dst, c.IsKey), `,"ordinal_position":`...)
			dst = append(strconv.AppendInt(dst, int64(t.Ordinal(c)), 10), '}')
		}
		return append(dst, ']')
	case formatStruct:
		dst, list := openList(nil)
		for _, c := range columns {
			var one [2]int
			dst, one = openList(dst)
			dst = appendString(dst, c.Name)
			dst = appendString(dst, c.Type.AppendJSON(nil))
			dst = appendBool(dst, c.IsKey)
			dst = appendString(dst, strconv.Itoa(t.Ordinal(c)))
			dst = closeList(dst, one)
		}
		return closeList(dst, list)
	}
	return nil
}

// heartbeatRow is a heartbeat record as a whole row.
func (s *Stream) heartbeatRow(at time.Time) []byte {
	dst, row := open(nil, tagValues)
	switch s.format {
	case formatJSON:
		text := append(appendMicros([]byte(`{"heartbeat_record":{"timestamp":"`), at), `"}}`...)
		dst = appendStringValue(dst, text)
	case formatProto:
		dst = s.appendProto(dst, protoHeartbeat(at))
	default:
		var outer int
		dst, outer = open(dst, tagList)
		dst, kinds := openList(dst)
		dst = append(dst, emptyList...)
		dst, array := openList(dst)
		dst, one := openList(dst)
		dst = appendString(dst, value.AppendTimestamp(nil, at))
		dst = closeList(closeList(dst, one), array)
		dst = closeList(append(dst, emptyList...), kinds)
		dst = closeAt(dst, outer)
		return closeAt(dst, row)
	}
	return closeAt(dst, row)
}

// child is one element of child_partitions.
type child struct {
	token   string
	parents []string
}

// childRow is a child partitions record as a whole row. nullParents writes the
// parents of a first generation as Google's documentation shows them, [NULL].
func (s *Stream) childRow(start time.Time, seq int, children []child, nullParents bool) []byte {
	dst, row := open(nil, tagValues)
	if s.format == formatJSON {
		return closeAt(appendStringValue(dst, jsonChildren(start, seq, children, nullParents)), row)
	}
	dst, outer := open(dst, tagList)
	dst, kinds := openList(dst)
	dst = append(append(dst, emptyList...), emptyList...)
	dst, array := openList(dst)
	dst, one := openList(dst)
	dst = appendString(dst, value.AppendTimestamp(nil, start))
	dst = appendString(dst, sequence(seq))
	dst, list := openList(dst)
	for _, c := range children {
		var object, parents [2]int
		dst, object = openList(dst)
		dst = appendString(dst, c.token)
		dst, parents = openList(dst)
		for _, parent := range c.parents {
			dst = appendString(dst, parent)
		}
		if nullParents && len(c.parents) == 0 {
			dst = append(dst, nullValue...)
		}
		dst = closeList(closeList(dst, parents), object)
	}
	for _, mark := range [][2]int{list, one, array, kinds} {
		dst = closeList(dst, mark)
	}
	return closeAt(closeAt(dst, outer), row)
}

func jsonChildren(start time.Time, seq int, children []child, nullParents bool) []byte {
	dst := append(appendMicros([]byte(`{"child_partitions_record":{"start_timestamp":"`), start), `","record_sequence":"`...)
	dst = append(append(dst, sequence(seq)...), `","child_partitions":[`...)
	for i, c := range children {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(value.AppendJSONString(append(dst, `{"token":`...), c.token), `,"parent_partition_tokens":[`...)
		for j, parent := range c.parents {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = value.AppendJSONString(dst, parent)
		}
		if nullParents && len(c.parents) == 0 {
			dst = append(dst, "null"...)
		}
		dst = append(dst, ']', '}')
	}
	return append(dst, ']', '}', '}')
}

// appendProto writes a serialised ChangeStreamRecord as the content of a Value:
// base64, as PROTO and BYTES are.
func (s *Stream) appendProto(dst, message []byte) []byte {
	dst = append(dst, tagString)
	dst = appendVarint(dst, base64.StdEncoding.EncodedLen(len(message)))
	return base64.StdEncoding.AppendEncode(dst, message)
}
