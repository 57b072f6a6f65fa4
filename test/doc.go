// Package test holds the tests of the whole: the spancast binary between a real
// Spanner API and real subscribers.
package test
