package web

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// maxProblems bounds those that are remembered.
const maxProblems = 50

// Recent remembers the warnings and errors that were logged lately.
type Recent struct {
	mu       sync.Mutex
	problems []Problem // the newest last
}

// Problems returns them, the newest first.
func (r *Recent) Problems() []Problem {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := append([]Problem{}, r.problems...)
	slices.Reverse(out)
	return out
}

// Handler returns a handler that remembers and passes on to next.
func (r *Recent) Handler(next slog.Handler) slog.Handler { return &recorder{Handler: next, to: r} }

type recorder struct {
	slog.Handler
	to    *Recent
	attrs []slog.Attr
}

// Enabled implements slog.Handler: problems are remembered at every level.
func (h *recorder) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn || h.Handler.Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (h *recorder) Handle(ctx context.Context, rec slog.Record) error {
	if rec.Level >= slog.LevelWarn {
		h.to.note(rec, h.attrs)
	}
	if !h.Handler.Enabled(ctx, rec.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, rec)
}

// WithAttrs implements slog.Handler.
func (h *recorder) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &recorder{Handler: h.Handler.WithAttrs(attrs), to: h.to, attrs: append(slices.Clip(h.attrs), attrs...)}
}

// WithGroup implements slog.Handler.
func (h *recorder) WithGroup(name string) slog.Handler {
	return &recorder{Handler: h.Handler.WithGroup(name), to: h.to, attrs: h.attrs}
}

// note keeps a problem; one that is the same as the last but one or the last is
// counted there.
func (r *Recent) note(rec slog.Record, bound []slog.Attr) {
	var detail []string
	text := func(a slog.Attr) bool {
		detail = append(detail, a.Key+"="+a.Value.String())
		return true
	}
	for _, a := range bound {
		text(a)
	}
	rec.Attrs(text)
	p := Problem{At: rec.Time.UTC(), Level: strings.ToLower(rec.Level.String()), Message: rec.Message, Detail: strings.Join(detail, " "), Advice: advice(rec.Message, detail), Count: 1}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.problems) - 1; i >= max(0, len(r.problems)-4); i-- {
		if r.problems[i].Message == p.Message && r.problems[i].Level == p.Level {
			p.Count += r.problems[i].Count
			r.problems = slices.Delete(r.problems, i, i+1)
			break
		}
	}
	if r.problems = append(r.problems, p); len(r.problems) > maxProblems {
		r.problems = r.problems[1:]
	}
}

// advice says what to do about a problem, empty when nothing is known. The parts
// are matched in order against message and detail.
func advice(message string, detail []string) string {
	all := message + " " + strings.Join(detail, " ")
	for _, known := range []struct{ part, say string }{
		{"PermissionDenied", "A right is missing: spancast admin bootstrap --print shows the grants that are needed."},
		{"permission", "A right is missing: spancast admin bootstrap --print shows the grants that are needed."},
		{"changes are lost", "Downtime was longer than the retention of the change stream. SPANCAST_ON_GAP=skip goes on at the oldest time there is; subscribers need a snapshot. Then raise the stream's retention_period."},
		{"not of this change stream", "The metadata tables belong to another stream or database: use another SPANCAST_METADATA_PREFIX, or remove the tables' rows for this stream."},
		{"a partition cannot be read", "The other partitions go on. If it does not pass: see the runbook on partitions that are stuck."},
		{"cannot read the partitions table", "Leases run out while the tables cannot be reached. Check Spanner, the network and SPANCAST_METADATA_DATABASE."},
		{"cannot save positions", "Leases run out while the tables cannot be written. Check Spanner, the network and SPANCAST_METADATA_DATABASE."},
		{"lost a partition to another replica", "Nothing is lost: the new owner publishes it. If it happens often, replicas are paused or starved: give them CPU, or raise SPANCAST_LEASE."},
		{"lost a partition to spancast admin", "Nothing is to be done: replicas take what an operator has released or reset when the old lease has run out."},
		{"a lease ran out before", "Nothing is lost: the next owner publishes it. If it happens often, give the replicas CPU, or raise SPANCAST_LEASE."},
		{"credentials: ", "No token can be had, and without one nothing is read. It is tried again for ever: check the way to the token server or the metadata server."},
		{"connect to ", "Spanner cannot be reached. It is tried again for ever: check the network, and the proxy if HTTPS_PROXY names one."},
		{"query failed, trying again", "It is tried again for ever. If it lasts, check Spanner's health and quotas."},
		{"query ended early again", "Spanner ended a query without naming children; it is read on from there. If it goes on, report it with the position."},
		{"topic rules are not used", "The old rules stay in force. Correct the file: spancast validate --offline says what is wrong."},
		{"did not end in time", "A subscriber was too slow at the end; it recovers what it missed."},
	} {
		if strings.Contains(all, known.part) {
			return known.say
		}
	}
	return ""
}
