package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/spancast/spancast/access"
)

func newKeygen() *cobra.Command {
	var out, public string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Make a CURVE key",
		Long: "Makes a CURVE key, for a server or a client. With --out the secret key is written to a new\n" +
			"file that only its owner can read, and the public key is printed; without, both are printed.\n" +
			"With --public the public key of a secret key that there is already is printed.",
		Example: "  spancast keygen --out server.key\n  spancast keygen --public server.key",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out != "" && public != "" {
				return errors.New("--out and --public do not go together")
			}
			if public != "" {
				key, err := readSecretKey(public)
				if err != nil {
					return misconfigured(err)
				}
				return printKey(cmd.OutOrStdout(), key, false, asJSON)
			}
			key, err := access.NewKey()
			if err != nil {
				return failed(err)
			}
			if out != "" {
				if err := writeSecretKey(out, key); err != nil {
					return failed(err)
				}
			}
			return printKey(cmd.OutOrStdout(), key, out == "", asJSON)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "new file for the secret key")
	cmd.Flags().StringVar(&public, "public", "", "file with a secret key, to print its public key")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// writeSecretKey writes a key to a file that is not there yet: a key that is
// overwritten is lost.
func writeSecretKey(path string, key access.SecretKey) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("--out: %w, and is not overwritten: its key would be lost; name another file", err)
	}
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	_, err = f.WriteString(key.Reveal() + "\n")
	return errors.Join(err, f.Close())
}

func printKey(w io.Writer, key access.SecretKey, withSecret, asJSON bool) error {
	if asJSON {
		line := map[string]string{"public": key.Public().String()}
		if withSecret {
			line["secret"] = key.Reveal()
		}
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false) // keys have < and >, and are copied
		return failed(e.Encode(line))
	}
	if !withSecret {
		_, err := fmt.Fprintln(w, key.Public())
		return failed(err)
	}
	_, err := fmt.Fprintf(w, "public %s\nsecret %s\n", key.Public(), key.Reveal())
	return failed(err)
}
