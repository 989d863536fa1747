package push

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"muster/internal/manifest"
)

// Server is an SSH server and how to log in to it: a host to push to, or a jump host on the way.
type Server struct {
	// Name is what the operator calls it; it may be empty.
	Name string
	// Address is a host name or an IP address, without a port. The host key is looked up under it, and under Name if
	// nothing is known of Address.
	Address string
	// Port is 22 if it is 0.
	Port int
	// User is the login name; on a host to push to root, or one that may become root by sudo or doas.
	User string
	// Auth counts instead of Options.Auth.
	Auth *Auth
	// HostKeyAlias is the name under which alone the host key is looked up, if it is not empty.
	HostKeyAlias string
	// KnownHosts counts instead of Options.KnownHosts if it is not nil.
	KnownHosts []string
	// ConnectTimeout counts instead of Options.ConnectTimeout if it is not 0.
	ConnectTimeout time.Duration
}

// Target is one host to push to.
type Target struct {
	Server
	// Jumps are the SSH servers to go through, in order. Hosts with the same ones share their connections.
	Jumps []Server
	Seed  Seed
}

// Seed is the content of a seed. It contains a join token, so it prints as a placeholder wherever a Target is printed,
// logged or encoded.
type Seed []byte

const hiddenSeed = "[seed]"

// Format implements fmt.Formatter for all verbs.
func (Seed) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, hiddenSeed) }

// MarshalJSON implements json.Marshaler.
func (Seed) MarshalJSON() ([]byte, error) { return json.Marshal(hiddenSeed) }

// MarshalText serves the encoders that know text only.
func (Seed) MarshalText() ([]byte, error) { return []byte(hiddenSeed), nil }

// Secret is a password. Like a Seed it never prints.
type Secret []byte

const hiddenSecret = "[secret]"

// Format implements fmt.Formatter for all verbs.
func (Secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, hiddenSecret) }

// MarshalJSON implements json.Marshaler.
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(hiddenSecret) }

// MarshalText serves the encoders that know text only.
func (Secret) MarshalText() ([]byte, error) { return []byte(hiddenSecret), nil }

// Options are the same for all hosts of a push.
type Options struct {
	// Agents is the bootstrap agent for each architecture.
	Agents map[manifest.Arch]Binary
	Auth   *Auth
	// KnownHosts are files in the format of OpenSSH; one that doesn't exist counts as empty.
	KnownHosts []string
	// AcceptNewHostKeys trusts the key of a host of which nothing is known, and appends it to the first of KnownHosts
	// before anything is sent. A key that differs from a known one is never accepted.
	AcceptNewHostKeys bool
	// SudoPassword is what to tell a sudo or doas that asks for a password; nil if nobody knows it. It must be one line.
	SudoPassword Secret
	// Concurrency is how many hosts are worked on at the same time; 100 if it is 0.
	Concurrency int
	// ConnectTimeout covers a host's connection, key exchange and login; 20 seconds if it is 0.
	ConnectTimeout time.Duration
	// HostTimeout covers everything done with one host. If it is 0 it is 3 minutes, and as long beyond
	// as UploadLimit may keep the hosts of one moment waiting.
	HostTimeout time.Duration
	// IdleTimeout is how long a host may send nothing at all, not even an answer to a keep-alive; 30 seconds if it is 0.
	IdleTimeout time.Duration
	// Sources are the base URLs of the coordinator's blobs, from which hosts fetch the agent; none: it is sent to all.
	Sources []string
	// UploadLimit is how many bytes a second are sent to all hosts together; 0 is without limit.
	UploadLimit int64
}

// Step says where the push to one host is.
type Step string

// The steps in their order; a push ends with Pushed or Failed. Fetching is left out where the agent is sent, and is
// followed by Uploading where it fails.
const (
	Connecting     Step = "connecting"
	Authenticating Step = "authenticating"
	Uploading      Step = "uploading"
	Fetching       Step = "fetching"
	Starting       Step = "starting"
	Pushed         Step = "pushed"
	Failed         Step = "failed"
)

// Event tells the progress of one host.
type Event struct {
	Target Target
	Step   Step
	// Bytes of Total are sent, while uploading.
	Bytes, Total int64
	// NewHostKey is the fingerprint of a key that was accepted and recorded without having been known.
	NewHostKey string
	// Note is what the operator should know of a host that is pushed to all the same.
	Note string
	// Err says why, with Failed.
	Err *Error
	// Took is the time since the host's turn came.
	Took time.Duration
}

// Ended says if this is the host's last event.
func (e Event) Ended() bool { return e.Step == Pushed || e.Step == Failed }

// Result is the outcome of one host.
type Result struct {
	Target Target
	// Err is nil if the bootstrap agent was started.
	Err *Error
	// NewHostKey is the fingerprint of a key that was accepted and recorded without having been known.
	NewHostKey string
	// Note is what the operator should know of a host that is pushed to all the same.
	Note string
	Took time.Duration
	// Steps says how long each step took that was begun, in their order.
	Steps []StepTime
}

// StepTime is the duration of one step.
type StepTime struct {
	Step Step
	Took time.Duration
}
