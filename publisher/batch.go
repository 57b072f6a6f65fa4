package publisher

import (
	"bytes"
	"slices"
	"strconv"
	"unsafe"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/internal/jsonscan"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/topics"
)

// A batch is messages of one partition, complete but for their counters, and the
// mark that follows them. All their bytes are in one piece of memory.
type batch struct {
	data    []byte
	entries []entry
	records []recordPart
	mark    changestream.Mark
	done    chan struct{} // closed when it was dealt with, if set
	size    int64         // of the buffer budget that it holds

	clock changestream.Clock
	alike likeness // of the last of records

	partition changestream.PartitionToken
	moved     string // attribute of its changes; see message.Attributes
	trace     Trace  // nil when it is not traced
	owned     lease  // under which it was read
}

// A lease names an ownership of a partition, for the log.
type lease struct {
	partition string
	epoch     int64
}

// A span is a piece of a batch's data.
type span struct{ from, to int32 }

func (b *batch) at(s span) []byte { return b.data[s.from:s.to] }

// An entry is one message.
type entry struct {
	route   *topics.Route
	record  int32
	topic   span // empty when the route has one topic
	version span
	body    span
}

// A recordPart is what the messages of one record have in common.
type recordPart struct {
	schema     *changestream.Schema
	attributes span
}

// mark from: data is appended, and its span is from there to the end.
func (b *batch) since(from int) span { return span{int32(from), int32(len(b.data))} }

func (b *batch) reset() {
	clear(b.entries)
	clear(b.records)
	*b = batch{data: b.data[:0], entries: b.entries[:0], records: b.records[:0], clock: b.clock}
}

// maxBatch bounds a batch, in bytes, so that spans fit and no subscriber waits
// behind too much of one partition.
const maxBatch = 1 << 30

// add appends the messages of a record, of those topics that are wanted; nil
// wants all.
func (b *batch) add(c *Change, planner *topics.Planner, body Body, wanted Wanted) error {
	rec, start, none := c.Record, len(b.data), len(b.entries)
	record := int32(-1) // until there is something to be said of it
	defer func() {
		if record >= 0 && len(b.entries) == none { // nor are its attributes wanted
			b.data, b.records, b.alike = b.data[:start], b.records[:record], likeness{}
		}
	}()
	var before span // version of the mod before
	for i := range rec.Mods {
		c.Mod, c.Index = &rec.Mods[i], i
		routes := planner.Routes(rec, c.Mod)
		if len(routes) == 0 {
			continue
		}
		if record < 0 {
			b.appendAttributes(rec)
			record = int32(len(b.records) - 1)
		}
		from, first := len(b.data), len(b.entries)
		b.makeRoom(c.Mod)
		e := entry{record: record}
		if int(before.to) > len(b.data) { // it was not wanted
			before = span{}
		}
		before = b.appendVersion(rec, i, before)
		e.version = before
		c.Version = b.at(e.version)
		if wanted != nil && !wanted.Version(c.Version) {
			b.data = b.data[:from]
			continue
		}
		if err := b.appendTopics(e, c, routes, wanted); err != nil {
			return err
		}
		if len(b.entries) == first {
			b.data = b.data[:from]
			continue
		}
		c.Version = b.at(e.version)
		var err error
		from = len(b.data)
		if b.data, err = body.Append(b.data, c); err != nil {
			return err
		}
		for k := first; k < len(b.entries); k++ {
			b.entries[k].body = b.since(from)
		}
	}
	return nil
}

// appendTopics appends an entry for each topic of a change, or for the first
// that is wanted.
func (b *batch) appendTopics(e entry, c *Change, routes []*topics.Route, wanted Wanted) error {
	for _, route := range routes {
		e.route, e.topic = route, span{}
		topic, static := route.Static()
		if !static {
			from := len(b.data)
			var err error
			if b.data, err = route.Append(b.data, c.Record, c.Mod); err != nil {
				return err
			}
			e.topic = b.since(from)
		}
		if wanted == nil {
			b.entries = append(b.entries, e)
			continue
		}
		if !static {
			topic = string(b.at(e.topic))
		}
		if wanted.Topic(topic) {
			b.entries = append(b.entries, e)
			return nil
		}
	}
	return nil
}

// makeRoom grows the memory of a batch once for a large row change, instead of
// several times, each with a copy of all.
func (b *batch) makeRoom(m *changestream.Mod) {
	const large = 64 << 10
	if n := len(m.Keys) + len(m.NewValues) + len(m.OldValues); n > large {
		b.data = slices.Grow(b.data, n+n/64+1<<10)
	}
}

// cost is the memory that a batch takes, in bytes.
func (b *batch) cost() int64 {
	const each = int64(unsafe.Sizeof(entry{}) + unsafe.Sizeof(recordPart{}))
	return int64(cap(b.data)) + each*int64(cap(b.entries))
}

// shrink moves a batch out of memory that is much too large for it: while it
// waits, nobody else can use that.
func (b *batch) shrink() {
	const slack = 16 << 10
	if cap(b.data) > 2*len(b.data)+slack {
		b.data = append(make([]byte, 0, len(b.data)), b.data...)
	}
	if cap(b.entries) > 2*len(b.entries)+slack/64 {
		b.entries = append(make([]entry, 0, len(b.entries)), b.entries...)
	}
}

// appendVersion writes the version of a mod, of which that of the mod before, if
// there is one, has all but the index.
func (b *batch) appendVersion(rec *changestream.DataChangeRecord, mod int, before span) span {
	from := len(b.data)
	if before.to > 0 {
		stem := bytes.LastIndexByte(b.at(before), '/') + 1
		b.data = strconv.AppendInt(append(b.data, b.at(before)[:stem]...), int64(mod), 10)
		return b.since(from)
	}
	var timestamp [message.TimestampLen]byte
	b.data = message.AppendVersion(b.data, b.clock.Append(timestamp[:0], rec.CommitTimestamp), rec.ServerTransactionID, rec.RecordSequence, mod)
	return b.since(from)
}

// A likeness is what the attributes of a record without a tag are made of, but for
// what all records of a batch have in common. Records that are alike share them.
type likeness struct {
	schema              *changestream.Schema
	op                  changestream.ModType
	capture             changestream.ValueCaptureType
	records, partitions int64
	last, system        bool
}

// appendAttributes writes the attributes of a record; see message.Attributes.
func (b *batch) appendAttributes(rec *changestream.DataChangeRecord) {
	alike := likeness{rec.Schema, rec.ModType, rec.ValueCaptureType, rec.RecordsInTransaction, rec.PartitionsInTransaction, rec.LastInTransaction, rec.SystemTransaction}
	if len(rec.TransactionTag) > 0 {
		alike = likeness{}
	}
	if alike.schema != nil && alike == b.alike {
		b.records = append(b.records, b.records[len(b.records)-1])
		return
	}
	b.alike = alike
	from := len(b.data)
	d := jsonscan.AppendString(append(b.data, `{"table":`...), rec.Schema.Table)
	d = jsonscan.AppendString(append(d, `,"op":`...), string(rec.ModType))
	d = jsonscan.AppendString(append(d, `,"capture":`...), string(rec.ValueCaptureType))
	d = append(append(append(d, `,"schema":"`...), rec.Schema.Hash...), '"')
	d = strconv.AppendInt(append(d, `,"records":`...), rec.RecordsInTransaction, 10)
	d = strconv.AppendInt(append(d, `,"partitions":`...), rec.PartitionsInTransaction, 10)
	d = strconv.AppendBool(append(d, `,"last":`...), rec.LastInTransaction)
	if len(rec.TransactionTag) > 0 {
		d = jsonscan.AppendString(append(d, `,"tag":`...), rec.TransactionTag)
	}
	if rec.SystemTransaction {
		d = append(d, `,"system":true`...)
	}
	if b.moved != "" {
		d = append(append(append(d, `,"moved":"`...), b.moved...), '"')
	}
	if b.trace != nil {
		d = jsonscan.AppendString(append(d, `,"traceparent":`...), b.trace.Parent())
	}
	b.data = append(d, '}')
	b.records = append(b.records, recordPart{schema: rec.Schema, attributes: b.since(from)})
}
