package message

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// TimestampLen is the length of the commit timestamp that every header begins
// with: UTC, RFC 3339 with nine digits of fraction.
const TimestampLen = len("2006-01-02T15:04:05.000000000Z")

const timestampLayout = "2006-01-02T15:04:05.000000000Z"

// A Version names one row change: on every replica and every replay the same,
// and no other. Its zero value comes before all others.
type Version struct {
	CommitTimestamp     string // TimestampLen characters; sorts as text
	ServerTransactionID string
	RecordSequence      string
	Mod                 int // index in the record's mods
}

// ErrVersion is returned for text that is not a version.
var ErrVersion = errors.New("not a version: want COMMIT_TIMESTAMP/SERVER_TRANSACTION_ID/RECORD_SEQUENCE/MOD")

// AppendVersion appends a version: a timestamp as it is written in messages, the
// opaque ids escaped, and the index of the mod.
func AppendVersion(dst, timestamp, transactionID, sequence []byte, mod int) []byte {
	dst = append(append(dst, timestamp...), '/')
	dst = append(appendID(dst, transactionID), '/')
	dst = append(appendID(dst, sequence), '/')
	return strconv.AppendInt(dst, int64(mod), 10)
}

// isPlain tells whether a byte of an id stands for itself.
func isPlain(c byte) bool {
	const below64 = uint64(1<<64-1<<33) &^ (1<<'%' | 1<<'/')
	return c < 64 && below64>>c&1 != 0 || c >= 64 && c < 0x7f
}

// appendID escapes what would end the field: in ids that Spanner makes that is
// at most the '/' of base64.
func appendID(dst, id []byte) []byte {
	plain := 0
	for plain < len(id) && isPlain(id[plain]) {
		plain++
	}
	dst = append(dst, id[:plain]...)
	for _, c := range id[plain:] {
		if isPlain(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
		}
	}
	return dst
}

// ParseVersion reads a version.
func ParseVersion(b []byte) (Version, error) {
	parts := bytes.SplitN(b, []byte{'/'}, 5)
	if len(parts) != 4 || len(parts[0]) != TimestampLen || parts[0][10] != 'T' || parts[0][TimestampLen-1] != 'Z' {
		return Version{}, ErrVersion
	}
	mod, err := strconv.Atoi(string(parts[3]))
	if err != nil || mod < 0 {
		return Version{}, ErrVersion
	}
	v := Version{CommitTimestamp: string(parts[0]), Mod: mod}
	if v.ServerTransactionID, err = unescapeID(parts[1]); err == nil {
		v.RecordSequence, err = unescapeID(parts[2])
	}
	return v, err
}

func unescapeID(b []byte) (string, error) {
	if bytes.IndexByte(b, '%') < 0 {
		return string(b), nil
	}
	var out strings.Builder
	for i := 0; i < len(b); i++ {
		if b[i] != '%' {
			out.WriteByte(b[i])
			continue
		}
		if i+2 >= len(b) {
			return "", ErrVersion
		}
		n, err := strconv.ParseUint(string(b[i+1:i+3]), 16, 8)
		if err != nil {
			return "", ErrVersion
		}
		out.WriteByte(byte(n))
		i += 2
	}
	return out.String(), nil
}

// String writes the version as messages carry it.
func (v Version) String() string {
	return string(AppendVersion(nil, []byte(v.CommitTimestamp), []byte(v.ServerTransactionID), []byte(v.RecordSequence), v.Mod))
}

// IsZero tells whether there is no version.
func (v Version) IsZero() bool { return v == Version{} }

// Time is the commit timestamp.
func (v Version) Time() (time.Time, error) {
	return time.Parse(timestampLayout, v.CommitTimestamp)
}

// Compare orders the versions of one key: by commit timestamp, within one
// transaction by record sequence, then by mod. Two transactions with one commit
// timestamp never changed the same key; their order means nothing.
func (v Version) Compare(o Version) int {
	return cmp.Or(
		cmp.Compare(v.CommitTimestamp, o.CommitTimestamp),
		cmp.Compare(v.ServerTransactionID, o.ServerTransactionID),
		cmp.Compare(len(v.RecordSequence), len(o.RecordSequence)), // numbers of one width, or not
		cmp.Compare(v.RecordSequence, o.RecordSequence),
		cmp.Compare(v.Mod, o.Mod),
	)
}

// FormatTime writes a time as messages carry it.
func FormatTime(t time.Time) string { return t.UTC().Format(timestampLayout) }

// ControlVersion is the version of control messages, which have none of their
// own: a time, so that they sort among the changes.
func ControlVersion(t time.Time) string { return fmt.Sprintf("%s/-/-/0", FormatTime(t)) }
