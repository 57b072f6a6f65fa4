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
		if n := gone(9); n != 0 {
			t.Errorf("gone for a moment: %d complaints", n)
		}
		write("1")
		if _, changed, err := f.Reread(); changed || err != nil {
			t.Errorf("back, and the same: %t, %v", changed, err)
		}
	}
	if n := gone(30); n != 1 {
		t.Errorf("gone for long: %d complaints", n)
	}
	write("1")
	f.Reread()
	for _, text := range []string{"", "\n"} {
		write(text)
		complaints := 0
		for look := range 30 {
			if _, changed, err := f.Reread(); changed != (err != nil) || changed && look < 9 {
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
		f.Reread()
		if _, changed, err := f.Reread(); !changed || err == nil || !strings.HasPrefix(err.Error(), "number in "+path+": ") {
			t.Errorf("faulty: %t, %v", changed, err)
		}
		if _, changed, err := f.Reread(); changed || err != nil {
			t.Errorf("faulty, but said already: %t, %v", changed, err)
		}
	}
	write("2")
	f.Reread()
	if n, changed, err := f.Reread(); n != 2 || !changed || err != nil {
		t.Errorf("%d, %t, %v", n, changed, err)
	}
}

// TestFile_ThatIsBeingWrittenDoesNotCount: what there is of it may make sense, or
// not. It counts when it is the same twice, and one that never is, is complained of.
func TestFile_ThatIsBeingWrittenDoesNotCount(t *testing.T) {
	path := filepath.Join(t.TempDir(), "number")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("100")
	f, _, err := reload.Open(path, "number in", strconv.Atoi)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "2", "2x", "20", "100", "20", "", "20", "200"} {
		write(text)
		if n, changed, err := f.Reread(); changed || err != nil {
			t.Errorf("%q: %d, %t, %v", text, n, changed, err)
		}
	}
	if n, changed, err := f.Reread(); n != 200 || !changed || err != nil {
		t.Errorf("written: %d, %t, %v", n, changed, err)
	}
	complaints := 0
	for i := range 30 {
		write(strconv.Itoa(i))
		if _, changed, err := f.Reread(); changed != (err != nil) || changed && i < 9 {
			t.Errorf("look %d: %t, %v", i, changed, err)
		} else if changed {
			complaints++
		}
	}
	if complaints != 1 {
		t.Errorf("never the same: %d complaints", complaints)
	}
}
