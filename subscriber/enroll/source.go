package enroll

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"
)

// A Source has ID tokens. It is asked for every enrolment, because they expire.
type Source func(context.Context) (string, error)

// ParseSource reads a source from text: metadata, file:PATH or command:COMMAND.
// The audience is for the metadata server.
func ParseSource(text, audience string) (Source, error) {
	kind, rest, _ := strings.Cut(text, ":")
	switch {
	case text == "metadata" && audience == "":
		return nil, fmt.Errorf("a token of the metadata server wants an audience")
	case text == "metadata":
		return Metadata(audience), nil
	case kind == "file" && rest != "":
		return File(rest), nil
	case kind == "command" && rest != "":
		return Command(rest), nil
	}
	return nil, fmt.Errorf("%q is not metadata, file:PATH or command:COMMAND", text)
}

// File reads the token from a file, for example one that Kubernetes projects.
func File(path string) Source {
	return func(context.Context) (string, error) {
		text, err := os.ReadFile(path)
		return strings.TrimSpace(string(text)), err
	}
}

// Command runs a shell command that prints the token, for example gcloud auth
// print-identity-token.
func Command(command string) Source {
	return func(ctx context.Context) (string, error) {
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
		cmd.WaitDelay = time.Second // what the shell has started may live on, and hold the pipe
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("the command failed: %w", err)
		}
		return strings.TrimSpace(string(out)), nil
	}
}

// metadataHost is where Google Cloud answers who a machine is. GCE_METADATA_HOST
// names another place.
const metadataHost = "metadata.google.internal"

// maxToken bounds tokens, in bytes.
const maxToken = 8 << 10

// Metadata asks Google Cloud's metadata server for a token of the machine's
// service account, for an audience.
func Metadata(audience string) Source {
	return func(ctx context.Context) (string, error) {
		host := os.Getenv("GCE_METADATA_HOST")
		if host == "" {
			host = metadataHost
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+
			"/computeMetadata/v1/instance/service-accounts/default/identity?format=full&audience="+url.QueryEscape(audience), nil)
		if err != nil {
			return "", err
		}
		r.Header.Set("Metadata-Flavor", "Google")
		resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(r)
		if err != nil {
			return "", fmt.Errorf("metadata server: %w", err)
		}
		defer resp.Body.Close()
		token, err := io.ReadAll(io.LimitReader(resp.Body, maxToken+1))
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("metadata server: HTTP %d", resp.StatusCode)
		}
		return strings.TrimSpace(string(token)), err
	}
}
