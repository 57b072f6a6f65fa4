// Package emulator is a Cloud Spanner in the process, for tests and demos: the
// real gRPC API over tables and change streams in memory.
//
//	server, err := emulator.Start(ctx, emulator.Options{})
//	if err != nil { … }
//	defer server.Close()
//	err = server.CreateDatabase("projects/p/instances/i/databases/db", emulator.GoogleSQL,
//		"CREATE TABLE T (Id INT64 NOT NULL, V STRING(MAX)) PRIMARY KEY (Id)",
//		"CREATE CHANGE STREAM S FOR ALL")
//	client, err := spanner.NewClient(ctx, "projects/p/instances/i/databases/db", server.ClientOptions()...)
//
// Clients of other kinds connect to Addr, in plain text and without
// credentials; every client that honours SPANNER_EMULATOR_HOST can.
//
// Beyond what Spanner does, a Server lets a test say when the partitions of a
// change stream split, merge and move (Churn), what time it is (Advance), what
// goes wrong (SetFaults), and when the server restarts (Restart) or is away for
// a while (Down, Up), which breaks every connection and keeps all data. Load
// feeds change streams with more records than commits could make.
//
// Where Google's emulator and the documented behaviour of Cloud Spanner differ,
// this one follows Cloud Spanner. What it does not do it refuses with
// UNIMPLEMENTED and the name of what was asked for; DESIGN.md lists the larger
// things that are left out.
package emulator
