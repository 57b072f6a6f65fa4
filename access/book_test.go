package access

import (
	"testing"
	"time"
)

func mustPolicy(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := ParsePolicy([]byte(text))
	check(t, err)
	return p
}

func TestBook_Admits(t *testing.T) {
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	b := NewBook(mustPolicy(t, goodPolicy), func() time.Time { return now })
	billing, root := parseKey(t, keyA), parseKey(t, keyB)
	enrolled, gone, late := newKey(t).Public(), newKey(t).Public(), newKey(t).Public()
	b.SetEnrolled([]Grant{
		{Key: enrolled, Identity: "ann", Audiences: []string{"orders"}, Expires: now.Add(time.Hour)},
		{Key: gone, Identity: "gone", Audiences: []string{"orders"}, Expires: now.Add(time.Hour)},
		{Key: late, Identity: "late", Audiences: []string{"orders"}, Topics: []string{""}, Expires: now},
		{Key: billing, Identity: "impostor", Audiences: []string{"all"}, Topics: []string{""}, Expires: now.Add(time.Hour)},
	})
	for _, c := range []struct {
		what   string
		domain Domain
		key    PublicKey
		want   Verdict
	}{
		{"member by name", "audience/orders", billing, Welcome},
		{"member by glob", "audience/all", billing, Welcome},
		{"no member", "audience/orders", root, Unknown},
		{"of everything", "audience/all", root, Welcome},
		{"has topics to ask for", Recovery, billing, Welcome},
		{"has nothing to ask for", Recovery, enrolled, Unknown},
		{"enrolled", "audience/orders", enrolled, Welcome},
		{"enrolled for another; globs are for identities of the file", "audience/all", enrolled, Unknown},
		{"enrolled, but revoked by name", "audience/orders", gone, Never},
		{"expired", "audience/orders", late, Unknown},
		{"may publish", Publishers, billing, Welcome},
		{"may not publish", Publishers, root, Unknown},
		{"may not publish, for it was enrolled", Publishers, enrolled, Unknown},
		{"unknown key", "audience/all", newKey(t).Public(), Unknown},
		{"unknown domain", "audience/nope", root, Unknown},
		{"no domain", "", root, Unknown},
	} {
		if g, got := b.Admit(c.domain, c.key); got != c.want || got == Welcome && g == nil {
			t.Errorf("%s: verdict %d, want %d", c.what, got, c.want)
		}
	}
	if g, _ := b.Admit("audience/orders", billing); g.Identity != "billing" {
		t.Errorf("what was enrolled outweighs the file: %+v", g)
	}
	p := *b.Policy()
	p.Revoked.Keys = []PublicKey{billing}
	b.SetPolicy(&p)
	if _, got := b.Admit("audience/orders", billing); got != Never {
		t.Errorf("a revoked key: verdict %d", got)
	}
}

func TestBook_Rights(t *testing.T) {
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	b := NewBook(mustPolicy(t, goodPolicy), func() time.Time { return now })
	b.SetEnrolled([]Grant{
		{Key: newKey(t).Public(), Identity: "ann", Tables: []string{"A"}, Expires: now.Add(time.Hour)},
		{Key: newKey(t).Public(), Identity: "ann", Topics: []string{"B/"}, Expires: now.Add(time.Hour)},
		{Key: newKey(t).Public(), Identity: "ann", Topics: []string{""}, Tables: []string{"*"}, Expires: now},
	})
	for _, c := range []struct {
		who, topic string
		want       bool
	}{
		{"billing", "Orders/", true}, {"billing", "Orders/UPDATE/", true}, {"billing", "", false}, {"billing", "OrdersArchive/", false}, {"billing", "Users/", false},
		{"root", "", true}, {"root", "Users/", true}, {"ann", "B/x/", true}, {"ann", "C/", false}, {"nobody", "Orders/", false}, {"", "", false},
	} {
		if got := b.Rights(c.who).Topic(c.topic); got != c.want {
			t.Errorf("%s may have topic %q: %t", c.who, c.topic, got)
		}
	}
	for _, c := range []struct {
		who, table string
		want       bool
	}{
		{"billing", "Orders", true}, {"billing", "InvoiceLines", true}, {"billing", "Users", false}, {"billing", "", false},
		{"root", "sales.Orders", true}, {"root", "", true}, {"ann", "A", true}, {"ann", "B", false}, {"nobody", "A", false},
	} {
		if got := b.Rights(c.who).Table(c.table); got != c.want {
			t.Errorf("%s may have table %q: %t", c.who, c.table, got)
		}
	}
	now = time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC)
	if b.Rights("billing").Topic("Orders/") {
		t.Error("rights outlive their grant")
	}
}
