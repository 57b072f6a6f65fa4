package changestream

import (
	"errors"
	"fmt"

	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/proto"
)

// encoding is the form in which a change stream's rows come.
type encoding int

const (
	structRows encoding = 1 + iota // GoogleSQL: ARRAY<STRUCT<…>>
	jsonRows                       // PostgreSQL: one JSON object
	protoRows                      // MUTABLE_KEY_RANGE: a ChangeStreamRecord, base64
)

// A field of one of the structs that make up a GoogleSQL row.
type field uint8

const (
	unknownField field = iota
	fData
	fHeartbeat
	fChildren
	fCommitTimestamp
	fRecordSequence
	fServerTransactionID
	fLast
	fTable
	fColumnTypes
	fMods
	fModType
	fCapture
	fRecords
	fPartitions
	fTag
	fSystem
	fTimestamp
	fStartTimestamp
	fChildPartitions
	fToken
	fParents
	fName
	fType
	fPrimaryKey
	fOrdinal
	fKeys
	fNewValues
	fOldValues
)

// fieldNamed knows the names that the documentation gives the fields, in
// structs and in JSON alike; whatever else comes is passed over.
func fieldNamed(name []byte) field {
	switch string(name) {
	case "data_change_record":
		return fData
	case "heartbeat_record":
		return fHeartbeat
	case "child_partitions_record":
		return fChildren
	case "commit_timestamp":
		return fCommitTimestamp
	case "record_sequence":
		return fRecordSequence
	case "server_transaction_id":
		return fServerTransactionID
	case "is_last_record_in_transaction_in_partition":
		return fLast
	case "table_name":
		return fTable
	case "column_types":
		return fColumnTypes
	case "mods":
		return fMods
	case "mod_type":
		return fModType
	case "value_capture_type":
		return fCapture
	case "number_of_records_in_transaction":
		return fRecords
	case "number_of_partitions_in_transaction":
		return fPartitions
	case "transaction_tag":
		return fTag
	case "is_system_transaction":
		return fSystem
	case "timestamp":
		return fTimestamp
	case "start_timestamp":
		return fStartTimestamp
	case "child_partitions":
		return fChildPartitions
	case "token":
		return fToken
	case "parent_partition_tokens":
		return fParents
	case "name":
		return fName
	case "type":
		return fType
	case "is_primary_key":
		return fPrimaryKey
	case "ordinal_position":
		return fOrdinal
	case "keys":
		return fKeys
	case "new_values":
		return fNewValues
	case "old_values":
		return fOldValues
	}
	return unknownField
}

// A layout says how the rows of one query are to be read. Structs are sent as
// lists without names, so the order of their fields is taken, by name, from the
// query's metadata.
type layout struct {
	encoding                                                  encoding
	row, data, column, mod, heartbeat, childRecord, partition []field
}

// parseLayout reads the ResultSetMetadata that the first PartialResultSet of a
// query carries.
func parseLayout(metadata []byte) (*layout, error) {
	var md spannerpb.ResultSetMetadata
	if err := proto.Unmarshal(metadata, &md); err != nil {
		return nil, fmt.Errorf("result set metadata: %w", err)
	}
	columns := md.GetRowType().GetFields()
	if len(columns) != 1 {
		return nil, fmt.Errorf("result has %d columns, a change stream query has one", len(columns))
	}
	switch t := columns[0].GetType(); t.GetCode() {
	case spannerpb.TypeCode_ARRAY:
		return structLayout(t.GetArrayElementType())
	case spannerpb.TypeCode_JSON, spannerpb.TypeCode_STRING:
		return &layout{encoding: jsonRows}, nil
	case spannerpb.TypeCode_PROTO, spannerpb.TypeCode_BYTES:
		return &layout{encoding: protoRows}, nil
	default:
		return nil, fmt.Errorf("result column %q has type %v, which no change stream query returns", columns[0].GetName(), t.GetCode())
	}
}

func structLayout(row *spannerpb.Type) (*layout, error) {
	l := &layout{encoding: structRows}
	l.row = l.structFields(row)
	if l.data == nil || l.heartbeat == nil && l.childRecord == nil {
		return nil, errors.New("result is not of the form that a change stream query returns: no data_change_record, heartbeat_record or child_partitions_record in it")
	}
	return l, nil
}

// structFields lists the fields of a struct type and those of the structs in it.
func (l *layout) structFields(t *spannerpb.Type) []field {
	fields := []field{}
	for _, f := range t.GetStructType().GetFields() {
		known := fieldNamed([]byte(f.GetName()))
		fields = append(fields, known)
		inner := f.GetType().GetArrayElementType()
		if inner.GetCode() != spannerpb.TypeCode_STRUCT {
			continue
		}
		switch known {
		case fData:
			l.data = l.structFields(inner)
		case fHeartbeat:
			l.heartbeat = l.structFields(inner)
		case fChildren:
			l.childRecord = l.structFields(inner)
		case fColumnTypes:
			l.column = l.structFields(inner)
		case fMods:
			l.mod = l.structFields(inner)
		case fChildPartitions:
			l.partition = l.structFields(inner)
		}
	}
	return fields
}

// fieldAt is the field at place i of a struct, unknown beyond those announced.
func fieldAt(fields []field, i int) field {
	if i < len(fields) {
		return fields[i]
	}
	return unknownField
}
