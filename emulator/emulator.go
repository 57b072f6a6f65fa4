package emulator

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/spancast/spancast/emulator/internal/changes"
	"github.com/spancast/spancast/emulator/internal/engine"
	"github.com/spancast/spancast/emulator/internal/fault"
	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/server"
)

// Dialect of a database.
type Dialect string

// The two dialects.
const (
	GoogleSQL  Dialect = "GoogleSQL"
	PostgreSQL Dialect = "PostgreSQL"
)

// Faults say what goes wrong; see the fields.
type Faults = fault.Faults

// Change is a kind of key-range change.
type Change = changes.Kind

// The key-range changes. Exchange is for streams in mutable mode: two partitions
// give each other their ranges. Step is one beat of the timed churn: in turn one
// partition splits or two merge, and all others move.
const (
	Split    Change = changes.Split
	Merge    Change = changes.Merge
	Move     Change = changes.Move
	Exchange Change = changes.Exchange
	Step     Change = changes.Step
)

// ErrChurn is wrapped by errors of Churn that say that the partitions cannot
// change so now.
var ErrChurn = changes.ErrChurn

// Server is a running emulator. Its methods may be called at any time by any
// goroutine, Close included.
type Server struct {
	options Options
	offset  atomic.Int64 // what Advance added to the clock, in nanoseconds
	faults  *fault.Switch
	api     *server.Server
	addr    string

	mu     sync.Mutex // of Down, Up, Restart and Close
	closed bool
	down   bool
	cancel context.CancelFunc // ends the churn
	done   chan struct{}      // closed when it has ended
}

// Start validates the options, listens, and returns a Server that answers. The
// context is for starting only; Close ends the Server.
func Start(ctx context.Context, o Options) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("emulator options: %w", err)
	}
	o = o.withDefaults()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.address())
	if err != nil {
		return nil, fmt.Errorf("start emulator: %w", err)
	}
	s := &Server{options: o, faults: &fault.Switch{}, addr: listener.Addr().String(), done: make(chan struct{})}
	s.faults.Set(o.Faults)
	s.api = server.New(server.Config{
		Engine: engine.Config{
			Now: s.Now, Retention: o.VersionRetention, Versions: o.MaxVersions,
			SharedTimestamps: func() bool { return s.faults.Get().SharedTimestamps },
			Stream:           changes.Config{Partitions: o.Partitions, Limit: o.MaxLogBytes, Names: newToken},
		},
		Faults: s.faults, MinHeartbeat: o.MinHeartbeat, Log: o.Log,
	})
	s.api.Serve(listener)
	background, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() {
		defer close(s.done)
		s.churn(background)
	}()
	return s, nil
}

// Addr is the host:port that clients connect to, in plain text. It stays the
// same over Restart.
func (s *Server) Addr() string { return s.addr }

// ClientOptions make Go clients connect here, spanner.NewClient and the admin
// clients alike.
func (s *Server) ClientOptions() []option.ClientOption {
	return []option.ClientOption{option.WithEndpoint(s.addr), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials()))}
}

// CreateDatabase makes a database projects/P/instances/I/databases/D with a
// schema, and the instance if it is not there.
func (s *Server) CreateDatabase(name string, d Dialect, ddl ...string) error {
	dialect := schema.GoogleSQL
	switch d {
	case GoogleSQL:
	case PostgreSQL:
		dialect = schema.PostgreSQL
	default:
		return fmt.Errorf("create database %s: unknown dialect %q", name, d)
	}
	return s.api.CreateDatabase(name, dialect, ddl)
}

// Now is the emulator's time: the clock of the options and what Advance added.
func (s *Server) Now() time.Time {
	return s.options.Clock().Add(time.Duration(s.offset.Load()))
}

// Advance moves the emulator's time forward; what waits for a time, heartbeats
// and ends of queries, looks again.
func (s *Server) Advance(d time.Duration) {
	s.offset.Add(int64(max(d, 0)))
	s.api.EachStream(func(_ *engine.Database, stream *changes.Stream) { stream.Wake() })
}

// SetFaults puts faults in force for requests that run or come, in place of
// those before. The zero value ends all faults.
func (s *Server) SetFaults(f Faults) {
	s.faults.Set(f)
	s.api.EachStream(func(_ *engine.Database, stream *changes.Stream) { stream.Wake() })
}

// Partitions lists the tokens of a change stream's open partitions in key order.
func (s *Server) Partitions(database, stream string) ([]string, error) {
	db, err := s.api.Database(database)
	if err != nil {
		return nil, err
	}
	found := db.Stream(stream)
	if found == nil {
		return nil, fmt.Errorf("partitions of %s: change stream not found", stream)
	}
	return found.Partitions(), nil
}

// Queries is how many partition queries of a change stream are running.
func (s *Server) Queries(database, stream string) int {
	db, err := s.api.Database(database)
	if err != nil {
		return 0
	}
	if found := db.Stream(stream); found != nil {
		return found.Readers()
	}
	return 0
}

// Churn changes key ranges of a change stream now. The token names the
// partition that splits, moves, or merges or exchanges with its right neighbour;
// an empty one takes the partition with the most changes.
func (s *Server) Churn(database, stream string, change Change, token string) error {
	db, err := s.api.Database(database)
	if err != nil {
		return err
	}
	if err := db.Churn(stream, change, token); err != nil {
		return fmt.Errorf("churn %s: %w", stream, err)
	}
	return nil
}
