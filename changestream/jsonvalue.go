package changestream

import (
	"errors"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/spancast/spancast/internal/jsonscan"
)

// maxDepth bounds the nesting of values that are turned into JSON. Spanner's
// own values nest three deep at most.
const maxDepth = 100

// appendJSON appends the JSON text of an encoded google.protobuf.Value.
func appendJSON(dst, encoded []byte) ([]byte, error) {
	return appendJSONDepth(dst, encoded, 0)
}

func appendJSONDepth(dst, encoded []byte, depth int) ([]byte, error) {
	if depth > maxDepth {
		return dst, errors.New("value nested too deeply")
	}
	v, err := parseValue(encoded)
	if err != nil {
		return dst, err
	}
	switch v.kind {
	case valueNumber:
		return appendNumber(dst, v.number()), nil
	case valueString:
		return jsonscan.AppendString(dst, v.data), nil
	case valueBool:
		return strconv.AppendBool(dst, v.bits != 0), nil
	case valueList:
		return appendJSONList(dst, v, depth)
	case valueStruct:
		return appendJSONStruct(dst, v, depth)
	}
	return append(dst, jsonNull...), nil
}

func appendJSONList(dst []byte, v value, depth int) ([]byte, error) {
	l, err := newList(v)
	dst = append(dst, '[')
	raw, ok := l.nextRaw()
	for first := true; err == nil && ok; first = false {
		if !first {
			dst = append(dst, ',')
		}
		dst, err = appendJSONDepth(dst, raw, depth+1)
		raw, ok = l.nextRaw()
	}
	return append(dst, ']'), errors.Join(err, l.err)
}

// appendJSONStruct reads google.protobuf.Struct: map<string, Value> fields = 1,
// whose entries are messages of key = 1 and value = 2.
func appendJSONStruct(dst []byte, v value, depth int) ([]byte, error) {
	dst = append(dst, '{')
	f := fields{rest: v.data}
	for first := true; f.next(); first = false {
		if f.num != 1 || f.typ != protowire.BytesType {
			return dst, errWire
		}
		var key, val []byte
		entry := fields{rest: f.data}
		for entry.next() {
			switch entry.num {
			case 1:
				key = entry.data
			case 2:
				val = entry.data
			}
		}
		if entry.err != nil {
			return dst, entry.err
		}
		if !first {
			dst = append(dst, ',')
		}
		dst = append(jsonscan.AppendString(dst, key), ':')
		var err error
		if dst, err = appendJSONDepth(dst, val, depth+1); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), f.err
}

// appendNumber writes a double as JSON; those that JSON has no number for as
// the strings that Spanner uses for them.
func appendNumber(dst []byte, x float64) []byte {
	switch {
	case math.IsNaN(x):
		return append(dst, `"NaN"`...)
	case math.IsInf(x, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(x, -1):
		return append(dst, `"-Infinity"`...)
	}
	format := byte('f')
	if abs := math.Abs(x); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, x, format, -1, 64)
}
