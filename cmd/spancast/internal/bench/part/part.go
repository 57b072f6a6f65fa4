// Package part is the processes that a benchmark consists of, besides spancast
// serve: each has a role, and processor time of its own that can be measured.
//
// A part reads its Request from the first line of its input, and answers every
// line after that with its Status, as JSON. It ends with its input.
package part

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/metrics"
	"syscall"
	"time"

	"github.com/spancast/spancast/cmd/spancast/internal/bench/cloop"
)

// A Role is what a part does.
type Role string

// The roles. Those of the record path read one partition on their own.
const (
	Subscriber Role = "subscriber" // receives, in C
	Bare       Role = "bare"       // sends frames through libzmq's C API
	Plain      Role = "plain"      // spanner.Client with ToStruct, and SendMessage
	Receive    Role = "receive"    // receives from Spanner and looks at nothing
	Frames     Role = "frames"     // Spancast's record path, until the frames are there
	Socket     Role = "socket"     // the same, sent to nobody
	ToStruct   Role = "tostruct"   // spanner.Client with ToStruct
)

// A Request says what a part is to do; the fields that its role needs.
type Request struct {
	Endpoint  string   // where to connect, of a subscriber
	Sockets   int      // of a subscriber; subscriptions that a sender waits for
	Prefixes  []string // subscriptions of each socket
	Filler    int      // subscriptions besides, that match nothing
	Keys      cloop.Keys
	Frames    [][]byte // of the message that bare libzmq sends
	IOThreads int
	Rate      int // of bare libzmq, in messages a second; 0: as fast as it goes

	Address  string // of Spanner
	Database string
	Stream   string
	Tokens   []string // partitions, and since when they are read
	Since    time.Time
	Template string // of topics
}

// A Status is how far a part has come.
type Status struct {
	At       time.Time
	CPU      time.Duration // of the process
	Collect  time.Duration // of that, for garbage collection
	Mallocs  uint64
	Messages uint64 // changes; records of a record path
	Bytes    uint64
	Controls uint64   // messages of a subscriber that are no changes
	Least    uint64   // changes of the socket that has fewest
	Latency  []uint64 `json:",omitempty"` // see cloop.Counts
	Frames   [][]byte `json:",omitempty"` // of a subscriber's first change
	Endpoint string   `json:",omitempty"` // of a sender
	Error    string   `json:",omitempty"` // why it ended
}

// A worker is a part at work.
type worker interface {
	// run works until ctx is done.
	run(ctx context.Context) error
	// status fills in what the role knows.
	status(s *Status)
}

// Main is the program of a part.
func Main(ctx context.Context, role Role, in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	var q Request
	text, err := lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(text, &q)
	}
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	w, err := newWorker(role, &q)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx) }()
	answers := json.NewEncoder(out)
	var failure error
	for {
		if _, err := lines.ReadBytes('\n'); err != nil {
			break
		}
		select {
		case failure = <-ended:
			ended <- failure
		default:
		}
		if err := answers.Encode(report(w, failure)); err != nil {
			break
		}
	}
	cancel()
	return <-ended
}

func newWorker(role Role, q *Request) (worker, error) {
	switch role {
	case Subscriber:
		return newSubscriber(q)
	case Bare:
		return newBare(q)
	case Plain:
		return newPlain(q, true)
	case ToStruct:
		return newPlain(q, false)
	case Receive:
		return &receiving{q: q}, nil
	case Frames, Socket:
		return newPath(q, role == Socket)
	}
	return nil, fmt.Errorf("unknown role %q", role)
}

func report(w worker, failure error) *Status {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := &Status{At: time.Now(), Mallocs: m.Mallocs, CPU: processorTime(), Collect: collecting()}
	if failure != nil {
		s.Error = failure.Error()
	}
	w.status(s)
	return s
}

func processorTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// collecting is the processor time of the garbage collector, what it used of idle
// processors left out.
func collecting() time.Duration {
	samples := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/idle:cpu-seconds"}}
	metrics.Read(samples)
	return time.Duration((samples[0].Value.Float64() - samples[1].Value.Float64()) * 1e9)
}
