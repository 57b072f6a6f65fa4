package changes

import (
	"cmp"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator/internal/store"
	"github.com/spancast/spancast/emulator/internal/value"
)

const (
	maxFuture     = 10 * time.Minute
	maxHeartbeat  = 300 * time.Second
	mutableWindow = 30 * time.Minute
)

func stamp(t time.Time) string { return string(value.AppendTimestamp(nil, t)) }

// validate checks a query's arguments and finds its partition.
func (r *reader) validate() error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if err := r.s.gone(); err != nil {
		return err
	}
	if err := r.validateEnd(); err != nil {
		return err
	}
	now := r.clock.Now()
	if latest := now.Add(maxFuture); r.q.Start.After(latest) {
		return status.Errorf(codes.OutOfRange, "Specified start_timestamp is too far in the future: %s; it must be between %s and %s.",
			stamp(r.q.Start), stamp(Time(r.s.earliest(now))), stamp(latest))
	}
	if err := r.retained(now); err != nil {
		return err
	}
	if r.q.Token == nil {
		return nil
	}
	r.p = r.s.all[*r.q.Token]
	if r.p == nil {
		return status.Errorf(codes.InvalidArgument, "Specified partition_token is invalid: %.200q does not belong to the change stream %s.", *r.q.Token, r.s.def.Name)
	}
	at := micros(r.q.Start)
	if at < r.p.Start || r.p.End != 0 && at > r.p.End {
		end := "its end, which is not known yet"
		if r.p.End != 0 {
			end = stamp(Time(r.p.End))
		}
		return status.Errorf(codes.OutOfRange, "Specified start_timestamp is invalid for the partition: %s is not between %s and %s.",
			stamp(r.q.Start), stamp(Time(r.p.Start)), end)
	}
	r.pos = position{at: at}
	return r.resume()
}

func (r *reader) validateEnd() error {
	if r.q.Heartbeat > maxHeartbeat {
		return status.Errorf(codes.OutOfRange, "Specified heartbeat_milliseconds must be at most %d.", maxHeartbeat.Milliseconds())
	}
	if r.q.End == nil {
		if r.s.format == formatProto {
			return status.Error(codes.InvalidArgument, "Specified end_timestamp must not be null for a change stream with partition_mode MUTABLE_KEY_RANGE.")
		}
		return nil
	}
	if r.q.End.Before(r.q.Start) {
		return status.Error(codes.InvalidArgument, "Specified start_timestamp must be less than or equal to the end_timestamp.")
	}
	if r.s.format == formatProto && r.q.End.Sub(r.clock.Now()) > mutableWindow {
		return status.Errorf(codes.OutOfRange, "Specified end_timestamp must be at most %s in the future for a change stream with partition_mode MUTABLE_KEY_RANGE.", mutableWindow)
	}
	r.end = store.Timestamp(r.q.End.UnixMicro())
	return nil
}

// retained refuses a read position that retention has passed.
func (r *reader) retained(now time.Time) error {
	earliest := r.s.earliest(now)
	if at := max(micros(r.q.Start), r.pos.at); at < earliest {
		return status.Errorf(codes.OutOfRange, "Specified start_timestamp is too far in the past: %s; the earliest timestamp that can be read is %s.",
			stamp(Time(at)), stamp(Time(earliest)))
	}
	return nil
}

// valid is checked again before each step: the stream may be gone by now, and
// retention may have passed the position.
func (r *reader) valid() error {
	if err := r.s.gone(); err != nil {
		return err
	}
	if r.s.all[r.p.Token] != r.p {
		return status.Error(codes.OutOfRange, "The partition is no longer valid: all its records have expired and were deleted.")
	}
	if r.pos.at <= r.s.lost {
		return r.retained(r.clock.Now())
	}
	return nil
}

// resume moves the position behind what the caller already has.
func (r *reader) resume() error {
	if r.q.Resume == "" {
		return nil
	}
	text, pos, ok := parseResume(r.q.Resume)
	if !ok {
		return status.Error(codes.InvalidArgument, "Invalid resume token.")
	}
	r.q.Resume = text
	if text == resumeEnd {
		r.pos = position{at: store.Max}
	} else if pos.at > r.pos.at || pos.at == r.pos.at && pos.skip > r.pos.skip {
		r.pos = pos
	}
	r.sent = true
	return nil
}

func sortPartitions(in []*Partition) {
	slices.SortFunc(in, func(a, b *Partition) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Lo, b.Lo), cmp.Compare(a.Token, b.Token))
	})
}
