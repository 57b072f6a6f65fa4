package web

import (
	"fmt"
	"slices"
	"testing"
)

// paint opens the page, and returns when something was first to be seen, in
// milliseconds after it was asked for, and how many bytes came for it.
func paint(t testing.TB, url string) (first, bytes float64) {
	t.Helper()
	p := open(t, url, 1280, 900)
	p.shows("ready", "ready")
	p.until("performance.getEntriesByName('first-contentful-paint').length > 0")
	first = eval[float64](p, "performance.getEntriesByName('first-contentful-paint')[0].startTime")
	bytes = eval[float64](p, "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource').filter(r => r.initiatorType !== 'eventsource' && !r.name.includes('/v1/'))].reduce((n, r) => n + r.transferSize, 0)")
	p.shut()
	return first, bytes
}

// TestPage_WeighsLittle: all that a browser fetches for the page, headers too, is
// less than 100 KB.
func TestPage_WeighsLittle(t *testing.T) {
	if _, bytes := paint(t, serveStatus(t, family(12))); bytes < 10_000 || bytes > 100_000 {
		t.Errorf("%.0f bytes were fetched", bytes)
	}
}

// BenchmarkPaint is the time until something is to be seen, of fleets with few
// partitions and with a thousand, in tabs opened one after the other. The target
// is 300 ms.
func BenchmarkPaint(b *testing.B) {
	for _, partitions := range []int{12, 1000} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			url := serveStatus(b, family(partitions))
			paint(b, url) // the browser has started
			var all []float64
			size := 0.0
			for b.Loop() {
				first, bytes := paint(b, url)
				all, size = append(all, first), bytes
			}
			slices.Sort(all)
			b.ReportMetric(all[len(all)/2], "ms-median")
			b.ReportMetric(all[len(all)-1], "ms-worst")
			b.ReportMetric(size/1000, "KB")
			b.ReportMetric(0, "ns/op")
		})
	}
}
