package oracle

import (
	"encoding/json"
	"time"

	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

// jsonRow is a row of the PostgreSQL dialect.
type jsonRow struct {
	Data *struct {
		CommitTimestamp     time.Time `json:"commit_timestamp"`
		RecordSequence      string    `json:"record_sequence"`
		ServerTransactionID string    `json:"server_transaction_id"`
		Last                bool      `json:"is_last_record_in_transaction_in_partition"`
		Table               string    `json:"table_name"`
		Columns             []struct {
			Name    string          `json:"name"`
			Type    json.RawMessage `json:"type"`
			Key     bool            `json:"is_primary_key"`
			Ordinal int64           `json:"ordinal_position"`
		} `json:"column_types"`
		Mods []struct {
			Keys json.RawMessage `json:"keys"`
			New  json.RawMessage `json:"new_values"`
			Old  json.RawMessage `json:"old_values"`
		} `json:"mods"`
		ModType    string `json:"mod_type"`
		Capture    string `json:"value_capture_type"`
		Records    int64  `json:"number_of_records_in_transaction"`
		Partitions int64  `json:"number_of_partitions_in_transaction"`
		Tag        string `json:"transaction_tag"`
		System     bool   `json:"is_system_transaction"`
	} `json:"data_change_record"`
	Heartbeat *struct {
		Timestamp time.Time `json:"timestamp"`
	} `json:"heartbeat_record"`
	Children *struct {
		Start          time.Time `json:"start_timestamp"`
		RecordSequence string    `json:"record_sequence"`
		Partitions     []struct {
			Token   string    `json:"token"`
			Parents []*string `json:"parent_partition_tokens"`
		} `json:"child_partitions"`
	} `json:"child_partitions_record"`
}

func fromJSON(b []byte) ([]Record, error) {
	var row jsonRow
	if err := json.Unmarshal(b, &row); err != nil {
		return nil, err
	}
	var out []Record
	if d := row.Data; d != nil {
		r := Record{
			Kind: "data", CommitTimestamp: d.CommitTimestamp.UTC(), RecordSequence: d.RecordSequence, ServerTransactionID: d.ServerTransactionID,
			Last: d.Last, Table: d.Table, ModType: d.ModType, Capture: d.Capture, Records: d.Records, Partitions: d.Partitions, Tag: d.Tag, System: d.System,
		}
		for _, c := range d.Columns {
			r.Columns = append(r.Columns, Column{c.Name, compact(string(c.Type)), c.Key, c.Ordinal})
		}
		for _, m := range d.Mods {
			r.Mods = append(r.Mods, Mod{orNull(m.Keys), orNull(m.New), orNull(m.Old)})
		}
		sortColumns(r.Columns)
		out = append(out, r)
	}
	if h := row.Heartbeat; h != nil {
		out = append(out, Record{Kind: "heartbeat", CommitTimestamp: h.Timestamp.UTC()})
	}
	if c := row.Children; c != nil {
		r := Record{Kind: "children", CommitTimestamp: c.Start.UTC(), RecordSequence: c.RecordSequence}
		for _, p := range c.Partitions {
			child := Child{Token: p.Token}
			for _, parent := range p.Parents {
				if parent != nil && *parent != "" {
					child.Parents = append(child.Parents, *parent)
				}
			}
			r.Children = append(r.Children, child)
		}
		out = append(out, r)
	}
	return out, nil
}

func orNull(m json.RawMessage) string {
	if m == nil {
		return "null"
	}
	return string(m)
}

func fromProto(rec *spannerpb.ChangeStreamRecord) ([]Record, error) {
	switch r := rec.GetRecord().(type) {
	case *spannerpb.ChangeStreamRecord_DataChangeRecord_:
		return fromProtoData(r.DataChangeRecord)
	case *spannerpb.ChangeStreamRecord_HeartbeatRecord_:
		return []Record{{Kind: "heartbeat", CommitTimestamp: r.HeartbeatRecord.GetTimestamp().AsTime()}}, nil
	case *spannerpb.ChangeStreamRecord_PartitionStartRecord_:
		p := r.PartitionStartRecord
		return []Record{{Kind: "start", CommitTimestamp: p.GetStartTimestamp().AsTime(), RecordSequence: p.GetRecordSequence(), Tokens: p.GetPartitionTokens()}}, nil
	case *spannerpb.ChangeStreamRecord_PartitionEndRecord_:
		p := r.PartitionEndRecord
		return []Record{{Kind: "end", CommitTimestamp: p.GetEndTimestamp().AsTime(), RecordSequence: p.GetRecordSequence(), Tokens: []string{p.GetPartitionToken()}}}, nil
	case *spannerpb.ChangeStreamRecord_PartitionEventRecord_:
		p := r.PartitionEventRecord
		out := Record{Kind: "event", CommitTimestamp: p.GetCommitTimestamp().AsTime(), RecordSequence: p.GetRecordSequence(), Tokens: []string{p.GetPartitionToken()}}
		for _, e := range p.GetMoveInEvents() {
			out.In = append(out.In, e.GetSourcePartitionToken())
		}
		for _, e := range p.GetMoveOutEvents() {
			out.Out = append(out.Out, e.GetDestinationPartitionToken())
		}
		return []Record{out}, nil
	}
	return nil, nil
}

func fromProtoData(d *spannerpb.ChangeStreamRecord_DataChangeRecord) ([]Record, error) {
	r := Record{
		Kind: "data", CommitTimestamp: d.GetCommitTimestamp().AsTime(), RecordSequence: d.GetRecordSequence(), ServerTransactionID: d.GetServerTransactionId(),
		Last: d.GetIsLastRecordInTransactionInPartition(), Table: d.GetTable(), ModType: d.GetModType().String(), Capture: d.GetValueCaptureType().String(),
		Records: int64(d.GetNumberOfRecordsInTransaction()), Partitions: int64(d.GetNumberOfPartitionsInTransaction()), Tag: d.GetTransactionTag(), System: d.GetIsSystemTransaction(),
	}
	for _, c := range d.GetColumnMetadata() {
		t, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(c.GetType())
		if err != nil {
			return nil, err
		}
		r.Columns = append(r.Columns, Column{c.GetName(), compact(string(t)), c.GetIsPrimaryKey(), c.GetOrdinalPosition()})
	}
	for _, m := range d.GetMods() {
		var mod Mod
		for _, part := range []struct {
			to     *string
			values []*spannerpb.ChangeStreamRecord_DataChangeRecord_ModValue
		}{{&mod.Keys, m.GetKeys()}, {&mod.New, m.GetNewValues()}, {&mod.Old, m.GetOldValues()}} {
			object := &structpb.Struct{Fields: map[string]*structpb.Value{}}
			for _, v := range part.values {
				object.Fields[d.GetColumnMetadata()[v.GetColumnMetadataIndex()].GetName()] = v.GetValue()
			}
			b, err := protojson.Marshal(object)
			if err != nil {
				return nil, err
			}
			*part.to = string(b)
		}
		r.Mods = append(r.Mods, mod)
	}
	sortColumns(r.Columns)
	return []Record{r}, nil
}
