package access

import (
	"errors"
	"fmt"
	"strings"

	zmq "github.com/pebbe/zmq4"
)

// KeyText is the length of a key as text, in Z85.
const KeyText = 40

// A PublicKey is the CURVE public key of a client or a server.
type PublicKey [32]byte

// A SecretKey is a CURVE secret key. No way of printing it shows it.
type SecretKey struct {
	text   string
	public PublicKey
}

// ErrKey is returned for what is not a key. It does not repeat what it was.
var ErrKey = errors.New("not a CURVE key: 40 characters of Z85, as spancast keygen writes them")

// ParsePublicKey reads a public key.
func ParsePublicKey(text string) (PublicKey, error) {
	return decode(text)
}

// ParseSecretKey reads a secret key, and works out its public key.
func ParseSecretKey(text string) (SecretKey, error) {
	if _, err := decode(text); err != nil {
		return SecretKey{}, err
	}
	public, err := zmq.AuthCurvePublic(text)
	if err != nil {
		return SecretKey{}, fmt.Errorf("CURVE: %w", err)
	}
	k := SecretKey{text: text}
	k.public, err = decode(public)
	return k, err
}

// NewKey makes a key.
func NewKey() (SecretKey, error) {
	_, secret, err := zmq.NewCurveKeypair()
	if err != nil {
		return SecretKey{}, fmt.Errorf("make a CURVE key: %w", err)
	}
	return ParseSecretKey(secret)
}

// Public is the public key that belongs to the secret one.
func (k SecretKey) Public() PublicKey { return k.public }

// Reveal is the secret key as text. It is for libzmq and for files.
func (k SecretKey) Reveal() string { return k.text }

// IsZero tells whether there is no key.
func (k SecretKey) IsZero() bool { return k.text == "" }

// String does not show the key.
func (k SecretKey) String() string { return "(secret key of " + k.public.String() + ")" }

// GoString does not show the key.
func (k SecretKey) GoString() string { return k.String() }

// Format does not show the key, whatever the verb.
func (k SecretKey) Format(f fmt.State, _ rune) { f.Write([]byte(k.String())) }

// MarshalText does not show the key.
func (k SecretKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// String is the key in Z85.
func (p PublicKey) String() string {
	var b strings.Builder
	for i := 0; i < len(p); i += 4 {
		n := uint32(p[i])<<24 | uint32(p[i+1])<<16 | uint32(p[i+2])<<8 | uint32(p[i+3])
		for _, power := range z85Powers {
			b.WriteByte(z85[n/power%85])
		}
	}
	return b.String()
}

// Short names the key in logs: enough to tell it from others.
func (p PublicKey) Short() string { return p.String()[:8] }

// MarshalText writes the key in Z85.
func (p PublicKey) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a key in Z85.
func (p *PublicKey) UnmarshalText(b []byte) (err error) {
	*p, err = decode(string(b))
	return err
}

// z85 is the alphabet of ZeroMQ's RFC 32.
const z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

var z85Powers = [5]uint32{85 * 85 * 85 * 85, 85 * 85 * 85, 85 * 85, 85, 1}

// decode reads 32 bytes in Z85: five characters for every four bytes. libzmq's
// own decoder does not tell what it could not read.
func decode(text string) (key [32]byte, err error) {
	if len(text) != KeyText {
		return key, ErrKey
	}
	for i := 0; i < KeyText; i += 5 {
		n := uint64(0)
		for _, c := range []byte(text[i : i+5]) {
			digit := strings.IndexByte(z85, c)
			if digit < 0 {
				return key, ErrKey
			}
			n = n*85 + uint64(digit)
		}
		if n > 1<<32-1 {
			return key, ErrKey
		}
		at := i / 5 * 4
		key[at], key[at+1], key[at+2], key[at+3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	}
	return key, nil
}
