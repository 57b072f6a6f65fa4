package value

import (
	"encoding/binary"
	"math"
	"math/big"
	"time"
)

// Key encoding: the bytes of two keys compare as the keys do. Each part is
//
//	NULL            00
//	BOOL            01 00|01
//	INT64           01, 8 bytes big-endian with the sign bit flipped
//	FLOAT64/32      01, 8 bytes of the float64, sign bit flipped, all bits if negative
//	STRING, BYTES   01, the bytes with 00 as 00 FF, ended by 00 01
//	TIMESTAMP       01, seconds as INT64, nanoseconds in 4 bytes
//	DATE            01, days as INT64
//	NUMERIC         01, value * 10^9 + 2^127 in 16 bytes
//	commit time     02 (after every instant; only in keys not yet committed)
//
// A descending part is the same with every bit inverted.

// AppendKey appends one part of a key.
func AppendKey(dst []byte, v any, descending bool) []byte {
	from := len(dst)
	dst = appendKey(dst, v)
	if descending {
		for i := from; i < len(dst); i++ {
			dst[i] = ^dst[i]
		}
	}
	return dst
}

func appendKey(dst []byte, v any) []byte {
	if v == nil {
		return append(dst, 0)
	}
	if _, ok := v.(CommitTime); ok {
		return append(dst, 2)
	}
	dst = append(dst, 1)
	switch v := v.(type) {
	case bool:
		if v {
			return append(dst, 1)
		}
		return append(dst, 0)
	case int64:
		return appendInt(dst, v)
	case float64:
		return appendFloat(dst, v)
	case float32:
		return appendFloat(dst, float64(v))
	case string:
		return appendText(dst, v)
	case Bytes:
		return appendText(dst, string(v))
	case UUID:
		return appendText(dst, string(v))
	case time.Time:
		dst = appendInt(dst, v.Unix())
		return binary.BigEndian.AppendUint32(dst, uint32(v.Nanosecond()))
	case Date:
		return appendInt(dst, int64(v))
	case *big.Rat:
		return appendNumeric(dst, v)
	}
	return dst
}

func appendInt(dst []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(v)^1<<63)
}

func appendFloat(dst []byte, v float64) []byte {
	if v == 0 {
		v = 0 // -0 is the same key as 0
	}
	bits := math.Float64bits(v)
	switch {
	case math.IsNaN(v):
		bits = 0 // before all others
	case bits>>63 == 1:
		bits = ^bits
	default:
		bits |= 1 << 63
	}
	return binary.BigEndian.AppendUint64(dst, bits)
}

func appendText(dst []byte, s string) []byte {
	for i := range len(s) {
		dst = append(dst, s[i])
		if s[i] == 0 {
			dst = append(dst, 0xff)
		}
	}
	return append(dst, 0, 1)
}

func appendNumeric(dst []byte, v *big.Rat) []byte {
	scaled := new(big.Int).Mul(v.Num(), big.NewInt(1e9))
	scaled.Quo(scaled, v.Denom())
	scaled.Add(scaled, new(big.Int).Lsh(big.NewInt(1), 127))
	if scaled.Sign() < 0 || scaled.BitLen() > 128 {
		scaled.SetInt64(0)
	}
	var buf [16]byte
	return append(dst, scaled.FillBytes(buf[:])...)
}

// PrefixEnd is the first key after all keys that begin with prefix; empty when
// there is none.
func PrefixEnd(prefix string) string {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != 0xff {
			b[i]++
			return string(b[:i+1])
		}
	}
	return ""
}
