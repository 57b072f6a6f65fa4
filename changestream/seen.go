package changestream

import (
	"encoding/binary"
	"time"
)

// seen remembers which records of the latest commit timestamp were passed on. A
// query that is opened again begins at that timestamp, inclusive, since several
// transactions may share it; seen tells those that came before from those that
// did not.
type seen struct {
	at     time.Time
	ids    []byte              // of the records at that time, each with its length
	repeat map[string]struct{} // ids while a query repeats them, else nil
}

// note remembers a record that is passed on.
func (s *seen) note(r *DataChangeRecord) {
	if !r.CommitTimestamp.Equal(s.at) {
		s.at, s.ids, s.repeat = r.CommitTimestamp, s.ids[:0], nil
	}
	s.ids = binary.AppendUvarint(s.ids, uint64(len(r.ServerTransactionID)+len(r.RecordSequence)+1))
	s.ids = appendID(s.ids, r)
}

// notePartition remembers a partition start, end or event record, which have
// their record sequence in common with the data records.
func (s *seen) notePartition(kind Kind, r *PartitionRecord) {
	if !r.Timestamp.Equal(s.at) {
		s.at, s.ids, s.repeat = r.Timestamp, s.ids[:0], nil
	}
	id := partitionID(kind, r)
	s.ids = binary.AppendUvarint(s.ids, uint64(len(id)))
	s.ids = append(s.ids, id...)
}

// partitionID is unlike that of any data record, whose transaction has an id.
func partitionID(kind Kind, r *PartitionRecord) string {
	return "\x00" + string(rune(kind)) + r.RecordSequence
}

// beforePartition tells whether a partition record was acted on already.
func (s *seen) beforePartition(kind Kind, r *PartitionRecord) bool {
	if s.repeat == nil || !r.Timestamp.Equal(s.at) {
		return false
	}
	_, ok := s.repeat[partitionID(kind, r)]
	return ok
}

func appendID(dst []byte, r *DataChangeRecord) []byte {
	dst = append(dst, r.ServerTransactionID...)
	dst = append(dst, 0)
	return append(dst, r.RecordSequence...)
}

// reopen prepares for a query that begins where the last one was.
func (s *seen) reopen() {
	s.repeat = make(map[string]struct{})
	for rest := s.ids; len(rest) > 0; {
		n, used := binary.Uvarint(rest)
		s.repeat[string(rest[used:used+int(n)])] = struct{}{}
		rest = rest[used+int(n):]
	}
}

// before tells whether a record was passed on already.
func (s *seen) before(r *DataChangeRecord) bool {
	if s.repeat == nil || !r.CommitTimestamp.Equal(s.at) {
		return false
	}
	var buf [128]byte
	_, ok := s.repeat[string(appendID(buf[:0], r))]
	return ok
}
