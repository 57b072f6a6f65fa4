package access

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	keyA = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
	keyB = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
)

const goodPolicy = `
audiences:
  - {name: orders, topics: [Orders/, Invoices/], endpoints: ["tcp://127.0.0.1:5560"], identities: [billing, "team-*"]}
  - {name: all, topics: [""], identities: ["*"]}
identities:
  - {name: billing, keys: ["` + keyA + `"], topics: [Orders/], tables: [Orders, "Invoice*"], expires: 2027-01-01T00:00:00Z}
  - {name: root, keys: ["` + keyB + `"], topics: [""], tables: ["*"]}
publishers: ["bill*"]
enrolment:
  - {issuer: "https://accounts.google.com", claims: {email: "*@example.com", email_verified: true}, identity: "{email}", audiences: [orders], topics: [Orders/], lifetime: 10m}
  - {issuer: "https://ci", claims: {level: 3}, identity: ci}
revoked: {keys: [], identities: [gone]}
`

func TestParsePolicy_ReadsWhatTheDocumentationShows(t *testing.T) {
	p, err := ParsePolicy([]byte(goodPolicy))
	check(t, err)
	if len(p.Audiences) != 2 || p.Audiences[0].Endpoints[0] != "tcp://127.0.0.1:5560" || p.Identities[0].Keys[0].String() != keyA ||
		!p.Identities[0].Expires.Equal(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)) || p.Enrolment[0].Lifetime != 10*time.Minute || p.Enrolment[1].Lifetime != DefaultLifetime {
		t.Errorf("%+v", p)
	}
}

func TestParsePolicy_WithoutAudiencesEveryIdentitySeesEverything(t *testing.T) {
	p, err := ParsePolicy([]byte(`identities: [{name: me, keys: ["` + keyA + `"]}]`))
	check(t, err)
	if len(p.Audiences) != 1 || p.Audiences[0].Name != Everyone || !Covers(p.Audiences[0].Topics, "Any/") {
		t.Errorf("%+v", p.Audiences)
	}
	if _, verdict := NewBook(p, time.Now).Admit(AudienceDomain(Everyone), parseKey(t, keyA)); verdict != Welcome {
		t.Errorf("verdict %d", verdict)
	}
}

func TestParsePolicy_ListsAllFaults(t *testing.T) {
	_, err := ParsePolicy([]byte(`
audiences:
  - {name: a b, topics: [""]}
  - {name: x, topics: [Orders], endpoints: ["tcp://127.0.0.1:1"], identities: ["[", ""]}
  - {name: x, topics: [], endpoints: ["tcp://127.0.0.1:1"]}
  - {name: z, topics: [""]}
identities:
  - {name: "", keys: ["` + keyA + `"]}
  - {name: b, keys: ["` + keyA + `"], topics: [Orders/x], tables: [""]}
  - {name: b}
enrolment:
  - {identity: ""}
  - {issuer: i, claims: {groups: [a]}, identity: x, audiences: [nope], lifetime: 48h}
`))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`audience 1: name "a b"`, `audience x: topic "Orders" does not end in /`, `audience x: "[" is not a name or glob`, `audience x: "" is not a name or glob`,
		`audience x: there are two`, `audience x: has no topics`, `audience z: has no endpoints, nor has audience a b`,
		`identity 1: name "" is empty`, `identity b: key Yne@$w-v… is that of identity`, `identity b: topic "Orders/x"`, `identity b: "" is not`, `identity b: there are two`,
		`rule 1: names no issuer`, `rule 1: asks for no claim`, `rule 1: identity ""`, `rule 2: claim groups`, `rule 2: there is no audience nope`, `rule 2: lifetime 48h`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing: %s", want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
	for _, text := range []string{"identites: []", `identities: [{name: a, keys: [short]}]`, "x", "audiences: {"} {
		if _, err := ParsePolicy([]byte(text)); err == nil {
			t.Errorf("%s was accepted", text)
		}
	}
}

func TestPolicyFile_IsReadWhenItHasChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.yaml")
	if _, _, err := OpenPolicy(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a missing file: %v", err)
	}
	check(t, os.WriteFile(path, []byte(goodPolicy), 0o600))
	f, p, err := OpenPolicy(path)
	check(t, err)
	if len(p.Identities) != 2 {
		t.Errorf("%+v", p)
	}
	if _, changed, err := f.Reread(); changed || err != nil {
		t.Errorf("unchanged: %t, %v", changed, err)
	}
	check(t, os.Remove(path))
	if _, changed, err := f.Reread(); changed || err != nil {
		t.Errorf("gone for a moment: %t, %v", changed, err)
	}
	check(t, os.WriteFile(path, []byte("\n"), 0o600))
	if _, changed, err := f.Reread(); changed || err != nil {
		t.Errorf("empty for a moment: %t, %v", changed, err)
	}
	complaints := 0
	for range 3 * patientLooks {
		if _, _, err := f.Reread(); err != nil && strings.Contains(err.Error(), path) {
			complaints++
		}
	}
	if complaints != 1 {
		t.Errorf("gone for long: %d complaints", complaints)
	}
	check(t, os.WriteFile(path, []byte("audiences: x"), 0o600))
	if _, changed, err := f.Reread(); !changed || err == nil {
		t.Errorf("faulty: %t, %v", changed, err)
	}
	if _, changed, err := f.Reread(); changed || err != nil {
		t.Errorf("faulty, but said already: %t, %v", changed, err)
	}
	check(t, os.WriteFile(path, []byte("identities: [{name: me}]"), 0o600))
	if p, changed, err := f.Reread(); !changed || err != nil || p.Identities[0].Name != "me" {
		t.Errorf("%t, %v", changed, err)
	}
}

func parseKey(t testing.TB, text string) PublicKey {
	t.Helper()
	k, err := ParsePublicKey(text)
	check(t, err)
	return k
}
