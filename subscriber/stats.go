package subscriber

import "time"

// Stats are counters of a subscriber, all since it began, and how it stands.
type Stats struct {
	Changes     uint64 // handed to the handler; Replayed and Snapshot among them
	Replayed    uint64 // that came from the recovery endpoint
	Snapshot    uint64 // rows of a snapshot
	Duplicates  uint64 // left out
	Malformed   uint64 // messages that are not Spancast's
	Gaps        uint64 // runs of messages that were lost on the way
	Lost        uint64 // changes in them
	Unrecovered uint64 // gaps that could not be recovered: what OnGap was told of
	Recoveries  uint64 // replays that came to their end
	Requests    uint64 // to recovery endpoints
	Failures    uint64 // of them that failed, and were made again
	Spills      uint64 // times that more was published during a replay than may be held
	Epochs      uint64 // publishers that were heard

	Live      bool   // changes come as they are published
	Following bool   // changes come over the recovery endpoint, as they are committed
	Why       string // why neither
	// Unrecoverable: no recovery endpoint answers, or none lets this identity ask.
	// What is lost is told to OnGap, and not mended.
	Unrecoverable bool
	Publishers    int   // that are known now
	Held          int64 // bytes of changes that wait for a replay
	Remembered    int   // versions that are remembered

	Resolved     time.Time     // everything committed before was handled; zero while that is not known
	LatestChange time.Time     // commit timestamp of the change that was handled last
	Took         time.Duration // what the last recovery took
}

// Lag is how far Resolved is behind a time; 0 while it is not known.
func (s *Stats) Lag(now time.Time) time.Duration {
	if s.Resolved.IsZero() {
		return 0
	}
	return max(0, now.Sub(s.Resolved))
}
