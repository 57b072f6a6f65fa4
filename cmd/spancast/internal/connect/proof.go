package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/httptransport"
	"cloud.google.com/go/spanner"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/changestream"
)

// defaultCredentials are the application default credentials.
func defaultCredentials() (*auth.Credentials, error) {
	return credentials.DetectDefault(&credentials.DetectOptions{Scopes: []string{spanner.Scope}})
}

// proof makes headers of the credentials that detect finds. Its errors are
// changestream.Dialer's: codes.Unauthenticated, which ends the reading, of credentials
// that are missing, wrong or refused; codes.Unknown, after which it is tried again,
// of a token that could not be had this time.
func proof(detect func() (*auth.Credentials, error)) func(context.Context) ([]changestream.Header, error) {
	var mu sync.Mutex
	var known *auth.Credentials
	once := func() (*auth.Credentials, error) {
		mu.Lock()
		defer mu.Unlock()
		if known != nil {
			return known, nil
		}
		found, err := detect()
		if err != nil {
			return nil, status.Errorf(codes.Unauthenticated, "credentials: %v", hinted(err))
		}
		known = found
		return known, nil
	}
	return func(ctx context.Context) ([]changestream.Header, error) {
		c, err := once()
		if err != nil {
			return nil, err
		}
		token, err := c.Token(ctx)
		if err != nil {
			return nil, tokenError(ctx, err)
		}
		if err := inUniverse(ctx, c, token); err != nil {
			return nil, err
		}
		project, err := c.QuotaProjectID(ctx)
		if err != nil {
			return nil, tokenError(ctx, err)
		}
		return headers(token, project), nil
	}
}

// headers are the token's and the quota project's, if there is one.
func headers(token *auth.Token, project string) []changestream.Header {
	r := &http.Request{Header: http.Header{}}
	httptransport.SetAuthHeader(token, r)
	if project != "" {
		r.Header.Set("X-Goog-User-Project", project)
	}
	var out []changestream.Header
	for name, values := range r.Header {
		for _, v := range values {
			out = append(out, changestream.Header{Name: strings.ToLower(name), Value: v})
		}
	}
	return out
}

// hinted adds the way out to the error of who has no credentials.
func hinted(err error) error {
	if strings.Contains(err.Error(), "could not find default credentials") {
		return fmt.Errorf("%w; gcloud auth application-default login makes some; an emulator, which SPANNER_EMULATOR_HOST names, needs none", err)
	}
	return err
}

// tokenError is why there is no token, in one line.
func tokenError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	code := codes.Unknown
	if refused(err) {
		code = codes.Unauthenticated
	}
	return status.Errorf(code, "credentials: %.500s", strings.Join(strings.Fields(err.Error()), " "))
}

// refused tells whether the token server will say the same again.
func refused(err error) bool {
	var answer *auth.Error
	return errors.As(err, &answer) && answer.Response != nil && answer.Response.StatusCode/100 == 4 && !answer.Temporary()
}

// inUniverse keeps a token from a cloud that it is not of. Who gets it from the
// metadata server is in that cloud, and is not asked, as with the clients.
func inUniverse(ctx context.Context, c *auth.Credentials, token *auth.Token) error {
	if token.MetadataString("auth.google.tokenSource") == "compute-metadata" {
		return nil
	}
	of, err := c.UniverseDomain(ctx)
	if err != nil {
		return tokenError(ctx, err)
	}
	if here := cmp.Or(os.Getenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN"), "googleapis.com"); here != of {
		return status.Errorf(codes.Unauthenticated, "credentials: they are of the universe domain %s, and GOOGLE_CLOUD_UNIVERSE_DOMAIN says %s", of, here)
	}
	return nil
}
