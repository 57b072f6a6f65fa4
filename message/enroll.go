package message

import "time"

// An EnrollRequest asks for a grant for a key: POST /v1/enroll, with an ID token.
type EnrollRequest struct {
	PublicKey string `json:"public_key"`
}

// An EnrollAnswer is a grant, and where it is good.
type EnrollAnswer struct {
	Identity  string           `json:"identity"`
	Expires   time.Time        `json:"expires"`
	Audiences []EnrollAudience `json:"audiences"`
	Recover   []EnrollEndpoint `json:"recover"` // recovery endpoints
	Topics    []string         `json:"topics"`  // prefixes that the recovery endpoints give
	Tables    []string         `json:"tables"`  // names or globs of tables, the same
}

// An EnrollAudience is one that the identity belongs to.
type EnrollAudience struct {
	Name    string           `json:"name"`
	Topics  []string         `json:"topics"`
	Publish []EnrollEndpoint `json:"publish"`
}

// An EnrollEndpoint is an endpoint and the public key of the server behind it.
// While the server's key is replaced there are endpoints with the old and with
// the new one; the first is the one that the fleet's other endpoints have.
type EnrollEndpoint struct {
	Endpoint  string `json:"endpoint"`
	ServerKey string `json:"server_key"`
}

// An EnrollFailure is the answer to a request that is refused.
type EnrollFailure struct {
	Error string `json:"error"`
}
