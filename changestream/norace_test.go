//go:build !race

package changestream_test

const raceEnabled = false
