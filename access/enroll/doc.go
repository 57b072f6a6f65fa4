// Package enroll trades an ID token for a grant: Server is POST /v1/enroll.
//
//	POST /v1/enroll
//	Authorization: Bearer ID-TOKEN
//	{"public_key": "40 characters of Z85"}
//
//	200 {"identity": …, "expires": …, "audiences": […], "recover": […], "topics": […], "tables": […]}
//	400 not a request      401 not a token that is accepted   403 a token that no rule fits
//	409 a key that is somebody else's                         429 too often, or too many keys
//
// The messages are in package message; package subscriber/enroll is the client.
// The key's owner need not prove that he has the secret key: without it the
// handshake with the sockets fails.
package enroll
