package changes

import (
	"time"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/store"
	"github.com/spancast/spancast/emulator/internal/value"
)

func marshal(r *sppb.ChangeStreamRecord) []byte {
	out, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil { // only a string that is not UTF-8 could cause it, and those are refused on entry
		return nil
	}
	return out
}

var protoModTypes = map[ModType]sppb.ChangeStreamRecord_DataChangeRecord_ModType{
	Insert: sppb.ChangeStreamRecord_DataChangeRecord_INSERT,
	Update: sppb.ChangeStreamRecord_DataChangeRecord_UPDATE,
	Delete: sppb.ChangeStreamRecord_DataChangeRecord_DELETE,
}

var protoCaptures = map[schema.CaptureType]sppb.ChangeStreamRecord_DataChangeRecord_ValueCaptureType{
	schema.OldAndNewValues:    sppb.ChangeStreamRecord_DataChangeRecord_OLD_AND_NEW_VALUES,
	schema.NewValues:          sppb.ChangeStreamRecord_DataChangeRecord_NEW_VALUES,
	schema.NewRow:             sppb.ChangeStreamRecord_DataChangeRecord_NEW_ROW,
	schema.NewRowAndOldValues: sppb.ChangeStreamRecord_DataChangeRecord_NEW_ROW_AND_OLD_VALUES,
}

func protoRecord(s *Stream, txn *Txn, r *record, seq, records, partitions int) []byte {
	data := &sppb.ChangeStreamRecord_DataChangeRecord{
		CommitTimestamp:                      timestamppb.New(Time(txn.At)),
		RecordSequence:                       sequence(seq),
		ServerTransactionId:                  txn.ID,
		IsLastRecordInTransactionInPartition: r.last,
		Table:                                r.plan.table.Name,
		ModType:                              protoModTypes[r.shape.modType],
		ValueCaptureType:                     protoCaptures[s.capture],
		NumberOfRecordsInTransaction:         int32(records),
		NumberOfPartitionsInTransaction:      int32(partitions),
		TransactionTag:                       txn.Tag,
		IsSystemTransaction:                  txn.System,
	}
	for _, c := range r.shape.columns {
		data.ColumnMetadata = append(data.ColumnMetadata, &sppb.ChangeStreamRecord_DataChangeRecord_ColumnMetadata{
			Name: c.Name, Type: c.Type.Proto(), IsPrimaryKey: c.IsKey, OrdinalPosition: int64(r.plan.table.Ordinal(c))})
	}
	for _, c := range r.mods {
		data.Mods = append(data.Mods, &sppb.ChangeStreamRecord_DataChangeRecord_Mod{
			Keys: modValues(r.shape.keys, c.either()), NewValues: modValues(r.shape.new, c.New), OldValues: modValues(r.shape.old, c.Old)})
	}
	return marshal(&sppb.ChangeStreamRecord{Record: &sppb.ChangeStreamRecord_DataChangeRecord_{DataChangeRecord: data}})
}

func modValues(members []member, row []any) []*sppb.ChangeStreamRecord_DataChangeRecord_ModValue {
	var out []*sppb.ChangeStreamRecord_DataChangeRecord_ModValue
	for _, m := range members {
		var v any
		if m.slot < len(row) {
			v = row[m.slot]
		}
		out = append(out, &sppb.ChangeStreamRecord_DataChangeRecord_ModValue{ColumnMetadataIndex: m.index, Value: value.ToProto(v)})
	}
	return out
}

func protoHeartbeat(at time.Time) []byte {
	return marshal(&sppb.ChangeStreamRecord{Record: &sppb.ChangeStreamRecord_HeartbeatRecord_{
		HeartbeatRecord: &sppb.ChangeStreamRecord_HeartbeatRecord{Timestamp: timestamppb.New(at)}}})
}

func protoStart(at time.Time, seq int, tokens ...string) []byte {
	return marshal(&sppb.ChangeStreamRecord{Record: &sppb.ChangeStreamRecord_PartitionStartRecord_{
		PartitionStartRecord: &sppb.ChangeStreamRecord_PartitionStartRecord{StartTimestamp: timestamppb.New(at), RecordSequence: sequence(seq), PartitionTokens: tokens}}})
}

func protoEnd(at store.Timestamp, seq int, token string) []byte {
	return marshal(&sppb.ChangeStreamRecord{Record: &sppb.ChangeStreamRecord_PartitionEndRecord_{
		PartitionEndRecord: &sppb.ChangeStreamRecord_PartitionEndRecord{EndTimestamp: timestamppb.New(Time(at)), RecordSequence: sequence(seq), PartitionToken: token}}})
}

// protoEvent tells that keys came from, or went to, other partitions.
func protoEvent(at store.Timestamp, seq int, token string, from, to []string) []byte {
	event := &sppb.ChangeStreamRecord_PartitionEventRecord{CommitTimestamp: timestamppb.New(Time(at)), RecordSequence: sequence(seq), PartitionToken: token}
	for _, source := range from {
		event.MoveInEvents = append(event.MoveInEvents, &sppb.ChangeStreamRecord_PartitionEventRecord_MoveInEvent{SourcePartitionToken: source})
	}
	for _, destination := range to {
		event.MoveOutEvents = append(event.MoveOutEvents, &sppb.ChangeStreamRecord_PartitionEventRecord_MoveOutEvent{DestinationPartitionToken: destination})
	}
	return marshal(&sppb.ChangeStreamRecord{Record: &sppb.ChangeStreamRecord_PartitionEventRecord_{PartitionEventRecord: event}})
}

// protoRow wraps a serialised record as a whole row.
func (s *Stream) protoRow(message []byte) []byte {
	dst, row := open(nil, tagValues)
	return closeAt(s.appendProto(dst, message), row)
}
