// Package access decides who gets in, and what each may have.
//
//	access file --+                                  +--> Guard (ZAP): may this key connect here?
//	              +--> Book --> in force: grants ----+
//	Keys table ---+                                  +--> Rights: may this identity have this topic, this table?
//
// A Book holds the grants that are in force: those of the access file, and those
// that were enrolled. A Gate answers for sockets by it: with CURVE, every
// connection brings a public key, and the Gate's ZAP handler, one in every
// ZeroMQ context that has sockets to protect, lets it into a domain or not, from
// memory. A Listener binds the endpoints of one socket, with each of the server
// keys there are, and opens them anew when somebody who is connected must not be
// any more: libzmq has no way to end one connection.
//
// What is not known is refused: a key without a grant, a domain that nobody
// knows, a handler that failed.
//
// Duties of the caller, in order, for every context: Gate.Guard before any
// socket is bound; a Listener for each socket, tended by the goroutine that owns
// the socket; Guard.Close after the sockets. Gate.Watch runs beside.
package access
