package subscriber

import (
	"errors"
	"fmt"

	zmq "github.com/pebbe/zmq4"
)

// keys are those of CURVE, in Z85; empty when it is not used.
type keys struct{ server, secret string }

// secure makes a socket that is not connected yet a CURVE client.
func (k keys) secure(z *zmq.Socket) error {
	if k.server == "" {
		return nil
	}
	public, err := zmq.AuthCurvePublic(k.secret)
	if err != nil {
		return fmt.Errorf("SecretKey: %w", err)
	}
	if err := errors.Join(z.SetCurveServerkey(k.server), z.SetCurvePublickey(public), z.SetCurveSecretkey(k.secret)); err != nil {
		return fmt.Errorf("ServerKey, SecretKey: %w", err)
	}
	return nil
}
