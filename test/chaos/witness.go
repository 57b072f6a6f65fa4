package chaos

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/test/conformance"
)

// testify asks the change stream itself for writes that were not published: it
// returns for each where it is, and what the partitions table says of that
// partition.
func (a *Arena) testify(missing []*write) (out []string) {
	conn, err := grpc.NewClient(a.backend.source, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return []string{err.Error()}
	}
	defer conn.Close()
	view, err := a.watch.look()
	if err != nil {
		return []string{err.Error()}
	}
	for _, w := range missing[:min(len(missing), maxFaults)] {
		said, err := a.look(conn, w, view)
		if err != nil {
			said = err.Error()
		}
		out = append(out, fmt.Sprintf("%s %d of row %s, committed at %s: %s", w.op, w.number, w.row, w.at.UTC().Format(time.RFC3339Nano), said))
	}
	return out
}

// look looks for a write in the partitions that lived when it was committed.
func (a *Arena) look(conn *grpc.ClientConn, w *write, view changestream.View) (string, error) {
	switch {
	case w.at.IsZero():
		return "its commit failed, and its rows showed it", nil
	case a.opt.Kind.Mutable:
		return "where it is is not looked for in streams of mode MUTABLE_KEY_RANGE", nil
	}
	ctx, cancel := a.within(20 * time.Second)
	defer cancel()
	q := conformance.Query{Stream: conformance.Stream{Database: a.backend.db.Name, Name: streamName, Dialect: a.opt.Kind.dialect()}, Start: w.at, End: w.at, Heartbeat: time.Second}
	var tokens []string
	if err := conformance.RunQuery(ctx, conn, q, func(r conformance.Row) error {
		if r.Child != nil {
			for _, p := range r.Child.Partitions {
				tokens = append(tokens, p.Token)
			}
		}
		return nil
	}); err != nil {
		return "", fmt.Errorf("which partitions lived: %w", err)
	}
	for _, token := range tokens {
		found, err := inPartition(ctx, conn, q, token, w)
		if err != nil {
			return "", err
		}
		if found {
			return "the change stream has it in " + known(view, changestream.PartitionToken(token)), nil
		}
	}
	return fmt.Sprintf("the change stream has it in none of the %d partitions that lived", len(tokens)), nil
}

func inPartition(ctx context.Context, conn *grpc.ClientConn, q conformance.Query, token string, w *write) (found bool, err error) {
	q.Token = token
	err = conformance.RunQuery(ctx, conn, q, func(r conformance.Row) error {
		if r.Data == nil || !r.Data.CommitTimestamp.Equal(w.at) || r.Data.ModType != w.op {
			return nil
		}
		for _, m := range r.Data.Mods {
			found = found || strings.Contains(m.New+m.Old, `"V":"`+strconv.FormatInt(w.number, 10)+`"`)
		}
		return nil
	})
	return found, err
}

// known is what the partitions table says of a token.
func known(view changestream.View, token changestream.PartitionToken) string {
	for _, p := range view.Partitions {
		if p.Token == token {
			return fmt.Sprintf("partition %s: %s, start %s, position %s, end %s, owner %q, epoch %d, parents %d",
				token.Short(), p.State, p.Start.Format(time.RFC3339Nano), p.Position.Format(time.RFC3339Nano), p.End.Format(time.RFC3339Nano), p.Owner, p.Epoch, len(p.Parents))
		}
	}
	return "partition " + token.Short() + ", which the partitions table does not know"
}
