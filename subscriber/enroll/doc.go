// Package enroll gets a grant for an ID token, and keeps it alive: it is the
// client of POST /v1/enroll.
//
//	client := &enroll.Client{URL: "https://spancast.example.com", Token: enroll.Metadata("spancast"), Key: publicKey}
//	answer, err := client.Enroll(ctx)
//
// Package subscriber does this by itself, with Options.Enroll; on its own it is
// for those who connect by other means. Sources of tokens are Google Cloud's
// metadata server, a file, a command, or any function.
package enroll
