package access

import "sync/atomic"

// Stats count what a Gate decides.
type Stats struct {
	Welcome   atomic.Uint64 // connections that were let in
	Refused   atomic.Uint64 // connections that were not
	Evictions atomic.Uint64 // times that listeners were opened anew because somebody had to go
	Dropped   atomic.Uint64 // connections that ended before it came to that: without a handshake in time, or with faults in it

	refusals [reasons]atomic.Uint64
}

// A Reason is why a connection was refused.
type Reason int

// The reasons.
const (
	NoGrant Reason = iota // the key is not known
	NotHere               // it is, but not for this domain
	Expired               // its grant has run out
	Banned                // its identity has asked for too much lately
	Revoked               // it, or its identity, is revoked
	reasons
	admitted // none
)

// String names the reason, for logs and metrics.
func (r Reason) String() string {
	return [...]string{"unknown", "other_domain", "expired", "banned", "revoked", "", "none"}[r]
}

// RefusedFor is the number of connections that were refused for each reason.
func (s *Stats) RefusedFor() map[Reason]uint64 {
	out := make(map[Reason]uint64, reasons)
	for r := range reasons {
		out[r] = s.refusals[r].Load()
	}
	return out
}
