package changes

// The wire form of google.protobuf.Value, as far as it is written by hand:
//
//	Value      { null 1: 08 00 | number 2: 11 8 bytes | string 3: 1A len text | bool 4: 20 0|1 | list 6: 32 len ListValue }
//	ListValue  { values 1: 0A len Value, … }
//	PartialResultSet { metadata 1: 0A | values 2: 12 len Value, … | chunked_value 3: 18 | resume_token 4: 22 len bytes }
const (
	tagElement = 0x0a // ListValue.values
	tagString  = 0x1a // Value.string_value
	tagBool    = 0x20 // Value.bool_value
	tagList    = 0x32 // Value.list_value
	tagValues  = 0x12 // PartialResultSet.values
)

func appendVarint(dst []byte, n int) []byte {
	u := uint(n)
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

func varintSize(n int) int {
	size := 1
	for u := uint(n); u >= 0x80; u >>= 7 {
		size++
	}
	return size
}

// open begins a length-delimited field and returns where its content starts;
// closeAt puts in the length once the content is known.
func open(dst []byte, tag byte) ([]byte, int) {
	dst = append(dst, tag, 0)
	return dst, len(dst)
}

func closeAt(dst []byte, start int) []byte {
	n := len(dst) - start
	if n < 0x80 {
		dst[start-1] = byte(n)
		return dst
	}
	extra := varintSize(n) - 1
	for range extra {
		dst = append(dst, 0)
	}
	copy(dst[start+extra:], dst[start:start+n])
	appendVarint(dst[:start-1], n)
	return dst
}

// openList begins a list that is itself an element of a list.
func openList(dst []byte) ([]byte, [2]int) {
	var mark [2]int
	dst, mark[0] = open(dst, tagElement)
	dst, mark[1] = open(dst, tagList)
	return dst, mark
}

func closeList(dst []byte, mark [2]int) []byte {
	return closeAt(closeAt(dst, mark[1]), mark[0])
}

// appendString appends a string as an element of a list.
func appendString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, tagElement)
	dst = appendVarint(dst, 1+varintSize(len(s))+len(s))
	return appendStringValue(dst, s)
}

// appendStringValue appends the content of a Value that is a string.
func appendStringValue[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, tagString)
	dst = appendVarint(dst, len(s))
	return append(dst, s...)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, tagElement, 2, tagBool, 1)
	}
	return append(dst, tagElement, 2, tagBool, 0)
}

var (
	emptyList = []byte{tagElement, 2, tagList, 0}
	nullValue = []byte{tagElement, 2, 0x08, 0}
)
