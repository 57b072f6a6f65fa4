package value

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
)

// AppendTimestamp writes an instant as RFC 3339 in UTC with as many fractional
// digits as it needs.
func AppendTimestamp(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, time.RFC3339Nano)
}

// ParseTimestamp reads what Spanner takes as a timestamp: date, optional time,
// optional zone (the given one if absent).
func ParseTimestamp(s string, zone *time.Location) (any, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999-07", "2006-01-02 15:04:05.999999999 -07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return inRange(t)
		}
	}
	for _, layout := range []string{"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return inRange(t)
		}
	}
	if day, name, ok := cutZone(s); ok {
		if zone, err := time.LoadLocation(name); err == nil {
			return ParseTimestamp(day, zone)
		}
	}
	return nil, fmt.Errorf("could not parse %.60q as a TIMESTAMP", s)
}

// cutZone splits a zone's name off, "2024-01-02 03:04:05 America/Los_Angeles".
func cutZone(s string) (rest, zone string, ok bool) {
	i := strings.LastIndexByte(s, ' ')
	if i < 0 || i+1 == len(s) || s[i+1] < 'A' || s[i+1] > 'Z' || strings.Contains(s[i+1:], "..") {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

func inRange(t time.Time) (any, error) {
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return nil, errors.New("a TIMESTAMP must be between the years 1 and 9999")
	}
	return t, nil
}

// ParseDate reads a DATE.
func ParseDate(s string) (any, error) {
	t, err := time.Parse("2006-1-2", s)
	if err != nil || t.Year() < 1 {
		return nil, fmt.Errorf("could not parse %.40q as a DATE", s)
	}
	return DateOf(t), nil
}

// ParseUUID reads a UUID with or without braces and hyphens.
func ParseUUID(s string) (any, error) {
	hex := strings.ToLower(strings.ReplaceAll(strings.Trim(s, "{}"), "-", ""))
	if len(hex) != 32 || strings.Trim(hex, "0123456789abcdef") != "" {
		return nil, fmt.Errorf("could not parse %.40q as a UUID", s)
	}
	return UUID(hex[:8] + "-" + hex[8:12] + "-" + hex[12:16] + "-" + hex[16:20] + "-" + hex[20:]), nil
}

const (
	numericDigits = 29 // before the point
	numericScale  = 9
)

// ParseNumeric reads a NUMERIC and checks its range. PostgreSQL's numeric has
// no such narrow range, but keeps to what can be held here.
func ParseNumeric(t *Type, s string) (any, error) {
	bad := fmt.Errorf("could not parse %.60q as a NUMERIC", s)
	if len(s) > 400 || strings.ContainsAny(s, "/xXpPbBoO_") {
		return nil, bad
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		if exponent, err := strconv.Atoi(s[i+1:]); err != nil || exponent < -400 || exponent > 400 {
			return nil, bad
		}
	}
	r, ok := new(big.Rat).SetString(strings.TrimSpace(s))
	if !ok {
		return nil, bad
	}
	return CheckNumeric(t, r)
}

// CheckNumeric rounds a number to the scale of NUMERIC and checks its range.
func CheckNumeric(t *Type, r *big.Rat) (any, error) {
	if t.Annotation == sppb.TypeAnnotationCode_PG_NUMERIC {
		return r, nil
	}
	scaled := new(big.Rat).Mul(r, new(big.Rat).SetInt(pow10(numericScale)))
	if !scaled.IsInt() {
		r = new(big.Rat).SetFrac(roundHalfAway(scaled), pow10(numericScale))
	}
	if new(big.Rat).Abs(r).Cmp(new(big.Rat).SetInt(pow10(numericDigits))) >= 0 {
		return nil, errors.New("NUMERIC overflow")
	}
	return r, nil
}

func pow10(n int64) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(n), nil) }

// roundHalfAway rounds to the nearest integer, halves away from zero.
func roundHalfAway(r *big.Rat) *big.Int {
	double := new(big.Int).Mul(new(big.Int).Abs(r.Num()), big.NewInt(2))
	double.Add(double, r.Denom())
	double.Quo(double, new(big.Int).Mul(r.Denom(), big.NewInt(2)))
	if r.Sign() < 0 {
		double.Neg(double)
	}
	return double
}

// NumericText writes a NUMERIC without needless zeros.
func NumericText(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	digits, exact := r.FloatPrec()
	if !exact {
		digits = 40
	}
	return strings.TrimRight(strings.TrimRight(r.FloatString(digits), "0"), ".")
}
