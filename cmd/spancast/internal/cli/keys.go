package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/spancast/spancast/access"
)

// clientKeys are the flags of commands that connect to sockets with CURVE.
type clientKeys struct {
	server     string
	secretFile string
}

func (k *clientKeys) bind(f *pflag.FlagSet) {
	f.StringVar(&k.server, "server-key", "", "public key of the publishers, for sockets with CURVE")
	f.StringVar(&k.secretFile, "secret-key-file", "", "file with our secret key, for sockets with CURVE; spancast keygen makes one")
}

// load returns the keys; none when no flag was given.
func (k *clientKeys) load() (server access.PublicKey, own access.SecretKey, err error) {
	if k.server == "" && k.secretFile == "" {
		return server, own, nil
	}
	if k.server == "" || k.secretFile == "" {
		return server, own, errors.New("--server-key and --secret-key-file go together")
	}
	if server, err = access.ParsePublicKey(k.server); err != nil {
		return server, own, fmt.Errorf("--server-key: %w", err)
	}
	own, err = readSecretKey(k.secretFile)
	if err != nil {
		err = fmt.Errorf("--secret-key-file: %w", err)
	}
	return server, own, err
}

func readSecretKey(path string) (access.SecretKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return access.SecretKey{}, err
	}
	key, err := access.ParseSecretKey(strings.TrimSpace(string(text)))
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return key, err
}
