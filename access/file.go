package access

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
)

// A file is one that may change while the service runs. The content is compared,
// not the file's times: files that come from a Kubernetes volume change by a
// link.
type file struct {
	path   string
	text   []byte
	misses int // looks in a row at which it could not be read
}

// patientLooks is how many looks a file that was there may be gone, being
// replaced, before that is an error: the next start would fail.
const patientLooks = 5

// read returns the content if it is not as it was. A file that was there and is
// gone, or empty, has not changed: it is being replaced, or written anew. If that
// takes long it is an error, once.
func (f *file) read() (text []byte, changed bool, err error) {
	text, err = os.ReadFile(f.path)
	if err == nil && len(bytes.TrimSpace(text)) == 0 && len(f.text) > 0 {
		err = errors.New("the file is empty")
	}
	if err != nil {
		f.misses++
		if f.text == nil || f.misses == patientLooks {
			return nil, false, err
		}
		return nil, false, nil
	}
	f.misses = 0
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
	return keys, countKeys(len(keys))
}

func countKeys(n int) error {
	if n == 0 || n > maxServerKeys {
		return fmt.Errorf("%d keys; there is one, or there are two while one is replaced", n)
	}
	return nil
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
func (f *KeyFile) Reread() ([]SecretKey, bool, error) {
	return reread(&f.file, "server keys in", ParseServerKeys)
}

// ParsePublicKeys reads the public keys of servers: one, or two while one is
// replaced by the other, with white space between.
func ParsePublicKeys(text string) ([]PublicKey, error) {
	var keys []PublicKey
	for _, field := range strings.Fields(text) {
		k, err := ParsePublicKey(field)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, countKeys(len(keys))
}

// A PublicKeyFile has the public keys of servers, and may change.
type PublicKeyFile struct{ file }

// OpenPublicKeyFile reads a file of public keys.
func OpenPublicKeyFile(path string) (*PublicKeyFile, []PublicKey, error) {
	f := &PublicKeyFile{file{path: path}}
	keys, _, err := f.Reread()
	return f, keys, err
}

// Reread returns the keys if the file has changed.
func (f *PublicKeyFile) Reread() ([]PublicKey, bool, error) {
	return reread(&f.file, "public keys in", ParsePublicKeys)
}

// reread reads what a file has if it has changed.
func reread[T any](f *file, what string, parse func(string) (T, error)) (v T, changed bool, err error) {
	text, changed, err := f.read()
	if err == nil && !changed {
		return v, false, nil
	}
	if err == nil {
		v, err = parse(string(text))
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", what, f.path, err)
	}
	return v, true, err
}
