package web

import "time"

// A Status is how a replica and its fleet stand: the answer of /v1/status, and
// what the page shows. Times are of Spanner's clock where they come from the
// tables, and of this machine's elsewhere.
type Status struct {
	Now      time.Time `json:"now"`
	Version  string    `json:"version"`
	Command  string    `json:"command"` // serve or forward
	Database string    `json:"database,omitempty"`
	Stream   string    `json:"change_stream,omitempty"`
	Dialect  string    `json:"dialect,omitempty"`

	Replica   Self      `json:"replica"`
	Retention float64   `json:"retention_seconds,omitempty"`
	Resolved  Resolved  `json:"resolved"`
	Totals    Totals    `json:"totals"`
	Buffer    Buffer    `json:"buffer"`
	Tables    TableRead `json:"tables"`

	Replicas      []Replica      `json:"replicas"`
	Partitions    []Partition    `json:"partitions"`
	Topics        []Topic        `json:"topics"`
	Subscriptions []Subscription `json:"subscriptions"`
	Subscribers   []Subscriber   `json:"subscribers"`
	Audiences     []Audience     `json:"audiences"`
	Recoveries    []Recovery     `json:"recoveries"`
	Problems      []Problem      `json:"problems"`
	Config        []Setting      `json:"config"`
}

// Self is the replica that answers.
type Self struct {
	ID      string    `json:"id"`
	Epoch   string    `json:"epoch"`
	Since   time.Time `json:"since"`
	Ready   bool      `json:"ready"`
	Reasons []string  `json:"reasons"` // why it is not
	Owned   int       `json:"partitions"`
	Publish []string  `json:"publish"` // endpoints
}

// Resolved is up to when everything was published; null while it is not known.
type Resolved struct {
	Own   *time.Time `json:"own"`
	Fleet *time.Time `json:"fleet"`
}

// Totals are counted since the replica started.
type Totals struct {
	Records       int64 `json:"records"`
	Messages      int64 `json:"messages"`
	Bytes         int64 `json:"bytes"`
	Dropped       int64 `json:"dropped"`
	Subscriptions int64 `json:"subscriptions"` // that are active
	Duplicates    int64 `json:"duplicates"`
	Retries       int64 `json:"retries"`
	EarlyEnds     int64 `json:"early_ends"`
	Stalls        int64 `json:"stalls"`
	Gaps          int64 `json:"gaps"`
	LeasesLost    int64 `json:"leases_lost"`
	Fenced        int64 `json:"fenced"`
	Recoveries    int64 `json:"recoveries"` // that were accepted
	Refused       int64 `json:"recoveries_refused"`
	Recovered     int64 `json:"recovered"` // changes and rows that were sent for them
}

// Buffer is what is held between Spanner and the socket, in bytes.
type Buffer struct {
	Bytes int64 `json:"bytes"`
	Limit int64 `json:"limit"`
}

// TableRead is how the metadata tables were read last.
type TableRead struct {
	At    *time.Time `json:"read_at"`
	Error string     `json:"error,omitempty"`
}

// A Replica is a row of the replicas table.
type Replica struct {
	ID         string    `json:"id"`
	Epoch      string    `json:"epoch"`
	Endpoints  []string  `json:"endpoints"`
	LastSeen   time.Time `json:"last_seen"`
	Alive      bool      `json:"alive"` // was seen within the time of a lease
	Self       bool      `json:"self"`
	Partitions int       `json:"partitions"` // that it owns
	Capacity   int       `json:"capacity"`   // 0: no limit
}

// A Partition is a row of the partitions table. Its id is short for its token.
type Partition struct {
	ID       string     `json:"id"`
	Parents  []string   `json:"parents"`
	State    string     `json:"state"` // CREATED, RUNNING, ENDED or FINISHED
	Start    time.Time  `json:"start"`
	End      *time.Time `json:"end"`
	Position time.Time  `json:"position"`
	Owner    string     `json:"owner"`
	// LastOwner is who had it when this replica last saw it with an owner.
	LastOwner string     `json:"last_owner,omitempty"`
	Epoch     int64      `json:"epoch"`
	Expiry    *time.Time `json:"expiry"`
}

// A Topic is a level of the topic tree and the changes under it.
type Topic struct {
	Topic string `json:"topic"`
	Count uint64 `json:"count"`
}

// A Subscription is a prefix and how many are subscribed to it.
type Subscription struct {
	Prefix string `json:"prefix"`
	Count  int    `json:"count"`
}

// A Subscriber is a connection to this replica over which somebody subscribed.
type Subscriber struct {
	Identity string    `json:"identity,omitempty"` // known where they have to say who they are
	Address  string    `json:"address"`
	Audience string    `json:"audience,omitempty"`
	Since    time.Time `json:"since"`
	Prefixes []string  `json:"prefixes"`
	More     int       `json:"more_prefixes,omitempty"`
	Unsent   int       `json:"unsent_bytes"` // that its machine has not taken yet
}

// An Audience is those who see the same topics. Losses are counted for all of
// them together: ZeroMQ does not tell whose queue was full.
type Audience struct {
	Name        string `json:"name"`
	Subscribers int    `json:"subscribers"`
	Dropped     uint64 `json:"dropped"`
}

// A Recovery is a replay or snapshot at this replica that is under way, or waits
// for its turn.
type Recovery struct {
	Identity string    `json:"identity,omitempty"`
	ID       string    `json:"id"`               // as the client chose it
	Kind     string    `json:"kind"`             // replay, follow or snapshot
	State    string    `json:"state"`            // waiting, running, stalled, live or ending
	Before   int       `json:"before,omitempty"` // requests whose turn comes first
	What     []string  `json:"what"`             // topic prefixes, or tables
	From     string    `json:"from,omitempty"`
	To       string    `json:"to,omitempty"`
	Reached  string    `json:"reached,omitempty"` // commit timestamp up to which it was sent
	Since    time.Time `json:"since"`
	Sent     uint64    `json:"sent"`
	Bytes    uint64    `json:"bytes"`
	Credit   Credit    `json:"credit"`
}

// Credit is what a client is still ready to receive.
type Credit struct {
	Messages int64 `json:"messages"`
	Bytes    int64 `json:"bytes"`
}

// A Problem is a warning or error that was logged lately.
type Problem struct {
	At      time.Time `json:"at"`
	Level   string    `json:"level"`
	Message string    `json:"message"`
	Detail  string    `json:"detail,omitempty"`
	Advice  string    `json:"advice,omitempty"`
	Count   int       `json:"count"` // times in a row
}

// A Setting is a variable of the configuration. Secrets have no value here.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// A Sample is one point of the charts.
type Sample struct {
	At       int64    `json:"t"` // Unix milliseconds
	Own      *float64 `json:"own"`
	Fleet    *float64 `json:"fleet"` // lag in seconds, null while it is not known
	Messages int64    `json:"messages"`
	Bytes    int64    `json:"bytes"` // since the start
	Dropped  int64    `json:"dropped"`
}
