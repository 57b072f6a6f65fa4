package conformance

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// RawReader is the Collector that reads the gRPC API as the sheet does: an
// initial query at the commit timestamp, then each token from there to now.
type RawReader struct{ conn *grpc.ClientConn }

// NewRawReader connects to a server; Shutdown ends the connection.
func NewRawReader(s Server) (*RawReader, error) {
	conn, err := s.connect()
	if err != nil {
		return nil, err
	}
	return &RawReader{conn: conn}, nil
}

// Shutdown closes the reader's connection.
func (r *RawReader) Shutdown() error { return r.conn.Close() }

// Open has nothing to do: all is in the server.
func (r *RawReader) Open(context.Context, Stream) error { return nil }

// Close has nothing to do.
func (r *RawReader) Close(Stream) error { return nil }

// Collect reads the stream at one commit timestamp.
func (r *RawReader) Collect(ctx context.Context, s Stream, commit time.Time) ([]Record, error) {
	roots, err := rows(ctx, r.conn, Query{Stream: s, Start: commit})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if now.Before(commit) { // the server's clock may be ahead of ours
		now = commit
	}
	partitions := tokens(roots)
	results := make([]result, len(partitions))
	var wait sync.WaitGroup
	for i, token := range partitions {
		wait.Go(func() {
			results[i].rows, results[i].err = rows(ctx, r.conn, Query{Stream: s, Start: commit, End: now, Token: token})
		})
	}
	wait.Wait()
	return atCommit(results, commit)
}

type result struct {
	rows []Row
	err  error
}

func atCommit(results []result, commit time.Time) ([]Record, error) {
	var out []Record
	for _, result := range results {
		if result.err != nil {
			return nil, result.err
		}
		for _, row := range result.rows {
			if row.Data != nil && row.Data.CommitTimestamp.Equal(commit) {
				out = append(out, *row.Data)
			}
		}
	}
	return out, nil
}

// tokens lists the partitions that child partition records name.
func tokens(in []Row) []string {
	var out []string
	for _, row := range in {
		if row.Child == nil {
			continue
		}
		for _, partition := range row.Child.Partitions {
			out = append(out, partition.Token)
		}
	}
	return out
}
