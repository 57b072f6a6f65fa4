package publisher

import (
	"slices"

	"github.com/spancast/spancast/message"
)

// A succession is the publishers of a fleet over time. Who has not heard for a
// while learns from it whom he has missed.
type succession struct {
	present []string // epochs
	former  []string // epochs that were present, oldest first
}

// maxFormer bounds those that are named.
const maxFormer = 100

// see takes the publishers that there are now, and returns those that there
// were.
func (s *succession) see(endpoints []message.Endpoint) (former []string) {
	now := make([]string, len(endpoints))
	for i, e := range endpoints {
		now[i] = e.Epoch
	}
	for _, epoch := range s.present {
		if !slices.Contains(now, epoch) {
			s.former = append(s.former, epoch)
		}
	}
	s.former = slices.DeleteFunc(s.former, func(epoch string) bool { return slices.Contains(now, epoch) })
	if n := len(s.former) - maxFormer; n > 0 {
		s.former = slices.Delete(s.former, 0, n)
	}
	s.present = now
	return slices.Clone(s.former)
}
