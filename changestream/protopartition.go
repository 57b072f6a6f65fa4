package changestream

import (
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/proto"
)

// A PartitionRecord is what a MUTABLE_KEY_RANGE stream says of its partitions;
// such records are rare, and copied.
type PartitionRecord struct {
	Timestamp      time.Time // start, end or commit timestamp
	RecordSequence string
	// Tokens are the partitions that start at Timestamp, or the one that ends,
	// or the one whose key range changes.
	Tokens []PartitionToken
	// Sources are the partitions that keys move in from, Destinations those
	// that keys move out to.
	Sources, Destinations []PartitionToken
}

// protoPartition reads partition start, end and event records with the
// generated types.
func protoPartition(r *records, kind Kind, b []byte) error {
	r.partition = PartitionRecord{}
	var err error
	switch kind {
	case KindPartitionStart:
		var rec spannerpb.ChangeStreamRecord_PartitionStartRecord
		err = proto.Unmarshal(b, &rec)
		r.partition.Timestamp, r.partition.RecordSequence = rec.GetStartTimestamp().AsTime(), rec.GetRecordSequence()
		for _, token := range rec.GetPartitionTokens() {
			r.partition.Tokens = append(r.partition.Tokens, PartitionToken(token))
		}
	case KindPartitionEnd:
		var rec spannerpb.ChangeStreamRecord_PartitionEndRecord
		err = proto.Unmarshal(b, &rec)
		r.partition.Timestamp, r.partition.RecordSequence = rec.GetEndTimestamp().AsTime(), rec.GetRecordSequence()
		r.partition.Tokens = []PartitionToken{PartitionToken(rec.GetPartitionToken())}
	case KindPartitionEvent:
		var rec spannerpb.ChangeStreamRecord_PartitionEventRecord
		err = proto.Unmarshal(b, &rec)
		r.partition.Timestamp, r.partition.RecordSequence = rec.GetCommitTimestamp().AsTime(), rec.GetRecordSequence()
		r.partition.Tokens = []PartitionToken{PartitionToken(rec.GetPartitionToken())}
		for _, e := range rec.GetMoveInEvents() {
			r.partition.Sources = append(r.partition.Sources, PartitionToken(e.GetSourcePartitionToken()))
		}
		for _, e := range rec.GetMoveOutEvents() {
			r.partition.Destinations = append(r.partition.Destinations, PartitionToken(e.GetDestinationPartitionToken()))
		}
	}
	if err == nil && r.partition.Timestamp.Unix() == 0 {
		err = errors.New("no timestamp")
	}
	if err != nil {
		return fmt.Errorf("%v record: %w", kind, err)
	}
	return nil
}
