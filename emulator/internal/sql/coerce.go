package sql

import (
	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"

	"github.com/spancast/spancast/emulator/internal/value"
)

// align brings expressions to one common type.
func align(args ...expr) ([]expr, *value.Type, error) {
	t, err := commonType(args)
	if err != nil || t == nil {
		return args, t, err
	}
	out := make([]expr, len(args))
	for i, e := range args {
		if out[i], err = coerce(e, t); err != nil {
			return nil, nil, err
		}
	}
	return out, t, nil
}

// commonType is the supertype of expressions; nil when all are bare NULLs.
func commonType(args []expr) (*value.Type, error) {
	var t *value.Type
	soft := false
	for _, e := range args {
		switch {
		case e.typ == nil:
		case t == nil || soft && !e.soft:
			if t != nil && !softTo(t, e.typ) && !e.typ.Same(t) {
				return nil, invalid("No matching signature for argument types: %s, %s", t, e.typ)
			}
			t, soft = e.typ, e.soft
		case t.Same(e.typ), e.soft && softTo(e.typ, t):
		case wider(e.typ, t):
			t = e.typ
		case !wider(t, e.typ):
			return nil, invalid("No matching signature for argument types: %s, %s", t, e.typ)
		}
	}
	return t, nil
}

// rank orders the number types by what they can hold.
func rank(t *value.Type) int {
	switch t.Code {
	case sppb.TypeCode_INT64:
		return 1
	case sppb.TypeCode_NUMERIC:
		return 2
	case sppb.TypeCode_FLOAT32:
		return 3
	case sppb.TypeCode_FLOAT64:
		return 4
	}
	return 0
}

// wider reports whether values of from become values of to by themselves.
func wider(to, from *value.Type) bool {
	return rank(from) > 0 && rank(to) > rank(from)
}

// softTo reports whether a literal of one type may stand for another.
func softTo(from, to *value.Type) bool {
	switch from.Code {
	case sppb.TypeCode_STRING:
		switch to.Code {
		case sppb.TypeCode_TIMESTAMP, sppb.TypeCode_DATE, sppb.TypeCode_BYTES, sppb.TypeCode_INT64, sppb.TypeCode_NUMERIC,
			sppb.TypeCode_FLOAT64, sppb.TypeCode_FLOAT32, sppb.TypeCode_UUID, sppb.TypeCode_JSON:
			return true
		}
	case sppb.TypeCode_INT64, sppb.TypeCode_FLOAT64:
		return rank(to) > 0 && (from.Code == sppb.TypeCode_INT64 || to.Code != sppb.TypeCode_INT64)
	case arrayCode:
		return to.Code == arrayCode && (from.Elem == emptyElement || from.Elem.Same(to.Elem) || softTo(from.Elem, to.Elem))
	}
	return false
}

// emptyElement is the element type of [], which may become any other; it is
// told from INT64 by its address.
var emptyElement = &value.Type{Code: sppb.TypeCode_INT64}

// coerce makes an expression one of type t, if that may happen by itself.
func coerce(e expr, t *value.Type) (expr, error) {
	switch {
	case t == nil || e.typ.Same(t):
		return e, nil
	case e.typ == nil:
		e.typ = t
		return e, nil
	case e.soft && softTo(e.typ, t), wider(t, e.typ):
	case e.typ.Code == structCode && t.Code == structCode && len(e.typ.Fields) == len(t.Fields):
	default:
		return expr{}, invalid("Could not convert %s to %s", e.typ, t)
	}
	base := e.eval
	if e.soft && e.free { // a literal is refused before anything is executed
		v, err := base(nil)
		if err == nil && v != nil {
			v, err = Cast(v, t)
		}
		if err != nil {
			return expr{}, invalid("Could not cast literal to type %s: %s", t, messageOf(err))
		}
		return constant(t, v), nil
	}
	return expr{typ: t, free: e.free, eval: func(at *env) (any, error) {
		v, err := base(at)
		if err != nil || v == nil {
			return nil, err
		}
		return Cast(v, t)
	}}, nil
}
