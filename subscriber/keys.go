package subscriber

import (
	"fmt"

	zmq "github.com/pebbe/zmq4"

	"github.com/spancast/spancast/internal/zsock"
)

// keys are those of CURVE, in Z85; empty when it is not used.
type keys struct {
	server string            // of all endpoints but those of which another is known
	of     map[string]string // by endpoint
	secret string
}

// at is the key of the server at an endpoint.
func (k keys) at(endpoint string) string {
	if server, ok := k.of[endpoint]; ok {
		return server
	}
	return k.server
}

// secure makes a socket a CURVE client at the endpoint that it is about to be
// connected to.
func (k keys) secure(z *zmq.Socket, endpoint string) error {
	if k.server == "" {
		return nil
	}
	public, err := zmq.AuthCurvePublic(k.secret)
	if err != nil {
		return fmt.Errorf("SecretKey: %w", err)
	}
	if err := zsock.Trust(z, k.at(endpoint), public, k.secret); err != nil {
		return fmt.Errorf("ServerKey, SecretKey: %w", err)
	}
	return nil
}
