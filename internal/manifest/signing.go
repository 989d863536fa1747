package manifest

import "time"

// Signing is whose word on a generation counts. A seed carries it to the hosts.
type Signing struct {
	// ID tells clusters apart that have one name and one set of keys.
	ID string `json:"id"`
	// Keys are ed25519 public keys in base64; Threshold is how many of them must have signed.
	Keys      []string `json:"keys"`
	Threshold int      `json:"threshold"`
	// Expires is how long a signed statement is good, for those who sign.
	Expires time.Duration `json:"expires,omitempty"`
}
