package changestream

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Kind says which record a Decoder has found.
type Kind int

// The kinds of record in a change stream.
const (
	KindNone      Kind = iota // no more in this frame
	KindData                  // Decoder.Data
	KindHeartbeat             // Decoder.Heartbeat
	KindChildren              // Decoder.Children

	// Of MUTABLE_KEY_RANGE streams only; all three Decoder.Partition.
	KindPartitionStart
	KindPartitionEnd
	KindPartitionEvent
)

func (k Kind) String() string {
	return [...]string{"no", "data change", "heartbeat", "child partitions", "partition start", "partition end", "partition event"}[k]
}

// A Decoder reads the records of one change stream query out of the bytes of
// its PartialResultSets, in place.
//
//	PartialResultSet: metadata = 1 (first frame only), repeated Value values = 2,
//	                  bool chunked_value = 3, bytes resume_token = 4, …
//
// Each value is a row, and each row holds one record or more. A value that is
// too long for a frame comes in pieces: chunked_value says that the last value
// goes on in the next frame.
//
// Use: Reset with each frame, then Next until it returns KindNone. Records point
// into the frame, which must not change until the next Reset; a Decoder is for
// one query and one goroutine at a time.
type Decoder struct {
	layout  *layout
	rows    rowReader
	values  [][]byte // rows of the frame
	at      int      // the first of them that is still to be read
	pending chunks
	found   records
}

// A rowReader knows one encoding of rows.
type rowReader interface {
	// open begins the row that v holds.
	open(v value) error
	// next finds the next record of the row, KindNone behind the last.
	next(r *records) (Kind, error)
}

// records is where decoded records are put, reused from one to the next.
type records struct {
	data      DataChangeRecord
	heartbeat time.Time
	children  ChildPartitionsRecord
	partition PartitionRecord
	columns   columnCache
	clock     Clock
}

// NewDecoder returns a decoder whose schemas are interned in s.
func NewDecoder(s *Schemas) *Decoder {
	return &Decoder{found: records{columns: columnCache{schemas: s}}}
}

// Data is the record that Next found, valid until the next call of Next.
func (d *Decoder) Data() *DataChangeRecord { return &d.found.data }

// Heartbeat is the timestamp of the heartbeat record that Next found: every
// record of the partition up to it has been returned.
func (d *Decoder) Heartbeat() time.Time { return d.found.heartbeat }

// Children is the record that Next found; it may be kept.
func (d *Decoder) Children() ChildPartitionsRecord { return d.found.children }

// Partition is the record that Next found; it may be kept.
func (d *Decoder) Partition() PartitionRecord { return d.found.partition }

// Incomplete tells whether the frames so far end in the middle of a value.
func (d *Decoder) Incomplete() bool { return d.pending.value != nil }

// Reset begins a frame: the bytes of one PartialResultSet.
func (d *Decoder) Reset(frame []byte) error {
	d.values, d.at = d.values[:0], 0
	chunked := false
	f := fields{rest: frame}
	for f.next() {
		switch {
		case f.num == 2 && f.typ == protowire.BytesType:
			d.values = append(d.values, f.data)
		case f.num == 1 && f.typ == protowire.BytesType:
			if err := d.setLayout(f.data); err != nil {
				return err
			}
		case f.num == 3 && f.typ == protowire.VarintType:
			chunked = f.bits != 0
		}
	}
	if f.err != nil {
		return fmt.Errorf("partial result set: %w", f.err)
	}
	var err error
	d.values, err = d.pending.join(d.values, chunked)
	return err
}

func (d *Decoder) setLayout(metadata []byte) error {
	l, err := parseLayout(metadata)
	if err != nil {
		return err
	}
	d.layout = l
	switch l.encoding {
	case structRows:
		d.rows = &structRow{layout: l}
	case jsonRows:
		d.rows = &jsonRow{}
	case protoRows:
		d.rows = &protoRow{}
	}
	return nil
}

var errNoMetadata = errors.New("rows came before the metadata that says how to read them")

// Next finds the next record of the frame.
func (d *Decoder) Next() (Kind, error) {
	if d.rows == nil {
		if len(d.values) > 0 {
			return KindNone, errNoMetadata
		}
		return KindNone, nil
	}
	for {
		kind, err := d.rows.next(&d.found)
		if kind != KindNone || err != nil {
			return kind, err
		}
		if d.at == len(d.values) {
			return KindNone, nil
		}
		v, err := parseValue(d.values[d.at])
		d.at++
		if err == nil {
			err = d.rows.open(v)
		}
		if err != nil {
			return KindNone, fmt.Errorf("row of a change stream query: %w", err)
		}
	}
}

// begin empties the data record for the next one.
func (r *records) begin() *DataChangeRecord {
	r.data = DataChangeRecord{Mods: r.data.Mods[:0]}
	return &r.data
}

// finish checks what no data change record may lack.
func (r *records) finish() error {
	switch rec := &r.data; {
	case rec.CommitTimestamp.IsZero():
		return errors.New("data_change_record without commit_timestamp")
	case rec.Schema == nil:
		return errors.New("data_change_record without table and columns")
	}
	return nil
}

func modTypeOf(b []byte) ModType {
	switch string(b) {
	case string(ModInsert):
		return ModInsert
	case string(ModUpdate):
		return ModUpdate
	case string(ModDelete):
		return ModDelete
	}
	return ModType(b)
}

func valueCaptureTypeOf(b []byte) ValueCaptureType {
	switch string(b) {
	case string(OldAndNewValues):
		return OldAndNewValues
	case string(NewValues):
		return NewValues
	case string(NewRow):
		return NewRow
	case string(NewRowAndOldValues):
		return NewRowAndOldValues
	}
	return ValueCaptureType(b)
}
