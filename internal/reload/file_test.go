package reload_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spancast/spancast/internal/reload"
)

// TestFile_IsReadWhenItHasChanged: a file that is replaced is gone for a moment;
// one that is gone for long, and one with faults, are complained of once.
func TestFile_IsReadWhenItHasChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "number")
	if _, _, err := reload.Open(path, "number in", strconv.Atoi); err == nil || !strings.HasPrefix(err.Error(), "number in "+path+": ") {
		t.Errorf("a missing file: %v", err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("1")
	f, n, err := reload.Open(path, "number in", strconv.Atoi)
	if n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if _, changed, err := f.Reread(); changed || err != nil {
		t.Errorf("unchanged: %t, %v", changed, err)
	}
	gone := func(looks int) (complaints int) {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		for range looks {
			if _, changed, err := f.Reread(); changed != (err != nil) {
				t.Errorf("gone: %t, %v", changed, err)
			} else if changed {
				complaints++
			}
		}
		return complaints
	}
	for range 2 {
		if n := gone(4); n != 0 {
			t.Errorf("gone for a moment: %d complaints", n)
		}
		write("1")
		if _, changed, err := f.Reread(); changed || err != nil {
			t.Errorf("back, and the same: %t, %v", changed, err)
		}
	}
	if n := gone(20); n != 1 {
		t.Errorf("gone for long: %d complaints", n)
	}
	write("1")
	f.Reread()
	for _, text := range []string{"", "\n"} {
		write(text)
		complaints := 0
		for look := range 20 {
			if _, changed, err := f.Reread(); changed != (err != nil) || changed && look < 4 {
				t.Errorf("empty: %t, %v at look %d", changed, err, look)
			} else if changed {
				complaints++
			}
		}
		if complaints != 1 {
			t.Errorf("empty for long: %d complaints", complaints)
		}
		write("1")
		f.Reread()
	}
	for _, text := range []string{"y", "x"} {
		write(text)
		if _, changed, err := f.Reread(); !changed || err == nil || !strings.HasPrefix(err.Error(), "number in "+path+": ") {
			t.Errorf("faulty: %t, %v", changed, err)
		}
		if _, changed, err := f.Reread(); changed || err != nil {
			t.Errorf("faulty, but said already: %t, %v", changed, err)
		}
	}
	write("2")
	if n, changed, err := f.Reread(); n != 2 || !changed || err != nil {
		t.Errorf("%d, %t, %v", n, changed, err)
	}
}
