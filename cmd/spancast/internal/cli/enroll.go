package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/subscriber/enroll"
)

func newEnroll() *cobra.Command {
	o := enrollOptions{token: "metadata"}
	cmd := &cobra.Command{
		Use:   "enroll",
		Short: "Trade an ID token for a grant",
		Long: "Sends an ID token and our public key to a service, and prints what it answers as JSON: who we\n" +
			"are to it, until when, where to connect, and the servers' public keys. With --renew it goes on,\n" +
			"and asks again when half of the time is over, until it is ended.",
		Example: "  spancast keygen --out client.key\n" +
			"  spancast enroll --url https://spancast.example.com --secret-key-file client.key --token metadata --token-audience spancast\n" +
			"  spancast enroll --url https://spancast.example.com --secret-key-file client.key --token 'command:gcloud auth print-identity-token'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := o.client()
			if err != nil {
				return misconfigured(err)
			}
			answer, err := client.Enroll(cmd.Context())
			if err != nil {
				return failed(err)
			}
			out := json.NewEncoder(cmd.OutOrStdout())
			out.SetEscapeHTML(false)
			if err := out.Encode(answer); err != nil || !o.renew {
				return failed(err)
			}
			log := loggerTo(os.Stderr, true, slog.LevelInfo)
			client.Keep(cmd.Context(), answer, func(a message.EnrollAnswer, err error) {
				if err == nil {
					err = out.Encode(a)
				}
				if err != nil {
					log.Error("not renewed; trying again", "error", err)
				}
			})
			return nil
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.url, "url", "", "where the service answers HTTP (required)")
	f.StringVar(&o.secretFile, "secret-key-file", "", "file with our secret key, which stays here; spancast keygen makes one (required)")
	f.StringVar(&o.token, "token", o.token, "where the ID token comes from: metadata (Google Cloud's metadata server), file:PATH or command:COMMAND")
	f.StringVar(&o.audience, "token-audience", "", "audience to ask the metadata server for")
	f.StringVar(&o.caFile, "ca-file", "", "PEM file of those who vouch for the service's certificate; those of the system without it")
	f.BoolVar(&o.insecure, "allow-insecure", false, "send the token in clear to another machine, if the URL says so")
	f.BoolVar(&o.renew, "renew", false, "go on, and renew the grant before it expires")
	return cmd
}

type enrollOptions struct {
	url, secretFile, token, audience, caFile string
	renew, insecure                          bool
}

func (o *enrollOptions) client() (*enroll.Client, error) {
	var faults []error
	if o.url == "" {
		faults = append(faults, errors.New("--url is required"))
	}
	var key access.SecretKey
	if o.secretFile == "" {
		faults = append(faults, errors.New("--secret-key-file is required"))
	} else {
		var err error
		if key, err = readSecretKey(o.secretFile); err != nil {
			faults = append(faults, fmt.Errorf("--secret-key-file: %w", err))
		}
	}
	source, err := enroll.ParseSource(o.token, o.audience)
	if err != nil {
		faults = append(faults, fmt.Errorf("--token: %w", err))
	}
	c := &enroll.Client{URL: o.url, Token: source, Key: key.Public().String(), CAFile: o.caFile, AllowInsecure: o.insecure}
	if o.url != "" {
		if err := c.Check(); err != nil {
			faults = append(faults, fmt.Errorf("--url, --ca-file: %w", err))
		}
	}
	return c, errors.Join(faults...)
}
