package subscriber

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/spancast/spancast/message"
)

// A world is a database, the publishers that read its change stream, a recovery
// endpoint and the network between them and one subscriber's machine, all
// without sockets, clocks and goroutines. What may go wrong does when it is told.
type world struct {
	fail    func(format string, args ...any)
	log     []*row  // all changes, in commit order
	parts   []*part // partitions; they live on while keys move between them
	home    map[string]int
	pubs    []*pub   // that live
	rows    []string // epochs in the replicas table: of the living, and for a while of the dead
	ended   []string // epochs of those that have ended in order, lately
	epochs  int
	now     instant
	clock   stamp // of the last commit
	opt     config
	m       *machine
	pipes   map[string]*pipe // by endpoint, those that the subscriber has connected to
	peers   map[string]string
	asked   *replay
	answers [][4]string

	from    stamp          // the subscriber wants everything from here on
	got     map[*row]int   // times that it was handed on
	keys    map[string]int // changes that were handed on, by key
	breaks  rules
	recover []string // recovery endpoints in the hellos

	denies, mute, stutters bool  // what the recovery endpoint does instead of an answer
	forgiving              bool  // gaps and errors are kept, and no failure
	gaps                   []Gap // that were told
	err                    error // that ended it
}

// rules can be broken, to see that it is noticed.
type rules struct {
	noMoved     bool // publishers do not say that a partition has moved
	noMovedIn   bool // nor that keys have moved to it from another's partition
	noEnded     bool // nobody says who has ended unseen
	noDirectory bool // resolved times count though not all publishers are known
}

type row struct {
	at    stamp
	key   string
	part  int
	topic string
}

func (r *row) version() string { return r.at.String() + "/tx/00000000/0" }

// A part is a partition: its owner, and the position in the store.
type part struct {
	owner    *pub
	saved    stamp // everything before was published
	arrivals []arrival
}

// An arrival is a key that moves to a partition from another one.
type arrival struct {
	at   stamp
	from *part
}

type pub struct {
	epoch     string
	endpoint  string
	counts    map[string]uint64
	next      map[*part]stamp // everything before was published
	moved     map[*part]stamp
	view      map[*part]stamp // positions of partitions of others, at the last look
	listed    []string        // epochs, at the last look
	directory string
	former    []string
	ended     []string // epochs, at the last look
}

// A pipe is the connection of the subscriber to an endpoint.
type pipe struct {
	cut   bool
	queue [][3]string
}

type replay struct {
	id       string
	from, to stamp
	todo     []*row
	sent     int
	ended    bool
}

var worldStart = stampOf(time.Date(2026, 11, 20, 9, 54, 0, 0, time.UTC))

func newWorld(topics []string, partitions int, fail func(string, ...any)) *world {
	w := &world{fail: fail, clock: worldStart, pipes: make(map[string]*pipe), peers: make(map[string]string), got: make(map[*row]int), keys: make(map[string]int)}
	for range partitions {
		w.parts = append(w.parts, &part{saved: worldStart})
	}
	w.home = make(map[string]int)
	for i := range partitions {
		w.home[fmt.Sprint("A", i)], w.home[fmt.Sprint("B", i)] = i, i
	}
	o := Options{Connect: []string{"pub0"}, Topics: topics, Recover: []string{"rec"}}.withDefaults()
	w.opt = o.config()
	w.opt.credit = message.Credit{Messages: 1 << 40, Bytes: 1 << 40}
	w.opt.remember = 50
	w.opt.hold = 20_000
	return w
}

// subscribe starts the subscriber, at a position if there is one.
func (w *world) subscribe(p Position) {
	w.m = newMachine(w.opt, p, discard)
	clear(w.pipes)
	w.asked, w.answers = nil, nil
	w.now += instant(time.Second)
	// Its clock begins anew, which is all the same to it.
	for _, e := range []string{"pub0"} {
		w.connect(e)
	}
}

func (w *world) connect(endpoint string) {
	w.pipes[endpoint] = &pipe{}
	w.greet(endpoint)
}

// commit changes a key.
func (w *world) commit(key string, op string) {
	w.clock += 1000
	w.log = append(w.log, &row{at: w.clock, key: key, part: w.home[key], topic: key[:1] + "/" + op + "/"})
}

// move gives a key to another partition.
func (w *world) move(key string, to int) {
	if from := w.home[key]; from != to {
		w.clock += 1000
		w.home[key] = to
		w.parts[to].arrivals = append(w.parts[to].arrivals, arrival{at: w.clock, from: w.parts[from]})
	}
}

// pass takes a partition on to a time, past the keys that move to it before
// that; it tells whether it got there. What they had elsewhere must have been
// published: by the same replica, or in the store.
func (w *world) pass(p *pub, part *part, to stamp) bool {
	for _, a := range part.arrivals {
		if a.at < p.next[part] || a.at >= to {
			continue
		}
		moved := a.at + 1
		switch {
		case a.from.owner == p && p.next[a.from] > a.at:
			moved = p.moved[a.from]
		case a.from.owner == p || a.from.saved <= a.at:
			p.next[part] = max(p.next[part], a.at)
			return false
		}
		if !w.breaks.noMovedIn {
			p.moved[part] = max(p.moved[part], moved)
		}
	}
	p.next[part] = max(p.next[part], to)
	return true
}

// start starts a replica, at an endpoint that may be that of a dead one.
func (w *world) start(endpoint string) {
	w.epochs++
	p := &pub{epoch: fmt.Sprintf("%016x", w.epochs), endpoint: endpoint, counts: map[string]uint64{"": 0}, next: map[*part]stamp{}, moved: map[*part]stamp{}}
	w.pubs = append(w.pubs, p)
	w.rows = append(w.rows, p.epoch)
	w.peers[p.epoch] = endpoint
	for _, other := range w.pubs {
		w.look(other)
	}
	if c := w.pipes[endpoint]; c != nil && !c.cut {
		w.greet(endpoint)
	}
}

// look lets a replica read the store.
func (w *world) look(p *pub) {
	for _, epoch := range p.listed {
		if !slices.Contains(w.rows, epoch) {
			p.former = append(p.former, epoch)
		}
	}
	p.listed = slices.Clone(w.rows)
	if !w.breaks.noEnded {
		p.ended = slices.Clone(w.ended)
	}
	p.view = make(map[*part]stamp)
	for _, part := range w.parts {
		if part.owner != p {
			p.view[part] = part.saved
		}
	}
}

// take gives a partition that nobody owns to a replica.
func (w *world) take(p *pub, i int) {
	part := w.parts[i]
	if part.owner != nil {
		return
	}
	part.owner = p
	p.next[part], p.moved[part] = part.saved, part.saved
	w.look(p)
}

// save stores the positions of a replica.
func (w *world) save(p *pub) {
	for part, at := range p.next {
		part.saved = at
	}
	if !slices.Contains(w.rows, p.epoch) {
		w.rows = append(w.rows, p.epoch)
	}
	w.look(p)
}

// release gives a partition back, in order.
func (w *world) release(i int) {
	if p := w.parts[i].owner; p != nil {
		w.parts[i].saved = p.next[w.parts[i]]
		w.parts[i].owner = nil
		delete(p.next, w.parts[i])
		w.look(p)
	}
}

// publish lets a replica publish the next n changes of a partition.
func (w *world) publish(i, n int) {
	part := w.parts[i]
	p := part.owner
	if p == nil {
		return
	}
	first := sort.Search(len(w.log), func(j int) bool { return w.log[j].at >= p.next[part] })
	for _, r := range w.log[first:] {
		if !w.pass(p, part, r.at) {
			return
		}
		if r.part != i {
			continue
		}
		if n == 0 {
			return
		}
		n--
		w.count(p, r.topic)
		attributes := `{"table":"T","op":"UPDATE"`
		if !w.breaks.noMoved {
			attributes += `,"moved":"` + p.moved[part].String() + `"`
		}
		w.emit(p, r.topic, fmt.Sprintf("%s %s %s %s}", r.version(), p.epoch, p.counters(r.topic), attributes), r.key)
		p.next[part] = r.at + 1
	}
	w.pass(p, part, w.clock+1)
}

func (w *world) count(p *pub, topic string) {
	p.counts[""]++
	for i, c := range topic {
		if c == '/' {
			p.counts[topic[:i+1]]++
		}
	}
}

func (p *pub) counters(topic string) string {
	out := []string{fmt.Sprint(p.counts[""])}
	for i, c := range topic {
		if c == '/' {
			out = append(out, fmt.Sprint(p.counts[topic[:i+1]]))
		}
	}
	return strings.Join(out, "/")
}

func (w *world) control(p *pub, level, kind string, body any) {
	text, _ := json.Marshal(body)
	w.emit(p, level+kind, fmt.Sprintf("%s %s %s {}", message.ControlVersion(w.clock.time()), p.epoch, p.counters(level)), string(text))
}

func (w *world) hello(p *pub) {
	body := w.greeting(p)
	p.directory = body.Directory()
	w.control(p, "", message.Hello, body)
}

func (w *world) greeting(p *pub) message.HelloBody {
	body := message.HelloBody{Format: 1, Epoch: p.epoch, Former: p.former, Ended: p.ended}
	for _, epoch := range p.listed {
		body.Endpoints = append(body.Endpoints, message.Endpoint{Epoch: epoch, Publish: []string{w.peers[epoch]}, Recover: w.recover})
	}
	return body
}

// resolve says how a level of a replica stands.
func (w *world) resolve(p *pub, level string) {
	fleet := w.clock + 1
	for _, at := range p.next {
		fleet = min(fleet, at)
	}
	for _, at := range p.view {
		fleet = min(fleet, at)
	}
	if body := w.greeting(p); body.Directory() != p.directory {
		w.hello(p)
	}
	body := message.ResolvedBody{Fleet: fleet.String(), Directory: p.directory}
	if w.breaks.noDirectory {
		body.Directory = ""
	}
	w.control(p, level, message.Resolved, body)
}

// resolveAll is what every interval brings.
func (w *world) resolveAll(p *pub) {
	levels := make([]string, 0, len(p.counts))
	for l := range p.counts {
		levels = append(levels, l)
	}
	sort.Sort(sort.Reverse(sort.StringSlice(levels)))
	for _, l := range levels {
		w.resolve(p, l)
	}
}

// kill ends a replica as a crash does: of what waits in its pipe only the first
// n messages come through, and its row stays until it is expired.
func (w *world) kill(p *pub, n int) {
	for _, part := range w.parts {
		if part.owner == p {
			part.owner = nil
		}
	}
	w.remove(p)
	if c := w.pipes[p.endpoint]; c != nil {
		c.queue = c.queue[:min(n, len(c.queue))]
	}
}

// stop ends a replica in order.
func (w *world) stop(p *pub) {
	for i := range w.parts {
		if w.parts[i].owner == p {
			w.release(i)
		}
	}
	w.resolveAll(p)
	w.control(p, "", message.Bye, message.ByeBody{Epoch: p.epoch, Counters: p.counts})
	w.remove(p)
	w.ended = append(w.ended, p.epoch)
	w.expire()
}

// ghost is a replica that comes, publishes a partition that nobody has to
// nobody, and ends in order, all between two looks of the others.
func (w *world) ghost(i int) {
	if w.parts[i].owner == nil {
		w.epochs++
		p := &pub{epoch: fmt.Sprintf("%016x", w.epochs), endpoint: "nowhere", counts: map[string]uint64{"": 0}, next: map[*part]stamp{}, moved: map[*part]stamp{}}
		w.take(p, i)
		w.publish(i, -1)
		w.stop(p)
	}
}

func (w *world) remove(p *pub) {
	w.pubs = slices.DeleteFunc(w.pubs, func(o *pub) bool { return o == p })
}

// expire removes the rows of replicas that are gone.
func (w *world) expire() {
	w.rows = slices.DeleteFunc(w.rows, func(epoch string) bool {
		return !slices.ContainsFunc(w.pubs, func(p *pub) bool { return p.epoch == epoch })
	})
}

func (w *world) wanted(r *row) bool { return filter(w.opt.topics).wants(r.topic) }
