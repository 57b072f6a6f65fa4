package test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/access"
	"github.com/spancast/spancast/emulator"
	"github.com/spancast/spancast/test/harness"
	"github.com/spancast/spancast/test/wait"
)

// The attacks on the sockets that were measured to hurt libzmq as it comes
// out of the box. SPANCAST_TEST_ATTACK makes them that many times larger; the
// suite runs the short form.
var attackScale = func() int {
	n, err := strconv.Atoi(os.Getenv("SPANCAST_TEST_ATTACK"))
	return max(1, errTo(n, err))
}()

func errTo(n int, err error) int {
	if err != nil {
		return 0
	}
	return n
}

// mostMemory is how much resident memory an attack may add.
const mostMemory = 64 << 20

// A fortress is a replica with CURVE, and an honest subscriber of it.
type fortress struct {
	*shop
	replica *harness.Replica
	targets []string // host:port of the PUB socket, and of the recovery endpoint
	dialed  int
	server  access.PublicKey
	mallory access.SecretKey // who has been let in
	honest  *harness.Process
	n       int
}

func newFortress(t *testing.T, more ...string) *fortress {
	t.Helper()
	spanner := embedded(t, emulator.Options{})
	dir := t.TempDir()
	serverFile, server := keygen(t, dir, "server")
	aliceFile, alice := keygen(t, dir, "alice")
	f := &fortress{shop: newShop(t, spanner.Addr())}
	var err error
	if f.mallory, err = access.NewKey(); err != nil {
		t.Fatal(err)
	}
	if f.server, err = access.ParsePublicKey(server); err != nil {
		t.Fatal(err)
	}
	file := write(t, dir, "access.yaml", fmt.Sprintf("identities:\n  - {name: alice, keys: [%q], topics: ['']}\n  - {name: mallory, keys: [%q]}\n", alice, f.mallory.Public()))
	f.replica = harness.Serve(t, f.with(append([]string{"SPANCAST_HEARTBEAT", "1s", "SPANCAST_CURVE_SECRET_KEY_FILE", serverFile, "SPANCAST_ACCESS_FILE", file}, more...)...))
	f.targets = []string{strings.TrimPrefix(f.replica.Endpoint, "tcp://"), strings.TrimPrefix(f.replica.Recover, "tcp://")}
	f.honest = harness.Start(t, nil, "tail", "--connect", f.replica.Endpoint, "--server-key", server, "--secret-key-file", aliceFile, "--verify", "--format", "json")
	f.honest.Logged("subscribed")
	f.work(3)
	return f
}

// work commits changes, and waits until the honest subscriber has them.
func (f *fortress) work(n int) {
	f.t.Helper()
	for range n {
		f.n++
		f.commit(f.n, "Orders")
	}
	f.honest.Printed(fmt.Sprintf(`"keys":{"Id":"%d"}`, f.n))
}

// memory is the resident memory of the replica, in bytes.
func (f *fortress) memory() int64 {
	f.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.replica.Pid()))
	if err != nil {
		f.t.Skipf("no /proc: %v", err)
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text)
	n, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return n << 10
}

// descriptors is the number of files that the replica has open.
func (f *fortress) descriptors() int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", f.replica.Pid()))
	return len(entries)
}

// dial opens raw connections, to the one socket and the other.
func (f *fortress) dial() net.Conn {
	f.t.Helper()
	f.dialed++
	c, err := net.DialTimeout("tcp", f.targets[f.dialed%len(f.targets)], harness.Patience)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// cutOff writes until the connection is closed by the other side, or everything
// was written, and tells how much that was.
func cutOff(c net.Conn, chunk []byte, total int) (written int) {
	c.SetDeadline(time.Now().Add(harness.Patience))
	for written < total {
		n, err := c.Write(chunk)
		written += n
		if err != nil {
			return written
		}
	}
	return written
}

// greeting is the 64 bytes with which a ZMTP 3.0 peer begins.
func greeting(mechanism string) []byte {
	g := make([]byte, 64)
	g[0], g[9], g[10] = 0xff, 0x7f, 3
	copy(g[12:32], mechanism)
	return g
}

// handshake reads the other side's greeting after ours was sent.
func handshake(c net.Conn, mechanism string) error {
	c.SetDeadline(time.Now().Add(harness.Patience))
	if _, err := c.Write(greeting(mechanism)); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 64))
	return err
}

// TestAttacks_TakeNeitherMemoryNorMessages, whether they come from strangers or
// from somebody who was let in.
func TestAttacks_TakeNeitherMemoryNorMessages(t *testing.T) {
	t.Parallel()
	f := newFortress(t)
	base := f.memory()
	for _, attack := range []struct {
		name string
		run  func(*testing.T, *fortress)
	}{
		{"a command of 1 GiB before the handshake", hugeCommand},
		{"half-open connections", halfOpen},
		{"garbage", garbage},
		{"ZMTP with faults", faultyZMTP},
		{"keys that nobody knows", unknownKeys},
		{"a message of 20 MB", hugeMessage},
		{"junk instead of subscriptions", junk},
	} {
		t.Run(attack.name, func(t *testing.T) {
			attack.run(t, f)
			f.work(3)
			if grown := f.memory() - base; grown > mostMemory {
				t.Errorf("%d MB more resident memory", grown>>20)
			} else {
				t.Logf("%d MB more resident memory", grown>>20)
			}
		})
	}
	f.ends(t)
}

// ends checks that the honest subscriber has lost nothing, and that the replica
// is well.
func (f *fortress) ends(t *testing.T) {
	t.Helper()
	f.honest.Stop()
	f.honest.Logged(fmt.Sprintf(`verified changes=%d .*gaps=0 lost=0 .*unrecovered=0`, f.n))
	f.replica.Stop()
}

func hugeCommand(t *testing.T, f *fortress) {
	for range 4 * attackScale {
		c := f.dial()
		if err := handshake(c, "CURVE"); err != nil {
			t.Fatal(err)
		}
		header := append([]byte{0x06}, binary.BigEndian.AppendUint64(nil, 1<<30)...)
		c.Write(header)
		if n := cutOff(c, make([]byte, 1<<20), 200<<20); n >= 200<<20 {
			t.Errorf("%d MB were taken", n>>20)
		}
		c.Close()
	}
}

func halfOpen(t *testing.T, f *fortress) {
	before := f.descriptors()
	var all []net.Conn
	for range 500 * attackScale {
		all = append(all, f.dial())
	}
	f.work(3) // while they are open
	for i := range all {
		if i%2 == 0 { // some say something, and no more
			all[i].Write(greeting("CURVE")[:20])
		}
	}
	began := time.Now()
	wait.Until(t, "the connections are gone", func() bool { return f.descriptors() <= before+20 })
	t.Logf("%d connections were gone after %s", len(all), time.Since(began).Round(100*time.Millisecond))
	for _, c := range all {
		c.Close()
	}
}

func garbage(t *testing.T, f *fortress) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 * attackScale {
		c := f.dial()
		b := make([]byte, 1+r.IntN(4096))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		cutOff(c, b, len(b))
		c.Close()
	}
}

// faultyZMTP sends what begins like a handshake and goes wrong at some byte.
func faultyZMTP(t *testing.T, f *fortress) {
	r := rand.New(rand.NewPCG(3, 4))
	hello := append([]byte{0x04, 200, 5}, "HELLO"...) // a command, 200 bytes long
	hello = append(hello, make([]byte, 194)...)
	subscribe := []byte{0x00, 7, 1, 'O', 'r', 'd', 'e', 'r', 's'}
	ready := append([]byte{0x04, 26, 5}, "READY\x0bSocket-Type\x00\x00\x00\x03SUB\x00"...)
	for i := range 200 * attackScale {
		c := f.dial()
		mechanism := []string{"CURVE", "NULL", "PLAIN", "GSSAPI", "XYZ"}[i%5]
		b := bytes.Join([][]byte{greeting(mechanism), hello, ready, subscribe, hello}, nil)
		for range 1 + r.IntN(6) {
			b[r.IntN(len(b))] = byte(r.Uint32())
		}
		cutOff(c, b[:64+r.IntN(len(b)-64)], 1)
		c.SetReadDeadline(time.Now().Add(time.Millisecond))
		c.Read(make([]byte, 256))
		c.Close()
	}
}

func unknownKeys(t *testing.T, f *fortress) {
	ctx, err := zmq.NewContext()
	if err != nil {
		t.Fatal(err)
	}
	defer ctx.Term()
	for range 100 * attackScale {
		key, err := access.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		z, err := ctx.NewSocket(zmq.SUB)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		if err := errors.Join(z.SetLinger(0), z.SetSubscribe(""), access.SecureClient(z, key, f.server), z.Connect(f.replica.Endpoint)); err != nil {
			t.Fatal(err)
		}
	}
	f.replica.Logged(`"message":"connection refused"`)
}

// insider connects as Mallory, who was let in. Prefixes are not bounded on his
// side.
func (f *fortress) insider(t *testing.T) *zmq.Socket {
	t.Helper()
	ctx, err := zmq.NewContext()
	if err != nil {
		t.Fatal(err)
	}
	z, err := ctx.NewSocket(zmq.XSUB)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { z.Close(); ctx.Term() })
	if err := errors.Join(z.SetLinger(0), z.SetSndhwm(0), z.SetRcvhwm(10), access.SecureClient(z, f.mallory, f.server), z.Connect(f.replica.Endpoint)); err != nil {
		t.Fatal(err)
	}
	return z
}

// hugeMessage and junk are sent by one who was let in.
func hugeMessage(t *testing.T, f *fortress) {
	z := f.insider(t)
	for range attackScale { // as a subscription it would overflow libzmq's stack on his side
		if _, err := z.SendBytes(append([]byte{2}, make([]byte, 20<<20)...), 0); err != nil {
			t.Fatal(err)
		}
	}
	// He is cut off, and comes again.
	f.replica.Logged(`(?s)"connection let in"[^\n]*"identity":"mallory".*"connection let in"[^\n]*"identity":"mallory"`)
}

func junk(t *testing.T, f *fortress) {
	z := f.insider(t)
	for i := range 1000 * attackScale {
		if _, err := z.SendBytes([]byte{2, byte(i)}, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// floodSize is the number of subscriptions of a flood in its short form. The
// issue's half a million takes SPANCAST_TEST_ATTACK=7.
const floodSize = 75_000

// TestAttacks_FloodOfSubscriptions: it is noticed by what it takes, said who it
// is, and that session is ended; what it takes of the memory is bounded.
func TestAttacks_FloodOfSubscriptions(t *testing.T) {
	t.Parallel()
	f := newFortress(t)
	base, most := f.memory(), int64(0)
	z := f.insider(t)
	r := rand.New(rand.NewPCG(5, 6))
	prefix := make([]byte, 33)
	for i := range floodSize * attackScale {
		prefix[0] = 1
		for k := 1; k < len(prefix); k++ {
			prefix[k] = 'a' + byte(r.IntN(26))
		}
		if _, err := z.SendBytes(prefix, 0); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 0 {
			most = max(most, f.memory()-base)
		}
	}
	f.replica.Logged(`"message":"too many subscriptions[^"]*","domain":"audience/everyone","identity":"mallory"`)
	f.replica.Logged(`"message":"a grant has ended[^"]*".*"identity":"mallory"`)
	f.replica.Logged(`"message":"connection refused".*"identity":"mallory"`)
	// The others are back, and go on.
	f.replica.Logged(`(?s)"a grant has ended.*"message":"connection let in"[^\n]*"identity":"alice"`)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for seen := f.honest.Stdout(); f.honest.Stdout() == seen; <-tick.C {
		if time.Since(began) > harness.Patience {
			t.Fatal("the honest subscriber hears nothing any more")
		}
		f.n++
		f.commit(f.n, "Orders")
		most = max(most, f.memory()-base)
	}
	t.Logf("%d subscriptions: %d MB more resident memory at most, %d MB in the end", floodSize*attackScale, most>>20, (f.memory()-base)>>20)
	if most > floodMemory {
		t.Errorf("%d MB more resident memory, %d are documented", most>>20, floodMemory>>20)
	}
	f.replica.Stop()
}

// floodMemory is the figure of docs/security.md for one audience.
const floodMemory = 256 << 20
