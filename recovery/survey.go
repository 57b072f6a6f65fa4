package recovery

import (
	"slices"
	"time"

	"github.com/spancast/spancast/message"
)

// A Survey is what a server was doing at one moment, for people to look at.
type Survey struct {
	At      time.Time
	Answers []AnswerState // those that have begun, and those in line by their turn, at most maxSurvey
	More    int           // that there were besides
}

// Kind is what an answer is.
type Kind string

// The kinds of answers.
const (
	KindReplay   Kind = "replay"   // from one time to another
	KindFollow   Kind = "follow"   // a replay without end
	KindSnapshot Kind = "snapshot" // rows as they are, or were
)

// State is what an answer does.
type State string

// The states of an answer.
const (
	Waiting State = "waiting" // in line
	Running State = "running"
	Stalled State = "stalled" // waits for its client to grant credit, or to read
	Live    State = "live"    // a replay without end that has caught up
	Ending  State = "ending"
)

// An AnswerState tells how an answer stands.
type AnswerState struct {
	Asked
	State   State
	Before  int            // requests whose turn comes first, of one that waits
	Reached string         // commit timestamp up to which it was sent, empty before the first message
	Credit  message.Credit // left
}

// Asked is a request that was accepted, and what was sent for it until now.
type Asked struct {
	Identity string // who asked; empty without access control
	ID       string // as the client chose it
	Kind     Kind
	What     []string // topic prefixes, or the tables of a snapshot; none: all
	From     string   // as it was asked for: a time, a version, or now; of a snapshot its time, empty for now
	To       string   // of a replay that has an end
	Since    time.Time
	Changes  uint64 // or rows
	Bytes    uint64 // of their frames
}

// Ended tells of an answer that has ended.
type Ended struct {
	Asked
	// Reason is complete, gone, left (the client has gone), or a code of message.ErrorBody.
	Reason string
}

// Reasons are those for which an answer may end.
func Reasons() []string {
	return []string{"complete", "gone", "left", message.BadRequest, message.Canceled, message.NoCredit, message.Interrupted}
}

const (
	// maxSurvey bounds the answers of a survey, and maxWhat and maxText what is
	// kept of a request for it.
	maxSurvey = 100
	maxWhat   = 16
	maxText   = 128
	// surveyEvery is the least time between two surveys.
	surveyEvery = 500 * time.Millisecond
)

// Survey returns the latest survey: not older than a second.
func (s *Server) Survey() Survey {
	if now := s.surveyed.Load(); now != nil {
		return *now
	}
	return Survey{}
}

// survey looks at all answers, unless it did so a moment ago.
func (o *owner) survey(now time.Time) {
	last := o.surveyed.Load()
	if last != nil && now.Sub(last.At) < surveyEvery {
		return
	}
	s := &Survey{At: now}
	add := func(a *answer, before int) {
		if len(s.Answers) >= maxSurvey {
			s.More++
			return
		}
		s.Answers = append(s.Answers, AnswerState{Asked: a.asked, State: a.state(), Before: before, Reached: string(a.reached), Credit: a.credit})
	}
	for _, a := range o.running {
		add(a, 0)
	}
	o.line.each(add)
	o.surveyed.Store(s)
}

func (a *answer) state() State {
	switch {
	case a.finished == nil:
		return Waiting
	case a.final != nil:
		return Ending
	case !a.stalled.IsZero():
		return Stalled
	case a.live.Load():
		return Live
	}
	return Running
}

// describe notes what was asked for, for people: shortened if need be.
func (a *answer) describe(kind Kind, what []string, from, to string) {
	q := &a.asked
	q.ID, q.Kind, q.Since, q.From, q.To = a.id, kind, time.Now(), short(from), short(to)
	for _, w := range what[:min(len(what), maxWhat)] {
		q.What = append(q.What, short(w))
	}
	if len(what) > maxWhat {
		q.What = append(q.What, "…")
	}
}

func short(s string) string {
	if len(s) > maxText {
		return s[:maxText] + "…"
	}
	return s
}

// sent notes a message that was sent.
func (a *answer) sent(i item, size int64) {
	if i.control == nil {
		a.asked.Changes = a.count
		a.asked.Bytes += uint64(size)
		a.reached = append(a.reached[:0], i.load.Version(i.index)[:message.TimestampLen]...)
		return
	}
	if b, ok := i.control.body.(message.ReplayBody); ok && b.Resolved > string(a.reached) {
		a.reached = append(a.reached[:0], b.Resolved...)
	}
}

// reasonOf tells why an answer ends that ends with a message; nil stands for a
// client that has gone.
func reasonOf(final *control) string {
	switch b := final.body.(type) {
	case message.EndBody:
		return "complete"
	case message.GoneBody:
		return "gone"
	case message.ErrorBody:
		return b.Code
	}
	return "left"
}

// over tells of an answer that has ended.
func (o *owner) over(a *answer) {
	if o.opt.Ended != nil {
		o.opt.Ended(Ended{Asked: a.asked, Reason: a.reason})
	}
}

// sweep forgets answers that have ended.
func (o *owner) sweep() {
	o.running = slices.DeleteFunc(o.running, func(a *answer) bool {
		if a.final == nil || !a.final.sent() || !a.ended() {
			return false
		}
		o.over(a)
		return true
	})
}
