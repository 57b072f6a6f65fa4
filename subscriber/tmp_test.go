package subscriber

import (
	"pgregory.net/rapid"
	"testing"
)

func TestTmpMoved(t *testing.T) { rapid.Check(t, func(t *rapid.T) { storm(t, rules{noMoved: true}) }) }
func TestTmpDir(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { storm(t, rules{noDirectory: true}) })
}
