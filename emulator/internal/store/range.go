package store

// Range is a range of keys; an empty To is the end.
type Range struct{ From, To string }

// Clip is the part of [from, to) that lies in the range; some tells whether
// there is one.
func (r Range) Clip(from, to string) (_, _ string, some bool) {
	from = max(from, r.From)
	if to == "" || r.To != "" && r.To < to {
		to = r.To
	}
	return from, to, to == "" || from < to
}
