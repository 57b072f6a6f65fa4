package access

import (
	"fmt"
	"strings"

	"github.com/spancast/spancast/internal/reload"
)

// A KeyFile has the server's secret keys, and may change.
type KeyFile = reload.File[[]SecretKey]

// A PublicKeyFile has the public keys of servers, and may change.
type PublicKeyFile = reload.File[[]PublicKey]

// OpenKeyFile reads a file of server keys.
func OpenKeyFile(path string) (*KeyFile, []SecretKey, error) {
	return reload.Open(path, "server keys in", ParseServerKeys)
}

// OpenPublicKeyFile reads a file of public keys.
func OpenPublicKeyFile(path string) (*PublicKeyFile, []PublicKey, error) {
	return reload.Open(path, "public keys in", ParsePublicKeys)
}

// ParseServerKeys reads the server's secret keys: one, or two while one is
// replaced by the other, with white space between.
func ParseServerKeys(text string) ([]SecretKey, error) { return parseKeys(text, ParseSecretKey) }

// ParsePublicKeys reads the public keys of servers: one, or two while one is
// replaced by the other, with white space between.
func ParsePublicKeys(text string) ([]PublicKey, error) { return parseKeys(text, ParsePublicKey) }

// maxServerKeys is the number of server keys that can be in use at once.
const maxServerKeys = 2

func parseKeys[K any](text string, parse func(string) (K, error)) ([]K, error) {
	var keys []K
	for _, field := range strings.Fields(text) {
		k, err := parse(field)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if n := len(keys); n == 0 || n > maxServerKeys {
		return keys, fmt.Errorf("%d keys; there is one, or there are two while one is replaced", n)
	}
	return keys, nil
}
