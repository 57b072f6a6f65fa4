package enroll

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limits bound how often each of many asks.
type limits struct {
	each  rate.Limit
	burst int

	mu  sync.Mutex
	who map[string]*rate.Limiter
}

// maxRemembered bounds those that are remembered. When there are more, all begin
// anew: the alternative is to let one of many wait for the others.
const maxRemembered = 10_000

func newLimits(each rate.Limit, burst int) *limits {
	return &limits{each: each, burst: burst, who: make(map[string]*rate.Limiter)}
}

// allow tells whether one more is allowed now.
func (l *limits) allow(who string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.who[who]
	if limiter == nil {
		if len(l.who) >= maxRemembered {
			clear(l.who)
		}
		limiter = rate.NewLimiter(l.each, l.burst)
		l.who[who] = limiter
	}
	return limiter.AllowN(now, 1)
}
