package service

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/cmd/spancast/internal/version"
	"github.com/spancast/spancast/message"
)

// newReplica names this process: a new name for every start, so that nobody can
// take it for the one before.
func newReplica() changestream.Replica {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "replica"
	}
	return changestream.Replica{ID: fmt.Sprintf("%.40s-%s", host, randomHex(4)), Epoch: randomHex(8)}
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// reachable replaces wildcard addresses by one that others can connect to.
func reachable(bound []string) []string {
	out := make([]string, 0, len(bound))
	for _, endpoint := range bound {
		address, isTCP := strings.CutPrefix(endpoint, "tcp://")
		host, port, err := net.SplitHostPort(address)
		if isTCP && err == nil && (host == "0.0.0.0" || host == "::") {
			endpoint = "tcp://" + net.JoinHostPort(ownAddress(), port)
		}
		out = append(out, endpoint)
	}
	return out
}

// ownAddress is the first address of this machine that is not loopback.
func ownAddress() string {
	addresses, _ := net.InterfaceAddrs()
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	return "127.0.0.1"
}

// hello says who publishes what, and where the fleet is, for an audience.
func (s *Service) hello(audience string) message.HelloBody {
	h := message.HelloBody{
		Format: message.Format, Database: s.info.Database, ChangeStream: s.info.Stream, Dialect: string(s.info.Dialect), BodyFormat: string(s.cfg.Format),
		Replica: s.replica.ID, Epoch: s.replica.Epoch, Server: "spancast " + version.Number,
		Endpoints: []message.Endpoint{{Replica: s.replica.ID, Epoch: s.replica.Epoch, Publish: endpointsOf(audience, s.replica.Endpoints), Recover: s.replica.Recover}},
	}
	h.Ended = s.stream.Ended()
	for _, r := range s.stream.Replicas() {
		if r.ID != s.replica.ID {
			h.Endpoints = append(h.Endpoints, message.Endpoint{Replica: r.ID, Epoch: r.Epoch, Publish: endpointsOf(audience, r.Endpoints), Recover: r.Recover})
		}
	}
	return h
}

// banner tells a person what runs here and how to try it.
func (s *Service) banner() string {
	where := "publishing on " + strings.Join(s.pub.Endpoints(), ", ")
	if len(s.cfg.Connect) > 0 {
		where = strings.TrimPrefix(where+", to "+strings.Join(s.cfg.Connect, ", "), "publishing on , ")
	}
	if len(s.replica.Recover) > 0 {
		where += ", recovery on " + strings.Join(s.recovery.Endpoints(), ", ")
	}
	try := "spancast tail"
	if e := s.pub.Endpoints(); len(e) > 0 {
		try += " --connect " + strings.NewReplacer("//0.0.0.0:", "//127.0.0.1:", "//[::]:", "//[::1]:").Replace(e[0])
	}
	if s.gate != nil { // a public key has nothing that a shell would not leave alone between these
		try += " --server-key '" + s.gate.ServerKeys()[0].Public().String() + "' --secret-key-file CLIENT_KEY"
	}
	return fmt.Sprintf("reading change stream %s of %s, %s; try: %s", s.info.Stream, s.info.Database, where, try)
}
