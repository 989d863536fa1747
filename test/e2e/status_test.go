//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// status is what coordinator status -o json writes, as far as the tests look at it.
type status struct {
	Cluster struct {
		Phases map[string]int
		Roles  []struct {
			Role          string
			Counted, Done int
			Members       []struct {
				Index   int
				Address string
				HostID  string `json:"host_id"`
			}
		}
	}
	Hosts []host
}

type host struct {
	ID, Name, Address, Role, Phase, Step, Waiting, Failure, Remedy, Push string
	Index, Attempt                                                       int
	FailedStep                                                           string    `json:"failed_step"`
	JoinedBy                                                             string    `json:"joined_by"`
	DoneBytes                                                            int64     `json:"done_bytes"`
	TotalBytes                                                           int64     `json:"total_bytes"`
	ChecksOK                                                             int       `json:"checks_ok"`
	ChecksCritical                                                       int       `json:"checks_critical"`
	LastSeen                                                             time.Time `json:"last_seen"`
	Enrolled, Done                                                       *time.Time
	Facts                                                                struct {
		OS, Kernel, Architecture, Zone string
		Labels                         map[string]string
	}
}

func (h host) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s is %s%s, step %s, %d of %d bytes %s%s", h.Name, h.Role, h.Phase, h.Push, h.Step, h.DoneBytes, h.TotalBytes, h.Waiting, h.Failure))
}

// hostPage is what coordinator status HOST -o json writes.
type hostPage struct {
	Host    host
	Reports []report
	Events  []event
}

type report struct {
	Sequence uint64
	Step     *struct {
		Phase, Name, Message, Detail, Remedy string
		OK                                   bool
	}
	Check *struct{ Stage, Name, Status, Summary, Detail, Remedy string }
}

type event struct {
	Time                         time.Time
	Kind, Actor, Message, HostID string
}

func (c *coordinator) status() status {
	c.t.Helper()
	return decode[status](c.t, c.must("status", "-o", "json"))
}

func (c *coordinator) page(host int) hostPage {
	c.t.Helper()
	return decode[hostPage](c.t, c.must("status", address(host), "-o", "json"))
}

// checksOf gives what each check of a host said last, after its status.
func (c *coordinator) checksOf(host int) map[string]string {
	c.t.Helper()
	last := make(map[string]string)
	for _, r := range c.page(host).Reports {
		if r.Check != nil {
			last[r.Check.Name] = r.Check.Status + ": " + r.Check.Summary
		}
	}
	return last
}

func (c *coordinator) events() []event {
	c.t.Helper()
	var events []event
	for line := range strings.Lines(c.must("events", "-o", "json", "-n", "10000")) {
		events = append(events, decode[event](c.t, line))
	}
	return events
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("not the JSON that was expected: %v\n%s", err, text)
	}
	return v
}

// at is the host with this number; ok is false when it has not joined.
func (s status) at(number int) (h host, ok bool) {
	for _, h := range s.Hosts {
		if h.Address == address(number) {
			return h, true
		}
	}
	return host{}, false
}

// until waits until the host stands as said.
func (c *coordinator) until(number int, timeout time.Duration, what string, is func(host) bool) host {
	c.t.Helper()
	var found host
	eventually(c.t, timeout, fmt.Sprintf("host%d %s", number, what), func() error {
		h, ok := c.status().at(number)
		if !ok {
			return fmt.Errorf("it has not joined")
		}
		if found = h; !is(h) {
			return fmt.Errorf("%v", h)
		}
		return nil
	})
	return found
}

func (c *coordinator) untilPhase(number int, phase string) host {
	c.t.Helper()
	return c.until(number, 2*time.Minute, "is "+phase, func(h host) bool { return h.Phase == phase })
}

// eventually asks again and again, and says at the deadline what was wrong until then.
func eventually(t *testing.T, timeout time.Duration, what string, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(timeout); ; {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %v until %s: %v", timeout, what, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
