package enroll

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spancast/spancast/access"
)

// A Client asks for a grant.
type Client struct {
	URL   string // of the service, for example https://spancast.example.com
	Token Source
	Key   access.PublicKey
	HTTP  *http.Client // nil: one with a timeout

	retry time.Duration // instead of retryEvery, if set
}

// A Refused error is an answer that is not 200.
type Refused struct {
	Status int
	Reason string
}

// Error says what the service said.
func (r *Refused) Error() string {
	return fmt.Sprintf("enrolment refused: %s (HTTP %d)", r.Reason, r.Status)
}

// Enroll asks once.
func (c *Client) Enroll(ctx context.Context) (Answer, error) {
	var a Answer
	token, err := c.Token(ctx)
	if err != nil {
		return a, fmt.Errorf("ID token: %w", err)
	}
	body, err := json.Marshal(Request{PublicKey: c.Key.String()})
	if err != nil {
		return a, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(c.URL, "/")+"/v1/enroll", bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	client := c.HTTP
	if client == nil {
		client = &http.Client{Timeout: 30 * time.Second}
	}
	resp, err := client.Do(r)
	if err != nil {
		return a, fmt.Errorf("enroll: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return a, fmt.Errorf("enroll: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var f failure
		if json.Unmarshal(text, &f) != nil || f.Error == "" {
			f.Error = "no reason given"
		}
		return a, &Refused{resp.StatusCode, f.Error}
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, fmt.Errorf("enroll: the answer is not one: %w", err)
	}
	return a, nil
}

// retryEvery is how long a renewal that failed waits for its next attempt.
const retryEvery = 10 * time.Second

// Keep renews a grant when half of its life is over, and calls f with every new
// one or with what went wrong, until ctx is done.
func (c *Client) Keep(ctx context.Context, last Answer, f func(Answer, error)) {
	retry := retryEvery
	if c.retry > 0 {
		retry = c.retry
	}
	wait := time.Until(last.Expires) / 2
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(wait, min(retry, time.Second))):
		}
		a, err := c.Enroll(ctx)
		if ctx.Err() != nil {
			return
		}
		f(a, err)
		if wait = retry; err == nil {
			wait = time.Until(a.Expires) / 2
		}
	}
}
