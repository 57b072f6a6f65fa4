// Package server is the gRPC API of the emulator: Spanner, DatabaseAdmin,
// InstanceAdmin and Operations over databases of package engine.
//
// A Server holds the state and survives its listeners: Serve may be called
// again after Stop, on the same state. Sessions have no state at all: every
// session name under an existing database is good, because the Go client never
// replaces a session that was lost.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	"cloud.google.com/go/spanner/admin/instance/apiv1/instancepb"
	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator/internal/changes"
	"github.com/spancast/spancast/emulator/internal/engine"
	"github.com/spancast/spancast/emulator/internal/fault"
	"github.com/spancast/spancast/emulator/internal/schema"
)

// Config is what a server is made with.
type Config struct {
	Engine       engine.Config
	Faults       *fault.Switch
	MinHeartbeat time.Duration
	Log          *slog.Logger
}

// Server is the state behind the API.
type Server struct {
	config Config

	mu        sync.Mutex
	instances map[string]*instancepb.Instance
	databases map[string]*database
	ops       operations
	grpc      *grpc.Server
	listener  *fault.Listener
	served    chan error
}

// database is an engine's database with what the API keeps beside it.
type database struct {
	*engine.Database
	proto *databasepb.Database
	txns  registry
}

// New makes a server without instances.
func New(c Config) *Server {
	return &Server{config: c, instances: map[string]*instancepb.Instance{}, databases: map[string]*database{}}
}

const (
	maxMessage = 128 << 20
	// writeBuffer is how much is gathered before it is written to a connection,
	// in bytes: several frames of a stream that is read at full speed.
	writeBuffer = 128 << 10
)

// Serve answers requests on a listener until Stop.
func (s *Server) Serve(l net.Listener) {
	g := grpc.NewServer(
		grpc.ForceServerCodecV2(rawCodec{}), grpc.WaitForHandlers(true),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage), grpc.MaxConcurrentStreams(10_000),
		grpc.WriteBufferSize(writeBuffer),
		grpc.ChainUnaryInterceptor(s.guardUnary), grpc.ChainStreamInterceptor(s.guardStream))
	sppb.RegisterSpannerServer(g, &spannerService{Server: s})
	databasepb.RegisterDatabaseAdminServer(g, &databaseAdmin{Server: s})
	instancepb.RegisterInstanceAdminServer(g, &instanceAdmin{Server: s})
	longrunningpb.RegisterOperationsServer(g, &operationsService{Server: s})
	s.mu.Lock()
	s.grpc, s.listener, s.served = g, s.config.Faults.Listen(l), make(chan error, 1)
	listener, served := s.listener, s.served
	s.mu.Unlock()
	go func() { served <- g.Serve(listener) }()
}

// Stop breaks all connections and waits for the handlers to end.
func (s *Server) Stop() error {
	s.mu.Lock()
	g, listener, served := s.grpc, s.listener, s.served
	s.grpc = nil
	s.mu.Unlock()
	if g == nil {
		return nil
	}
	listener.Break()
	g.Stop()
	if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// guardUnary and guardStream are the last resort: a defect ends one request,
// not the process that runs the emulator.
func (s *Server) guardUnary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (reply any, err error) {
	defer s.recovered(info.FullMethod, &err)
	return handler(ctx, request)
}

func (s *Server) guardStream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	defer s.recovered(info.FullMethod, &err)
	return handler(service, stream)
}

func (s *Server) recovered(method string, err *error) {
	if r := recover(); r != nil {
		s.config.Log.Error("a request hit a defect of the emulator", "method", method, "panic", r, "stack", string(debug.Stack()))
		*err = status.Errorf(codes.Internal, "defect of the emulator in %s: %v", method, r)
	}
	var known interface{ GRPCStatus() *status.Status }
	if *err != nil && !errors.As(*err, &known) {
		*err = status.FromContextError(*err).Err()
	}
}

// database finds a database by its name, or by the name of anything below it.
func (s *Server) database(name string) (*database, error) {
	parts := strings.Split(name, "/")
	if len(parts) >= 6 {
		name = strings.Join(parts[:6], "/")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if db := s.databases[name]; db != nil {
		return db, nil
	}
	return nil, notFound("Database", "type.googleapis.com/google.spanner.admin.database.v1.Database", name)
}

// Database finds a database's engine.
func (s *Server) Database(name string) (*engine.Database, error) {
	db, err := s.database(name)
	if err != nil {
		return nil, err
	}
	return db.Database, nil
}

// Databases lists all databases by name.
func (s *Server) Databases() []*engine.Database {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*engine.Database
	for _, db := range s.databases {
		out = append(out, db.Database)
	}
	slices.SortFunc(out, func(a, b *engine.Database) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// add makes a database, and its instance where implied allows that.
func (s *Server) add(parent, id string, dialect schema.Dialect, implied bool) (*database, error) {
	name := parent + "/databases/" + id
	if len(strings.Split(name, "/")) != 6 || !validID(id) {
		return nil, status.Errorf(codes.InvalidArgument, "Invalid database name: %.200s", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.instances[parent] == nil {
		if !implied {
			return nil, notFound("Instance", "type.googleapis.com/google.spanner.admin.instance.v1.Instance", parent)
		}
		s.instances[parent] = newInstance(parent, nil, s.config.Engine.Now())
	}
	if s.databases[name] != nil {
		return nil, status.Errorf(codes.AlreadyExists, "Database already exists: %s", name)
	}
	db := &database{Database: engine.New(name, &schema.Schema{Dialect: dialect, Name: id}, s.config.Engine)}
	db.proto = databaseProto(name, dialect, db.Created)
	s.databases[name] = db
	return db, nil
}

// validID reports whether an id has the form that Spanner wants, single letters
// aside, which tests like.
func validID(id string) bool {
	if id == "" || len(id) > 64 || id[0] < 'a' || id[0] > 'z' {
		return false
	}
	return strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// CreateDatabase makes a database with a schema, and its instance if need be.
func (s *Server) CreateDatabase(name string, dialect schema.Dialect, ddl []string) error {
	parent, id, ok := strings.Cut(name, "/databases/")
	if !ok {
		return fmt.Errorf("create database: %q is not of the form projects/P/instances/I/databases/D", name)
	}
	db, err := s.add(parent, id, dialect, true)
	if err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	if _, err := s.alter(db, ddl); err != nil {
		s.drop(name)
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

func (s *Server) drop(name string) {
	s.mu.Lock()
	db := s.databases[name]
	delete(s.databases, name)
	s.mu.Unlock()
	if db != nil {
		db.Shutdown()
	}
}

// EachStream calls f for each change stream of each database.
func (s *Server) EachStream(f func(*engine.Database, *changes.Stream)) {
	for _, db := range s.Databases() {
		for _, stream := range db.Streams() {
			f(db, stream)
		}
	}
}
