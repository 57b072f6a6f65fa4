package test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	spannerapi "cloud.google.com/go/spanner"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/message"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/spannerdb"
)

// TestServe_EnrolsByIDToken: with nothing but an ID token and a key of its own,
// a subscriber gets in at a replica, and at another one of the fleet; when its
// row is deleted, it is out.
func TestServe_EnrolsByIDToken(t *testing.T) {
	t.Parallel()
	by := newIssuer(t)
	spanner := embedded(t, emulator.Options{})
	s, dir := newShop(t, spanner.Addr()), t.TempDir()
	serverFile, server := keygen(t, dir, "server")
	annFile, ann := keygen(t, dir, "ann")
	file := write(t, dir, "access.yaml", fmt.Sprintf("enrolment: [{issuer: %q, claims: {email: ann@example.com}, identity: '{email}', audiences: [everyone], topics: [Orders/]}]", by.url))
	var replicas []*harness.Replica
	address := freePort(t)
	for _, http := range []string{address, "none"} {
		replicas = append(replicas, harness.Serve(t, s.with("SPANCAST_HEARTBEAT", "1s", "SPANCAST_HTTP", http, "SPANCAST_CURVE_SECRET_KEY_FILE", serverFile,
			"SPANCAST_ACCESS_FILE", file, "SPANCAST_OIDC_ISSUERS", map[bool]string{true: by.url}[http != "none"], "SPANCAST_OIDC_AUDIENCE", "spancast")))
	}
	token := func(email string) string { return write(t, dir, email, by.token(email)+"\n") }
	args := []string{"enroll", "--url", "http://" + address, "--secret-key-file", annFile, "--token"}
	if status, _, stderr := harness.Run(t, nil, append(args, "file:"+token("eve@example.com"))...); status != 1 || !strings.Contains(stderr, "no rule of the access file fits the token (HTTP 403)") {
		t.Errorf("exit status %d: %s", status, stderr)
	}
	if status, _, stderr := harness.Run(t, nil, append(args, "metadata")...); status != 2 || !strings.Contains(stderr, "--token: ") {
		t.Errorf("exit status %d: %s", status, stderr)
	}
	status, stdout, stderr := harness.Run(t, nil, append(args, "file:"+token("ann@example.com"))...)
	var answer message.EnrollAnswer
	if err := json.Unmarshal([]byte(stdout), &answer); status != 0 || err != nil {
		t.Fatalf("exit status %d, %v: %s%s", status, err, stdout, stderr)
	}
	if answer.Identity != "ann@example.com" || len(answer.Audiences) != 1 || len(answer.Audiences[0].Publish) != 1 ||
		answer.Audiences[0].Publish[0] != (message.EnrollEndpoint{Endpoint: replicas[0].Endpoint, ServerKey: server}) || answer.Topics[0] != "Orders/" {
		t.Errorf("%+v", answer)
	}
	for _, r := range replicas {
		p := harness.Start(t, nil, "tail", "--connect", r.Endpoint, "--server-key", answer.Audiences[0].Publish[0].ServerKey, "--secret-key-file", annFile, "--topic", "Orders/")
		p.Logged("subscribed")
	}
	metadata, err := spannerapi.NewClient(t.Context(), s.Name+"m", spannerdb.Options(spanner.Addr())...)
	if err != nil {
		t.Fatal(err)
	}
	defer metadata.Close()
	if _, err := metadata.Apply(t.Context(), []*spannerapi.Mutation{spannerapi.Delete("SpancastKeys", spannerapi.Key{ann})}); err != nil {
		t.Fatal(err)
	}
	for _, r := range replicas {
		r.Logged(`a grant has ended.*"identity":"ann@example.com"`)
		r.Logged(`connection refused.*"key":"` + regexp.QuoteMeta(ann[:8]))
		r.Stop()
	}
}
