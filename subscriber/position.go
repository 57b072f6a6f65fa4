package subscriber

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// A Position says what was handled: every change of the topics with a commit
// timestamp before Complete, and some later ones, which are kept as hashes of
// their versions. It says nothing about other topics.
type Position struct {
	Complete time.Time

	latest stamp // commit timestamp of the latest of delivered
	hashes []uint64
}

// IsZero tells whether there is no position.
func (p Position) IsZero() bool { return p.Complete.IsZero() && len(p.hashes) == 0 }

// maxHashes bounds what a position takes, at 8 bytes each. Beyond it only
// Complete is kept, and changes that came later are handled twice after a
// restart.
const maxHashes = 1 << 17

// MarshalText writes the position: COMPLETE, and if there are later changes, a
// space, the latest commit timestamp, a space, and the hashes as base64 of 8
// bytes each, little-endian.
func (p Position) MarshalText() ([]byte, error) {
	text := stampOf(p.Complete).String()
	if len(p.hashes) == 0 || len(p.hashes) > maxHashes {
		return []byte(text), nil
	}
	b := make([]byte, 0, 8*len(p.hashes))
	for _, h := range p.hashes {
		b = binary.LittleEndian.AppendUint64(b, h)
	}
	return []byte(text + " " + p.latest.String() + " " + base64.StdEncoding.EncodeToString(b)), nil
}

// UnmarshalText reads what MarshalText has written.
func (p *Position) UnmarshalText(text []byte) error {
	fields := strings.Fields(string(text))
	if len(fields) != 1 && len(fields) != 3 {
		return fmt.Errorf("not a position: %d fields", len(fields))
	}
	complete, ok := parseStamp(fields[0])
	if !ok {
		return fmt.Errorf("not a position: %q is not a time", fields[0])
	}
	*p = Position{Complete: complete.time()}
	if len(fields) == 1 {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(fields[2])
	if p.latest, ok = parseStamp(fields[1]); err != nil || !ok || len(b)%8 != 0 || len(b) == 0 {
		return fmt.Errorf("not a position: broken after %s", fields[0])
	}
	for ; len(b) > 0; b = b[8:] {
		p.hashes = append(p.hashes, binary.LittleEndian.Uint64(b))
	}
	return nil
}
