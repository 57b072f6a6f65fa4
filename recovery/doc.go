// Package recovery answers those who have lost something, or want all of it: a
// ROUTER socket from which clients ask for replays of changes, and snapshots of
// tables. The types of the protocol are in package message, docs/protocol.md
// draws a session.
//
//	client --request--> owner --line--> worker: changestream.Stream --> sinks
//	   ^                  |                                               |
//	   |                  |                                               v
//	   +---- frames ----- owner <---------------- ready ---------------- feed
//
// One goroutine, the owner, has the socket: it reads requests, lets them wait in
// line for their turn, and sends what is ready, a slice of each answer in turn,
// as long as the client's credit lasts. Every answer that has begun has a
// worker, which reads a change stream of its own, from its own beginning and
// with a store in memory, through the same code as the publisher; or the rows of
// a snapshot. Between the two stands a feed: it holds a bounded number of bytes,
// and brings the changes of all partitions into the order of their versions.
//
// A client that grants nothing for too long, does not read, or has gone, loses
// its answers, and never keeps others from theirs.
//
// Duties of the caller, in order: New (which binds), Run in a goroutine; cancel
// its context and wait for it: open answers are ended with $error/.
package recovery
