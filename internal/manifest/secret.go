package manifest

import (
	"fmt"
	"slices"
)

// Secret is the bundle's declaration of a secret. The value is nowhere in a generation.
type Secret struct {
	// Name is what templates write after .Secret.
	Name    string `json:"name"`
	Summary string `json:"summary,omitempty"`
	// Roles may read it; no other host is ever sent it.
	Roles []Role `json:"roles"`
	// PerHost gives each host a value of its own.
	PerHost bool `json:"per_host,omitempty"`
	// Either the coordinator makes the value or the operator gives it.
	Generate *Recipe `json:"generate,omitempty"`
	Given    *Form   `json:"given,omitempty"`
}

// Recipe is how a value is made: so many random bytes, written in a format.
type Recipe struct {
	Bytes  int    `json:"bytes"`
	Format string `json:"format"`
}

// Form is what the operator's value must look like.
type Form struct {
	Format string `json:"format"`
	// Pattern is a regular expression of RE2 that the whole value must match.
	Pattern   string `json:"pattern,omitempty"`
	MinLength int    `json:"min_length"`
}

// The formats of values that are generated, and of those that are given.
var (
	RecipeFormats = []string{"base64url", "hex", "alphanumeric", "password"}
	FormFormats   = []string{"line", "text", "pem", "binary"}
)

// Readable says whether hosts of the role may read the secret.
func (s Secret) Readable(role Role) bool { return slices.Contains(s.Roles, role) }

func (s Secret) validate(roles map[Role]bool) error {
	switch {
	case (s.Generate == nil) == (s.Given == nil):
		return fmt.Errorf("needs one of generate and given")
	case len(s.Roles) == 0:
		return fmt.Errorf("no role may read it")
	case s.PerHost && s.Given != nil:
		return fmt.Errorf("cannot be given and per host")
	case s.Generate != nil && !slices.Contains(RecipeFormats, s.Generate.Format):
		return fmt.Errorf("unknown format %.20q", s.Generate.Format)
	case s.Generate != nil && (s.Generate.Bytes < 1 || s.Generate.Bytes > 1024):
		return fmt.Errorf("%d bytes", s.Generate.Bytes)
	case s.Given != nil && !slices.Contains(FormFormats, s.Given.Format):
		return fmt.Errorf("unknown format %.20q", s.Given.Format)
	}
	for _, r := range s.Roles {
		if !roles[r] {
			return fmt.Errorf("unknown role %.64q", r)
		}
	}
	return nil
}
