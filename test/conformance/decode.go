package conformance

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// decodeRow turns the one column of a change stream row into records. Both
// encodings are brought into the same shape first: GoogleSQL's nested lists
// become maps by field name, which is what PostgreSQL's JSON is already.
func decodeRow(t *sppb.Type, v *structpb.Value) ([]Row, error) {
	var records []any
	if t.Code == sppb.TypeCode_JSON {
		var one any
		if err := json.Unmarshal([]byte(v.GetStringValue()), &one); err != nil {
			return nil, fmt.Errorf("change record: %w", err)
		}
		records = []any{one}
	} else if list, ok := byName(t, v).([]any); ok {
		records = list
	}
	var out []Row
	for _, record := range records {
		fields, ok := record.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("change record is %T", record)
		}
		for _, data := range elements(fields["data_change_record"]) {
			out = append(out, Row{Data: dataRecord(data)})
		}
		for _, heartbeat := range elements(fields["heartbeat_record"]) {
			out = append(out, Row{Heartbeat: timeOf(heartbeat["timestamp"])})
		}
		for _, child := range elements(fields["child_partitions_record"]) {
			out = append(out, Row{Child: childRecord(child)})
		}
	}
	return out, nil
}

// byName turns STRUCT values into maps, arrays into slices, and leaves the rest.
func byName(t *sppb.Type, v *structpb.Value) any {
	list := v.GetListValue().GetValues()
	switch t.Code {
	case sppb.TypeCode_STRUCT:
		out := map[string]any{}
		for i, field := range t.StructType.Fields {
			if i < len(list) {
				out[field.Name] = byName(field.Type, list[i])
			}
		}
		return out
	case sppb.TypeCode_ARRAY:
		out := make([]any, len(list))
		for i, element := range list {
			out[i] = byName(t.ArrayElementType, element)
		}
		return out
	}
	return v.AsInterface()
}

// elements gives the objects of a list, of a lone object, or of nothing.
func elements(v any) []map[string]any {
	switch v := v.(type) {
	case map[string]any:
		return []map[string]any{v}
	case []any:
		var out []map[string]any
		for _, element := range v {
			if object, ok := element.(map[string]any); ok {
				out = append(out, object)
			}
		}
		return out
	}
	return nil
}

func dataRecord(f map[string]any) *Record {
	r := &Record{
		CommitTimestamp:     timeOf(f["commit_timestamp"]),
		Sequence:            text(f["record_sequence"]),
		ServerTransactionID: text(f["server_transaction_id"]),
		Last:                f["is_last_record_in_transaction_in_partition"] == true,
		Table:               text(f["table_name"]),
		ModType:             text(f["mod_type"]),
		CaptureType:         text(f["value_capture_type"]),
		NumberOfRecords:     number(f["number_of_records_in_transaction"]),
		NumberOfPartitions:  number(f["number_of_partitions_in_transaction"]),
		Tag:                 text(f["transaction_tag"]),
		System:              f["is_system_transaction"] == true,
	}
	for _, c := range elements(f["column_types"]) {
		r.Columns = append(r.Columns, Column{Name: text(c["name"]), Type: jsonText(c["type"]), Key: c["is_primary_key"] == true, Ordinal: number(c["ordinal_position"])})
	}
	for _, m := range elements(f["mods"]) {
		r.Mods = append(r.Mods, Mod{Keys: jsonText(m["keys"]), New: jsonText(m["new_values"]), Old: jsonText(m["old_values"])})
	}
	return r
}

func childRecord(f map[string]any) *ChildPartitions {
	out := &ChildPartitions{Start: timeOf(f["start_timestamp"]), Sequence: text(f["record_sequence"])}
	for _, child := range elements(f["child_partitions"]) {
		partition := Partition{Token: text(child["token"])}
		if parents, ok := child["parent_partition_tokens"].([]any); ok {
			for _, parent := range parents {
				if token, ok := parent.(string); ok {
					partition.Parents = append(partition.Parents, token)
				}
			}
		}
		out.Partitions = append(out.Partitions, partition)
	}
	return out
}

func text(v any) string {
	s, ok := v.(string)
	if !ok {
		return fmt.Sprint(v)
	}
	return s
}

// number reads INT64s, which are strings in GoogleSQL and numbers in PostgreSQL.
func number(v any) int64 {
	switch v := v.(type) {
	case float64:
		return int64(v)
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		if err == nil {
			return n
		}
	}
	return -1
}

func timeOf(v any) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text(v))
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// jsonText gives JSON columns, which are text in GoogleSQL and values in
// PostgreSQL, as text.
func jsonText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	out, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(out)
}
