package access

import (
	"fmt"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/internal/zsock"
)

// A Subscription to an XPUB socket that began or ended.
type Subscription struct {
	Prefix     string
	On         bool
	Identity   string // of whom; empty without CURVE, and when it ended with its connection
	Key        string // the same
	Descriptor string // of the connection
	Address    string // of the peer, without port

	number string // of the connection, from a Guard
}

// propertyAddress is libzmq's own: the address of the peer, without port.
const propertyAddress = "Peer-Address"

// ReceiveSubscription reads the next message from an XPUB socket with
// XPUB_VERBOSER, without waiting. It tells whether there was one; if it is no
// subscription, that is nil.
func ReceiveSubscription(z *zmq.Socket) (s *Subscription, came bool, err error) {
	b, properties, err := z.RecvBytesWithMetadata(zmq.DONTWAIT, PropertyIdentity, PropertyKey, PropertyDescriptor, propertyConnection, propertyAddress)
	if err != nil {
		if zsock.IsNothing(err) {
			return nil, false, nil
		}
		return nil, false, fmt.Errorf("receive subscriptions: %w", err)
	}
	if len(b) == 0 || b[0] > 1 {
		return nil, true, nil
	}
	return &Subscription{Prefix: string(b[1:]), On: b[0] == 1, Identity: properties[PropertyIdentity], Key: properties[PropertyKey],
		Descriptor: properties[PropertyDescriptor], Address: properties[propertyAddress], number: properties[propertyConnection]}, true, nil
}
