// Package publisher turns changes into messages and sends them. It is the sole
// owner of the ZeroMQ sockets.
//
// Sinks, one a partition and each in its reader's goroutine, build batches:
// topics, versions, attributes and bodies, in memory that is used again. One
// goroutine, Run, takes the batches in order, counts them, writes the headers
// and hands frames to libzmq; behind every batch it reports how far its
// partition was published. It also answers new subscriptions and sends the
// control messages.
//
// Duties of the caller, in order: New (which binds), Run in a goroutine, sinks
// to the readers; at the end stop the readers, Drained, cancel Run's context and
// wait for it: it says goodbye, and lets the sockets empty themselves.
package publisher
