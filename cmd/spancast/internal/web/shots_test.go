package web

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/spancast/spancast/test/harness"
)

// TestScreenshots leaves pictures of the page of a demo in the directory that
// SPANCAST_SCREENSHOTS names: make screenshots.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("SPANCAST_SCREENSHOTS")
	if dir == "" {
		t.Skip("SPANCAST_SCREENSHOTS names no directory")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	demo := harness.Start(t, nil, "demo", "--rate", "40", "--partition-life", "5s")
	url := demo.Logged(`(http://127\.0\.0\.1:\d+/)`)[1]
	t.Log(url)
	seen := open(t, url, 1320, 900)
	seen.lost = true
	// Enough has happened when partitions have come and gone for a minute.
	seen.until("samples.length > 60 && partitions.filter(p => p.state === 'FINISHED').length > 12")
	for _, shot := range []struct {
		name, theme   string
		width, height int64
	}{{"page-light", "light", 1320, 900}, {"page-dark", "dark", 1320, 900}, {"page-phone", "light", 390, 844}} {
		p := open(t, url, shot.width, shot.height, theme(shot.theme))
		p.lost = true // the demo ends before the tab does
		p.until("samples.length > 5 && partitions.length > 5 && document.querySelectorAll('#topics tr').length > 3 && topicsAt > 0")
		p.until("[...document.querySelectorAll('#topics td.num:nth-child(2)')].every(c => c.innerText !== '–')")
		picture, err := chromedp.Run(p.Context, chromedp.FullScreenshot(100))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, shot.name+".png"), picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	demo.Stop()
}
