package seed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"muster/internal/manifest"
)

// Format is the seed format that this program writes and reads.
const Format = 1

// MaxSize is the longest encoded seed: with the script around it, it must fit into 16 KiB of user-data.
const MaxSize = 12 << 10

// Seed is everything that a bootstrap agent is told before it has spoken to the coordinator.
type Seed struct {
	Format int `json:"format"`
	// Cluster is the name of the cluster to join.
	Cluster string `json:"cluster"`
	// Coordinators are the gRPC addresses as host:port, in the order of trying.
	Coordinators []string `json:"coordinators"`
	// CA is the one certificate, in PEM, that the coordinator's certificate must lead to.
	CA string `json:"ca"`
	// Token is the join token. It is a secret. A seed has either one, or a policy in its place.
	Token Token `json:"token,omitempty"`
	// AWSPolicy names the policy of the cluster config by which an instance of AWS joins with its identity document.
	AWSPolicy string `json:"aws_policy,omitempty"`
	// Expires is when the token ends, by the coordinator's clock.
	Expires time.Time `json:"expires,omitzero"`
	// Agents are the bootstrap agents, so that what a host runs can be verified. The agent itself needs no word of them.
	Agents map[manifest.Arch]Agent `json:"agents,omitempty"`
	// Sources are base URLs below which the blobs lie, in the order of trying.
	Sources []string `json:"sources"`
	// Address chooses the host's own address.
	Address manifest.Detection `json:"address"`
	// Signing is whose word on a generation counts; nil if generations are not signed.
	Signing *manifest.Signing `json:"signing,omitempty"`
	// Labels are what the operator says of all hosts with this seed, such as a zone.
	Labels map[string]string `json:"labels,omitempty"`
}

// Agent is one bootstrap agent's binary.
type Agent struct {
	Digest manifest.Digest `json:"digest"`
	Size   int64           `json:"size"`
}

// Token is a join token. It prints without its secret part; Reveal gives the whole.
type Token string

// Reveal gives the token as it is presented to the coordinator.
func (t Token) Reveal() string { return string(t) }

// Format keeps the secret out of whatever is printed or logged, under every verb.
func (t Token) Format(s fmt.State, _ rune) { fmt.Fprint(s, "[join token]") }

// Encode gives the seed as one line of JSON, or says what is wrong with it.
func (s *Seed) Encode() ([]byte, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	if data = append(data, '\n'); len(data) > MaxSize {
		return nil, fmt.Errorf("the seed has %d bytes, more than %d: give fewer labels, coordinators or sources", len(data), MaxSize)
	}
	return data, nil
}

// Parse reads what Encode wrote. A seed that was changed by hand or on the way is an error: there is no way to join
// without all that it says.
func Parse(data []byte) (*Seed, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("the seed has more than %d bytes: this is not a seed", MaxSize)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	s := new(Seed)
	if err := d.Decode(s); err != nil {
		// The message of encoding/json names keys and types but no values of text, so no token.
		return nil, fmt.Errorf("the seed is damaged: %w; create it again with `coordinator user-data`", err)
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	// encoding/json takes repeated keys, keys in other cases and whatever follows. None of it comes out again.
	if again, err := json.Marshal(s); err != nil || !bytes.Equal(again, bytes.TrimSuffix(data, []byte("\n"))) {
		return nil, fmt.Errorf("the seed is damaged: it is not in the form that this version writes; create it again with `coordinator user-data`")
	}
	return s, nil
}
