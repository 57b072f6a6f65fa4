package topics

import (
	"crypto/sha256"
	"encoding/hex"
)

// MaxLen is the greatest length of a topic, in bytes.
const MaxLen = 255

// hashLen is the length of what a cut value ends in: '~' and 16 hex digits.
const hashLen = 17

// A part is a piece of a topic: text that stays, or a value that may be cut.
type part struct {
	text  []byte // of a value: escaped
	value bool
}

// cut shortens values until the parts have no more than room bytes in all: the
// longest first, and no more than it takes. A cut value keeps its beginning and
// ends in '~' and the first 8 bytes, in hex, of the SHA-256 of what it was
// (escaped). It reports false when even that is not enough.
func cut(parts []part, room int) bool {
	over := -room
	for _, p := range parts {
		over += len(p.text)
	}
	for over > 0 {
		longest := -1
		for i, p := range parts {
			if p.value && len(p.text) > hashLen && tildeOfHash(p.text) < 0 && (longest < 0 || len(p.text) > len(parts[longest].text)) {
				longest = i
			}
		}
		if longest < 0 {
			return false
		}
		p := &parts[longest]
		was := len(p.text)
		p.text = shorten(p.text, max(hashLen, was-over))
		over -= was - len(p.text)
	}
	return true
}

// shorten cuts an escaped value to at most size bytes, hashLen at least.
func shorten(text []byte, size int) []byte {
	keep := border(text, size-hashLen)
	sum := sha256.Sum256(text)
	out := append(make([]byte, 0, size), text[:keep]...)
	return hex.AppendEncode(append(out, '~'), sum[:8])
}
