package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/subscriber"
	"github.com/spancast/spancast/subscriber/enroll"
)

// clientKeys are the flags of commands that connect to sockets with CURVE.
type clientKeys struct {
	server     string
	secretFile string
	enroll     enrollOptions // but for its key
	to         string        // audience
}

func (k *clientKeys) bind(f *pflag.FlagSet) {
	f.StringVar(&k.server, "server-key", "", "public key of the publishers, for sockets with CURVE")
	f.StringVar(&k.secretFile, "secret-key-file", "", "file with our secret key, for sockets with CURVE; spancast keygen makes one")
	f.StringVar(&k.enroll.url, "enroll", "", "URL of a service to trade an ID token with for a grant, which is renewed; it says where to connect, and a key is made if there is none")
	f.StringVar(&k.enroll.token, "token", "metadata", "where the ID token comes from: metadata (Google Cloud's metadata server), file:PATH or command:COMMAND")
	f.StringVar(&k.enroll.audience, "token-audience", "", "audience to ask the metadata server for")
	f.StringVar(&k.enroll.caFile, "ca-file", "", "PEM file of those who vouch for the service's certificate; those of the system without it")
	f.BoolVar(&k.enroll.insecure, "allow-insecure", false, "send the token in clear to another machine, if the URL says so")
	f.StringVar(&k.to, "audience", "", "audience to subscribe to, if the grant has several")
}

// enrolment is how to enrol; nil when that was not asked for.
func (k *clientKeys) enrolment() (*subscriber.Enrolment, error) {
	if k.enroll.url == "" {
		return nil, nil
	}
	source, err := enroll.ParseSource(k.enroll.token, k.enroll.audience)
	if err != nil {
		return nil, fmt.Errorf("--token: %w", err)
	}
	return &subscriber.Enrolment{URL: k.enroll.url, Token: source, CAFile: k.enroll.caFile, AllowInsecure: k.enroll.insecure, Audience: k.to}, nil
}

// load returns the keys; none when no flag was given.
func (k *clientKeys) load() (server access.PublicKey, own access.SecretKey, err error) {
	if k.server == "" && k.secretFile == "" {
		return server, own, nil
	}
	if k.enroll.url != "" {
		if k.server != "" {
			return server, own, errors.New("--server-key and --enroll: the one makes the other needless")
		}
		if k.secretFile == "" {
			return server, own, nil
		}
	} else if k.server == "" || k.secretFile == "" {
		return server, own, errors.New("--server-key and --secret-key-file go together")
	} else if server, err = access.ParsePublicKey(k.server); err != nil {
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
