package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/forward"
	"github.com/spancast/spancast/cmd/spancast/internal/telemetry"
	"github.com/spancast/spancast/cmd/spancast/internal/version"
	"github.com/spancast/spancast/cmd/spancast/internal/web"
	"github.com/spancast/spancast/message"
)

// A forwarder is what spancast forward runs, with what it tells of itself.
type forwarder struct {
	cfg    *config.Loaded
	id     string
	since  time.Time
	recent *web.Recent
	sink   *forward.Forwarder

	gate    *access.Gate // nil without CURVE
	sources access.Sources
}

// Forward runs a forwarder until ctx is done.
func Forward(ctx context.Context, cfg *config.Loaded, log *slog.Logger, level *slog.LevelVar) (err error) {
	f := &forwarder{cfg: cfg, id: newReplica().ID, since: time.Now(), recent: new(web.Recent)}
	log = slog.New(telemetry.LogHandler(f.recent.Handler(log.Handler())))
	tel, err := telemetry.Open(ctx, telemetry.Options{Service: "spancast-forward", Instance: f.id, Version: version.Number, Log: log})
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), telemetryTimeout)
		defer cancel()
		tel.Close(end)
	}()
	if err := f.open(log, tel.Reloaded); err != nil {
		return err
	}
	defer f.sink.Close()
	stats := f.sink.Stats()
	if err := tel.ObserveForwarder(telemetry.Forwarder{Messages: stats.Messages.Load, Bytes: stats.Bytes.Load, Subscriptions: stats.Subscriptions.Load, Access: gateStats(f.gate),
		Ready: func() bool { return len(f.reasons()) == 0 }}); err != nil {
		return err
	}
	return f.run(ctx, tel, log, level)
}

// open opens the gate, if there is to be one, and the sockets.
func (f *forwarder) open(log *slog.Logger, reloaded func(error)) (err error) {
	if f.gate, f.sources, err = openGate(f.cfg, log); err != nil {
		return err
	}
	f.sources.Reloaded = reloaded
	o := forward.Options{Publishers: f.cfg.ForwardBind, Subscribers: f.cfg.Bind, HWM: f.cfg.SendHWM, Linger: linger, Gate: f.gate, Log: log}
	if f.gate != nil {
		shared := f.gate.Book().Policy().Shared()
		if shared == nil {
			return fmt.Errorf("%s_ACCESS_FILE: every audience has endpoints of its own, and a forwarder's is the one without", config.Prefix)
		}
		o.Audience = shared.Name
	}
	if f.sink, err = forward.Open(o); err != nil {
		return fmt.Errorf("%s_FORWARD_BIND and %s_BIND: %w", config.Prefix, config.Prefix, err)
	}
	return nil
}

// run forwards and answers over HTTP.
func (f *forwarder) run(ctx context.Context, tel *telemetry.Telemetry, log *slog.Logger, level *slog.LevelVar) error {
	var pages *web.Listener
	if f.cfg.HTTP != "" {
		var certificate *web.Certificate
		var err error
		if pages, certificate, err = listenHTTP(ctx, f.cfg, log, tel.Reloaded); err != nil {
			return err
		}
		defer pages.Close()
		none := func() []string { return nil }
		pages.Open(web.Options{Status: f.status, Sample: f.sample, Endpoints: func() any { return f.endpoints() }, Live: f.dead, Ready: f.reasons, Startup: none,
			Metrics: tel.Handler(), Level: level, Profile: f.cfg.Profile, Certificate: certificate, Log: log})
	}
	log.Info(fmt.Sprintf("forwarding from publishers at %s to subscribers at %s", strings.Join(f.sink.Publishers(), ", "), strings.Join(f.sink.Subscribers(), ", ")))
	if page := pages.Page(); page != "" {
		log.Info("status page: " + page)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var others sync.WaitGroup
	others.Go(func() { pages.Serve(ctx) })
	if f.gate != nil {
		others.Go(func() { f.gate.Watch(ctx, accessInterval, f.sources) })
	}
	err := f.sink.Run(ctx)
	cancel(errors.New("the forwarder has ended"))
	others.Wait()
	return err
}

// dead says whether the loop does not come round any more.
func (f *forwarder) dead() []string {
	b := beats{opened: f.since}
	if d := b.silence(time.Unix(0, f.sink.Stats().Beat.Load())); d > loopPatience {
		return []string{fmt.Sprintf("the forwarder's loop has not come round for %s", d.Round(time.Second))}
	}
	return nil
}

// reasons says why the forwarder is not ready, if it is not.
func (f *forwarder) reasons() []string {
	why := f.dead()
	if f.gate != nil {
		why = append(why, f.gate.Trouble()...)
	}
	return why
}

func (f *forwarder) endpoints() message.HelloBody {
	return message.HelloBody{Format: message.Format, Replica: f.id, Server: "spancast " + version.Number,
		Endpoints: []message.Endpoint{{Replica: f.id, Publish: reachable(f.sink.Subscribers())}}}
}

func (f *forwarder) status() web.Status {
	why, s := f.reasons(), f.sink.Stats()
	return web.Status{Now: time.Now().UTC(), Version: version.Number, Command: "forward",
		Replica:  web.Self{ID: f.id, Since: f.since.UTC(), Ready: len(why) == 0, Reasons: append([]string{}, why...), Publish: reachable(f.sink.Subscribers())},
		Totals:   web.Totals{Messages: s.Messages.Load(), Bytes: s.Bytes.Load(), Subscriptions: s.Subscriptions.Load()},
		Replicas: []web.Replica{}, Partitions: []web.Partition{}, Topics: []web.Topic{}, Subscriptions: []web.Subscription{}, Subscribers: []web.Subscriber{}, Audiences: []web.Audience{},
		Recoveries: []web.Recovery{}, Problems: f.recent.Problems(), Config: settings(f.cfg)}
}

func (f *forwarder) sample() web.Sample {
	s := f.sink.Stats()
	return web.Sample{At: time.Now().UnixMilli(), Messages: s.Messages.Load(), Bytes: s.Bytes.Load()}
}
