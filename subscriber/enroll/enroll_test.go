package enroll

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/message"
)

const patience = 60 * time.Second

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func constant(token string) Source {
	return func(context.Context) (string, error) { return token, nil }
}

func TestKeep_RenewsBeforeTheEnd(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer good" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		json.NewEncoder(w).Encode(message.EnrollAnswer{Identity: "me", Expires: time.Now().Add(time.Hour)})
	}))
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	asked, failures, renewed := 0, 0, false
	c := &Client{URL: s.URL, retry: time.Millisecond, Token: func(context.Context) (string, error) {
		if asked++; asked == 1 {
			return "bad", nil // refused, and tried again
		}
		return "good", nil
	}}
	c.Keep(ctx, message.EnrollAnswer{Expires: time.Now()}, func(a message.EnrollAnswer, err error) {
		if err != nil {
			failures++
			return
		}
		renewed = a.Identity == "me" && time.Until(a.Expires) > time.Minute
		cancel()
	})
	if failures != 1 || !renewed {
		t.Errorf("%d failures, renewed: %t", failures, renewed)
	}
}

// TestClient_SendsTheTokenToTheServiceAlone: not in clear over a network, not to
// somebody whose certificate nobody vouches for, and not where a redirect says.
func TestClient_SendsTheTokenToTheServiceAlone(t *testing.T) {
	leaked := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer leaked.Close()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer astray" {
			http.Redirect(w, r, leaked.URL, http.StatusTemporaryRedirect)
			return
		}
		json.NewEncoder(w).Encode(message.EnrollAnswer{Identity: "me"})
	}))
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	check(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	a, err := (&Client{URL: s.URL, CAFile: ca, Token: constant("good")}).Enroll(t.Context())
	if err != nil || a.Identity != "me" {
		t.Errorf("%+v, %v", a, err)
	}
	never := func(context.Context) (string, error) { t.Error("a token was asked for"); return "", nil }
	for url, token := range map[string]Source{"http://spancast.example.com": never, "http://10.0.0.1:8080": never, "ftp://127.0.0.1": never, "spancast": never, s.URL: constant("good")} {
		if a, err := (&Client{URL: url, Token: token}).Enroll(t.Context()); err == nil {
			t.Errorf("%s: %+v", url, a)
		}
	}
	if err := (&Client{URL: "http://10.0.0.1"}).Check(); !errors.Is(err, ErrInsecure) {
		t.Error(err)
	}
	if err := (&Client{URL: "http://10.0.0.1", AllowInsecure: true}).Check(); err != nil {
		t.Error(err)
	}
	if err := (&Client{URL: s.URL, CAFile: "/no/such/file"}).Check(); err == nil {
		t.Error("a file of authorities that is not there")
	}
	var refused *Refused
	if _, err := (&Client{URL: s.URL, CAFile: ca, Token: constant("astray")}).Enroll(t.Context()); !errors.As(err, &refused) || refused.Status != http.StatusTemporaryRedirect {
		t.Errorf("a redirect: %v", err)
	}
}

func TestSources(t *testing.T) {
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata-Flavor") != "Google" || r.URL.Path != "/computeMetadata/v1/instance/service-accounts/default/identity" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		fmt.Fprint(w, "token for "+r.URL.Query().Get("audience"))
	}))
	defer metadata.Close()
	t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(metadata.URL, "http://"))
	path := filepath.Join(t.TempDir(), "token")
	check(t, os.WriteFile(path, []byte("from a file\n"), 0o600))
	for text, want := range map[string]string{"metadata": "token for a&b", "file:" + path: "from a file", "command:echo from a command": "from a command"} {
		source, err := ParseSource(text, "a&b")
		check(t, err)
		if token, err := source(t.Context()); err != nil || token != want {
			t.Errorf("%s: %q, %v", text, token, err)
		}
	}
	for _, text := range []string{"file:/no/such/file", "command:exit 3"} {
		source, err := ParseSource(text, "")
		check(t, err)
		if token, err := source(t.Context()); err == nil {
			t.Errorf("%s: %q", text, token)
		}
	}
	for _, text := range []string{"", "metadata", "file:", "command:", "env:X"} {
		if _, err := ParseSource(text, ""); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}
