package publisher

import (
	"time"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/internal/zsock"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/topics"
)

// An outlet is the socket of an audience, and what it has sent. It belongs to
// the goroutine that owns the sockets.
type outlet struct {
	opt      *Options
	audience Audience
	socket   *socket
	bell     *zsock.Bell
	listener *access.Listener
	outward  *access.Connector
	counters *counters
	schemas  *announcements
	interest *access.Interest
	epoch    []byte

	directory string // of the last hello
	fleet     succession

	prefixes []string // that it sees
	plans    map[*topics.Route]plan
	route    *topics.Route // of the latest message
	latest   plan          // of that route
	header   []byte        // of the latest message
	numbers  []uint64
}

// A plan is what the messages of a route have in common in an outlet.
type plan struct {
	cover cover
	path  []*level
	topic []byte // of all its messages; nil when each has its own
}

func newOutlet(o *Options, a Audience) *outlet {
	return &outlet{opt: o, audience: a, epoch: []byte(o.Epoch), counters: newCounters(), schemas: newAnnouncements(),
		interest: access.NewInterest(o.MaxInterest), prefixes: a.Topics, plans: make(map[*topics.Route]plan)}
}

// domain is where those who connect are let into.
func (o *outlet) domain() access.Domain {
	if o.audience.Name == "" {
		return access.AudienceDomain(access.Everyone)
	}
	return access.AudienceDomain(o.audience.Name)
}

// see notes over which connection a subscription came.
func (o *outlet) see(s *access.Subscription) {
	o.socket.ballast.peers.note(s.Descriptor, s.Address)
	o.opt.Gate.SeenBy(o.domain(), s)
}

// show changes what the audience sees.
func (o *outlet) show(prefixes []string) {
	o.prefixes, o.route = prefixes, nil
	clear(o.plans)
}

// plan returns how the messages of a route are dealt with.
func (o *outlet) plan(r *topics.Route) plan {
	if r != o.route {
		o.route, o.latest = r, o.planOf(r)
	}
	return o.latest
}

func (o *outlet) planOf(r *topics.Route) plan {
	if p, ok := o.plans[r]; ok {
		return p
	}
	if len(o.plans) > 100_000 { // of rules that are not in force any more
		clear(o.plans)
	}
	p := plan{cover: covers(o.prefixes, r)}
	if p.cover != none {
		p.path = o.counters.of(r)
	}
	if topic, static := r.Static(); static {
		p.topic = []byte(topic)
	}
	o.plans[r] = p
	return p
}

// message sends one change, if the audience sees it, and returns its size in
// bytes, 0 if it was not sent. Who is not patient leaves what may have to wait.
func (o *outlet) message(b *batch, e *entry, patient bool) (size int, err error) {
	p := o.plan(e.route)
	if p.cover == none || p.cover == some && !access.Covers(o.prefixes, string(b.at(e.topic))) {
		return 0, nil
	}
	part := &b.records[e.record]
	if o.schemas.isNew(e.route.SchemaLevel, part.schema) {
		if !patient {
			return 0, errLeft
		}
		o.schemas.add(e.route.SchemaLevel, part.schema)
		if err := o.control(e.route.SchemaLevel, message.Schema, part.schema); err != nil {
			return 0, err
		}
	}
	topic, header, body := o.assemble(b, e, &p)
	if patient {
		err = o.socket.send(topic, header, body, b.mark.Progress.Alive)
	} else {
		err = o.socket.trySend(topic, header, body)
	}
	if err == errNotOurs || err == errLeft {
		o.counters.uncount(p.path)
	}
	return len(topic) + len(header) + len(body), err
}

// assemble counts a message and returns its frames, valid until the next.
func (o *outlet) assemble(b *batch, e *entry, p *plan) (topic, header, body []byte) {
	if topic = p.topic; topic == nil {
		topic = b.at(e.topic)
	}
	o.numbers = o.counters.count(o.numbers[:0], p.path)
	o.header = message.AppendHeader(o.header[:0], b.at(e.version), o.epoch, o.numbers, b.at(b.records[e.record].attributes))
	return topic, o.header, b.at(e.body)
}

// bind opens the outlet.
func (o *outlet) bind() (err error) {
	if o.outward, err = access.Connect(o.socket.z, o.audience.Connect, o.opt.Credentials); err != nil {
		return err
	}
	l, err := access.Listen(o.socket.z, o.opt.Gate, o.domain(), o.audience.Bind)
	if err != nil {
		return err
	}
	o.listener, o.socket.hurry = l, l.Due
	return nil
}

// tend keeps the outlet open as it should be.
func (o *outlet) tend(now time.Time) error {
	if err := o.outward.Tend(now); err != nil {
		return err
	}
	if err := o.listener.Tend(now); err != nil {
		return err
	}
	return o.socket.refresh(now)
}
