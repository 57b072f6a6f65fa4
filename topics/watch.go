package topics

import (
	"context"
	"time"

	"github.com/spancast/spancast/internal/reload"
)

// A RulesFile is a rules file that may change while the service runs.
type RulesFile struct{ *reload.File[[]Rule] }

// OpenRules reads a rules file.
func OpenRules(path string) (*RulesFile, []Rule, error) {
	f, rules, err := reload.Open(path, "topic rules in", func(text string) ([]Rule, error) { return ParseRules([]byte(text)) })
	return &RulesFile{f}, rules, err
}

// Watch looks at the file and, within an interval after it has changed, calls f
// with the new rules or with what is wrong with them; in that case the old ones
// are to stay in force.
func (r *RulesFile) Watch(ctx context.Context, interval time.Duration, f func([]Rule, error)) {
	tick := time.NewTicker(interval / 2) // it counts when it is the same at two looks
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if rules, changed, err := r.Reread(); changed {
				f(rules, err)
			}
		}
	}
}
