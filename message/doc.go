// Package message is the wire format of Spancast: what is in the three frames of
// a message, how they are written and how they are read. It is all that clients
// share with the service; docs/protocol.md says the same for other languages.
//
//	frame 0  topic       UTF-8, at most 255 bytes, every segment ends in '/'
//	frame 1  header      ASCII, four fields with one space between:
//	                     VERSION EPOCH COUNTERS ATTRIBUTES
//	frame 2  body        by format; of control messages JSON
//
//	VERSION     COMMIT_TIMESTAMP/SERVER_TRANSACTION_ID/RECORD_SEQUENCE/MOD
//	EPOCH       16 hex digits, new for every start of a publisher
//	COUNTERS    decimal numbers joined by '/', one for each level of the topic
//	            from the root down
//	ATTRIBUTES  JSON object of one level
//
// A control message has a topic whose last segment begins with '$'. It does not
// count; its counters are those of its level as they stand.
package message
