package changestream

import (
	"errors"
	"fmt"
	"time"
)

// structRow reads the rows of GoogleSQL. A row is an array of structs, each of
// three arrays of which one has an element:
//
//	[[ [data_change_record…], [heartbeat_record…], [child_partitions_record…] ]…]
//
// A struct is a list of its fields in the order of the metadata. INT64 comes as
// a string of digits, JSON as a string of JSON. Arrays may be NULL when empty.
type structRow struct {
	layout                          *layout
	structs                         list
	dataRecords, heartbeats, childs list
}

func (s *structRow) open(v value) (err error) {
	s.structs, err = newList(v)
	return err
}

func (s *structRow) next(r *records) (Kind, error) {
	for {
		switch {
		case s.dataRecords.next():
			return KindData, s.data(r, s.dataRecords.v)
		case s.heartbeats.next():
			return KindHeartbeat, s.heartbeat(r, s.heartbeats.v)
		case s.childs.next():
			return KindChildren, s.children(r, s.childs.v)
		}
		for _, l := range [...]*list{&s.dataRecords, &s.heartbeats, &s.childs} {
			if l.err != nil {
				return KindNone, l.err
			}
		}
		if !s.structs.next() {
			return KindNone, s.structs.err
		}
		if err := s.openStruct(s.structs.v); err != nil {
			return KindNone, err
		}
	}
}

func (s *structRow) openStruct(v value) error {
	s.dataRecords, s.heartbeats, s.childs = list{}, list{}, list{}
	arrays, err := newList(v)
	if err != nil {
		return err
	}
	for i := 0; arrays.next(); i++ {
		switch fieldAt(s.layout.row, i) {
		case fData:
			s.dataRecords, err = newList(arrays.v)
		case fHeartbeat:
			s.heartbeats, err = newList(arrays.v)
		case fChildren:
			s.childs, err = newList(arrays.v)
		}
		if err != nil {
			return err
		}
	}
	return arrays.err
}

func (s *structRow) data(r *records, v value) error {
	l, err := newList(v)
	if err != nil {
		return err
	}
	rec := r.begin()
	var table []byte
	var columns, mods value
	for i := 0; l.next(); i++ {
		f := fieldAt(s.layout.data, i)
		switch f {
		case fTable:
			table, err = l.v.text()
		case fColumnTypes:
			columns = l.v
		case fMods:
			mods = l.v
		default:
			err = structField(rec, f, l.v, &r.clock)
		}
		if err != nil {
			return fmt.Errorf("data_change_record, field %d: %w", i, err)
		}
	}
	if l.err != nil {
		return l.err
	}
	if err := s.mods(rec, mods); err != nil {
		return fmt.Errorf("mods: %w", err)
	}
	list := r.columns.get(table, columns.data)
	if list == nil {
		all, err := s.columnTypes(columns)
		if err == nil {
			list, err = r.columns.put(table, columns.data, all)
		}
		if err != nil {
			return fmt.Errorf("column_types of table %s: %w", table, err)
		}
	}
	rec.Schema = list.schema
	return r.finish()
}

// structField sets the fields of a data change record that are plain values.
func structField(rec *DataChangeRecord, f field, v value, clock *Clock) (err error) {
	var b []byte
	switch f {
	case fCommitTimestamp:
		if v.kind != valueString {
			rec.CommitTimestamp, err = v.timestamp()
			break
		}
		rec.CommitTimestamp, err = clock.Parse(v.data)
	case fRecordSequence:
		rec.RecordSequence, err = v.text()
	case fServerTransactionID:
		rec.ServerTransactionID, err = v.text()
	case fLast:
		rec.LastInTransaction, err = v.boolean()
	case fModType:
		b, err = v.text()
		rec.ModType = modTypeOf(b)
	case fCapture:
		b, err = v.text()
		rec.ValueCaptureType = valueCaptureTypeOf(b)
	case fRecords:
		rec.RecordsInTransaction, err = v.integer()
	case fPartitions:
		rec.PartitionsInTransaction, err = v.integer()
	case fTag:
		rec.TransactionTag, err = v.text()
	case fSystem:
		rec.SystemTransaction, err = v.boolean()
	}
	return err
}

func (s *structRow) mods(rec *DataChangeRecord, v value) error {
	all, err := newList(v)
	if err != nil {
		return err
	}
	for all.next() {
		l, err := newList(all.v)
		if err != nil {
			return err
		}
		m := Mod{jsonNull, jsonNull, jsonNull}
		for i := 0; l.next(); i++ {
			if l.v.empty() {
				continue
			}
			var err error
			switch fieldAt(s.layout.mod, i) {
			case fKeys:
				m.Keys, err = l.v.text()
			case fNewValues:
				m.NewValues, err = l.v.text()
			case fOldValues:
				m.OldValues, err = l.v.text()
			}
			if err != nil {
				return err
			}
		}
		if l.err != nil {
			return l.err
		}
		rec.Mods = append(rec.Mods, m)
	}
	return all.err
}

func (s *structRow) columnTypes(v value) ([]Column, error) {
	all, err := newList(v)
	if err != nil {
		return nil, err
	}
	var columns []Column
	for all.next() {
		l, err := newList(all.v)
		if err != nil {
			return nil, err
		}
		var c Column
		for i := 0; l.next(); i++ {
			var b []byte
			switch fieldAt(s.layout.column, i) {
			case fName:
				b, err = l.v.text()
				c.Name = string(b)
			case fType:
				b, err = l.v.text()
				c.Type = append(c.Type, b...)
			case fPrimaryKey:
				c.IsPrimaryKey, err = l.v.boolean()
			case fOrdinal:
				c.OrdinalPosition, err = l.v.integer()
			}
			if err != nil {
				return nil, err
			}
		}
		if l.err != nil {
			return nil, l.err
		}
		columns = append(columns, c)
	}
	return columns, all.err
}

func (s *structRow) heartbeat(r *records, v value) error {
	r.heartbeat = time.Time{}
	l, err := newList(v)
	for i := 0; err == nil && l.next(); i++ {
		if fieldAt(s.layout.heartbeat, i) == fTimestamp {
			r.heartbeat, err = l.v.timestamp()
		}
	}
	if err = errors.Join(err, l.err); err == nil && r.heartbeat.IsZero() {
		err = errors.New("no timestamp")
	}
	if err != nil {
		return fmt.Errorf("heartbeat_record: %w", err)
	}
	return nil
}

func (s *structRow) children(r *records, v value) error {
	r.children = ChildPartitionsRecord{}
	l, err := newList(v)
	for i := 0; err == nil && l.next(); i++ {
		var b []byte
		switch fieldAt(s.layout.childRecord, i) {
		case fStartTimestamp:
			r.children.StartTimestamp, err = l.v.timestamp()
		case fRecordSequence:
			b, err = l.v.text()
			r.children.RecordSequence = string(b)
		case fChildPartitions:
			r.children.Children, err = s.childPartitions(l.v)
		}
	}
	if err = errors.Join(err, l.err); err == nil {
		err = r.children.check()
	}
	if err != nil {
		return fmt.Errorf("child_partitions_record: %w", err)
	}
	return nil
}

func (s *structRow) childPartitions(v value) ([]ChildPartition, error) {
	var out []ChildPartition
	all, err := newList(v)
	for err == nil && all.next() {
		var l list
		var c ChildPartition
		l, err = newList(all.v)
		for i := 0; err == nil && l.next(); i++ {
			var b []byte
			switch fieldAt(s.layout.partition, i) {
			case fToken:
				b, err = l.v.text()
				c.Token = PartitionToken(b)
			case fParents:
				c.Parents, err = parentTokens(l.v)
			}
		}
		err = errors.Join(err, l.err)
		out = append(out, c)
	}
	return out, errors.Join(err, all.err)
}

// parentTokens reads a list of tokens; the documentation shows [NULL] where
// there are none.
func parentTokens(v value) ([]PartitionToken, error) {
	var out []PartitionToken
	l, err := newList(v)
	for err == nil && l.next() {
		var b []byte
		if b, err = l.v.text(); len(b) > 0 {
			out = append(out, PartitionToken(b))
		}
	}
	return out, errors.Join(err, l.err)
}

// check refuses records that cannot be acted on.
func (c *ChildPartitionsRecord) check() error {
	if c.StartTimestamp.IsZero() {
		return errors.New("no start_timestamp")
	}
	for _, child := range c.Children {
		if child.Token == "" {
			return errors.New("child partition without a token")
		}
	}
	return nil
}
