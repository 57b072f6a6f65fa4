// Package bench measures Spancast on this machine: each measure beside its limit
// and beside the plain way, in one run.
//
//	limit        what carries the same bytes with nothing around it: gRPC that only receives, libzmq's C API that only sends
//	spancast     the real thing: spancast serve, as a process
//	plain way    spanner.Client with ToStruct, and SendMessage for each change
//
// Spanner is the embedded one, with a synthetic load, in this process; all else
// are processes of their own (package part), so that each has its processor time.
// Everything is on the loopback interface. Subscribers are written in C, and
// publishers wait for them: a rate is what was delivered, not what was sent.
package bench
