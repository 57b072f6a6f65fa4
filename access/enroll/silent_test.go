package enroll

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// TestEnroll_AnIssuerThatDoesNotAnswerHoldsUpNobodyElse: whose token it is anybody
// can write, before it is looked at.
func TestEnroll_AnIssuerThatDoesNotAnswerHoldsUpNobodyElse(t *testing.T) {
	var once sync.Once
	asked, release := make(chan struct{}), make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		once.Do(func() { close(asked) })
		<-release
	}))
	t.Cleanup(silent.Close)
	s := newService(t, func(o *Options) { o.Issuers, o.Client = append(o.Issuers, silent.URL), http.DefaultClient })
	forged := segment(map[string]string{"alg": "RS256"}) + "." + segment(map[string]string{"iss": silent.URL}) + ".AA"
	refused := make(chan error, 2)
	for range cap(refused) {
		go func() {
			_, err := s.enroll(t, forged, newKey(t))
			refused <- err
		}()
	}
	<-asked
	_, err := s.enroll(t, s.sign(t, "one", nil), newKey(t))
	check(t, err)
	close(release)
	for range cap(refused) {
		if err := <-refused; err == nil {
			t.Error("a token of nobody is good")
		}
	}
}
