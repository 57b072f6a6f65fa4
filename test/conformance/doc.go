// Package conformance holds a Spanner server to what is known of change streams.
//
// It has two layers. The data-record cases (sections A to G and N) are data: a
// schema, a change stream, set-up transactions, the transactions under test and
// the records that they must give. Who collects those records is the caller's
// business, so the same cases run over a plain reader of the gRPC API and over
// a whole pipe that ends in another protocol. The rest (partition queries,
// rejected requests, wire rows, churn, DDL, INFORMATION_SCHEMA) talks to the
// API itself and needs a Server only.
//
// # Running the data-record cases through something else
//
//	server := conformance.Server{Addr: addr, Kind: conformance.Production} // or conformance.Google
//	conformance.Run(t, server, myCollector{})
//
// where myCollector implements Collector: Open is called once for each change
// stream, after its schema exists and before the first transaction that is
// looked at (start the pipe here); Collect returns every record of the stream
// that has the given commit timestamp, and only returns when it is certain that
// no more will come (for a stream that must stay silent too); Close ends what
// Open began. RawReader is the Collector that reads the API directly.
//
// Run takes options as fields of Server: Only picks cases by number. Cases
// returns the cases themselves for a caller that wants another runner.
//
// # Known differences
//
// Want is what production does. A case in which Google's emulator is known to
// do otherwise carries a Difference with the reason and the production rule;
// Run then expects the emulator's own records (so that a repaired emulator is
// noticed), or does not run the case there where it would end the process.
//
// Case numbers are stable and are never given to another case.
package conformance
