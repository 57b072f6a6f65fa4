package message

import (
	"bytes"
	"cmp"
)

// CompareVersions orders two versions as they are written, as Version.Compare
// does, without taking them apart when that can be avoided. What is no version
// is ordered as bytes.
func CompareVersions(a, b []byte) int {
	if len(a) > TimestampLen && len(b) > TimestampLen && bytes.IndexByte(a, '%') < 0 && bytes.IndexByte(b, '%') < 0 {
		if c := bytes.Compare(a[:TimestampLen], b[:TimestampLen]); c != 0 {
			return c
		}
		idA, seqA, modA := cutVersion(a)
		idB, seqB, modB := cutVersion(b)
		return cmp.Or(
			bytes.Compare(idA, idB),
			cmp.Compare(len(seqA), len(seqB)), bytes.Compare(seqA, seqB),
			cmp.Compare(len(modA), len(modB)), bytes.Compare(modA, modB),
		)
	}
	va, errA := ParseVersion(a)
	vb, errB := ParseVersion(b)
	if errA != nil || errB != nil {
		return bytes.Compare(a, b)
	}
	return va.Compare(vb)
}

// cutVersion returns what follows the timestamp and its '/'.
func cutVersion(v []byte) (id, sequence, mod []byte) {
	id, rest, _ := bytes.Cut(v[TimestampLen+1:], []byte{'/'})
	sequence, mod, _ = bytes.Cut(rest, []byte{'/'})
	return id, sequence, mod
}
