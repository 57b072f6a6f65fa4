package publisher

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/internal/jsonscan"
)

// Debezium writes the envelope of Debezium's Spanner connector as its JSON
// converter does without schemas: before, after, source, op, and three times of
// processing. Values are as Spanner sends them, but for INT64, which Debezium
// writes as a number.
//
// Before is null where nothing is known of it: for inserts, and for updates of
// streams that do not record old values. What a record does not hold, such as
// columns that an update did not touch, is left out.
//
// Source: the connector's documentation, "Data change events".
type Debezium struct {
	head string // of source, up to what differs
	now  func() time.Time
}

// NewDebezium returns the format for a change stream. Version is Spancast's.
func NewDebezium(info changestream.Info, version string) *Debezium {
	parts := append(strings.Split(info.Database, "/"), make([]string, 6)...)
	member := func(name, value string) string {
		return `"` + name + `":` + string(jsonscan.AppendString(nil, value)) + ","
	}
	head := member("version", version) + member("connector", "spanner") + member("name", info.Stream) + member("snapshot", "false") +
		member("db", parts[5]) + member("project_id", parts[1]) + member("instance_id", parts[3]) + member("database_id", parts[5]) +
		member("change_stream_name", info.Stream)
	return &Debezium{head: head, now: time.Now}
}

// Append implements Body.
func (d *Debezium) Append(dst []byte, c *Change) ([]byte, error) {
	now := d.now()
	var errs [2]error
	dst = append(dst, `{"before":`...)
	dst, errs[0] = appendState(dst, c, beforeOf(c))
	dst = append(dst, `,"after":`...)
	dst, errs[1] = appendState(dst, c, afterOf(c))
	dst = d.appendSource(append(dst, `,"source":{`...), c, now)
	dst = append(append(dst, `},"op":"`...), opOf(c.Record.ModType)...)
	dst = append(appendTimes(append(dst, `",`...), now), '}')
	return dst, errors.Join(errs[:]...)
}

func opOf(m changestream.ModType) string {
	switch m {
	case changestream.ModInsert:
		return "c"
	case changestream.ModUpdate:
		return "u"
	case changestream.ModDelete:
		return "d"
	}
	return "r" // a snapshot's read
}

// beforeOf returns the values beside the keys that the row had, nil when there
// was no row or nothing is known of it.
func beforeOf(c *Change) []byte {
	if c.Record.ModType == changestream.ModDelete {
		return c.Mod.OldValues
	}
	if c.Record.ModType != changestream.ModUpdate || isEmpty(c.Mod.OldValues) {
		return nil
	}
	return c.Mod.OldValues
}

func afterOf(c *Change) []byte {
	if c.Record.ModType == changestream.ModDelete {
		return nil
	}
	return c.Mod.NewValues
}

func isEmpty(object []byte) bool {
	m, err := jsonscan.Object(object)
	return err == nil && !m.Next()
}

// appendState appends the object of a row: its keys and the values.
func appendState(dst []byte, c *Change, values []byte) ([]byte, error) {
	if values == nil {
		return append(dst, "null"...), nil
	}
	dst = append(dst, '{')
	first := true
	for _, object := range [][]byte{c.Mod.Keys, values} {
		m, err := jsonscan.Object(object)
		for err == nil && m.Next() {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(jsonscan.AppendString(dst, m.Key), ':')
			dst, err = appendColumn(dst, c.Record.Schema, m.Key, m.Value)
		}
		if err = errors.Join(err, m.Err); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// appendColumn appends a value; INT64 and arrays of it lose their quotes.
func appendColumn(dst []byte, s *changestream.Schema, name, value []byte) ([]byte, error) {
	if !hasInt64(s, name) {
		return append(dst, value...), nil
	}
	if value[0] != '[' {
		return append(dst, bytes.Trim(value, `"`)...), nil
	}
	e, err := jsonscan.Array(value)
	dst = append(dst, '[')
	for first := true; err == nil && e.Next(); first = false {
		if !first {
			dst = append(dst, ',')
		}
		dst = append(dst, bytes.Trim(e.Value, `"`)...)
	}
	return append(dst, ']'), errors.Join(err, e.Err)
}

func hasInt64(s *changestream.Schema, name []byte) bool {
	for i := range s.Columns {
		if s.Columns[i].Name == string(name) {
			return bytes.Contains(s.Columns[i].Type, []byte(`"INT64"`))
		}
	}
	return false
}

func (d *Debezium) appendSource(dst []byte, c *Change, now time.Time) []byte {
	rec := c.Record
	dst = appendTimes(append(dst, d.head...), rec.CommitTimestamp)
	dst = jsonscan.AppendString(append(dst, `,"sequence":`...), rec.RecordSequence)
	dst = jsonscan.AppendString(append(dst, `,"table":`...), rec.Schema.Table)
	dst = jsonscan.AppendString(append(dst, `,"server_transaction_id":`...), rec.ServerTransactionID)
	dst = append(dst, `,"low_watermark":null,"read_at_timestamp":`...)
	dst = strconv.AppendInt(dst, now.UnixMilli(), 10)
	dst = strconv.AppendInt(append(dst, `,"number_records_in_transaction":`...), rec.RecordsInTransaction, 10)
	dst = jsonscan.AppendString(append(dst, `,"transaction_tag":`...), rec.TransactionTag)
	dst = strconv.AppendBool(append(dst, `,"system_transaction":`...), rec.SystemTransaction)
	dst = jsonscan.AppendString(append(dst, `,"value_capture_type":`...), string(rec.ValueCaptureType))
	dst = jsonscan.AppendString(append(dst, `,"partition_token":`...), string(c.Partition))
	dst = strconv.AppendInt(append(dst, `,"mod_number":`...), int64(c.Index), 10)
	dst = strconv.AppendBool(append(dst, `,"is_last_record_in_transaction_in_partition":`...), rec.LastInTransaction)
	return strconv.AppendInt(append(dst, `,"number_of_partitions_in_transaction":`...), rec.PartitionsInTransaction, 10)
}

func appendTimes(dst []byte, t time.Time) []byte {
	dst = strconv.AppendInt(append(dst, `"ts_ms":`...), t.UnixMilli(), 10)
	dst = strconv.AppendInt(append(dst, `,"ts_us":`...), t.UnixMicro(), 10)
	return strconv.AppendInt(append(dst, `,"ts_ns":`...), t.UnixNano(), 10)
}
