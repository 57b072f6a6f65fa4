package zsock

import (
	"errors"
	"slices"
	"strings"
	"time"

	zmq "github.com/pebbe/zmq4"
)

const (
	// maxSubscription bounds what subscribers may send, in bytes: a subscription is
	// the longest, and a topic is at most 255 long; the rest is for encryption
	// and handshake. Without a bound one message can fill the memory, even
	// before the handshake.
	maxSubscription = 512
	// maxUnread bounds the subscriptions of one peer that libzmq takes in at a
	// time. A flood of them is read as long as there are any, before anybody here
	// is asked; with few at a time it pauses, and is noticed.
	maxUnread = 50
	// handshakeTime is how long a subscriber's connection may stay without a
	// handshake. It is also how long those wait who are refused for now, until
	// they try again.
	handshakeTime = 3 * time.Second
	// backlog is how many connections may wait to be accepted.
	backlog = 1024
)

// Limit bounds what those who connect to a socket may do before anybody knows
// them, at the endpoints that it is going to be bound to: the bytes of a frame,
// and how long a connection may stay without a handshake. Endpoints that say so
// get IPv6.
func Limit(z *zmq.Socket, endpoints []string, frame int64, handshake time.Duration) error {
	err := errors.Join(z.SetMaxmsgsize(frame), z.SetHandshakeIvl(handshake), z.SetBacklog(backlog), KeepAlive(z))
	if slices.ContainsFunc(endpoints, isIPv6) {
		err = errors.Join(err, z.SetIpv6(true))
	}
	return err
}

func isIPv6(endpoint string) bool {
	return strings.Contains(endpoint, "://[") || strings.Contains(endpoint, "://*")
}

// LimitSubscribers is Limit for an XPUB socket.
func LimitSubscribers(z *zmq.Socket, endpoints []string) error {
	return errors.Join(z.SetRcvhwm(maxUnread), Limit(z, endpoints, maxSubscription, handshakeTime))
}
