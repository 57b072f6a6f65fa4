// Package zsock is what all ZeroMQ sockets here have in common: the limits of
// their connections, and the way they end.
//
// Duties of the caller, in order: Limit or LimitSubscribers before a socket is
// bound, KeepAlive and Heartbeat for one that only connects, Trust before it does
// so with CURVE; at the end Settle for sockets that send, Close for every socket of
// a context, and End for the context.
package zsock
