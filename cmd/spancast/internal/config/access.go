package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/spancast/spancast/access"
)

// Secured tells whether the sockets that are bound have CURVE.
func (l *Loaded) Secured() bool { return l.CurveSecretKey != "" || l.CurveSecretKeyFile != "" }

// ServerKeys reads the keys of the sockets, and opens their file if they are in
// one. There are none unless Secured.
func (l *Loaded) ServerKeys() ([]access.SecretKey, *access.KeyFile, error) {
	return keysOf("CURVE_SECRET_KEY", string(l.CurveSecretKey), l.CurveSecretKeyFile, access.ParseServerKeys, access.OpenKeyFile)
}

// ForwarderKeys reads the public keys of the forwarders, and opens their file if
// they are in one. There are none unless ConnectSecured.
func (l *Loaded) ForwarderKeys() ([]access.PublicKey, *access.PublicKeyFile, error) {
	return keysOf("CONNECT_SERVER_KEY", l.ConnectServerKey, l.ConnectServerKeyFile, access.ParsePublicKeys, access.OpenPublicKeyFile)
}

// keysOf reads the keys of a variable, or of the file that the other one names.
func keysOf[K, F any](variable, text, path string, parse func(string) ([]K, error), open func(string) (*F, []K, error)) (keys []K, f *F, err error) {
	switch {
	case text != "" && path != "":
		return nil, nil, fmt.Errorf("%s_%s and %[1]s_%[2]s_FILE are both set", Prefix, variable)
	case text != "":
		keys, err = parse(text)
	case path != "":
		variable += "_FILE"
		f, keys, err = open(path)
	}
	if err != nil {
		err = fmt.Errorf("%s_%s: %w", Prefix, variable, err)
	}
	return keys, f, err
}

// ConnectSecured tells whether connections to forwarders have CURVE.
func (l *Loaded) ConnectSecured() bool {
	return l.ConnectServerKey != "" || l.ConnectServerKeyFile != ""
}

// HTTPSecured tells whether HTTP is HTTPS.
func (l *Loaded) HTTPSecured() bool { return l.HTTPCertFile != "" }

// checkAccess checks what goes together, and reads the files.
func (l *Loaded) checkAccess() error {
	var faults []error
	if _, _, err := l.ServerKeys(); err != nil {
		faults = append(faults, err)
	}
	if _, _, err := l.ForwarderKeys(); err != nil {
		faults = append(faults, err)
	}
	if l.ConnectSecured() && !l.Secured() {
		faults = append(faults, fmt.Errorf("%s_CURVE_SECRET_KEY_FILE is required with %s_CONNECT_SERVER_KEY: forwarders know us by it (spancast keygen makes a key)", Prefix, Prefix))
	}
	faults = append(faults, l.checkHTTP())
	if l.CurveRotationOffset < 1 || l.CurveRotationOffset > 10_000 {
		faults = append(faults, fmt.Errorf("%s_CURVE_ROTATION_OFFSET: %d is not between 1 and 10000", Prefix, l.CurveRotationOffset))
	}
	switch {
	case l.Secured() && l.AccessFile == "" && len(l.Bind)+len(l.RecoveryBind) > 0:
		faults = append(faults, fmt.Errorf("%s_ACCESS_FILE is required with CURVE: it says who is let in", Prefix))
	case !l.Secured() && l.AccessFile != "":
		faults = append(faults, fmt.Errorf("%s_ACCESS_FILE: nothing of it is enforced without CURVE; set %s_CURVE_SECRET_KEY_FILE (spancast keygen makes a key)", Prefix, Prefix))
	}
	if len(l.OIDCIssuers) > 0 {
		for name, missing := range map[string]bool{"OIDC_AUDIENCE": l.OIDCAudience == "", "HTTP": l.HTTP == "", "ACCESS_FILE": l.AccessFile == ""} {
			if missing {
				faults = append(faults, fmt.Errorf("%s_%s is required with %s_OIDC_ISSUERS", Prefix, name, Prefix))
			}
		}
	}
	if l.AccessFile != "" {
		_, policy, err := access.OpenPolicy(l.AccessFile)
		if err == nil {
			err = l.checkAudiences(policy)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s_ACCESS_FILE: %w", Prefix, err))
		}
	}
	return errors.Join(faults...)
}

// checkHTTP checks the certificate, and that nobody is asked to send his ID token
// in clear.
func (l *Loaded) checkHTTP() error {
	if (l.HTTPCertFile == "") != (l.HTTPKeyFile == "") {
		return fmt.Errorf("%s_HTTP_CERT_FILE and %s_HTTP_KEY_FILE go together", Prefix, Prefix)
	}
	if l.HTTPSecured() {
		if _, err := tls.LoadX509KeyPair(l.HTTPCertFile, l.HTTPKeyFile); err != nil {
			return fmt.Errorf("%s_HTTP_CERT_FILE and %s_HTTP_KEY_FILE: %w", Prefix, Prefix, err)
		}
		return nil
	}
	if host, _, _ := net.SplitHostPort(string(l.HTTP)); len(l.OIDCIssuers) > 0 && l.HTTP != "" && !isLoopback(host) && !l.AllowInsecure {
		return fmt.Errorf("%s_HTTP: %s is not a loopback address, and ID tokens would be sent to it in clear; set %s_HTTP_CERT_FILE and %s_HTTP_KEY_FILE; or, if TLS ends before it, %s_ALLOW_INSECURE=true allows that",
			Prefix, l.HTTP, Prefix, Prefix, Prefix)
	}
	return nil
}

// checkAudiences checks the endpoints that audiences name, which are those of
// the variables for one at most.
func (l *Loaded) checkAudiences(p *access.Policy) error {
	for _, a := range p.Audiences {
		for _, e := range a.Endpoints {
			if err := new(Endpoints).UnmarshalText([]byte(e)); err != nil {
				return fmt.Errorf("audience %s: %w", a.Name, err)
			}
		}
	}
	if p.Shared() == nil && len(l.Connect) > 0 {
		return fmt.Errorf("every audience has endpoints of its own, so that nothing would be published to %s_CONNECT", Prefix)
	}
	return nil
}

// wayOut says what to do about an endpoint that is open to others.
func wayOut(name string) string {
	allow := Prefix + "_ALLOW_INSECURE=true allows that"
	if name == "CONNECT" {
		return "set " + Prefix + "_CONNECT_SERVER_KEY (the forwarder's public key) and " + Prefix + "_CURVE_SECRET_KEY_FILE (spancast keygen makes a key); or, without them, " + allow
	}
	return "set " + Prefix + "_CURVE_SECRET_KEY_FILE (spancast keygen makes a key) and " + Prefix + "_ACCESS_FILE; or, without them, " + allow
}
