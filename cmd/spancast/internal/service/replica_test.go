package service

import (
	"strings"
	"testing"
)

func TestReachable_ReplacesWildcardsOnly(t *testing.T) {
	got := reachable([]string{"tcp://127.0.0.1:5556", "tcp://0.0.0.0:5557", "tcp://[::]:5558", "ipc:///run/x"})
	if got[0] != "tcp://127.0.0.1:5556" || got[3] != "ipc:///run/x" {
		t.Errorf("%q", got)
	}
	for i, port := range map[int]string{1: ":5557", 2: ":5558"} {
		if strings.Contains(got[i], "0.0.0.0") || strings.Contains(got[i], "[::]") || !strings.HasSuffix(got[i], port) {
			t.Errorf("%q", got[i])
		}
	}
}

func TestNewReplica_IsNewEveryTime(t *testing.T) {
	a, b := newReplica(), newReplica()
	if a.ID == b.ID || a.Epoch == b.Epoch || len(a.Epoch) != 16 || len(a.ID) > 64 {
		t.Errorf("%+v, %+v", a, b)
	}
}

func TestWithHost_TakesTheAdvertisedHostAndTheOwnPort(t *testing.T) {
	bound := []string{"tcp://10.0.0.7:5557", "ipc:///run/x"}
	if got := withHost(bound, nil); got[0] != bound[0] {
		t.Errorf("%q", got)
	}
	if got := withHost(bound, []string{"ipc:///run/y", "tcp://cast.example:443", "tcp://other:1"}); got[0] != "tcp://cast.example:5557" || got[1] != bound[1] {
		t.Errorf("%q", got)
	}
}
