package engine

import (
	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/spancast/spancast/emulator/internal/schema"
	"github.com/spancast/spancast/emulator/internal/value"
)

// span is a range of encoded keys, or one key.
type span struct {
	from, to string
	point    bool
}

// keySpans encodes a key set over a table's or an index's key.
func keySpans(key []schema.KeyPart, set *sppb.KeySet) ([]span, error) {
	if set.GetAll() {
		return []span{{}}, nil
	}
	var out []span
	for _, list := range set.GetKeys() {
		encoded, full, err := encodeKey(key, list)
		if err != nil {
			return nil, err
		}
		if !full {
			return nil, status.Errorf(codes.FailedPrecondition, "Wrong number of key parts: expected %d, got %d.", len(key), len(list.GetValues()))
		}
		out = append(out, span{from: encoded, to: value.PrefixEnd(encoded), point: true})
	}
	for _, r := range set.GetRanges() {
		s, err := rangeSpan(key, r)
		if err != nil {
			return nil, err
		}
		if s.to == "" || s.from < s.to {
			out = append(out, s)
		}
	}
	return out, nil
}

func rangeSpan(key []schema.KeyPart, r *sppb.KeyRange) (s span, err error) {
	switch start := r.GetStartKeyType().(type) {
	case *sppb.KeyRange_StartClosed:
		s.from, _, err = encodeKey(key, start.StartClosed)
	case *sppb.KeyRange_StartOpen:
		s.from, _, err = encodeKey(key, start.StartOpen)
		s.from = value.PrefixEnd(s.from)
	default:
		err = status.Error(codes.InvalidArgument, "A key range without a start.")
	}
	if err != nil {
		return s, err
	}
	switch end := r.GetEndKeyType().(type) {
	case *sppb.KeyRange_EndClosed:
		s.to, _, err = encodeKey(key, end.EndClosed)
		s.to = value.PrefixEnd(s.to)
	case *sppb.KeyRange_EndOpen:
		if len(end.EndOpen.GetValues()) == 0 { // before all keys
			return span{from: "\x01", to: "\x00"}, nil
		}
		s.to, _, err = encodeKey(key, end.EndOpen)
	default:
		err = status.Error(codes.InvalidArgument, "A key range without an end.")
	}
	return s, err
}

// encodeKey encodes the first parts of a key; full tells whether all were given.
func encodeKey(key []schema.KeyPart, list *structpb.ListValue) (encoded string, full bool, err error) {
	values := list.GetValues()
	if len(values) > len(key) {
		return "", false, status.Errorf(codes.FailedPrecondition, "Wrong number of key parts: expected %d, got %d.", len(key), len(values))
	}
	var dst []byte
	for i, p := range values {
		v, err := value.FromProto(key[i].Column.Type, p)
		if err != nil {
			return "", false, status.Errorf(codes.FailedPrecondition, "Invalid value for key column %s: %v.", key[i].Column.Name, err)
		}
		dst = value.AppendKey(dst, v, key[i].Desc)
	}
	return string(dst), len(values) == len(key), nil
}
