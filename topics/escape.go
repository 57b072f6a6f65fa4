package topics

import (
	"unicode/utf8"
)

// What stands for values that have no characters of their own.
const (
	nullValue  = "%-"
	emptyValue = "%+"
)

const hexDigits = "0123456789ABCDEF"

// appendEscaped appends a value as it may stand in a segment.
func appendEscaped(dst, value []byte) []byte {
	if len(value) == 0 {
		return append(dst, emptyValue...)
	}
	tilde := tildeOfHash(value)
	for i, c := range value {
		switch {
		case c == '/' || c == '%' || c < 0x20 || c == 0x7f || c == '$' && i == 0 || i == tilde || inC1(value, i):
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// inC1 tells whether the byte at i belongs to a control character of the second
// kind, U+0080 to U+009F: 0xC2 and a byte from 0x80 to 0x9F.
func inC1(b []byte, i int) bool {
	return b[i] == 0xC2 && i+1 < len(b) && b[i+1] >= 0x80 && b[i+1] < 0xA0 ||
		b[i] >= 0x80 && b[i] < 0xA0 && i > 0 && b[i-1] == 0xC2
}

// tildeOfHash returns the place of the '~' in a value that ends like one that
// was cut, or -1. It is escaped, so that the value is not taken for such a one.
func tildeOfHash(b []byte) int {
	i := len(b) - hashLen
	if i < 0 || b[i] != '~' {
		return -1
	}
	for _, c := range b[i+1:] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return -1
		}
	}
	return i
}

// border moves i back to a place where an escaped value may be cut: neither
// inside a character nor inside %XX.
func border(b []byte, i int) int {
	for i > 0 && i < len(b) && !utf8.RuneStart(b[i]) {
		i--
	}
	for back := 1; back <= 2 && i-back >= 0; back++ {
		if b[i-back] == '%' {
			return i - back
		}
	}
	return i
}
