package changestream

import (
	"errors"
	"fmt"
	"time"

	"github.com/spancast/spancast/internal/jsonscan"
)

// jsonRow reads the rows of the PostgreSQL dialect: one JSON object of which
// one member is there.
//
//	{"data_change_record": {"commit_timestamp": "…", "mods": [{"keys": {…}, …}], …}}
//	{"heartbeat_record": {"timestamp": "…"}}
//	{"child_partitions_record": {"start_timestamp": "…", "child_partitions": […], …}}
//
// Numbers are JSON numbers, types and values JSON objects; an array of records
// in the place of a record is taken too.
type jsonRow struct {
	dataRecords, heartbeats, childs jsonscan.Elements
}

func (j *jsonRow) open(v value) error {
	j.dataRecords, j.heartbeats, j.childs = jsonscan.Elements{}, jsonscan.Elements{}, jsonscan.Elements{}
	b, err := v.text()
	if err != nil || b == nil {
		return err
	}
	m, err := jsonscan.Object(b)
	if err != nil {
		return err
	}
	for m.Next() {
		switch fieldNamed(m.Key) {
		case fData:
			j.dataRecords, err = jsonscan.Array(m.Value)
		case fHeartbeat:
			j.heartbeats, err = jsonscan.Array(m.Value)
		case fChildren:
			j.childs, err = jsonscan.Array(m.Value)
		}
		if err != nil {
			return err
		}
	}
	return m.Err
}

func (j *jsonRow) next(r *records) (Kind, error) {
	switch {
	case j.dataRecords.Next():
		return KindData, j.data(r, j.dataRecords.Value)
	case j.heartbeats.Next():
		return KindHeartbeat, j.heartbeat(r, j.heartbeats.Value)
	case j.childs.Next():
		return KindChildren, j.children(r, j.childs.Value)
	}
	return KindNone, errors.Join(j.dataRecords.Err, j.heartbeats.Err, j.childs.Err)
}

func (j *jsonRow) data(r *records, b []byte) error {
	m, err := jsonscan.Object(b)
	if err != nil {
		return err
	}
	rec := r.begin()
	var table, columns []byte
	for m.Next() {
		switch f := fieldNamed(m.Key); f {
		case fTable:
			table, err = jsonscan.Text(m.Value)
		case fColumnTypes:
			columns = m.Value
		case fMods:
			err = j.mods(rec, m.Value)
		default:
			err = jsonField(rec, f, m.Value)
		}
		if err != nil {
			return fmt.Errorf("data_change_record.%s: %w", m.Key, err)
		}
	}
	if m.Err != nil {
		return m.Err
	}
	list := r.columns.get(table, columns)
	if list == nil {
		all, err := j.columnTypes(columns)
		if err == nil {
			list, err = r.columns.put(table, columns, all)
		}
		if err != nil {
			return fmt.Errorf("column_types of table %s: %w", table, err)
		}
	}
	rec.Schema = list.schema
	return r.finish()
}

// jsonField sets the fields of a data change record that are plain values.
func jsonField(rec *DataChangeRecord, f field, v []byte) (err error) {
	var b []byte
	switch f {
	case fCommitTimestamp:
		rec.CommitTimestamp, err = jsonTimestamp(v)
	case fRecordSequence:
		rec.RecordSequence, err = jsonscan.Text(v)
	case fServerTransactionID:
		rec.ServerTransactionID, err = jsonscan.Text(v)
	case fLast:
		rec.LastInTransaction = string(v) == "true"
	case fModType:
		b, err = jsonscan.Text(v)
		rec.ModType = modTypeOf(b)
	case fCapture:
		b, err = jsonscan.Text(v)
		rec.ValueCaptureType = valueCaptureTypeOf(b)
	case fRecords:
		rec.RecordsInTransaction, err = jsonscan.Int(v)
	case fPartitions:
		rec.PartitionsInTransaction, err = jsonscan.Int(v)
	case fTag:
		rec.TransactionTag, err = jsonscan.Text(v)
	case fSystem:
		rec.SystemTransaction = string(v) == "true"
	}
	return err
}

func (j *jsonRow) mods(rec *DataChangeRecord, b []byte) error {
	all, err := jsonscan.Array(b)
	if err != nil {
		return err
	}
	for all.Next() {
		m, err := jsonscan.Object(all.Value)
		if err != nil {
			return err
		}
		mod := Mod{jsonNull, jsonNull, jsonNull}
		for m.Next() {
			switch fieldNamed(m.Key) {
			case fKeys:
				mod.Keys = m.Value
			case fNewValues:
				mod.NewValues = m.Value
			case fOldValues:
				mod.OldValues = m.Value
			}
		}
		if m.Err != nil {
			return m.Err
		}
		rec.Mods = append(rec.Mods, mod)
	}
	return all.Err
}

func (j *jsonRow) columnTypes(b []byte) ([]Column, error) {
	all, err := jsonscan.Array(b)
	if err != nil {
		return nil, err
	}
	var columns []Column
	for all.Next() {
		m, err := jsonscan.Object(all.Value)
		if err != nil {
			return nil, err
		}
		var c Column
		for m.Next() {
			var b []byte
			switch fieldNamed(m.Key) {
			case fName:
				b, err = jsonscan.Text(m.Value)
				c.Name = string(b)
			case fType:
				c.Type = append(c.Type[:0], m.Value...)
			case fPrimaryKey:
				c.IsPrimaryKey = string(m.Value) == "true"
			case fOrdinal:
				c.OrdinalPosition, err = jsonscan.Int(m.Value)
			}
			if err != nil {
				return nil, err
			}
		}
		if m.Err != nil {
			return nil, m.Err
		}
		columns = append(columns, c)
	}
	return columns, all.Err
}

func (j *jsonRow) heartbeat(r *records, b []byte) error {
	r.heartbeat = time.Time{}
	m, err := jsonscan.Object(b)
	for err == nil && m.Next() {
		if fieldNamed(m.Key) == fTimestamp {
			r.heartbeat, err = jsonTimestamp(m.Value)
		}
	}
	if err = errors.Join(err, m.Err); err == nil && r.heartbeat.IsZero() {
		err = errors.New("no timestamp")
	}
	if err != nil {
		return fmt.Errorf("heartbeat_record: %w", err)
	}
	return nil
}

func (j *jsonRow) children(r *records, b []byte) error {
	r.children = ChildPartitionsRecord{}
	m, err := jsonscan.Object(b)
	for err == nil && m.Next() {
		var b []byte
		switch fieldNamed(m.Key) {
		case fStartTimestamp:
			r.children.StartTimestamp, err = jsonTimestamp(m.Value)
		case fRecordSequence:
			b, err = jsonscan.Text(m.Value)
			r.children.RecordSequence = string(b)
		case fChildPartitions:
			r.children.Children, err = j.childPartitions(m.Value)
		}
	}
	if err = errors.Join(err, m.Err); err == nil {
		err = r.children.check()
	}
	if err != nil {
		return fmt.Errorf("child_partitions_record: %w", err)
	}
	return nil
}

func (j *jsonRow) childPartitions(b []byte) ([]ChildPartition, error) {
	var out []ChildPartition
	all, err := jsonscan.Array(b)
	for err == nil && all.Next() {
		var m jsonscan.Members
		var c ChildPartition
		m, err = jsonscan.Object(all.Value)
		for err == nil && m.Next() {
			var b []byte
			switch fieldNamed(m.Key) {
			case fToken:
				b, err = jsonscan.Text(m.Value)
				c.Token = PartitionToken(b)
			case fParents:
				c.Parents, err = jsonTokens(m.Value)
			}
		}
		err = errors.Join(err, m.Err)
		out = append(out, c)
	}
	return out, errors.Join(err, all.Err)
}

func jsonTokens(b []byte) ([]PartitionToken, error) {
	var out []PartitionToken
	all, err := jsonscan.Array(b)
	for err == nil && all.Next() {
		var b []byte
		if b, err = jsonscan.Text(all.Value); len(b) > 0 {
			out = append(out, PartitionToken(b))
		}
	}
	return out, errors.Join(err, all.Err)
}

func jsonTimestamp(b []byte) (time.Time, error) {
	text, err := jsonscan.Text(b)
	if err != nil || text == nil {
		return time.Time{}, err
	}
	return ParseTimestamp(text)
}
