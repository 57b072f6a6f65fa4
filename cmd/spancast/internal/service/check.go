package service

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"cloud.google.com/go/spanner"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/connect"
	"github.com/spancast/spancast/topics"
)

// Status is how a check came out.
type Status string

// The statuses of a check.
const (
	OK      Status = "ok"
	Warn    Status = "warn"
	Fail    Status = "FAIL"
	Skipped Status = "skip"
)

// CheckConfiguration is the name of the check of the variables themselves.
const CheckConfiguration = "configuration"

// A CheckResult is a line of the checklist.
type CheckResult struct {
	Name   string
	Status Status
	Detail string
	Err    error // with Fail
}

// A checker goes down the checklist. What a check finds, later ones use; when it
// fails, those that need it are skipped.
type checker struct {
	cfg     *config.Loaded
	results []CheckResult
	source  *spanner.Client
	info    changestream.Info
}

// Check checks the configuration and, unless offline, what it names.
func Check(ctx context.Context, cfg *config.Loaded, offline bool) []CheckResult {
	c := &checker{cfg: cfg}
	if !c.add(CheckConfiguration, "all variables can be used", cfg.Validate("DATABASE", "CHANGE_STREAM")) || offline {
		return c.results
	}
	c.stream(ctx)
	c.topics(ctx)
	c.tables(ctx)
	c.listen()
	if c.source != nil {
		c.source.Close()
	}
	return c.results
}

// add notes a result and tells whether it is a good one.
func (c *checker) add(name, detail string, err error) bool {
	r := CheckResult{Name: name, Status: OK, Detail: detail, Err: err}
	if err != nil {
		r.Status, r.Detail = Fail, ""
	}
	c.results = append(c.results, r)
	return err == nil
}

func (c *checker) note(name string, status Status, detail string) {
	c.results = append(c.results, CheckResult{Name: name, Status: status, Detail: detail})
}

// stream checks the source: who is there, the stream, and that it can be read.
func (c *checker) stream(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, connect.Timeout)
	defer cancel()
	began := time.Now()
	var err error
	c.source, c.info, err = Describe(ctx, c.cfg, nil)
	detail := fmt.Sprintf("%s of %s, %s, kept for %.0fh", c.info.Stream, c.info.Database, c.info.Dialect, c.info.Retention.Hours())
	if c.info.MutableKeyRange {
		detail += ", MUTABLE_KEY_RANGE"
	}
	if !c.add("change stream", detail, err) {
		c.note("reading", Skipped, "needs the change stream")
		return
	}
	c.note("latency", OK, fmt.Sprintf("connecting and looking it up took %s", time.Since(began).Round(time.Millisecond)))
	stream, err := changestream.New(changestream.Options{Info: c.info, Dial: connect.Dialer(c.cfg.Source()), Role: c.cfg.DatabaseRole,
		QueryWindow: c.cfg.QueryWindow, Heartbeat: c.cfg.Heartbeat})
	partitions := 0
	if err == nil {
		partitions, err = stream.Probe(ctx)
	}
	c.add("reading", fmt.Sprintf("the stream has %d partitions now", partitions), err)
	if c.info.WatchesAll && c.cfg.Metadata().Database == c.cfg.Database {
		c.note("metadata placement", Warn, "the stream watches ALL of the database that has the metadata tables; their changes are left out, but are read: SPANCAST_METADATA_DATABASE spares that")
	}
}

// topics looks for what topic templates name and no table has.
func (c *checker) topics(ctx context.Context) {
	if c.info.Stream == "" {
		c.note("topics", Skipped, "needs the change stream")
		return
	}
	_, rules, err := openRules(c.cfg)
	var missing []topics.KeyColumn
	if err == nil {
		missing, err = noKeys(ctx, c.cfg, c.source, c.info, newRouter(c.cfg, c.info, rules))
	}
	for _, k := range missing {
		c.note("topics", Warn, fmt.Sprintf("%s, %s: no table that it is for and that can be seen has a key column %s; {key.%s} is NULL in every topic", k.From(), k.Template, k.Name, k.Name))
	}
	if len(missing) == 0 {
		c.add("topics", "templates and rules, as far as tables can be seen", err)
	}
}

// tables checks the metadata tables.
func (c *checker) tables(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, connect.Timeout)
	defer cancel()
	target := c.cfg.Metadata()
	err := connect.Reach(ctx, target)
	if err != nil {
		c.add("metadata tables", "", err)
		return
	}
	client, err := connect.Client(ctx, target, c.cfg.DatabaseRole)
	if err != nil {
		c.add("metadata tables", "", err)
		return
	}
	defer client.Close()
	info := c.info
	info.Database = string(c.cfg.Database)
	view, err := checkpoint.NewSpanner(client, info, string(c.cfg.MetadataPrefix)).View(ctx)
	detail := fmt.Sprintf("%s* in %s: %d partitions, %d replicas", c.cfg.MetadataPrefix, target.Database, len(view.Partitions), len(view.Replicas))
	if !c.add("metadata tables", detail, err) {
		return
	}
	if skew := time.Since(view.Now).Abs(); skew > 10*time.Second {
		c.note("clock", Warn, fmt.Sprintf("this machine's clock and Spanner's differ by %s", skew.Round(time.Second)))
	} else {
		c.note("clock", OK, fmt.Sprintf("within %s of Spanner's", skew.Round(time.Millisecond)))
	}
}

// listen checks that the ports are free.
func (c *checker) listen() {
	for _, bind := range []struct {
		name      string
		endpoints config.Endpoints
	}{{"_BIND", c.cfg.Bind}, {"_RECOVERY_BIND", c.cfg.RecoveryBind}} {
		for _, endpoint := range bind.endpoints {
			if address, ok := strings.CutPrefix(endpoint, "tcp://"); ok {
				c.port(config.Prefix+bind.name, strings.NewReplacer("//*", "", ":*", ":0", "*:", ":").Replace(address))
			}
		}
	}
	if c.cfg.HTTP != "" {
		c.port(config.Prefix+"_HTTP", string(c.cfg.HTTP))
	}
}

func (c *checker) port(name, address string) {
	l, err := net.Listen("tcp", address)
	if err == nil {
		l.Close()
	}
	c.add(name, address+" is free", err)
}
