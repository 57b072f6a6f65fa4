// Package demo shows all of Spancast on one machine: a Spanner emulator with two
// tables and a change stream, a workload that changes them, two replicas that
// publish the changes, and a subscriber that prints them.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"cloud.google.com/go/spanner"
	"google.golang.org/grpc/codes"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/cmd/spancast/internal/bootstrap"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/connect"
	"github.com/spancast/spancast/cmd/spancast/internal/service"
	"github.com/spancast/spancast/cmd/spancast/internal/tail"
	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/emulator/google"
)

// Kind is which Spanner a demo runs on.
type Kind string

// The kinds of Spanner: the one in this program, and Google's emulator.
const (
	Embedded Kind = "embedded"
	Google   Kind = "google"
)

// Options of a demo.
type Options struct {
	Spanner       Kind
	PartitionLife time.Duration // of the change stream's partitions, at least
	Rate          float64       // transactions a second
	Count         int           // changes to print before it ends; 0: no limit
	Out           io.Writer     // changes
	Log           *slog.Logger
	Colour        bool
}

const databaseName = "projects/demo/instances/demo/databases/shop"

// schema is that of the demo's database.
var schema = []string{
	`CREATE TABLE Customers (CustomerId INT64 NOT NULL, Name STRING(MAX), City STRING(MAX)) PRIMARY KEY (CustomerId)`,
	`CREATE TABLE Orders (OrderId INT64 NOT NULL, CustomerId INT64, Status STRING(20), Total NUMERIC) PRIMARY KEY (OrderId)`,
}

// Run runs the demo until ctx is done.
func Run(ctx context.Context, o Options) error {
	address, stop, err := o.startSpanner(ctx)
	if err != nil {
		return err
	}
	defer stop()
	cfg, err := configure(address)
	if err != nil {
		return err
	}
	if err := bootstrap.Run(ctx, cfg, bootstrap.Options{Dialect: changestream.GoogleSQL, Watch: "Customers, Orders", Schema: schema, Out: io.Discard}); err != nil {
		return err
	}
	return o.serve(ctx, cfg, address)
}

// startSpanner starts the Spanner of the demo. Its partitions split, move and
// merge all the time, as those of a busy database do.
func (o *Options) startSpanner(ctx context.Context) (address string, stop func() error, err error) {
	if o.Spanner == Google {
		s, err := google.Start(ctx, google.Options{PartitionLife: o.PartitionLife})
		if err != nil {
			return "", nil, err
		}
		o.Log.Info("Google's Spanner emulator runs", "address", s.Addr())
		return s.Addr(), s.Close, nil
	}
	s, err := emulator.Start(ctx, emulator.Options{ChurnEvery: o.PartitionLife})
	if err != nil {
		return "", nil, err
	}
	o.Log.Info("an embedded Spanner runs", "address", s.Addr())
	return s.Addr(), s.Close, nil
}

func configure(address string) (*config.Loaded, error) {
	cfg := config.Defaults()
	cfg.Database, cfg.ChangeStream, cfg.SpannerEndpoint, cfg.HTTP = databaseName, "Everything", config.Endpoint(address), page()
	cfg.Lease = lease
	cfg.Bind, cfg.RecoveryBind = config.Endpoints{"tcp://127.0.0.1:*"}, config.Endpoints{"tcp://127.0.0.1:*"}
	return cfg, cfg.Validate()
}

// lease is short, so that people who kill a replica need not wait for long.
const lease = 5 * time.Second

// page is where the status page goes: the usual port, or any that is free.
func page() config.Listen {
	if l, err := net.Listen("tcp", pageAddress); err == nil {
		l.Close()
		return pageAddress
	}
	return "127.0.0.1:0"
}

const pageAddress = "127.0.0.1:8080"

// serve runs the replicas, the workload and the subscriber, and ends all of them
// when one but the second replica ends.
func (o *Options) serve(ctx context.Context, cfg *config.Loaded, address string) error {
	s, err := service.Open(ctx, cfg, o.Log, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	client, err := connect.Client(ctx, cfg.Source(), "")
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan error)
	run := func(what string, f func(context.Context) error) {
		go func() {
			err := f(ctx)
			cancel()
			if err != nil && !errors.Is(err, context.Canceled) && spanner.ErrCode(err) != codes.Canceled {
				results <- fmt.Errorf("%s: %w", what, err)
			} else {
				results <- nil
			}
		}()
	}
	run("replica", s.Run)
	run("second replica", func(ctx context.Context) error { return o.second(ctx, address) })
	began := time.Now()
	run("workload", func(ctx context.Context) error { return workload(ctx, client, o.Rate) })
	run("subscriber", func(ctx context.Context) error {
		return tail.Run(ctx, tail.Options{Connect: s.Endpoints(), Topics: []string{""}, Since: began, Format: tail.Text, Count: o.Count, Out: o.Out, Log: o.Log, Colour: o.Colour})
	})
	return errors.Join(<-results, <-results, <-results, <-results)
}

// workload changes the tables at random.
func workload(ctx context.Context, client *spanner.Client, rate float64) error {
	w := newWork()
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	for {
		if _, err := client.Apply(ctx, w.next()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
