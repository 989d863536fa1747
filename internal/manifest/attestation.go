package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Attestation is how hosts may join by what their cloud says of them, instead of by a token.
type Attestation struct {
	AWS *AWS `json:"aws,omitempty"`
}

// AWS is who may join with an instance identity document.
type AWS struct {
	// Policies are named by the user-data of the hosts.
	Policies map[string]AWSPolicy `json:"policies"`
	// Certificates are the operator's, in PEM by region; they count in place of those that are built in.
	Certificates map[string]string `json:"certificates,omitempty"`
}

// AWSPolicy is what an instance must be, and what it becomes.
type AWSPolicy struct {
	Role     Role     `json:"role"`
	Accounts []string `json:"accounts"`
	Regions  []string `json:"regions"`
	// Images may be empty for an open role: then any image will do.
	Images []string          `json:"images,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	// Window is for how long after its launch an instance may join.
	Window Span `json:"window"`
}

// Span is a duration that JSON has as text, such as 30m0s, for people who compare generations.
type Span time.Duration

// MarshalText writes it as time.Duration prints.
func (s Span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

// UnmarshalText reads what time.ParseDuration takes.
func (s *Span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*s = Span(d)
	return err
}

// MaxAWSWindow is the longest window; after that a document is no better than a token that was left lying about.
const MaxAWSWindow = 24 * time.Hour

// IsAWSAccount says whether s is the number of an AWS account.
func IsAWSAccount(s string) bool { return len(s) == 12 && strings.Trim(s, digits) == "" }

// IsAWSRegion says whether s looks like an AWS region, such as eu-central-1.
func IsAWSRegion(s string) bool {
	return IsLabel(s) && strings.Count(s, "-") >= 2 && strings.Contains(digits, s[len(s)-1:])
}

// IsAWSImage says whether s is the ID of an EC2 image.
func IsAWSImage(s string) bool { return isID("ami-", s) }

// IsAWSInstance says whether s is the ID of an EC2 instance.
func IsAWSInstance(s string) bool { return isID("i-", s) }

const digits = "0123456789"

// isID takes an EC2 ID: those made before 2016 have 8 digits, newer ones 17.
func isID(prefix, s string) bool {
	id, ok := strings.CutPrefix(s, prefix)
	return ok && (len(id) == 8 || len(id) == 17) && strings.Trim(id, digits+"abcdef") == ""
}

func (a *Attestation) validate(roles []RoleEntry) error {
	if a == nil || a.AWS == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(a.AWS.Policies)) {
		if !IsLabel(name) {
			return fmt.Errorf("policy %.64q is not a DNS label", name)
		}
		if err := a.AWS.Policies[name].validate(roles); err != nil {
			return fmt.Errorf("policy %s: %w", name, err)
		}
	}
	return nil
}

// validate holds a policy to what the rules on counted roles stand on, whoever wrote it.
func (p AWSPolicy) validate(roles []RoleEntry) error {
	at := slices.IndexFunc(roles, func(r RoleEntry) bool { return r.Name == p.Role })
	switch {
	case at < 0:
		return fmt.Errorf("unknown role %.64q", p.Role)
	case len(p.Accounts) == 0 || len(p.Regions) == 0:
		return fmt.Errorf("it is not bound to accounts and regions")
	case roles[at].Count > 0 && len(p.Images) == 0:
		return fmt.Errorf("the counted role %s needs images, too", p.Role)
	case p.Window <= 0 || time.Duration(p.Window) > MaxAWSWindow:
		return fmt.Errorf("window %v", time.Duration(p.Window))
	}
	for what, list := range map[string]struct {
		values []string
		valid  func(string) bool
	}{"account": {p.Accounts, IsAWSAccount}, "region": {p.Regions, IsAWSRegion}, "image": {p.Images, IsAWSImage}} {
		for _, v := range list.values {
			if !list.valid(v) {
				return fmt.Errorf("%.64q is no %s", v, what)
			}
		}
	}
	return nil
}
