package sql

import (
	"strings"
	"time"

	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"github.com/cloudspannerecosystem/memefish/ast"

	"github.com/spancast/spancast/emulator/internal/value"
)

// timeFunction has the functions on TIMESTAMP and DATE that need no date part.
func timeFunction(name string) function {
	ts, num, str := value.Timestamp, value.Int64, value.String
	switch name {
	case "CURRENT_TIMESTAMP", "NOW":
		return func(c *compiler, _ []expr) (expr, error) { return constant(ts, c.run.now), nil }
	case "CURRENT_DATE":
		return func(c *compiler, _ []expr) (expr, error) {
			return constant(value.DateType, value.DateOf(c.run.now)), nil
		}
	case "UNIX_SECONDS", "UNIX_MILLIS", "UNIX_MICROS":
		return simple(num, 0, []*value.Type{ts}, func(v []any) (any, error) {
			t := instant(v[0])
			return map[string]int64{"UNIX_SECONDS": t.Unix(), "UNIX_MILLIS": t.UnixMilli(), "UNIX_MICROS": t.UnixMicro()}[name], nil
		})
	case "TIMESTAMP_SECONDS", "TIMESTAMP_MILLIS", "TIMESTAMP_MICROS":
		return simple(ts, 0, []*value.Type{num}, func(v []any) (any, error) {
			n := v[0].(int64)
			t := map[string]time.Time{"TIMESTAMP_SECONDS": time.Unix(n, 0), "TIMESTAMP_MILLIS": time.UnixMilli(n), "TIMESTAMP_MICROS": time.UnixMicro(n)}[name]
			return checkTime(t)
		})
	case "STRING":
		return oneArg(str, castString)
	case "TIMESTAMP":
		return oneArg(ts, func(v any) (any, error) { return Cast(v, ts) })
	case "DATE":
		return makeDate
	case "FORMAT_TIMESTAMP":
		return simple(str, 1, []*value.Type{str, ts, str}, func(v []any) (any, error) { return strftime(v[0].(string), instant(v[1])) })
	case "FORMAT_DATE":
		return simple(str, 0, []*value.Type{str, value.DateType}, func(v []any) (any, error) { return strftime(v[0].(string), v[1].(value.Date).Time()) })
	}
	return nil
}

// instant is a TIMESTAMP; a commit timestamp that is not known yet counts as
// the end of time.
func instant(v any) time.Time {
	if t, ok := v.(time.Time); ok {
		return t
	}
	return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
}

func checkTime(t time.Time) (any, error) {
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return nil, outOfRange("Timestamp is out of range")
	}
	return t, nil
}

// oneArg is a function of one argument of any type.
func oneArg(out *value.Type, f func(any) (any, error)) function {
	return func(_ *compiler, args []expr) (expr, error) {
		if len(args) != 1 {
			return expr{}, invalid("it takes one argument")
		}
		if t := args[0].typ; t != nil && t.Code == jsonCode {
			return jsonScalar(out, args[0]), nil
		}
		return fixed([]*value.Type{args[0].typ}, out, args, func(v []any) (any, error) { return f(v[0]) })
	}
}

func makeDate(_ *compiler, args []expr) (expr, error) {
	if len(args) == 3 {
		num := value.Int64
		return fixed([]*value.Type{num, num, num}, value.DateType, args, func(v []any) (any, error) {
			y, m, d := v[0].(int64), v[1].(int64), v[2].(int64)
			if y < 1 || y > 9999 || m < 1 || m > 12 || d < 1 || d > 31 {
				return nil, outOfRange("Invalid DATE")
			}
			t := time.Date(int(y), time.Month(m), int(d), 0, 0, 0, 0, time.UTC)
			if t.Day() != int(d) {
				return nil, outOfRange("Invalid DATE")
			}
			return value.DateOf(t), nil
		})
	}
	return oneArg(value.DateType, func(v any) (any, error) { return Cast(v, value.DateType) })(nil, args)
}

// strftime writes a time by a format of percent letters.
func strftime(format string, t time.Time) (any, error) {
	layouts := map[byte]string{'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'F': "2006-01-02", 'T': "15:04:05",
		'y': "06", 'b': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'j': "002", 'I': "03", 'p': "PM", 'Z': "MST", 'z': "-0700", 'e': "_2"}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		layout, ok := layouts[format[i]]
		switch {
		case ok:
			b.WriteString(t.UTC().Format(layout))
		case format[i] == '%':
			b.WriteByte('%')
		default:
			return nil, unsupported("The format element %%%c", format[i])
		}
	}
	return b.String(), nil
}

// dateCall compiles the calls that take a date part or an INTERVAL.
func (c *compiler) dateCall(name string, args []ast.Arg, s *scope) (expr, bool, error) {
	kind, verb, ok := strings.Cut(name, "_")
	if !ok || kind != "TIMESTAMP" && kind != "DATE" || len(args) < 2 {
		return expr{}, false, nil
	}
	t := value.Timestamp
	if kind == "DATE" {
		t = value.DateType
	}
	var e expr
	var err error
	switch verb {
	case "ADD", "SUB":
		e, err = c.shift(t, verb == "SUB", args, s)
	case "DIFF":
		e, err = c.difference(t, args, s)
	case "TRUNC":
		e, err = c.truncate(t, args, s)
	default:
		return expr{}, false, nil
	}
	return e, true, err
}

func (c *compiler) argument(arg ast.Arg, t *value.Type, s *scope) (expr, error) {
	e, err := c.plain(arg, s)
	if err != nil {
		return expr{}, err
	}
	return coerce(e, t)
}

// plain compiles an argument that is an expression.
func (c *compiler) plain(arg ast.Arg, s *scope) (expr, error) {
	plain, ok := arg.(*ast.ExprArg)
	if !ok {
		return expr{}, unsupported("The argument %s", clip(arg.SQL()))
	}
	return c.expr(plain.Expr, s)
}

// part is a date part given as an argument: a bare word.
func part(arg ast.Arg) string {
	if plain, ok := arg.(*ast.ExprArg); ok {
		return strings.ToUpper(exprName(plain.Expr))
	}
	return ""
}

func (c *compiler) shift(t *value.Type, back bool, args []ast.Arg, s *scope) (expr, error) {
	base, err := c.argument(args[0], t, s)
	if err != nil {
		return expr{}, err
	}
	plain, ok := args[1].(*ast.ExprArg)
	if !ok {
		return expr{}, unsupported("The argument %s", clip(args[1].SQL()))
	}
	interval, ok := plain.Expr.(*ast.IntervalLiteralSingle)
	if !ok {
		return expr{}, unsupported("An interval other than INTERVAL n PART (%s)", clip(plain.SQL()))
	}
	count, err := c.intValue(interval.Value, s)
	if err != nil {
		return expr{}, err
	}
	unit := string(interval.DateTimePart)
	return fixed([]*value.Type{t, value.Int64}, t, []expr{base, count}, func(v []any) (any, error) {
		n := v[1].(int64)
		if back {
			n = -n
		}
		if d, ok := v[0].(value.Date); ok {
			moved, err := move(d.Time(), n, unit)
			if err != nil {
				return nil, err
			}
			return value.DateOf(moved.(time.Time)), nil
		}
		return move(instant(v[0]), n, unit)
	})
}

// intValue compiles the integer of LIMIT, OFFSET or INTERVAL.
func (c *compiler) intValue(n ast.IntValue, s *scope) (expr, error) {
	var inner ast.Expr
	switch n := n.(type) {
	case *ast.CastIntValue:
		return c.intValue(n.Expr, s)
	case ast.Expr:
		inner = n
	default:
		return expr{}, unsupported("The number %s", clip(n.SQL()))
	}
	e, err := c.expr(inner, s)
	if err != nil {
		return expr{}, err
	}
	return coerce(e, value.Int64)
}

func unitOf(part string) time.Duration {
	return map[string]time.Duration{"NANOSECOND": 1, "MICROSECOND": time.Microsecond, "MILLISECOND": time.Millisecond, "SECOND": time.Second,
		"MINUTE": time.Minute, "HOUR": time.Hour, "DAY": 24 * time.Hour, "WEEK": 7 * 24 * time.Hour}[part]
}

func move(t time.Time, n int64, part string) (any, error) {
	const far = 400_000 // more days than there are in Spanner's time
	unit := unitOf(part)
	switch {
	case unit >= 24*time.Hour && n > -far && n < far:
		t = t.AddDate(0, 0, int(n)*int(unit/(24*time.Hour)))
	case unit > 0 && n < int64(1<<62)/int64(unit) && n > -int64(1<<62)/int64(unit):
		t = t.Add(time.Duration(n) * unit)
	case part == "MONTH" && n > -far && n < far:
		t = addMonths(t, int(n))
	case part == "QUARTER" && n > -far && n < far:
		t = addMonths(t, 3*int(n))
	case part == "YEAR" && n > -far && n < far:
		t = addMonths(t, 12*int(n))
	case unit > 0 || part == "MONTH" || part == "QUARTER" || part == "YEAR":
		return nil, outOfRange("Adding the interval leaves the range of times")
	default:
		return nil, invalid("Unsupported date part %s", part)
	}
	return checkTime(t)
}

// addMonths keeps to the last day of a shorter month.
func addMonths(t time.Time, n int) time.Time {
	first := time.Date(t.Year(), t.Month(), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC).AddDate(0, n, 0)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}

func (c *compiler) difference(t *value.Type, args []ast.Arg, s *scope) (expr, error) {
	if len(args) != 3 {
		return expr{}, invalid("It takes two times and a date part")
	}
	a, err := c.argument(args[0], t, s)
	if err != nil {
		return expr{}, err
	}
	b, err := c.argument(args[1], t, s)
	if err != nil {
		return expr{}, err
	}
	unit := part(args[2])
	return fixed([]*value.Type{t, t}, value.Int64, []expr{a, b}, func(v []any) (any, error) {
		x, y := asTime(v[0]), asTime(v[1])
		months := int64(x.Year()-y.Year())*12 + int64(x.Month()-y.Month())
		switch unit {
		case "YEAR":
			return int64(x.Year() - y.Year()), nil
		case "QUARTER":
			return months / 3, nil
		case "MONTH":
			return months, nil
		}
		if size := unitOf(unit); size > 0 {
			seconds := x.Unix() - y.Unix()
			if size >= time.Second {
				return seconds / int64(size/time.Second), nil
			}
			return int64(x.Sub(y) / size), nil
		}
		return nil, invalid("Unsupported date part %s", clip(unit))
	})
}

func asTime(v any) time.Time {
	if d, ok := v.(value.Date); ok {
		return d.Time()
	}
	return instant(v).UTC()
}

func (c *compiler) truncate(t *value.Type, args []ast.Arg, s *scope) (expr, error) {
	base, err := c.argument(args[0], t, s)
	if err != nil {
		return expr{}, err
	}
	unit := part(args[1])
	return fixed([]*value.Type{t}, t, []expr{base}, func(v []any) (any, error) {
		cut, err := truncated(asTime(v[0]), unit)
		if err != nil || t.Code == sppb.TypeCode_TIMESTAMP {
			return cut, err
		}
		return value.DateOf(cut), nil
	})
}

func truncated(t time.Time, unit string) (time.Time, error) {
	y, m, d := t.Date()
	switch unit {
	case "YEAR":
		m, d = 1, 1
	case "QUARTER":
		m, d = (m-1)/3*3+1, 1
	case "MONTH":
		d = 1
	case "WEEK":
		d -= int(t.Weekday())
	case "DAY":
	default:
		size := unitOf(unit)
		if size == 0 {
			return t, invalid("Unsupported date part %s", clip(unit))
		}
		midnight := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
		return midnight.Add(t.Sub(midnight) / size * size), nil
	}
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC), nil
}

func (c *compiler) extract(n *ast.ExtractExpr, s *scope) (expr, error) {
	e, err := c.expr(n.Expr, s)
	if err != nil {
		return expr{}, err
	}
	if n.AtTimeZone != nil {
		return expr{}, unsupported("EXTRACT with AT TIME ZONE")
	}
	if e.typ == nil || e.typ.Code != sppb.TypeCode_TIMESTAMP && e.typ.Code != sppb.TypeCode_DATE {
		return expr{}, invalid("EXTRACT needs a TIMESTAMP or DATE, not %s", e.typ)
	}
	unit := strings.ToUpper(n.Part.Name)
	if unit == "DATE" {
		return fixed([]*value.Type{e.typ}, value.DateType, []expr{e}, func(v []any) (any, error) { return value.DateOf(asTime(v[0])), nil })
	}
	return fixed([]*value.Type{e.typ}, value.Int64, []expr{e}, func(v []any) (any, error) {
		t := asTime(v[0])
		isoYear, isoWeek := t.ISOWeek()
		parts := map[string]int{"YEAR": t.Year(), "QUARTER": (int(t.Month())-1)/3 + 1, "MONTH": int(t.Month()), "DAY": t.Day(), "HOUR": t.Hour(),
			"MINUTE": t.Minute(), "SECOND": t.Second(), "MILLISECOND": t.Nanosecond() / 1e6, "MICROSECOND": t.Nanosecond() / 1e3, "NANOSECOND": t.Nanosecond(),
			"DAYOFWEEK": int(t.Weekday()) + 1, "DAYOFYEAR": t.YearDay(), "ISOWEEK": isoWeek, "ISOYEAR": isoYear}
		if n, ok := parts[unit]; ok {
			return int64(n), nil
		}
		return nil, invalid("Unsupported date part %s", clip(unit))
	})
}
