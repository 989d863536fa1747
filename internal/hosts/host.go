// Package hosts holds what is known of one host and the rules of its life: the phases, which one may follow which, and
// the one directive that a host is given in each. It is data in, data out: no network, no files, no clock.
package hosts

import (
	"time"

	"muster/internal/manifest"
)

// ID identifies a host. The coordinator makes it at enrolment; it is never used again for another.
type ID string

// Host is what the coordinator keeps of one host.
type Host struct {
	ID ID `json:"id"`
	// Facts are the host's own word.
	Facts Facts `json:"facts"`
	// Role is empty until one is assigned. Index is the place in a counted role, from 0.
	Role  manifest.Role `json:"role,omitempty"`
	Index int           `json:"index,omitempty"`

	Phase      Phase     `json:"phase"`
	PhaseSince time.Time `json:"phase_since"`
	// Attempt counts up with every retry; what the host says of an older one is history.
	Attempt uint32 `json:"attempt"`
	// PlanID is the plan that the phase belongs to.
	PlanID string   `json:"plan_id,omitempty"`
	Failed *Failure `json:"failed,omitempty"`
	// Acknowledged is the highest sequence number of a report that is on disk.
	Acknowledged uint64 `json:"acknowledged"`
	// Checks holds the latest outcome of every check of this attempt, by stage and name.
	Checks map[string]CheckStatus `json:"checks,omitempty"`

	// JoinedBy is the identity of the token, TokenRole the role that it was bound to.
	JoinedBy  string        `json:"joined_by,omitempty"`
	TokenRole manifest.Role `json:"token_role,omitempty"`
	// Instance is the cloud's account and instance that the host joined as, such as 123456789012/i-0123456789abcdef0; empty
	// for one that joined by a token. JoinedBy and TokenRole are its policy's then.
	Instance string `json:"instance,omitempty"`
	// Certificate is the one in use, Next those that were issued since and not yet seen. UsedFrom is where the one in use
	// was first shown.
	Certificate Certificate   `json:"certificate"`
	Next        []Certificate `json:"next,omitempty"`
	UsedFrom    string        `json:"used_from,omitempty"`
	// Quarantine is set while the host is denied every call.
	Quarantine *Quarantine `json:"quarantine,omitempty"`
	// Roots are the CA certificates, by fingerprint, that the host says it trusts; none before its first call.
	Roots []string `json:"roots,omitempty"`

	// Resident says that the host is done and keeps its bootstrap agent, so that silence means trouble.
	Resident bool `json:"resident,omitempty"`
	// Given are the plans to install that a resident host was given in this attempt, the newest last.
	Given []string `json:"given,omitempty"`
	// Successor is the host that was given this one's place in a counted role.
	Successor ID `json:"successor,omitempty"`

	// Secrets names the set of secret values that the host was given last.
	Secrets  string    `json:"secrets,omitempty"`
	Enrolled time.Time `json:"enrolled"`
	Done     time.Time `json:"done,omitzero"`
}

// Facts are what a host says of itself. They decide no role.
type Facts struct {
	Name         string            `json:"name"`
	Address      string            `json:"address"`
	Zone         string            `json:"zone,omitempty"`
	Architecture string            `json:"architecture,omitempty"`
	OS           string            `json:"os,omitempty"`
	Kernel       string            `json:"kernel,omitempty"`
	MemoryBytes  int64             `json:"memory_bytes,omitempty"`
	Processors   int32             `json:"processors,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	AgentVersion string            `json:"agent_version,omitempty"`
}

// Installed says whether the host was done at least once. One that is not done any more follows a change or failed at it.
func (h Host) Installed() bool { return !h.Done.IsZero() }

// Failure is why a host stands still.
type Failure struct {
	Phase   Phase  `json:"phase"`
	Step    string `json:"step"`
	Message string `json:"message"`
	Remedy  string `json:"remedy"`
}

// CheckStatus follows the numbers of the Nagios plugin convention.
type CheckStatus int

// Tally counts the latest outcomes of a host's checks.
func (h Host) Tally() (ok, warning, critical, unknown int32) {
	for _, status := range h.Checks {
		switch status {
		case 0:
			ok++
		case 1:
			warning++
		case 2:
			critical++
		default:
			unknown++
		}
	}
	return ok, warning, critical, unknown
}
