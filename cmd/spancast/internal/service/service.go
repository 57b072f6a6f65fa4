// Package service is what spancast serve runs: it joins the reader of the change
// stream, the metadata tables and the publisher, and takes them apart in order.
//
//	Spanner --> changestream.Stream --> publisher.Sink --> Publisher.Run --> libzmq
//	                  |  ^                                       |
//	                  |  +------------ Progress -----------------+
//	                  v
//	            checkpoint.Spanner
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"cloud.google.com/go/spanner"
	"go.opentelemetry.io/otel/metric"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/connect"
	"github.com/spancast/spancast/cmd/spancast/internal/telemetry"
	"github.com/spancast/spancast/cmd/spancast/internal/version"
	"github.com/spancast/spancast/cmd/spancast/internal/web"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/publisher"
	"github.com/spancast/spancast/recovery"
	"github.com/spancast/spancast/topics"
)

// Times of the end. Together they stay within the ten seconds that Cloud Run
// gives, and the leases are given back first.
const (
	drainTimeout = 4 * time.Second
	linger       = 3 * time.Second
)

// A Service is a replica, ready to run.
type Service struct {
	cfg     *config.Loaded
	log     *slog.Logger
	info    changestream.Info
	replica changestream.Replica
	source  *spanner.Client
	store   *spanner.Client

	router   atomic.Pointer[topics.Router]
	rules    *topics.RulesFile
	gate     *access.Gate // nil without CURVE
	sources  access.Sources
	pub      *publisher.Publisher
	recovery *recovery.Server // nil when there is none to be
	stream   *changestream.Stream
	leaving  atomic.Bool

	telemetry *telemetry.Telemetry
	kept      *telemetry.Store // the metadata tables, measured
	web       *web.Listener
	level     *slog.LevelVar
	recent    *web.Recent
	beats     beats
	owners    owners
}

// Open connects to everything and checks it, so that what is wrong is said
// before anything is read. Level, which may be nil, is that of the log, to be
// changed while the service runs. Close must follow.
func Open(ctx context.Context, cfg *config.Loaded, log *slog.Logger, level *slog.LevelVar) (_ *Service, err error) {
	s := &Service{cfg: cfg, replica: newReplica(), recent: new(web.Recent), level: level, beats: beats{opened: time.Now()}}
	s.log = slog.New(telemetry.LogHandler(s.recent.Handler(log.Handler())))
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	for _, step := range []func(context.Context) error{s.openTelemetry, s.connect, s.openTopics, s.openGate, s.openPublisher, s.openRecovery, s.openStream, s.openWeb} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// connectPatience is how long Spanner may take before the log says what is being
// waited for.
const connectPatience = 3 * time.Second

// connect opens the clients and looks at the stream and the tables.
func (s *Service) connect(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, connect.Timeout)
	defer cancel()
	slow := time.AfterFunc(connectPatience, func() {
		s.log.Warn("Spanner has not answered yet, still trying", "source", s.cfg.Source().String(), "metadata", s.cfg.Metadata().String())
	})
	defer slow.Stop()
	if s.source, s.info, err = Describe(ctx, s.cfg, s.telemetry.Spanner()); err != nil {
		return err
	}
	target := s.cfg.Metadata()
	if err := connect.Reach(ctx, target); err != nil {
		return err
	}
	// A client of its own: streams cannot starve leases.
	if s.store, err = connect.Metered(context.WithoutCancel(ctx), target, s.cfg.DatabaseRole, s.telemetry.Spanner()); err != nil {
		return err
	}
	_, err = s.tables().View(ctx)
	return err
}

// Describe opens a client for the source database, measured by meters if there
// are any, and looks the stream up. The client is returned even with an error,
// when there is one.
func Describe(ctx context.Context, cfg *config.Loaded, meters metric.MeterProvider) (*spanner.Client, changestream.Info, error) {
	target := cfg.Source()
	if err := connect.Reach(ctx, target); err != nil {
		return nil, changestream.Info{}, err
	}
	client, err := connect.Metered(context.WithoutCancel(ctx), target, cfg.DatabaseRole, meters)
	if err != nil {
		return nil, changestream.Info{}, err
	}
	info, err := changestream.Describe(ctx, client, cfg.ChangeStream)
	return client, info, err
}

func (s *Service) tables() *checkpoint.Spanner {
	return checkpoint.NewSpanner(s.store, s.info, string(s.cfg.MetadataPrefix))
}

// ownTable tells whether a table of the source is one of the metadata tables: a
// stream FOR ALL would watch them too, and every checkpoint would be a change.
func ownTable(cfg *config.Loaded) func(string) bool {
	if cfg.Metadata().Database != cfg.Database {
		return func(string) bool { return false }
	}
	own := checkpoint.TablesOf(string(cfg.MetadataPrefix))
	return func(table string) bool { return table == own.Partitions || table == own.Replicas || table == own.Keys }
}

func (s *Service) openPublisher(context.Context) (err error) {
	s.pub, err = publisher.New(publisher.Options{
		Epoch: s.replica.Epoch, Bind: s.cfg.Bind, Connect: s.cfg.Connect, Audiences: s.audiences(), Gate: s.gate, Credentials: s.credentials(), IOThreads: s.cfg.IOThreads, SendHWM: s.cfg.SendHWM,
		Slow: publisher.SlowPolicy(s.cfg.SlowSubscriber), BlockTimeout: s.cfg.BlockTimeout, Heartbeat: s.cfg.ZMTPHeartbeat,
		MaxBuffer: int64(s.cfg.MaxBuffer), ResolvedInterval: s.cfg.ResolvedInterval, Linger: linger, RequireSubscriber: s.cfg.RequireSubscriber,
		Router: s.router.Load, NewBody: s.newBody(), Ignore: ownTable(s.cfg),
		Resolved: func() (time.Time, time.Time) { s.beats.publisher.beat(); return s.stream.Resolved() },
		Hello:    func() message.HelloBody { return s.hello("") }, Log: s.log, Trace: s.telemetry.Tracer(), Observe: s.telemetry.Published,
	})
	if err != nil {
		return fmt.Errorf("%s_BIND and %s_CONNECT: %w", config.Prefix, config.Prefix, err)
	}
	s.replica.Endpoints = s.directory()
	return nil
}

func (s *Service) newBody() func() publisher.Body {
	switch s.cfg.Format {
	case config.CloudEvents:
		return func() publisher.Body { return publisher.NewCloudEvents(s.info) }
	case config.Debezium:
		return func() publisher.Body { return publisher.NewDebezium(s.info, version.Number) }
	}
	return func() publisher.Body { return publisher.Native{} }
}

func (s *Service) openStream(context.Context) (err error) {
	s.kept = s.telemetry.Store(s.tables())
	s.stream, err = changestream.New(changestream.Options{
		Info: s.info, Dial: connect.Dialer(s.cfg.Source()), Role: s.cfg.DatabaseRole, Replica: s.replica, Store: s.kept,
		NewSink: s.telemetry.Sink(s.pub.Sink), Drained: s.pub.Drained, OnGap: s.pub.Gap,
		Start: s.cfg.StartAt.Time, OnGapPolicy: changestream.GapPolicy(s.cfg.OnGap),
		QueryWindow: s.cfg.QueryWindow, Heartbeat: s.cfg.Heartbeat, CheckpointInterval: s.cfg.CheckpointInterval,
		CheckpointLag: s.cfg.CheckpointLag, Lease: s.cfg.Lease, DrainTimeout: drainTimeout, MaxPartitions: s.cfg.MaxPartitions,
		Gate: s.cfg.Source().PlainText, Log: s.log,
	})
	return err
}

// Run serves until ctx is done, then ends in order: not ready any more, reading
// stopped, what was read published, positions saved and partitions given back,
// sockets emptied.
func (s *Service) Run(ctx context.Context) error {
	s.log.Info(s.banner(), "replica", s.replica.ID, "epoch", s.replica.Epoch)
	if page := s.Page(); page != "" {
		s.log.Info("status page: " + page)
	}
	warnExposed(s.log, s.cfg.Exposed("BIND", "CONNECT", "RECOVERY_BIND"))
	reading, stopReading := context.WithCancelCause(ctx)
	defer stopReading(nil)
	beside, stopBeside := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBeside()
	published := make(chan error, 1)
	go func() {
		err := s.pub.Run(beside)
		stopReading(err) // without a socket there is no use in reading
		published <- err
	}()
	context.AfterFunc(reading, func() { s.leaving.Store(true) })
	recovered := make(chan error, 1)
	go func() {
		err := s.recover(beside)
		stopReading(err)
		recovered <- err
	}()
	others := s.startOthers(beside)
	err := s.stream.Run(reading)
	s.leaving.Store(true)
	stopBeside()
	err = errors.Join(err, <-published, <-recovered)
	others()
	if err == nil {
		s.log.Info("ended", "messages", s.pub.Stats().Messages.Load())
	}
	return err
}

// warnExposed says, at every start, what was allowed once.
func warnExposed(log *slog.Logger, endpoints []string) {
	if len(endpoints) > 0 {
		log.Warn("without CURVE whoever reaches these endpoints reads everything; SPANCAST_ALLOW_INSECURE allows that", "endpoints", endpoints)
	}
}

// startOthers starts what runs beside the pipe, and returns what waits for it.
func (s *Service) startOthers(ctx context.Context) (wait func()) {
	done := make(chan struct{}, 4)
	go func() { s.watchAccess(ctx); done <- struct{}{} }()
	go func() { s.watchRules(ctx); done <- struct{}{} }()
	go func() { s.web.Serve(ctx); done <- struct{}{} }()
	go func() { s.report(ctx); done <- struct{}{} }()
	return func() {
		for range cap(done) {
			<-done
		}
	}
}

// Close closes the clients.
func (s *Service) Close() {
	for _, c := range []*spanner.Client{s.source, s.store} {
		if c != nil {
			c.Close()
		}
	}
	s.web.Close()
	s.closeTelemetry()
}

// Endpoints are those that subscribers on this machine can connect to.
func (s *Service) Endpoints() []string { return s.pub.Endpoints() }
