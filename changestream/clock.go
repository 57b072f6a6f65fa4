package changestream

import "time"

// A Clock writes and reads timestamps that follow one another closely, as those
// of a stream do: it remembers the second of the latest. It is for one goroutine;
// its zero value is ready.
type Clock struct {
	written, read struct {
		second time.Time
		text   [len("2006-01-02T15:04:05")]byte
		known  bool
	}
}

// Append does what AppendTimestamp does.
func (c *Clock) Append(dst []byte, t time.Time) []byte {
	nanos := t.Nanosecond()
	if since := t.Sub(c.written.second); !c.written.known || since < 0 || since >= time.Second {
		var text [TimestampLen]byte
		copy(c.written.text[:], AppendTimestamp(text[:0], t))
		c.written.second, c.written.known = t.Add(-time.Duration(nanos)), true
	}
	dst = append(append(dst, c.written.text[:]...), ".000000000Z"...)
	for i, n := len(dst)-2, uint32(nanos); n > 0; i, n = i-1, n/10 {
		dst[i] = byte('0' + n%10)
	}
	return dst
}

// Parse does what ParseTimestamp does.
func (c *Clock) Parse(s []byte) (time.Time, error) {
	k := len(c.read.text)
	if n := len(s); c.read.known && n > k+1 && n <= TimestampLen && s[n-1] == 'Z' && s[k] == '.' && string(s[:k]) == string(c.read.text[:]) {
		nanos, scale := 0, 1_000_000_000
		for _, digit := range s[k+1 : n-1] {
			if digit < '0' || digit > '9' {
				return ParseTimestamp(s)
			}
			nanos, scale = nanos*10+int(digit-'0'), scale/10
		}
		return c.read.second.Add(time.Duration(nanos * scale)), nil
	}
	t, err := ParseTimestamp(s)
	if err == nil && s[len(s)-1] == 'Z' {
		copy(c.read.text[:], s)
		c.read.second, c.read.known = t.Truncate(time.Second), true
	}
	return t, err
}
