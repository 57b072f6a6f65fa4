package access

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// A file is one that may change while the service runs. The content is compared,
// not the file's times: files that come from a Kubernetes volume change by a
// link.
type file struct {
	path string
	text []byte
}

// read returns the content if it is not as it was. A file that was there and is
// gone has not changed: it is being replaced.
func (f *file) read() (text []byte, changed bool, err error) {
	text, err = os.ReadFile(f.path)
	if err != nil {
		if f.text == nil {
			return nil, false, err
		}
		return nil, false, nil
	}
	if f.text != nil && bytes.Equal(text, f.text) {
		return nil, false, nil
	}
	f.text = append([]byte{}, text...)
	return text, true, nil
}

// ParseServerKeys reads the server's secret keys: one, or two while one is
// replaced by the other, with white space between.
func ParseServerKeys(text string) ([]SecretKey, error) {
	var keys []SecretKey
	for _, field := range strings.Fields(text) {
		k, err := ParseSecretKey(field)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 || len(keys) > maxServerKeys {
		return nil, fmt.Errorf("%d keys; there is one, or there are two while one is replaced", len(keys))
	}
	return keys, nil
}

// maxServerKeys is the number of server keys that can be in use at once.
const maxServerKeys = 2

// A KeyFile has the server's secret keys, and may change.
type KeyFile struct{ file }

// OpenKeyFile reads a file of server keys.
func OpenKeyFile(path string) (*KeyFile, []SecretKey, error) {
	f := &KeyFile{file{path: path}}
	keys, _, err := f.Reread()
	return f, keys, err
}

// Reread returns the keys if the file has changed.
func (f *KeyFile) Reread() (keys []SecretKey, changed bool, err error) {
	text, changed, err := f.read()
	if err == nil && !changed {
		return nil, false, nil
	}
	if err == nil {
		keys, err = ParseServerKeys(string(text))
	}
	if err != nil {
		err = fmt.Errorf("server keys in %s: %w", f.path, err)
	}
	return keys, true, err
}
