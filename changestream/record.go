package changestream

import "time"

// ModType is the kind of a row change, as Spanner names it.
type ModType string

// The mod types. Others that Spanner may add are passed on as they come.
const (
	ModInsert ModType = "INSERT"
	ModUpdate ModType = "UPDATE"
	ModDelete ModType = "DELETE"
)

// ValueCaptureType says which values a change stream records.
type ValueCaptureType string

// The value capture types.
const (
	OldAndNewValues    ValueCaptureType = "OLD_AND_NEW_VALUES"
	NewValues          ValueCaptureType = "NEW_VALUES"
	NewRow             ValueCaptureType = "NEW_ROW"
	NewRowAndOldValues ValueCaptureType = "NEW_ROW_AND_OLD_VALUES"
)

// PartitionToken identifies a partition of a change stream; opaque.
type PartitionToken string

// A DataChangeRecord holds changes of one table that one transaction made in
// one partition, all of one mod type and of the same columns.
//
// Records and everything they point to, Schema aside, are valid until the
// decoder that made them goes on: whoever keeps something copies it.
type DataChangeRecord struct {
	CommitTimestamp         time.Time // UTC
	ServerTransactionID     []byte    // opaque, unique per transaction
	RecordSequence          []byte    // opaque, orders the records of a transaction
	LastInTransaction       bool      // of those in this partition
	Schema                  *Schema
	Mods                    []Mod
	ModType                 ModType
	ValueCaptureType        ValueCaptureType
	RecordsInTransaction    int64 // over all partitions
	PartitionsInTransaction int64
	TransactionTag          []byte // empty when there was none
	SystemTransaction       bool   // TTL deletes, column backfills
}

// A Mod is the change of one row. The three values are JSON objects exactly as
// Spanner sent them (or `null`, where it sent none).
type Mod struct {
	Keys, NewValues, OldValues []byte
}

// A ChildPartitionsRecord names partitions that begin at StartTimestamp, where
// the partition that returned it ends (or, from the initial query, partitions
// that were alive then).
type ChildPartitionsRecord struct {
	StartTimestamp time.Time
	RecordSequence string
	Children       []ChildPartition
}

// A ChildPartition is a partition with those it took its keys from: none in an
// initial query, one after a split or move, several after a merge.
type ChildPartition struct {
	Token   PartitionToken
	Parents []PartitionToken
}
