// Package h2rpc is gRPC over HTTP/2 as far as reading a change stream needs it:
// one request, and the messages that the server streams back.
//
// It takes the place of grpc-go where every record passes. There a goroutine reads
// the connection and hands each piece to the goroutine of its stream, which is woken
// up for it; pieces are allocated, and windows are given back in small steps. Here
// the streams of a connection read it themselves, in turn: whoever waits for a
// message and finds nobody reading reads, takes what is his and puts what is
// others' into their queues. A stream that has a connection to itself is never woken
// by another goroutine, and nothing is allocated for a message.
//
// The protocol: RFC 9113 (HTTP/2), RFC 7541 (HPACK, from golang.org/x/net), and
// gRPC's PROTOCOL-HTTP2.md. Not there, since Spanner does not use it or asks to be
// asked for it: compressed messages, several requests of a stream, retries,
// balancing.
package h2rpc
