package access

import (
	"errors"
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
	if _, err := ParsePolicy([]byte("identities:\n- name: a\n  keys:\n  - " + keyA + "\n  - short\n")); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "line 5: ") {
		t.Errorf("a bad key: %v", err)
	}
}

func parseKey(t testing.TB, text string) PublicKey {
	t.Helper()
	k, err := ParsePublicKey(text)
	check(t, err)
	return k
}
