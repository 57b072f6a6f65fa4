package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	zmq "github.com/pebbe/zmq4"
	"pgregory.net/rapid"
)

func TestPublicKey_IsWrittenAsLibzmqDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")
		k := PublicKey(raw)
		if want := zmq.Z85encode(string(raw)); k.String() != want {
			t.Fatalf("%s, libzmq writes %s", k, want)
		}
		back, err := ParsePublicKey(k.String())
		if err != nil || back != k {
			t.Fatalf("%s comes back as %s, %v", k, back, err)
		}
	})
}

func TestParse_RefusesWhatIsNoKey(t *testing.T) {
	good := strings.Repeat("0", KeyText)
	for _, text := range []string{"", "0", good[1:], good + "0", good[:39] + "~", good[:39] + "ä", "#####" + good[5:], " " + good[1:]} {
		if _, err := ParsePublicKey(text); !errors.Is(err, ErrKey) {
			t.Errorf("public %q: %v", text, err)
		}
		if _, err := ParseSecretKey(text); !errors.Is(err, ErrKey) || len(text) > 1 && strings.Contains(err.Error(), text) {
			t.Errorf("secret %q: %v", text, err)
		}
	}
}

func TestNewKey_IsAPairThatLibzmqAccepts(t *testing.T) {
	k := newKey(t)
	public, err := zmq.AuthCurvePublic(k.Reveal())
	if err != nil || public != k.Public().String() {
		t.Errorf("public key %s, libzmq says %s, %v", k.Public(), public, err)
	}
	if other := newKey(t); other == k {
		t.Error("two keys are the same")
	}
}

func TestSecretKey_IsNeverPrinted(t *testing.T) {
	k := newKey(t)
	text, _ := json.Marshal(map[string]any{"k": k, "p": &k})
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "k", k, "in", struct{ K SecretKey }{k})
	for _, out := range []string{fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %s %q %x %d", k, k, k, k, k, k, k), fmt.Sprintf("%+v", struct{ K *SecretKey }{&k}), string(text), logged.String()} {
		if strings.Contains(out, k.Reveal()) || strings.Contains(out, fmt.Sprintf("%x", k.Reveal())) {
			t.Errorf("the secret is in %s", out)
		}
	}
}

func TestParseServerKeys_OneOrTwo(t *testing.T) {
	a, b := newKey(t), newKey(t)
	for text, want := range map[string]int{a.Reveal(): 1, a.Reveal() + "\n": 1, a.Reveal() + "\n" + b.Reveal() + "\n": 2, a.Reveal() + " " + a.Reveal(): 2} {
		keys, err := ParseServerKeys(text)
		if err != nil || len(keys) != want || keys[0] != a {
			t.Errorf("%d keys, %v", len(keys), err)
		}
	}
	for _, text := range []string{"", "\n", "nonsense", a.Reveal() + " x", strings.Repeat(a.Reveal()+" ", 3)} {
		if _, err := ParseServerKeys(text); err == nil || strings.Contains(err.Error(), a.Reveal()) {
			t.Errorf("%v", err)
		}
	}
}

func newKey(t testing.TB) SecretKey {
	t.Helper()
	k, err := NewKey()
	check(t, err)
	return k
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
