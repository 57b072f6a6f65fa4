//go:build race

package changestream_test

const raceEnabled = true
