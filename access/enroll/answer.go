package enroll

import "time"

// A Request asks for a grant for a key.
type Request struct {
	PublicKey string `json:"public_key"`
}

// An Answer is a grant, and where it is good.
type Answer struct {
	Identity  string     `json:"identity"`
	Expires   time.Time  `json:"expires"`
	Audiences []Audience `json:"audiences"`
	Recover   []Endpoint `json:"recover"` // recovery endpoints
	Topics    []string   `json:"topics"`  // prefixes that the recovery endpoints give
	Tables    []string   `json:"tables"`  // names or globs of tables, the same
}

// An Audience is one that the identity belongs to.
type Audience struct {
	Name    string     `json:"name"`
	Topics  []string   `json:"topics"`
	Publish []Endpoint `json:"publish"`
}

// An Endpoint and the public key of the server behind it. While the server's
// key is replaced there are endpoints with the old and with the new one.
type Endpoint struct {
	Endpoint  string `json:"endpoint"`
	ServerKey string `json:"server_key"`
}

// A failure is the answer to a request that is refused.
type failure struct {
	Error string `json:"error"`
}
