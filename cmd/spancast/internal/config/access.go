package config

import (
	"errors"
	"fmt"

	"github.com/spancast/spancast/access"
)

// Secured tells whether the sockets that are bound have CURVE.
func (l *Loaded) Secured() bool { return l.CurveSecretKey != "" || l.CurveSecretKeyFile != "" }

// ServerKeys reads the keys of the sockets, and opens their file if they are in
// one. There are none unless Secured.
func (l *Loaded) ServerKeys() ([]access.SecretKey, *access.KeyFile, error) {
	switch {
	case l.CurveSecretKey != "" && l.CurveSecretKeyFile != "":
		return nil, nil, fmt.Errorf("%s_CURVE_SECRET_KEY and %s_CURVE_SECRET_KEY_FILE are both set", Prefix, Prefix)
	case l.CurveSecretKey != "":
		keys, err := access.ParseServerKeys(string(l.CurveSecretKey))
		if err != nil {
			err = fmt.Errorf("%s_CURVE_SECRET_KEY: %w", Prefix, err)
		}
		return keys, nil, err
	case l.CurveSecretKeyFile != "":
		f, keys, err := access.OpenKeyFile(l.CurveSecretKeyFile)
		if err != nil {
			err = fmt.Errorf("%s_CURVE_SECRET_KEY_FILE: %w", Prefix, err)
		}
		return keys, f, err
	}
	return nil, nil, nil
}

// checkAccess checks what goes together, and reads the files.
func (l *Loaded) checkAccess() error {
	var faults []error
	if _, _, err := l.ServerKeys(); err != nil {
		faults = append(faults, err)
	}
	if l.CurveRotationOffset < 1 || l.CurveRotationOffset > 10_000 {
		faults = append(faults, fmt.Errorf("%s_CURVE_ROTATION_OFFSET: %d is not between 1 and 10000", Prefix, l.CurveRotationOffset))
	}
	switch {
	case l.Secured() && l.AccessFile == "":
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

// checkAudiences checks the endpoints that audiences name, which are those of
// the variables for one at most.
func (l *Loaded) checkAudiences(p *access.Policy) error {
	shared := false
	for _, a := range p.Audiences {
		shared = shared || len(a.Endpoints) == 0
		for _, e := range a.Endpoints {
			if err := new(Endpoints).UnmarshalText([]byte(e)); err != nil {
				return fmt.Errorf("audience %s: %w", a.Name, err)
			}
		}
	}
	if !shared && len(l.Connect) > 0 {
		return fmt.Errorf("every audience has endpoints of its own, so that nothing would be published to %s_CONNECT", Prefix)
	}
	return nil
}

// wayOut says what to do about an endpoint that is open to others.
func wayOut(name string) string {
	allow := Prefix + "_ALLOW_INSECURE=true allows that"
	if name == "CONNECT" {
		return allow
	}
	return "set " + Prefix + "_CURVE_SECRET_KEY_FILE (spancast keygen makes a key) and " + Prefix + "_ACCESS_FILE; or, without them, " + allow
}
