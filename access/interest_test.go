package access

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// asks is what comes of a subscription over a connection, or of its end.
func asks(change, identity, number string, fd int) *Subscription {
	return &Subscription{Prefix: change[1:], On: change[0] == '+', Identity: identity, Key: identity, Descriptor: strconv.Itoa(fd), Address: "127.0.0.1", number: number}
}

// end is what comes of a subscription that ends with its connection.
func end(prefix string) *Subscription { return &Subscription{Prefix: prefix} }

// connected makes a connection, and returns the descriptor of its one end.
func connected(t *testing.T) (fd int, close func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	check(t, err)
	peer, err := l.Accept()
	check(t, err)
	t.Cleanup(func() { conn.Close(); peer.Close() })
	raw, err := conn.(*net.TCPConn).SyscallConn()
	check(t, err)
	check(t, raw.Control(func(n uintptr) { fd = int(n) }))
	return fd, func() { conn.Close() }
}

func TestInterest_EstimatesWhatSubscriptionsTake(t *testing.T) {
	i, now := NewInterest(0), time.Now()
	alice, _ := connected(t)
	bob, _ := connected(t)
	mallory, _ := connected(t)
	i.Note(asks("+Orders/", "alice", "1", alice), now)
	one := i.weight
	i.Note(asks("+Orders/", "bob", "2", bob), now)
	if i.weight >= 2*one || i.weight <= one {
		t.Errorf("%d, and then %d for the same prefix once more", one, i.weight)
	}
	for n := range 100 {
		i.Note(asks("+"+strings.Repeat("x", n+1), "mallory", "3", mallory), now)
	}
	if who := i.greediest(); who != "mallory" {
		t.Errorf("the greediest is %s", who)
	}
	i.Note(end("Orders/"), now)
	i.Note(asks("-Orders/", "alice", "1", alice), now)
	i.Note(asks("-never was", "alice", "1", alice), now)
	for n := range 100 {
		i.Note(end(strings.Repeat("x", n+1)), now)
	}
	if i.weight != 0 || len(i.prefixes) != 0 {
		t.Errorf("%d bytes, %d prefixes are left", i.weight, len(i.prefixes))
	}
}

// TestInterest_BlamesWhoIsThere: what somebody asked for over connections that have
// ended is not kept, nor held against him.
func TestInterest_BlamesWhoIsThere(t *testing.T) {
	i, now := NewInterest(0), time.Now()
	alice, _ := connected(t)
	mallory, leave := connected(t)
	for n := range 1000 { // the descriptor is always the same
		i.Note(asks("+Orders/", "alice", fmt.Sprint(n), alice), now)
		i.Note(end("Orders/"), now)
	}
	i.Note(asks("+Orders/", "alice", "last", alice), now)
	for n := range 3 {
		i.Note(asks(fmt.Sprintf("+%d/", n), "mallory", "m", mallory), now)
	}
	if who := i.greediest(); who != "mallory" {
		t.Errorf("the greediest is %s", who)
	}
	if n := i.Connected(); n != 2 {
		t.Errorf("%d connections", n)
	}
	leave()
	if who := i.greediest(); who != "alice" {
		t.Errorf("the greediest is %s", who)
	}
	for range 2 {
		for _, c := range i.Connections() {
			if c.Identity != "alice" {
				t.Errorf("%s is there", c.Identity)
			}
		}
	}
	if n := len(i.connections); n != 1 {
		t.Errorf("%d connections are kept", n)
	}
}

// TestInterest_WhatComesLateIsNotTheNextOnes: a descriptor may be another
// connection's by the time a subscription is read that came over it, and that
// one's own then counts all the same. With a Guard each has a number.
func TestInterest_WhatComesLateIsNotTheNextOnes(t *testing.T) {
	for _, numbered := range []bool{false, true} {
		fd, _ := connected(t)
		i := NewInterest(0)
		for k, step := range []struct {
			address, key, number string
			news                 bool
		}{{"10.0.0.1", "", "1", true}, {"127.0.0.1", "a", "2", true}, {"127.0.0.1", "b", "3", true}, {"::ffff:127.0.0.1", "b", "3", false}, {"10.0.0.1", "b", "3", !numbered}, {"127.0.0.1", "b", "3", false}} {
			s := asks("+T/", step.key, step.number, fd)
			if s.Address = step.address; !numbered {
				s.number = ""
			}
			if news := i.Note(s, time.Now()); news != step.news {
				t.Errorf("numbered: %t, step %d: news: %t", numbered, k, news)
			}
		}
	}
	fd, _ := connected(t)
	i := NewInterest(0)
	for k, step := range []struct {
		change, number string
		of             int
	}{{"+T/", "1", 1}, {"+T/", "1", 1}, {"-T/", "2", 1}, {"+T/", "2", 2}, {"-U/", "2", 2}, {"-T/", "2", 1}, {"-T/", "2", 1}} {
		i.Note(asks(step.change, "mallory", step.number, fd), time.Now())
		if n := i.Of("T/"); n != step.of {
			t.Errorf("step %d: %d subscriptions, want %d", k, n, step.of)
		}
	}
}
