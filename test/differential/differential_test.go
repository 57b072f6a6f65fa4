package differential

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/emulator/google"
	"github.com/spancast/spancast/test/conformance"
)

const (
	shortForm = 600 // transactions
	roundSize = 150
)

func setting(name string, dflt int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return dflt
}

// servers starts both servers. Google's partitions live for the whole run.
func servers(t *testing.T) (embedded, googles conformance.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	g, err := google.Start(ctx, google.Options{PartitionLife: 10 * time.Hour})
	if errors.Is(err, google.ErrNotFound) {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI must have Google's emulator: %v", err)
		}
		fmt.Fprintln(os.Stderr, "SKIPPED: differential test:", err)
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	e, err := emulator.Start(ctx, emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return conformance.Server{Addr: e.Addr()}, conformance.Server{Addr: g.Addr(), Kind: conformance.Google}
}

func TestDifferential_RandomTransactions(t *testing.T) {
	seed := setting("DIFFERENTIAL_SEED", int(time.Now().UnixNano()%1_000_000))
	total := setting("DIFFERENTIAL_TRANSACTIONS", shortForm)
	t.Logf("seed %d, %d transactions: repeat with DIFFERENTIAL_SEED=%d DIFFERENTIAL_TRANSACTIONS=%d", seed, total, seed, total)
	embedded, googles := servers(t)
	committed := 0
	for round := 0; round*roundSize < total && !t.Failed(); round++ {
		r := rand.New(rand.NewPCG(uint64(seed), uint64(round)))
		t.Run(fmt.Sprintf("round_%03d", round), func(t *testing.T) {
			committed += runRound(t, r, embedded, googles, min(roundSize, total-round*roundSize))
		})
	}
	t.Logf("%d of %d transactions committed", committed, total)
}

// runRound returns how many of its transactions committed.
func runRound(t *testing.T, r *rand.Rand, embedded, googles conformance.Server, n int) int {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	l := newLayout(r)
	sides := make([]*side, 2)
	for i, server := range []conformance.Server{embedded, googles} {
		handle, err := server.Create(ctx, l.dialect, l.ddl...)
		if err != nil {
			t.Fatalf("%s: %v\n%s", []string{"embedded", "google"}[i], err, strings.Join(l.ddl, ";\n"))
		}
		defer handle.Close()
		sides[i] = &side{Handle: handle, dialect: l.dialect, google: i == 1, commits: map[time.Time]int{}}
	}
	txns := make([]*transaction, n)
	for i := range txns {
		txns[i] = newTransaction(r, l)
		if !both(ctx, t, l, sides, txns[i], i) {
			return len(sides[0].commits)
		}
	}
	if len(sides[0].commits) == 0 {
		return 0
	}
	for stream := range l.streams {
		compareStream(ctx, t, l, sides, stream, txns)
	}
	return len(sides[0].commits)
}

// both runs a transaction on both servers and compares how it ended.
func both(ctx context.Context, t *testing.T, l *layout, sides []*side, txn *transaction, n int) bool {
	var ended [2]codes.Code
	var errs [2]error
	for i, s := range sides {
		at, err := txn.run(ctx, s.Client)
		ended[i], errs[i] = status.Code(err), err
		if err == nil {
			s.commits[at.UTC()] = n
		}
	}
	if ended[0] != ended[1] {
		t.Errorf("transaction %d ended with\n  %v here\n  %v on Google's emulator\n%s\n%s", n, errs[0], errs[1], strings.Join(txn.text, "\n"), strings.Join(l.ddl, ";\n"))
		return false
	}
	return true
}

func compareStream(ctx context.Context, t *testing.T, l *layout, sides []*side, stream string, txns []*transaction) {
	var got [2]map[int][]change
	for i, s := range sides {
		first, last := bounds(s.commits)
		var err error
		if got[i], err = s.read(ctx, stream, first, last); err != nil {
			t.Fatalf("read %s of server %d: %v", stream, i, err)
		}
	}
	for n, txn := range txns {
		if slices.Equal(got[0][n], got[1][n]) {
			continue
		}
		t.Errorf("stream %s, transaction %d:\n%s\nhere            %+v\nGoogle's        %+v\n%s", stream, n, strings.Join(txn.text, "\n"), got[0][n], got[1][n], strings.Join(l.ddl, ";\n"))
		return
	}
}

func bounds(commits map[time.Time]int) (first, last time.Time) {
	for at := range commits {
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	return first, last
}
