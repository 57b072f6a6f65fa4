package oracle

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Metadata returns what the first frame of a query carries, for rows that
// StructRow, JSONRow or ProtoRow build.
func Metadata(column *spannerpb.Type) *spannerpb.ResultSetMetadata {
	return &spannerpb.ResultSetMetadata{RowType: &spannerpb.StructType{Fields: []*spannerpb.StructType_Field{{Name: "ChangeRecord", Type: column}}}}
}

// The types of the one column of a change stream query.
func StructColumn() *spannerpb.Type {
	str, boolean, integer, ts, js := scalar(spannerpb.TypeCode_STRING), scalar(spannerpb.TypeCode_BOOL), scalar(spannerpb.TypeCode_INT64), scalar(spannerpb.TypeCode_TIMESTAMP), scalar(spannerpb.TypeCode_JSON)
	return array(structOf(
		"data_change_record", array(structOf(
			"commit_timestamp", ts, "record_sequence", str, "server_transaction_id", str, "is_last_record_in_transaction_in_partition", boolean,
			"table_name", str,
			"column_types", array(structOf("name", str, "type", js, "is_primary_key", boolean, "ordinal_position", integer)),
			"mods", array(structOf("keys", js, "new_values", js, "old_values", js)),
			"mod_type", str, "value_capture_type", str, "number_of_records_in_transaction", integer, "number_of_partitions_in_transaction", integer,
			"transaction_tag", str, "is_system_transaction", boolean)),
		"heartbeat_record", array(structOf("timestamp", ts)),
		"child_partitions_record", array(structOf("start_timestamp", ts, "record_sequence", str,
			"child_partitions", array(structOf("token", str, "parent_partition_tokens", array(str)))))))
}

func JSONColumn() *spannerpb.Type {
	return &spannerpb.Type{Code: spannerpb.TypeCode_JSON, TypeAnnotation: spannerpb.TypeAnnotationCode_PG_JSONB}
}

func ProtoColumn() *spannerpb.Type {
	return &spannerpb.Type{Code: spannerpb.TypeCode_PROTO, ProtoTypeFqn: "google.spanner.v1.ChangeStreamRecord"}
}

func scalar(code spannerpb.TypeCode) *spannerpb.Type { return &spannerpb.Type{Code: code} }

func array(of *spannerpb.Type) *spannerpb.Type {
	return &spannerpb.Type{Code: spannerpb.TypeCode_ARRAY, ArrayElementType: of}
}

// structOf takes names and types by turns.
func structOf(fields ...any) *spannerpb.Type {
	t := &spannerpb.StructType{}
	for i := 0; i < len(fields); i += 2 {
		t.Fields = append(t.Fields, &spannerpb.StructType_Field{Name: fields[i].(string), Type: fields[i+1].(*spannerpb.Type)})
	}
	return &spannerpb.Type{Code: spannerpb.TypeCode_STRUCT, StructType: t}
}

// StructRow builds the row that GoogleSQL returns for a record.
func StructRow(r Record) *structpb.Value {
	data, beat, children := listOf(), listOf(), listOf()
	switch r.Kind {
	case "data":
		columns, mods := listOf(), listOf()
		for _, c := range r.Columns {
			add(columns, listOf(str(c.Name), str(c.Type), structpb.NewBoolValue(c.Key), num(c.Ordinal)))
		}
		for _, m := range r.Mods {
			add(mods, listOf(str(m.Keys), str(m.New), str(m.Old)))
		}
		add(data, listOf(str(stamp(r.CommitTimestamp)), str(r.RecordSequence), str(r.ServerTransactionID), structpb.NewBoolValue(r.Last), str(r.Table),
			columns, mods, str(r.ModType), str(r.Capture), num(r.Records), num(r.Partitions), str(r.Tag), structpb.NewBoolValue(r.System)))
	case "heartbeat":
		add(beat, listOf(str(stamp(r.CommitTimestamp))))
	case "children":
		list := listOf()
		for _, c := range r.Children {
			parents := listOf()
			for _, p := range c.Parents {
				add(parents, str(p))
			}
			add(list, listOf(str(c.Token), parents))
		}
		add(children, listOf(str(stamp(r.CommitTimestamp)), str(r.RecordSequence), list))
	}
	return listOf(listOf(data, beat, children))
}

// JSONRow builds the row that the PostgreSQL dialect returns for a record.
func JSONRow(r Record) *structpb.Value {
	var row any
	switch r.Kind {
	case "data":
		columns, mods := []any{}, []any{}
		for _, c := range r.Columns {
			columns = append(columns, map[string]any{"name": c.Name, "type": json.RawMessage(c.Type), "is_primary_key": c.Key, "ordinal_position": c.Ordinal})
		}
		for _, m := range r.Mods {
			mods = append(mods, map[string]any{"keys": json.RawMessage(m.Keys), "new_values": json.RawMessage(m.New), "old_values": json.RawMessage(m.Old)})
		}
		row = map[string]any{"data_change_record": map[string]any{
			"commit_timestamp": r.CommitTimestamp.In(time.FixedZone("", -8*3600)).Format("2006-01-02T15:04:05.999999999-07:00"),
			"record_sequence":  r.RecordSequence, "server_transaction_id": r.ServerTransactionID,
			"is_last_record_in_transaction_in_partition": r.Last, "table_name": r.Table, "column_types": columns, "mods": mods,
			"mod_type": r.ModType, "value_capture_type": r.Capture, "number_of_records_in_transaction": r.Records,
			"number_of_partitions_in_transaction": r.Partitions, "transaction_tag": r.Tag, "is_system_transaction": r.System}}
	case "heartbeat":
		row = map[string]any{"heartbeat_record": map[string]any{"timestamp": stamp(r.CommitTimestamp)}}
	case "children":
		list := []any{}
		for _, c := range r.Children {
			list = append(list, map[string]any{"token": c.Token, "parent_partition_tokens": append([]string{}, c.Parents...)})
		}
		row = map[string]any{"child_partitions_record": map[string]any{"start_timestamp": stamp(r.CommitTimestamp), "record_sequence": r.RecordSequence, "child_partitions": list}}
	}
	b, err := json.Marshal(row)
	if err != nil {
		panic(fmt.Sprintf("record with values that are not JSON: %v", err))
	}
	return str(string(b))
}

// ProtoRow builds the row that a MUTABLE_KEY_RANGE stream returns for a record.
// Values are taken from the JSON of the mods.
func ProtoRow(r Record) *structpb.Value {
	at := timestamppb.New(r.CommitTimestamp)
	rec := &spannerpb.ChangeStreamRecord{}
	switch r.Kind {
	case "data":
		rec.Record = &spannerpb.ChangeStreamRecord_DataChangeRecord_{DataChangeRecord: protoData(r)}
	case "heartbeat":
		rec.Record = &spannerpb.ChangeStreamRecord_HeartbeatRecord_{HeartbeatRecord: &spannerpb.ChangeStreamRecord_HeartbeatRecord{Timestamp: at}}
	case "start":
		rec.Record = &spannerpb.ChangeStreamRecord_PartitionStartRecord_{PartitionStartRecord: &spannerpb.ChangeStreamRecord_PartitionStartRecord{StartTimestamp: at, RecordSequence: r.RecordSequence, PartitionTokens: r.Tokens}}
	case "end":
		rec.Record = &spannerpb.ChangeStreamRecord_PartitionEndRecord_{PartitionEndRecord: &spannerpb.ChangeStreamRecord_PartitionEndRecord{EndTimestamp: at, RecordSequence: r.RecordSequence, PartitionToken: r.Tokens[0]}}
	case "event":
		e := &spannerpb.ChangeStreamRecord_PartitionEventRecord{CommitTimestamp: at, RecordSequence: r.RecordSequence, PartitionToken: r.Tokens[0]}
		for _, token := range r.In {
			e.MoveInEvents = append(e.MoveInEvents, &spannerpb.ChangeStreamRecord_PartitionEventRecord_MoveInEvent{SourcePartitionToken: token})
		}
		for _, token := range r.Out {
			e.MoveOutEvents = append(e.MoveOutEvents, &spannerpb.ChangeStreamRecord_PartitionEventRecord_MoveOutEvent{DestinationPartitionToken: token})
		}
		rec.Record = &spannerpb.ChangeStreamRecord_PartitionEventRecord_{PartitionEventRecord: e}
	}
	b, err := proto.Marshal(rec)
	if err != nil {
		panic(fmt.Sprintf("record with strings that are not UTF-8: %v", err))
	}
	return str(base64.StdEncoding.EncodeToString(b))
}

func protoData(r Record) *spannerpb.ChangeStreamRecord_DataChangeRecord {
	d := &spannerpb.ChangeStreamRecord_DataChangeRecord{
		CommitTimestamp: timestamppb.New(r.CommitTimestamp), RecordSequence: r.RecordSequence, ServerTransactionId: r.ServerTransactionID,
		IsLastRecordInTransactionInPartition: r.Last, Table: r.Table, TransactionTag: r.Tag, IsSystemTransaction: r.System,
		NumberOfRecordsInTransaction: int32(r.Records), NumberOfPartitionsInTransaction: int32(r.Partitions),
		ModType:          spannerpb.ChangeStreamRecord_DataChangeRecord_ModType(spannerpb.ChangeStreamRecord_DataChangeRecord_ModType_value[r.ModType]),
		ValueCaptureType: spannerpb.ChangeStreamRecord_DataChangeRecord_ValueCaptureType(spannerpb.ChangeStreamRecord_DataChangeRecord_ValueCaptureType_value[r.Capture]),
	}
	index := map[string]int32{}
	for i, c := range r.Columns {
		index[c.Name] = int32(i)
		var t struct{ Code string }
		json.Unmarshal([]byte(c.Type), &t)
		d.ColumnMetadata = append(d.ColumnMetadata, &spannerpb.ChangeStreamRecord_DataChangeRecord_ColumnMetadata{
			Name: c.Name, Type: scalar(spannerpb.TypeCode(spannerpb.TypeCode_value[t.Code])), IsPrimaryKey: c.Key, OrdinalPosition: c.Ordinal})
	}
	values := func(text string) []*spannerpb.ChangeStreamRecord_DataChangeRecord_ModValue {
		object := &structpb.Struct{}
		if err := object.UnmarshalJSON([]byte(text)); err != nil {
			panic(fmt.Sprintf("values are not a JSON object: %v", err))
		}
		var out []*spannerpb.ChangeStreamRecord_DataChangeRecord_ModValue
		for _, c := range r.Columns {
			if v, ok := object.Fields[c.Name]; ok {
				out = append(out, &spannerpb.ChangeStreamRecord_DataChangeRecord_ModValue{ColumnMetadataIndex: index[c.Name], Value: v})
			}
		}
		return out
	}
	for _, m := range r.Mods {
		d.Mods = append(d.Mods, &spannerpb.ChangeStreamRecord_DataChangeRecord_Mod{Keys: values(m.Keys), NewValues: values(m.New), OldValues: values(m.Old)})
	}
	return d
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func str(s string) *structpb.Value { return structpb.NewStringValue(s) }

func num(n int64) *structpb.Value { return str(strconv.FormatInt(n, 10)) }

func listOf(values ...*structpb.Value) *structpb.Value {
	return structpb.NewListValue(&structpb.ListValue{Values: values})
}

func add(list *structpb.Value, v *structpb.Value) {
	list.GetListValue().Values = append(list.GetListValue().Values, v)
}
