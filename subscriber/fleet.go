package subscriber

import (
	"slices"

	"github.com/spancast/spancast/message"
)

// A fleet is the publishers that are known: heard, or named by one that was.
type fleet struct {
	publishers map[string]*publisher // by epoch
	last       *publisher            // that was asked for
	departed   map[string]bool       // by epoch, that need not be listened for; true after a goodbye
	missing    map[string]*missing   // by epoch: listed, and not heard
	listed     map[string]message.Endpoint
	asked      map[string]bool    // endpoints that were connected to because they are listed
	told       []message.Endpoint // by a recovery endpoint; they count while nobody says hello
	missed     bool               // one that was missing is not listed any more; what it has published may never have come
	witnessed  bool               // somebody who has said hello has been listened to ever since the last replay, or before

	polled instant // when the last replay ended
	pinged instant
}

// A publisher is one epoch of one replica.
type publisher struct {
	epoch     string
	heard     instant
	levels    []levelState
	known     bool // it has said hello
	greeted   bool // and the last hello still holds
	directory string
	endpoints []message.Endpoint
	lost      bool // it is gone; what it published last may be missing
}

// levelState is how far the changes of a level came, of one publisher.
type levelState struct {
	known    bool
	last     uint64 // counter of the last change; all from the beginning, or a replay, have come
	root     uint64 // counter of the root with it
	fleet    stamp  // everything before was published, and what of it was published here has come
	verified instant
}

// missing is a publisher that is listed, and not heard.
type missing struct {
	since     instant
	connected bool
}

func newFleet() fleet {
	return fleet{publishers: make(map[string]*publisher), departed: make(map[string]bool), missing: make(map[string]*missing),
		listed: make(map[string]message.Endpoint), asked: make(map[string]bool)}
}

// resolved is up to when everything was published, and has come; 0 when that
// cannot be told.
func (f *fleet) resolved() stamp {
	if len(f.missing) > 0 || len(f.publishers) == 0 {
		return 0
	}
	lowest := stamp(0)
	for _, p := range f.publishers {
		for i := range p.levels {
			at := p.levels[i].fleet
			if at == 0 {
				return 0
			}
			if lowest == 0 || at < lowest {
				lowest = at
			}
		}
	}
	return lowest
}

// maxDeparted bounds the epochs that are remembered as gone.
const maxDeparted = 1000

// depart forgets a publisher of which everything has come.
func (f *fleet) depart(p *publisher, goodbye bool) {
	if len(f.departed) >= maxDeparted {
		clear(f.departed)
	}
	f.departed[p.epoch] = goodbye
	delete(f.publishers, p.epoch)
	f.last = nil
	f.witnessed = f.witnessed && f.witness()
}

// witness tells whether there is somebody who knows the fleet.
func (f *fleet) witness() bool {
	for _, p := range f.publishers {
		if p.known && !p.lost {
			return true
		}
	}
	return false
}

// relist gathers what the hellos say. Publishers that are listed and were never
// heard are missing from now on.
func (f *fleet) relist(now instant) {
	clear(f.listed)
	for _, p := range f.publishers {
		if p.lost {
			continue
		}
		for _, e := range p.endpoints {
			f.listed[e.Epoch] = e
		}
	}
	if !f.greeted() {
		for _, e := range f.told {
			f.listed[e.Epoch] = e
		}
	}
	for epoch := range f.missing {
		if _, ok := f.listed[epoch]; !ok {
			delete(f.missing, epoch)
			f.missed = true
		}
	}
	for epoch := range f.listed {
		// One that was given up and is listed (again) is alive after all.
		if ended := f.departed[epoch]; f.publishers[epoch] == nil && !ended && f.missing[epoch] == nil {
			f.missing[epoch] = &missing{since: now}
		}
	}
}

// endpointsOf are where a publisher publishes, as far as the hellos say.
func (f *fleet) endpointsOf(epoch string) message.Endpoint { return f.listed[epoch] }

// recoverable lists the recovery endpoints of those that are alive.
func (f *fleet) recoverable() []string {
	var out []string
	for epoch, e := range f.listed {
		if p := f.publishers[epoch]; p != nil && !p.lost && len(e.Recover) > 0 {
			out = append(out, e.Recover[0])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// greeted tells whether anybody has said hello.
func (f *fleet) greeted() bool {
	for _, p := range f.publishers {
		if p.greeted {
			return true
		}
	}
	return false
}

// unused takes those endpoints out that nobody listed has any more.
func (f *fleet) unused() (out []string) {
	for endpoint := range f.asked {
		used := false
		for epoch, e := range f.listed {
			_, gone := f.departed[epoch]
			used = used || !gone && slices.Contains(e.Publish, endpoint)
		}
		if !used {
			delete(f.asked, endpoint)
			out = append(out, endpoint)
		}
	}
	return out
}
