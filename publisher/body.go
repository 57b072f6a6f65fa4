package publisher

import (
	"github.com/spancast/spancast/changestream"
)

// A Body writes the third frame of a change.
type Body interface {
	// Append appends the body to dst, which it must not keep. An error ends the
	// reading of the partition.
	Append(dst []byte, c *Change) ([]byte, error)
}

// A Change is one row change with what its message says of it.
type Change struct {
	Record    *changestream.DataChangeRecord
	Mod       *changestream.Mod
	Index     int    // of the mod
	Version   []byte // see message.AppendVersion
	Partition changestream.PartitionToken
}

// Native is the format that passes on what Spanner sent:
//
//	{"keys":{…},"new_values":{…},"old_values":{…}}
//
// with the three values byte for byte as they came.
type Native struct{}

// Append implements Body.
func (Native) Append(dst []byte, c *Change) ([]byte, error) {
	dst = append(append(dst, `{"keys":`...), c.Mod.Keys...)
	dst = append(append(dst, `,"new_values":`...), c.Mod.NewValues...)
	dst = append(append(dst, `,"old_values":`...), c.Mod.OldValues...)
	return append(dst, '}'), nil
}
