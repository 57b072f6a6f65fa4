package web

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

// paint opens a page, waits for an expression, and returns when something was first
// to be seen, in milliseconds after it was asked for, and how many bytes came for it.
func paint(t testing.TB, url, until string) (first, bytes float64) {
	t.Helper()
	p := open(t, url, 1280, 900)
	p.until(until)
	p.until("performance.getEntriesByName('first-contentful-paint').length > 0")
	first = eval[float64](p, "performance.getEntriesByName('first-contentful-paint')[0].startTime")
	bytes = eval[float64](p, "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource').filter(r => r.initiatorType !== 'eventsource' && !r.name.includes('/v1/'))].reduce((n, r) => n + r.transferSize, 0)")
	p.shut()
	return first, bytes
}

// alive holds when the page shows how things stand.
const alive = "document.getElementById('ready').innerText === 'ready'"

// TestPage_WeighsLittle: all that a browser fetches for the page, headers too, is
// less than 100 KB.
func TestPage_WeighsLittle(t *testing.T) {
	if _, bytes := paint(t, serveStatus(t, family(12)), alive); bytes < 10_000 || bytes > 100_000 {
		t.Errorf("%.0f bytes were fetched", bytes)
	}
}

// BenchmarkPaint is the time until something is to be seen, of fleets with few
// partitions and with a thousand, in tabs opened one after the other, and in turn
// with them that of a page with one word, which says how quick browser and machine
// are at the moment. The target is 300 ms.
func BenchmarkPaint(b *testing.B) {
	word := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, `<!doctype html><link rel="icon" href="data:,"><p>word</p>`)
	}))
	b.Cleanup(word.Close)
	for _, partitions := range []int{12, 1000} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			url := serveStatus(b, family(partitions))
			paint(b, url, alive) // the browser has started
			var page, least []float64
			size := 0.0
			for b.Loop() {
				first, bytes := paint(b, url, alive)
				page, size = append(page, first), bytes
				first, _ = paint(b, word.URL, "true")
				least = append(least, first)
			}
			slices.Sort(page)
			slices.Sort(least)
			b.ReportMetric(page[len(page)/2], "ms-median")
			b.ReportMetric(page[0], "ms-best")
			b.ReportMetric(least[len(least)/2], "ms-median-of-one-word")
			b.ReportMetric(size/1000, "KB")
			b.ReportMetric(0, "ns/op")
		})
	}
}
