package changestream

import "sync/atomic"

// Stats count what a stream does, since it was opened.
type Stats struct {
	Queries    atomic.Int64 // partition queries opened
	Records    atomic.Int64 // data change records passed on
	Heartbeats atomic.Int64
	Duplicates atomic.Int64 // records that came once more and were not passed on
	Retries    atomic.Int64 // queries that failed and were tried again
	EarlyEnds  atomic.Int64 // queries that ended before their time, without a child record
	MoveIns    atomic.Int64 // moves of keys that a partition had to wait for
	Stalls     atomic.Int64 // queries that fell silent and were given up
	Commits    atomic.Int64 // to the store
	LeasesLost atomic.Int64 // partitions that another replica or an operator took, or whose lease ran out
	HandedOver atomic.Int64 // partitions given to another replica
	Gaps       atomic.Int64 // partitions whose position was older than retention
}
