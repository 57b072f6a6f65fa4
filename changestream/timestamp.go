package changestream

import (
	"errors"
	"time"
)

// TimestampLen is the length of a timestamp as AppendTimestamp writes it.
const TimestampLen = len("2006-01-02T15:04:05.000000000Z")

var errTimestamp = errors.New("not an RFC 3339 timestamp")

// AppendTimestamp appends t in UTC as RFC 3339 with exactly nine digits of
// fraction: 30 characters whose order as text is their order in time, for the
// years 0 to 9999.
func AppendTimestamp(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, sec := t.Clock()
	dst = append(dst, byte('0'+year/1000%10), byte('0'+year/100%10))
	dst = appendTwo(dst, year%100)
	dst = appendTwo(append(dst, '-'), int(month))
	dst = appendTwo(append(dst, '-'), day)
	dst = appendTwo(append(dst, 'T'), hour)
	dst = appendTwo(append(dst, ':'), minute)
	dst = appendTwo(append(dst, ':'), sec)
	dst = append(dst, '.')
	nanos := t.Nanosecond()
	for scale := 100_000_000; scale > 0; scale /= 10 {
		dst = append(dst, byte('0'+nanos/scale%10))
	}
	return append(dst, 'Z')
}

func appendTwo(dst []byte, n int) []byte {
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}

// ParseTimestamp reads RFC 3339 with a fraction of any length up to nine digits
// and any zone: GoogleSQL sends Z, PostgreSQL the offset of the session's zone.
func ParseTimestamp(s []byte) (time.Time, error) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[4] != '-' || s[7] != '-' || s[10] != 'T' && s[10] != ' ' || s[13] != ':' || s[16] != ':' {
		return time.Time{}, errTimestamp
	}
	d := digits{s: s}
	year, month, day := d.take(0, 4), d.take(5, 7), d.take(8, 10)
	hour, minute, sec := d.take(11, 13), d.take(14, 16), d.take(17, 19)
	nanos, end := d.fraction(19)
	offset, ok := d.zone(end)
	if d.bad || !ok || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || sec > 60 {
		return time.Time{}, errTimestamp
	}
	return time.Date(year, time.Month(month), day, hour, minute, sec-offset, nanos, time.UTC), nil
}

// digits reads numbers from fixed places and remembers if one was not a number.
type digits struct {
	s   []byte
	bad bool
}

func (d *digits) take(from, to int) int {
	n := 0
	for _, c := range d.s[from:to] {
		if c < '0' || c > '9' {
			d.bad = true
			return 0
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// fraction reads ".ddd" at i, if it stands there, and returns nanoseconds and
// the place behind it.
func (d *digits) fraction(i int) (nanos, end int) {
	if d.s[i] != '.' {
		return 0, i
	}
	scale := 100_000_000
	for i++; i < len(d.s) && d.s[i] >= '0' && d.s[i] <= '9'; i++ {
		nanos += int(d.s[i]-'0') * scale
		scale /= 10
	}
	return nanos, i
}

// zone reads the zone that ends the text: Z, +hh:mm, +hh or +hhmm; seconds east.
func (d *digits) zone(i int) (offset int, ok bool) {
	rest := len(d.s) - i
	if rest == 1 && (d.s[i] == 'Z' || d.s[i] == 'z') {
		return 0, true
	}
	if rest < 3 || d.s[i] != '+' && d.s[i] != '-' {
		return 0, false
	}
	offset = d.take(i+1, i+3) * 3600
	switch {
	case rest == 6 && d.s[i+3] == ':':
		offset += d.take(i+4, i+6) * 60
	case rest == 5:
		offset += d.take(i+3, i+5) * 60
	case rest != 3:
		return 0, false
	}
	if d.s[i] == '-' {
		offset = -offset
	}
	return offset, true
}
