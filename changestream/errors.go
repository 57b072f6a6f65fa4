package changestream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A Cause says what kind of error stopped an operation, and so what is to be
// done about it.
type Cause int

// The causes of an Error.
const (
	Transient      Cause = iota // try again
	PositionTooOld              // the stream does not keep what is asked for
	OutsideLife                 // the partition did not live at the time asked for
	ForeignToken                // the partition is of another stream
	NoDatabase                  // the database does not exist
	NoStream                    // the change stream does not exist
	NoTables                    // the metadata tables do not exist
	OldTables                   // they lack a column
	Denied                      // a right is missing
	Unreachable                 // nobody answered in time
	Refused                     // anything else that trying again will not mend
)

// An Error tells which operation failed on which thing, and why.
type Error struct {
	Op    string // for example "read partition"
	Thing string
	Cause Cause
	Err   error

	oldest time.Time // with PositionTooOld, if the server named it: where one can read from
	end    time.Time // with OutsideLife, if the server named it: where the partition ends
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %s", e.Op, e.Thing, errorText(e.Err)) }

func (e *Error) Unwrap() error { return e.Err }

// Oldest is, of a position that is too old, the oldest time that can be read;
// zero if Spanner did not say.
func (e *Error) Oldest() time.Time { return e.oldest }

// errorText is the first line of an error, without gRPC's frame around it.
func errorText(err error) string {
	text := err.Error()
	if s, ok := status.FromError(err); ok && s.Message() != "" {
		text = s.Message()
	}
	text, _, _ = strings.Cut(text, "\n")
	return text
}

// CauseOf returns the cause of an error, Transient if it does not say.
func CauseOf(err error) Cause {
	var e *Error
	if errors.As(err, &e) {
		return e.Cause
	}
	return Transient
}

// newError classifies an answer of Spanner. The codes and texts are those that
// Google's emulator was seen to send, and those that Beam's SpannerIO tests for
// in production (QueryChangeStreamAction: "Specified start_timestamp is invalid"
// with INVALID_ARGUMENT or OUT_OF_RANGE).
func newError(op, thing string, err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	e := &Error{Op: op, Thing: thing, Err: err, Cause: Refused}
	text := err.Error()
	has := func(s string) bool { return strings.Contains(text, s) }
	if has("Transaction not found") || has("Invalid transaction ID") || has("after it has been committed or rolledback") {
		e.Cause = Transient // Google's emulator, of a transaction that it ended for the sake of another
		return e
	}
	switch code := status.Code(err); code {
	case codes.OutOfRange, codes.InvalidArgument:
		switch {
		case has("start_timestamp is invalid for the partition"):
			e.Cause, e.end = OutsideLife, timeIn(text, "within", 2)
		case has("too far in the past"), has("no longer valid"):
			e.Cause, e.oldest = PositionTooOld, timeIn(text, "earliest", 1)
		case has("too far in the future"):
			e.Cause = Transient // clocks differ a little
		case has("partition_token is invalid"):
			e.Cause = ForeignToken
		case has("function not found"):
			e.Cause = NoStream
		case has("Table not found"):
			e.Cause = NoTables
		}
	case codes.NotFound:
		switch {
		case has("Session not found"):
			e.Cause = Transient
		case has("Table not found"):
			e.Cause = NoTables
		case has("Column not found"):
			e.Cause = OldTables
		case has("Database not found"), has("Instance not found"):
			e.Cause = NoDatabase
		default:
			e.Cause = NoStream
		}
	case codes.PermissionDenied, codes.Unauthenticated:
		e.Cause = Denied
	case codes.FailedPrecondition, codes.Unimplemented:
	default:
		e.Cause = Transient
		if errors.Is(err, context.DeadlineExceeded) {
			e.Cause = Unreachable
		}
	}
	return e
}

// Classify makes an Error of an answer of Spanner.
func Classify(op, thing string, err error) error {
	if err == nil {
		return nil
	}
	return newError(op, thing, err)
}

var timestamps = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)`)

// timeIn reads the n-th timestamp that follows a word in an error's text; zero
// if there is none.
func timeIn(text, word string, n int) time.Time {
	_, rest, _ := strings.Cut(text, word)
	found := timestamps.FindAllString(rest, n)
	if len(found) < n {
		return time.Time{}
	}
	t, err := ParseTimestamp([]byte(found[n-1]))
	if err != nil {
		return time.Time{}
	}
	return t
}

// Short names a partition in logs and messages: 12 hex digits of a hash, since
// tokens are long and not for everyone.
func (t PartitionToken) Short() string {
	sum := sha256.Sum256([]byte(t))
	return hex.EncodeToString(sum[:6])
}
