// Package zsock is what all ZeroMQ sockets here have in common: the limits of
// their connections, how their owners hear that there is something to read, and
// the way they end.
//
// Duties of the caller, in order: Limit or LimitSubscribers before a socket is
// bound, KeepAlive and Heartbeat for one that only connects, Trust before it does
// so with CURVE; NewBell for a socket that is not to be looked at all the time,
// whose owner, each time Wait returns nil, receives until IsNothing, or the bell
// may not ring again; at the end Settle for sockets that send, the bell's Close and
// then Close for every socket of a context, and End for the context.
package zsock
