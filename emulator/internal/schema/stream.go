package schema

import (
	"slices"
	"time"
)

// CaptureType is a value capture type, by the name that records carry.
type CaptureType string

// The four value capture types.
const (
	OldAndNewValues    CaptureType = "OLD_AND_NEW_VALUES"
	NewValues          CaptureType = "NEW_VALUES"
	NewRow             CaptureType = "NEW_ROW"
	NewRowAndOldValues CaptureType = "NEW_ROW_AND_OLD_VALUES"
)

// Limits of change streams.
const (
	MaxStreams          = 10 // per database
	MaxStreamsPerColumn = 3
	DefaultRetention    = 24 * time.Hour
	MinRetention        = 24 * time.Hour
	MaxRetention        = 30 * 24 * time.Hour
	MaxNameLength       = 128
)

// Stream is a change stream's definition.
type Stream struct {
	Name    string
	All     bool           // FOR ALL
	Tables  []WatchedTable // FOR t, …; empty with All unset: watches nothing
	Options []Option       // as set, in order
}

// WatchedTable is one table of a FOR clause.
type WatchedTable struct {
	Table   string
	Whole   bool     // all columns, those added later too
	Columns []string // the named columns; none with Whole unset: the key only
}

// Option is one option as it was written.
type Option struct {
	Name  string
	Value string // without quotes
	Text  bool   // a string rather than a bool
}

// Option gives an option's value; false when it is not set.
func (s *Stream) Option(name string) (string, bool) {
	for _, o := range s.Options {
		if o.Name == name {
			return o.Value, true
		}
	}
	return "", false
}

// SetOption sets an option, or resets it when o is nil.
func (s *Stream) SetOption(name string, o *Option) {
	s.Options = slices.Clone(s.Options)
	i := slices.IndexFunc(s.Options, func(o Option) bool { return o.Name == name })
	switch {
	case i >= 0 && o == nil:
		s.Options = slices.Delete(s.Options, i, i+1)
	case i >= 0:
		s.Options[i] = *o
	case o != nil:
		s.Options = append(s.Options, *o)
	}
}

// Capture is the stream's value capture type.
func (s *Stream) Capture() CaptureType {
	if v, ok := s.Option("value_capture_type"); ok {
		return CaptureType(v)
	}
	return OldAndNewValues
}

// Retention is how long records can be read.
func (s *Stream) Retention() time.Duration {
	if v, ok := s.Option("retention_period"); ok {
		if d, ok := ParseRetention(v); ok {
			return d
		}
	}
	return DefaultRetention
}

// Is reports whether a boolean option is true.
func (s *Stream) Is(name string) bool {
	v, _ := s.Option(name)
	return v == "true"
}

// Mutable reports whether the stream's partitions change their key range.
func (s *Stream) Mutable() bool {
	v, _ := s.Option("partition_mode")
	return v == "MUTABLE_KEY_RANGE"
}

// ParseRetention reads a duration such as 36h or 7d.
func ParseRetention(text string) (time.Duration, bool) {
	if len(text) < 2 || len(text) > 10 {
		return 0, false
	}
	unit, ok := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}[text[len(text)-1]]
	if !ok {
		return 0, false
	}
	n := 0
	for _, c := range text[:len(text)-1] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return time.Duration(n) * unit, true
}

// Watched finds what the stream watches of a table: nil for nothing, else the
// non-key columns in table order and whether new columns come in by themselves.
func (s *Schema) Watched(stream *Stream, t *Table) *Watch {
	w := &Watch{Whole: stream.All}
	if !stream.All {
		i := slices.IndexFunc(stream.Tables, func(w WatchedTable) bool { return s.Same(w.Table, t.Name) })
		if i < 0 {
			return nil
		}
		w.Whole = stream.Tables[i].Whole
		if !w.Whole {
			for _, c := range t.Columns {
				if slices.ContainsFunc(stream.Tables[i].Columns, func(n string) bool { return s.Same(n, c.Name) }) {
					w.Columns = append(w.Columns, c)
				}
			}
			return w
		}
	}
	for _, c := range t.Columns {
		if c.Watchable() {
			w.Columns = append(w.Columns, c)
		}
	}
	return w
}

// Watch is what a stream watches of a table.
type Watch struct {
	Whole   bool
	Columns []*Column
}

// Watchable reports whether a column is recorded when its whole table is
// watched: neither key nor generated.
func (c *Column) Watchable() bool { return !c.IsKey && c.Generated == nil && !c.TokenList }
