package message

// The recovery endpoint is a ROUTER socket, one a replica; clients are DEALER
// sockets. docs/protocol.md draws a session.
//
//	client to server   frame 0  command: HELLO, REPLAY, SNAPSHOT, CREDIT, CANCEL
//	                   frame 1  JSON object: one of the request types below
//	server to client   frame 0  id of the request that is answered, as the client chose it
//	                   frame 1  topic  }
//	                   frame 2  header } as a publisher sends them; COUNTERS is one number, the
//	                   frame 3  body   } running count of this answer's changes, from 1
//
// The answer to a replay comes in order of versions (commit timestamp,
// transaction, sequence, mod) until it has caught up, and, when it is open, from
// $live/ on in the order of each key.
//
// Credit: a change (a row of a snapshot, too) takes one message, and the bytes
// of its four frames. The server sends as long as both are above zero, so that
// the last message may overdraw the bytes. Control messages are free.

// The commands of a client.
const (
	CommandHello    = "HELLO"    // HelloRequest; answered by $hello/
	CommandReplay   = "REPLAY"   // ReplayRequest
	CommandSnapshot = "SNAPSHOT" // SnapshotRequest
	CommandCredit   = "CREDIT"   // CreditRequest
	CommandCancel   = "CANCEL"   // CancelRequest; answered by $error/ with the code canceled
)

// The topics of the control messages in an answer, besides $hello/, $gap/ and
// <table>/$schema/, which are those of a publisher. The last three end it.
const (
	Wait   = "$wait/"   // WaitBody: the request waits for its turn, or, with 0 before it, for credit; repeated while it does
	Begin  = "$begin/"  // BeginBody: its turn has come
	Replay = "$replay/" // ReplayBody: how far the answer is; every second, and when it is of use
	Live   = "$live/"   // ReplayBody: an open replay has caught up
	End    = "$end/"    // EndBody: the answer is complete
	Gone   = "$gone/"   // GoneBody: what was asked for is older than the stream keeps
	Failed = "$error/"  // ErrorBody: the request failed, or was refused
)

// Credit is what a client is ready to receive.
type Credit struct {
	Messages int64 `json:"messages"`
	Bytes    int64 `json:"bytes"`
}

// HelloRequest asks who is there.
type HelloRequest struct {
	ID string `json:"id"` // of every request: 1 to 64 printable ASCII characters, chosen by the client
}

// ReplayRequest asks for changes.
type ReplayRequest struct {
	ID string `json:"id"`
	// Topics are prefixes, each empty or ending in '/'.
	Topics []string `json:"topics"`
	// From is a commit timestamp, inclusive; or a version: what comes after it;
	// or "now".
	From string `json:"from"`
	// To is a commit timestamp, exclusive; or "now"; or empty: then the answer
	// goes on for ever.
	To     string `json:"to,omitempty"`
	Credit Credit `json:"credit"`
}

// Now, as the start or the end of a replay, is the time at which it begins, by
// Spanner's clock: later than every change that anybody had published when the
// request was sent. From "now" to "now" tells that time, and nothing else.
const Now = "now"

// SnapshotRequest asks for rows as they are, or were.
type SnapshotRequest struct {
	ID     string   `json:"id"`
	Tables []string `json:"tables"` // empty: all that the change stream watches
	At     string   `json:"at,omitempty"`
	// After is the version of the last row that was received of an earlier
	// answer with the same tables: what comes after it, at the same timestamp.
	After  string `json:"after,omitempty"`
	Credit Credit `json:"credit"`
}

// CreditRequest grants more.
type CreditRequest struct {
	ID string `json:"id"`
	Credit
}

// CancelRequest ends an answer.
type CancelRequest struct {
	ID string `json:"id"`
}

// WaitBody says how many requests are to be begun before this one.
type WaitBody struct {
	Before int `json:"before"`
}

// BeginBody says what is answered.
type BeginBody struct {
	BodyFormat string `json:"body_format"`
	From       string `json:"from,omitempty"` // of a replay
	To         string `json:"to,omitempty"`   // of a replay that has an end
	At         string `json:"at,omitempty"`   // of a snapshot: its read timestamp
}

// ReplayBody says that every change with a commit timestamp before Resolved was
// sent. An open replay that broke off is taken up from there.
type ReplayBody struct {
	Resolved string `json:"resolved"`
}

// EndBody ends a complete answer.
type EndBody struct {
	Changes uint64 `json:"changes"` // that were sent
	// Resolved is the end of a replay; everything before it was sent.
	Resolved string `json:"resolved,omitempty"`
	// Next is the From of a replay that goes on where a snapshot ends, without
	// hole or overlap.
	Next string `json:"next,omitempty"`
}

// GoneBody says that changes cannot be had any more.
type GoneBody struct {
	From   string `json:"from"`   // what was asked for
	Oldest string `json:"oldest"` // the oldest time that can be had
}

// ErrorBody says why there is no (further) answer.
type ErrorBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// The codes of an ErrorBody.
const (
	BadRequest  = "bad_request" // the request is wrong; Message says what
	Denied      = "denied"      // the client may not have it
	TooMany     = "too_many"    // more requests than a client, an identity, or all of them, may have waiting
	Canceled    = "canceled"    // by the client
	NoCredit    = "no_credit"   // the client granted nothing for too long
	Interrupted = "interrupted" // the server is ending, or cannot read on; ask again, here or elsewhere
)
