package test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/wait"
)

// BenchmarkPage_ThousandPartitions measures what the status page costs a replica
// that reads a thousand partitions: the processor time with somebody who listens,
// less that without, in one run. The target is 5 % of a core.
func BenchmarkPage_ThousandPartitions(b *testing.B) {
	server := embedded(b, emulator.Options{Partitions: 1000})
	s := newShop(b, server.Addr())
	replica := harness.Serve(b, s.with("SPANCAST_HEARTBEAT", "2s", "SPANCAST_CHECKPOINT_INTERVAL", "1s", "SPANCAST_CHECKPOINT_LAG", "2s", "SPANCAST_LEASE", "10s",
		"SPANCAST_RESOLVED_INTERVAL", "1s", "SPANCAST_LOG_LEVEL", "info", "SPANCAST_HTTP", "127.0.0.1:0"))
	page := replica.Logged(`status page: (http://[0-9.:]+)`)[1]
	wait.Until(b, "all partitions are read", func() bool { return server.Queries(s.Name, shopStream) == 1000 })
	pause(b, 15*time.Second) // the beginning is over
	measure := func() float64 {
		before, began := cpu(b, replica.Pid()), time.Now()
		for range b.N {
			pause(b, 20*time.Second)
		}
		return 100 * (cpu(b, replica.Pid()) - before).Seconds() / time.Since(began).Seconds()
	}
	without := measure()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events, bytes := 0, 0
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		events, bytes = listen(ctx, page+"/v1/events")
	}()
	with := measure()
	cancel()
	<-heard
	if events < 15*b.N {
		b.Errorf("only %d events", events)
	}
	b.ReportMetric(without, "%core-unseen")
	b.ReportMetric(with-without, "%core-page")
	b.ReportMetric(float64(bytes)/float64(max(events, 1))/1024, "KiB/event")
	b.ReportMetric(0, "ns/op")
	replica.Stop()
}

// listen counts the events of a page, and their bytes, until ctx is done.
func listen(ctx context.Context, url string) (events, bytes int) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, 0
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, 0
	}
	defer answer.Body.Close()
	lines := bufio.NewReaderSize(answer.Body, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return events, bytes
		}
		bytes += len(line)
		if strings.HasPrefix(line, "event: status") {
			events++
		}
	}
}
