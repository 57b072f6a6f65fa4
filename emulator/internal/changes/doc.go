// Package changes is change streams from the commit on: it turns a
// transaction's row changes into records, keeps the records of each partition
// in a log, splits, merges and moves partitions, and answers change stream
// queries from the logs.
//
// A record is encoded once, at commit, into the bytes that later go over the
// wire (the values field of a PartialResultSet), in the one form that the
// database's dialect and the stream's partition mode call for. Readers get
// slices of the log and copy nothing.
//
// The caller commits one transaction at a time and issues timestamps that do
// not go back; Clock.Close is what keeps a heartbeat's promise that nothing
// earlier will follow. All else may be called at any time.
package changes
