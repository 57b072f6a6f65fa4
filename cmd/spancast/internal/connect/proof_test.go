package connect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"cloud.google.com/go/auth"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/test/wait"
)

// asked are the headers of a Dialer, by name.
func asked(t *testing.T, d changestream.Dialer) (map[string]string, error) {
	t.Helper()
	headers, err := d.Headers(limit(t))
	out := make(map[string]string)
	for _, h := range headers {
		out[h.Name] = h.Value
	}
	return out, err
}

func TestProof_IsATokenAndWhoPays(t *testing.T) {
	signIn(t, "quota_project_id", "payer")
	got, err := asked(t, Dialer(config.Target{}))
	if want := map[string]string{"authorization": "Bearer token-1", "x-goog-user-project": "payer"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	t.Setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "other")
	if got, err := asked(t, Dialer(config.Target{})); err != nil || got["x-goog-user-project"] != "other" {
		t.Errorf("with GOOGLE_CLOUD_QUOTA_PROJECT: %v, %v", got, err)
	}
	signIn(t)
	t.Setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "")
	if got, err := asked(t, Dialer(config.Target{})); err != nil || len(got) != 1 {
		t.Errorf("without a quota project: %v, %v", got, err)
	}
	if Dialer(config.Target{Endpoint: "127.0.0.1:1", PlainText: true}).Headers != nil {
		t.Error("plain text has a proof, which everybody could read")
	}
}

func TestProof_TokensAreUsedUntilTheyExpire(t *testing.T) {
	signIn(t)
	d := Dialer(config.Target{})
	for range 3 {
		if got, err := asked(t, d); err != nil || got["authorization"] != "Bearer token-1" {
			t.Fatalf("%v, %v", got, err)
		}
	}
	signIn(t).last(1)
	d = Dialer(config.Target{})
	wait.Until(t, "there is another token", func() bool {
		got, err := asked(t, d)
		must(t, err)
		return got["authorization"] == "Bearer token-2"
	})
}

// TestProof_ErrorsSayWhatIsWrongAndWhetherToTryAgain: with Unauthenticated reading
// ends, after Unknown it is tried again.
func TestProof_ErrorsSayWhatIsWrongAndWhetherToTryAgain(t *testing.T) {
	const grant = "{\n \"error\": \"invalid_grant\",\n \"error_description\": \"Invalid JWT Signature.\"\n}"
	for name, c := range map[string]struct {
		status int
		body   string
		code   codes.Code
		want   string
	}{
		"refused":         {400, grant, codes.Unauthenticated, `400 Response: { "error": "invalid_grant", "error_description": "Invalid JWT Signature." }`},
		"not allowed":     {403, "no", codes.Unauthenticated, "403 Response: no"},
		"out of order":    {500, "oh", codes.Unknown, "500 Response: oh"},
		"no way there":    {502, "", codes.Unknown, "502"},
		"too busy":        {429, "", codes.Unknown, "429"},
		"a page for it":   {503, strings.Repeat("<html>", 1000), codes.Unknown, "503 Response: <html>"},
		"not even a word": {200, "", codes.Unknown, "cannot fetch token"},
	} {
		t.Run(name, func(t *testing.T) {
			tokens := signIn(t)
			tokens.refuse(c.status, c.body)
			d := Dialer(config.Target{})
			_, err := asked(t, d)
			if status.Code(err) != c.code || !strings.Contains(err.Error(), "credentials: ") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 700 {
				t.Errorf("%v", err)
			}
			tokens.refuse(0, "")
			if _, err := asked(t, d); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		signIn(t).Close()
		if _, err := asked(t, Dialer(config.Target{})); status.Code(err) != codes.Unknown || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%v", err)
		}
	})
	t.Run("no time", func(t *testing.T) {
		signIn(t)
		ctx, cancel := context.WithCancel(limit(t))
		cancel()
		if _, err := Dialer(config.Target{}).Headers(ctx); status.Code(err) != codes.Canceled {
			t.Errorf("%v", err)
		}
	})
	t.Run("another universe", func(t *testing.T) {
		signIn(t)
		t.Setenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "cloud.test")
		if _, err := asked(t, Dialer(config.Target{})); status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "googleapis.com, and GOOGLE_CLOUD_UNIVERSE_DOMAIN says cloud.test") {
			t.Errorf("%v", err)
		}
		signIn(t, "universe_domain", "cloud.test")
		if got, err := asked(t, Dialer(config.Target{})); err != nil || !strings.HasPrefix(got["authorization"], "Bearer ey") {
			t.Errorf("there, a token is signed here: %v, %v", got, err)
		}
	})
	t.Run("no file", func(t *testing.T) {
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", t.TempDir()+"/none.json")
		d := Dialer(config.Target{})
		if _, err := asked(t, d); status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "none.json: no such file") {
			t.Errorf("%v", err)
		}
		signIn(t)
		if _, err := asked(t, d); err != nil {
			t.Errorf("when there is one: %v", err)
		}
	})
}

// Where credentials are searched for without a file, Google's own network, is not for
// tests.
func TestProof_WhoHasNoneIsToldHowToGetThem(t *testing.T) {
	headers := proof(func() (*auth.Credentials, error) {
		return nil, errors.New("credentials: could not find default credentials. See https://example.test")
	})
	_, err := headers(limit(t))
	if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "could not find default credentials") || !strings.Contains(err.Error(), "gcloud auth application-default login") {
		t.Errorf("%v", err)
	}
}

// A token of the metadata server is of the cloud that one is in.
func TestProof_TheMetadataServersUniverseIsNotAsked(t *testing.T) {
	for source, asked := range map[string]bool{"compute-metadata": false, "": true} {
		headers := proof(func() (*auth.Credentials, error) {
			return auth.NewCredentials(&auth.CredentialsOptions{
				TokenProvider: provider{&auth.Token{Value: "t", Metadata: map[string]any{"auth.google.tokenSource": source}}},
				UniverseDomainProvider: auth.CredentialsPropertyFunc(func(context.Context) (string, error) {
					return "", fmt.Errorf("asked")
				}),
			}), nil
		})
		if _, err := headers(limit(t)); (err != nil) != asked {
			t.Errorf("%q: %v", source, err)
		}
	}
}

type provider struct{ token *auth.Token }

func (p provider) Token(context.Context) (*auth.Token, error) { return p.token, nil }
