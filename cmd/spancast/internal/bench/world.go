package bench

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/cmd/spancast/internal/bench/cloop"
	"github.com/spancast/spancast/cmd/spancast/internal/bench/part"
	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/topics"
)

const (
	database = "projects/bench/instances/bench/databases/bench"
	metadata = database + "-metadata"
	stream   = "Everything"
	// What the embedded Spanner keeps, in bytes, and of each partition at least.
	leastLog = 64 << 20
	eachLog  = 768 << 10
)

// A shape is what is measured: the changes, and who is there.
type shape struct {
	body       int // bytes of a change's body, about
	mods       int // of a record
	frame      int // records of a frame; 0: as many as come
	partitions int // 0: 2
	keys       int // different rows; 0: none comes twice
	template   string

	subscribers int // 0: 1
	filler      int // subscriptions that match nothing
	curve       bool
	rules       bool
	scrape      bool // metrics are read every second
}

func (s shape) with(f func(*shape)) shape { f(&s); return s }

// kilobyte is the shape of the measures: 1 KB, 16 records a frame.
var kilobyte = shape{body: 1000, mods: 1, frame: 16}

func (s shape) String() string {
	size := fmt.Sprintf("%d B", s.body)
	if s.body >= 1000 {
		size = fmt.Sprintf("%d KB", s.body/1000)
	}
	if s.mods == 1 {
		return size + ", 1 mod"
	}
	return fmt.Sprintf("%s, %d mods", size, s.mods)
}

// table is the statement of the table, and the length of its texts.
func (s shape) table() (ddl string, text int) {
	if s.body < 500 {
		return `CREATE TABLE Changes (Id STRING(36) NOT NULL, V STRING(MAX)) PRIMARY KEY (Id)`, max(1, s.body-75)
	}
	return `CREATE TABLE Changes (Id STRING(36) NOT NULL, A STRING(MAX), B STRING(MAX), C STRING(MAX), D STRING(MAX), E STRING(MAX), F STRING(MAX), N INT64) PRIMARY KEY (Id)`,
		(s.body - 130) / 6
}

// A world is an embedded Spanner, and what runs beside it.
type world struct {
	*run
	shape  shape
	server *emulator.Server
	tokens []string
	since  time.Time

	keys     cloop.Keys // of subscribers
	sender   cloop.Keys // of the publisher
	stopLoad func() int
	ends     []func()
}

// world starts an embedded Spanner. close must follow.
func (r *run) world(s shape) (_ *world, err error) {
	if s.partitions == 0 {
		s.partitions = 2
	}
	s.subscribers = max(s.subscribers, 1)
	if s.template == "" {
		s.template = topics.Default
	}
	w := &world{run: r, shape: s}
	w.server, err = emulator.Start(r.ctx, emulator.Options{Partitions: s.partitions, MaxLogBytes: max(leastLog, int64(s.partitions)*eachLog), Faults: emulator.Faults{RowsPerFrame: s.frame}})
	if err != nil {
		return nil, err
	}
	w.ends = append(w.ends, func() { w.server.Close() })
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	ddl, _ := s.table()
	err = w.server.CreateDatabase(database, emulator.GoogleSQL, ddl, "CREATE CHANGE STREAM "+stream+" FOR ALL OPTIONS (value_capture_type = 'NEW_ROW')")
	if err == nil {
		err = w.server.CreateDatabase(metadata, emulator.GoogleSQL, checkpoint.DDL("Spancast", changestream.GoogleSQL)...)
	}
	if err == nil {
		w.tokens, err = w.server.Partitions(database, stream)
	}
	w.since = w.server.Now()
	return w, err
}

// close ends everything, the last first.
func (w *world) close() {
	w.rest()
	for _, end := range slices.Backward(w.ends) {
		end()
	}
	w.ends = nil
}

// load begins the synthetic load, of a rate in records a second; 0: all that can
// be taken.
func (w *world) load(rate int) {
	w.rest()
	ctx, cancel := context.WithCancel(w.ctx)
	var made int
	var wait sync.WaitGroup
	_, text := w.shape.table()
	wait.Go(func() {
		made, _ = w.server.Load(ctx, emulator.Load{Database: database, Stream: stream, Table: "Changes", Rate: rate, TextBytes: text, Mods: w.shape.mods, Keys: w.shape.keys})
	})
	w.stopLoad = func() int { cancel(); wait.Wait(); return made }
}

// rest ends the load.
func (w *world) rest() {
	if w.stopLoad != nil {
		w.stopLoad()
		w.stopLoad = nil
	}
}

// start starts a part, until the world ends.
func (w *world) part(role part.Role, q part.Request, env ...string) (*child, error) {
	q.Address, q.Database, q.Stream, q.Since = w.server.Addr(), database, stream, w.since
	if q.Tokens == nil {
		q.Tokens = w.tokens
	}
	c, err := w.run.part(role, q, env...)
	if err == nil {
		w.ends = append(w.ends, c.stop)
	}
	return c, err
}

// subscriber starts a subscriber.
func (w *world) subscriber(endpoint string) (*child, error) {
	return w.part(part.Subscriber, part.Request{Endpoint: endpoint, Sockets: w.shape.subscribers, Prefixes: []string{""}, Filler: w.shape.filler, Keys: w.keys})
}

// A replica is spancast serve.
type replica struct {
	*process
	endpoint, page string
}

// serve starts spancast serve and waits until it reads all partitions.
func (w *world) serve(more ...string) (*replica, error) {
	env := map[string]string{
		"SPANCAST_DATABASE": database, "SPANCAST_METADATA_DATABASE": metadata, "SPANCAST_CHANGE_STREAM": stream, "SPANCAST_SPANNER_ENDPOINT": w.server.Addr(),
		"SPANCAST_BIND": "tcp://127.0.0.1:*", "SPANCAST_RECOVERY_BIND": "none", "SPANCAST_HTTP": "none", "SPANCAST_TOPIC": w.shape.template,
		"SPANCAST_SLOW_SUBSCRIBER": "block", "SPANCAST_BLOCK_TIMEOUT": "1m", "SPANCAST_LOG_FORMAT": "json", "GODEBUG": "gctrace=1",
	}
	if w.shape.scrape {
		env["SPANCAST_HTTP"] = "127.0.0.1:0"
	}
	if err := w.secure(env); err != nil {
		return nil, err
	}
	if err := w.rules(env); err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	var list []string
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	p, err := w.run.start(list, "serve")
	if err != nil {
		return nil, err
	}
	w.ends = append(w.ends, p.stop)
	s := &replica{process: p}
	if s.endpoint, err = w.said(p, `publishing on ([^,;" ]+)`); err != nil {
		return nil, err
	}
	if w.shape.scrape {
		if s.page, err = w.said(p, `status page: (http://[^" ]+)`); err != nil {
			return nil, err
		}
	}
	return s, w.reading(p)
}

// reading waits until a process reads all partitions.
func (w *world) reading(p *process) error {
	return w.until("all partitions are read", func() (bool, error) {
		return w.server.Queries(database, stream) >= len(w.tokens), p.alive()
	})
}

// said waits until a process has said something, and returns what is in brackets.
func (w *world) said(p *process, pattern string) (found string, err error) {
	re := regexp.MustCompile(pattern)
	return found, w.until("spancast serve said "+pattern, func() (bool, error) {
		if m := re.FindStringSubmatch(p.log.String()); m != nil {
			found = m[1]
			return true, nil
		}
		return false, p.alive()
	})
}

// alive fails when a process has ended.
func (p *process) alive() error {
	select {
	case <-p.done:
		return fmt.Errorf("a process ended: %s", p.log.last())
	default:
		return nil
	}
}

// secure makes keys and an access file.
func (w *world) secure(env map[string]string) error {
	if !w.shape.curve {
		return nil
	}
	server, err := access.NewKey()
	if err != nil {
		return err
	}
	client, err := access.NewKey()
	if err != nil {
		return err
	}
	w.keys = cloop.Keys{Public: client.Public().String(), Secret: client.Reveal(), Server: server.Public().String()}
	w.sender = cloop.Keys{Secret: server.Reveal()}
	policy := fmt.Sprintf("identities:\n  - name: subscriber\n    keys: [%q]\n", client.Public().String())
	env["SPANCAST_CURVE_SECRET_KEY"] = server.Reveal()
	env["SPANCAST_ACCESS_FILE"] = filepath.Join(w.dir, "access.yaml")
	return os.WriteFile(env["SPANCAST_ACCESS_FILE"], []byte(policy), 0o600)
}

// rules writes topic rules of which the last matches.
func (w *world) rules(env map[string]string) error {
	if !w.shape.rules {
		return nil
	}
	text := "rules:\n"
	for i := range 20 {
		text += fmt.Sprintf("  - tables: [Other%d]\n    topic: other/{table}/\n", i)
	}
	text += "  - tables: [Changes]\n    topic: ruled/{table}/{op}/\n"
	env["SPANCAST_TOPIC_RULES_FILE"] = filepath.Join(w.dir, "rules.yaml")
	return os.WriteFile(env["SPANCAST_TOPIC_RULES_FILE"], []byte(text), 0o600)
}
