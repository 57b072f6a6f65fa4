package enroll

import (
	"errors"
	"fmt"
	"path"
	"regexp"

	"github.com/spancast/spancast/access"
)

// errNoRule is returned for a token that is good, and good for nothing.
var errNoRule = errors.New("no rule of the access file fits the token")

// match finds the first rule that fits a token.
func match(rules []access.Rule, issuer string, claims map[string]any) (*access.Rule, error) {
	for i := range rules {
		if fits(&rules[i], issuer, claims) {
			return &rules[i], nil
		}
	}
	return nil, errNoRule
}

func fits(r *access.Rule, issuer string, claims map[string]any) bool {
	if r.Issuer != issuer {
		return false
	}
	for name, want := range r.Claims {
		if !holds(claims[name], want) {
			return false
		}
	}
	return len(r.Claims) > 0
}

// holds tells whether a claim is what is wanted, or a list that has it.
func holds(claim, want any) bool {
	switch claim := claim.(type) {
	case []any:
		for _, element := range claim {
			if _, nested := element.([]any); !nested && holds(element, want) {
				return true
			}
		}
	case string:
		glob, isText := want.(string)
		ok, err := path.Match(glob, claim)
		return isText && ok && err == nil
	case bool:
		return claim == want
	case float64:
		n, isNumber := want.(int)
		return isNumber && claim == float64(n)
	}
	return false
}

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

// name puts the values of claims into the name of an identity.
func name(template string, claims map[string]any) (string, error) {
	var missing error
	out := placeholder.ReplaceAllStringFunc(template, func(p string) string {
		claim := p[1 : len(p)-1]
		value, ok := claims[claim].(string)
		if !ok || value == "" {
			missing = fmt.Errorf("the token has no claim %q, which would name its owner", claim)
		}
		return value
	})
	if missing == nil && !access.ValidIdentity(out) {
		missing = errors.New("the token's claims do not make a name")
	}
	return out, missing
}
