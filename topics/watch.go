package topics

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"
)

// A RulesFile is a rules file that may change while the service runs.
type RulesFile struct {
	path   string
	text   []byte
	misses int // looks in a row at which it could not be read
}

// patientLooks is how many looks a file that was there may be gone, being
// replaced, before that is an error: the next start would fail.
const patientLooks = 5

// OpenRules reads a rules file.
func OpenRules(path string) (*RulesFile, []Rule, error) {
	f := &RulesFile{path: path}
	rules, _, err := f.reread()
	return f, rules, err
}

// Watch looks at the file every interval and, when it has changed, calls f with
// the new rules or with what is wrong with them; in that case the old ones are
// to stay in force. The content is compared, not the file's times: files that
// come from a Kubernetes volume change by a link.
func (r *RulesFile) Watch(ctx context.Context, interval time.Duration, f func([]Rule, error)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if rules, changed, err := r.reread(); changed {
				f(rules, err)
			}
		}
	}
}

// reread parses the file if it is not as it was.
func (r *RulesFile) reread() (rules []Rule, changed bool, err error) {
	text, err := os.ReadFile(r.path)
	if err == nil && len(bytes.TrimSpace(text)) == 0 && len(r.text) > 0 {
		err = fmt.Errorf("%s is empty", r.path) // as it is for a moment, while it is written anew
	}
	if err != nil {
		r.misses++
		if r.text == nil || r.misses == patientLooks {
			return nil, true, fmt.Errorf("topic rules: %w", err)
		}
		return nil, false, nil // gone for a moment, while it is replaced
	}
	r.misses = 0
	if r.text != nil && bytes.Equal(text, r.text) {
		return nil, false, nil
	}
	r.text = append([]byte{}, text...)
	if rules, err = ParseRules(text); err != nil {
		err = fmt.Errorf("topic rules in %s: %w", r.path, err)
	}
	return rules, true, err
}
