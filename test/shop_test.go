package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"

	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/spannerdb"
	"github.com/spancast/spancast/test/wait"
)

// A shop is a database with two tables, a change stream over both, and a record
// of everything that was committed.
type shop struct {
	*spannerdb.DB
	t   testing.TB
	env map[string]string

	metadata *checkpoint.Spanner // of partitions(), once it is needed

	mu        sync.Mutex
	committed map[string][]string // by row, its versions in order: the values of the column V
	rows      int
}

const shopStream = "Everything"

// newShop makes a shop, with metadata tables beside it.
func newShop(t testing.TB, host string) *shop {
	t.Helper()
	return newShopIn(t, host, databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL)
}

// newShopIn is newShop for either dialect; of GoogleSQL, with more tables that
// have a text V.
func newShopIn(t testing.TB, host string, dialect databasepb.DatabaseDialect, more ...string) *shop {
	t.Helper()
	name, ddl := "googlesql", []string{
		`CREATE TABLE Orders (Id INT64 NOT NULL, V INT64) PRIMARY KEY (Id)`,
		`CREATE TABLE Users (Id INT64 NOT NULL, V INT64) PRIMARY KEY (Id)`,
		`CREATE CHANGE STREAM ` + shopStream + ` FOR ` + strings.Join(append([]string{"Orders", "Users"}, more...), ", ")}
	for _, table := range more {
		ddl = slices.Insert(ddl, 0, `CREATE TABLE `+table+` (Id INT64 NOT NULL, V STRING(MAX)) PRIMARY KEY (Id)`)
	}
	if dialect == databasepb.DatabaseDialect_POSTGRESQL {
		name, ddl = "postgresql", []string{
			`CREATE TABLE "Orders" ("Id" bigint PRIMARY KEY, "V" bigint)`,
			`CREATE TABLE "Users" ("Id" bigint PRIMARY KEY, "V" bigint)`,
			`CREATE CHANGE STREAM "` + shopStream + `" FOR "Orders", "Users"`}
	}
	db := spannerdb.New(t, host, dialect, ddl...)
	s := &shop{DB: db, t: t, committed: make(map[string][]string), env: map[string]string{
		"SPANNER_EMULATOR_HOST": host, "SPANCAST_DATABASE": db.Name, "SPANCAST_CHANGE_STREAM": shopStream,
		"SPANCAST_METADATA_DATABASE": db.Name + "m",
	}}
	if status, _, stderr := harness.Run(t, s.env, "admin", "bootstrap", "--dialect", name); status != 0 {
		t.Fatalf("bootstrap: %s", stderr)
	}
	return s
}

// with returns the environment with more in it.
func (s *shop) with(more ...string) map[string]string {
	env := make(map[string]string)
	for k, v := range s.env {
		env[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	return env
}

// commit writes a new version of a row of each of the tables and returns the
// commit timestamp.
func (s *shop) commit(id int, tables ...string) time.Time {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	s.mu.Lock()
	version := len(s.committed[fmt.Sprintf("%s %d", tables[0], id)]) + 1
	s.mu.Unlock()
	var mutations []*spanner.Mutation
	for _, table := range tables {
		mutations = append(mutations, spanner.InsertOrUpdate(table, []string{"Id", "V"}, []any{id, version}))
	}
	at, err := s.Client.Apply(ctx, mutations)
	if err != nil {
		s.t.Error(err)
		return time.Time{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, table := range tables {
		row := fmt.Sprintf("%s %d", table, id)
		s.committed[row] = append(s.committed[row], fmt.Sprintf("%s %d", message.FormatTime(at), version))
	}
	s.rows += len(tables)
	return at
}

// load commits at random until stop is closed, and returns when it has ended.
func (s *shop) load(rnd *rand.Rand, pause time.Duration, stop <-chan struct{}) {
	wait.Repeat(pause, stop, func() {
		tables := [][]string{{"Orders"}, {"Users"}, {"Orders", "Users"}}[rnd.IntN(3)]
		s.commit(rnd.IntN(5), tables...)
	})
}

// read tells which row a change is of, and what it is, as commit notes it.
func (s *shop) read(m *harness.Message) (row, change string) {
	s.t.Helper()
	mods, err := m.Mods()
	if err != nil {
		s.t.Fatal(err)
	}
	bare := strings.NewReplacer(`{"Id":"`, "", `{"V":"`, "", `"}`, "")
	return m.Attributes.Table + " " + bare.Replace(string(mods.Keys)), m.Version.CommitTimestamp + " " + bare.Replace(string(mods.New))
}

// check compares what was published with what was committed: every change at
// least once, none invented, and per row in order but for changes that came
// before.
func (s *shop) check(changes []*harness.Message) (duplicates int) {
	s.t.Helper()
	got := make(map[string][]string)
	seen := make(map[string]bool)
	for _, m := range changes {
		row, change := s.read(m)
		if seen[m.Version.String()] {
			duplicates++
			continue
		}
		seen[m.Version.String()] = true
		got[row] = append(got[row], change)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for row, want := range s.committed {
		if !slices.Equal(got[row], want) {
			s.t.Errorf("row %s:\npublished %q\ncommitted %q", row, got[row], want)
		}
		delete(got, row)
	}
	for row := range got {
		s.t.Errorf("row %s was published and never committed", row)
	}
	return duplicates
}

// countersWithoutGap checks the counters of the root within each epoch.
func countersWithoutGap(t *testing.T, changes []*harness.Message) {
	t.Helper()
	last := make(map[string]uint64)
	for _, m := range changes {
		epoch := string(m.Header.Epoch)
		n, ok := m.Header.Counter(0)
		if !ok || last[epoch] != 0 && n != last[epoch]+1 {
			t.Errorf("epoch %s: counter %d after %d", epoch, n, last[epoch])
		}
		last[epoch] = n
	}
}
