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
