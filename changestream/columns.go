package changestream

import (
	"bytes"

	"github.com/spancast/spancast/internal/jsonscan"
)

// A columnCache spares decoding a column list that was seen before: the lists of
// a stream are few, and their bytes repeat from record to record.
type columnCache struct {
	schemas *Schemas
	table   []byte // of the latest list
	raw     []byte
	list    *columnList
	known   map[string]map[string]*columnList // by table, then by the list's bytes
	size    int
}

// maxLists bounds the cache of one decoder, of which there is one a partition.
const maxLists = 256

// A columnList is a column list as it was sent.
type columnList struct {
	schema *Schema
	names  [][]byte // as JSON strings, in the order in which they were sent
}

// get returns a column list, nil when its bytes are new.
func (c *columnCache) get(table, raw []byte) *columnList {
	if c.list != nil && bytes.Equal(c.raw, raw) && bytes.Equal(c.table, table) {
		return c.list
	}
	list := c.known[string(table)][string(raw)]
	if list != nil {
		c.remember(table, raw, list)
	}
	return list
}

// put interns a column list that was decoded.
func (c *columnCache) put(table, raw []byte, columns []Column) (*columnList, error) {
	list := new(columnList)
	for _, column := range columns {
		list.names = append(list.names, jsonscan.AppendString(nil, column.Name))
	}
	var err error
	if list.schema, err = c.schemas.intern(string(table), columns); err != nil {
		return nil, err
	}
	if c.known == nil || c.size >= maxLists {
		c.known, c.size = make(map[string]map[string]*columnList), 0
	}
	if c.known[string(table)] == nil {
		c.known[string(table)] = make(map[string]*columnList)
	}
	c.known[string(table)][string(raw)] = list
	c.size++
	c.remember(table, raw, list)
	return list, nil
}

func (c *columnCache) remember(table, raw []byte, list *columnList) {
	c.table = append(c.table[:0], table...)
	c.raw = append(c.raw[:0], raw...)
	c.list = list
}
