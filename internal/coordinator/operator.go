package coordinator

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/identity"
	"muster/internal/manifest"
	"muster/internal/store"
	syncv1 "muster/proto/muster/sync/v1"
)

// Push is how the one SSH push to a host ended, kept until the host has enrolled.
type Push struct {
	Target  string    `json:"target"`
	Role    string    `json:"role,omitempty"`
	OK      bool      `json:"ok"`
	Class   string    `json:"class,omitempty"`
	Message string    `json:"message,omitempty"`
	Remedy  string    `json:"remedy,omitempty"`
	Time    time.Time `json:"time"`
	Token   string    `json:"token,omitempty"`
	// HostKey is the fingerprint of a key that was trusted without having been known.
	HostKey string `json:"host_key,omitempty"`
	// Labels are those that the token gave, for the next push to the same host.
	Labels map[string]string `json:"labels,omitempty"`
}

// Find is the identity of a host by identity, address or name.
func (s *Service) Find(name string) (hosts.ID, error) {
	e, err := s.directory.get(name)
	return e.host.ID, err
}

// maxAnswer bounds the reports of one answer in bytes, well below the 4 MiB that a gRPC client accepts.
const maxAnswer = 2 << 20

// Reports are what is kept of a host's reports, oldest first; when they are too many for one answer, the newest of them.
func (s *Service) Reports(ctx context.Context, id hosts.ID) ([]*syncv1.Report, error) {
	var reports []*syncv1.Report
	var sizes []int
	total := 0
	err := s.store.View(ctx, func(r store.Reader) error {
		return r.Scan(keyReports+string(id)+"/", "", func(_ string, raw []byte) (bool, error) {
			report := new(syncv1.Report)
			if err := proto.Unmarshal(raw, report); err != nil {
				return false, err
			}
			reports, sizes, total = append(reports, report), append(sizes, len(raw)), total+len(raw)
			return true, nil
		})
	})
	first := 0
	for ; total > maxAnswer; first++ {
		total -= sizes[first]
	}
	return reports[first:], err
}

// Assign gives a host its role by the operator's word.
func (s *Service) Assign(ctx context.Context, actor Actor, name string, role manifest.Role) (hosts.ID, error) {
	id, err := s.Find(name)
	if err != nil {
		return "", err
	}
	if _, ok := s.gen.spec.Role(role); !ok {
		return "", s.errNoRole(role)
	}
	var changed assigned
	err = s.change(ctx, id, func(w store.Writer, h *hosts.Host) (err error) {
		switch {
		case h.Phase == hosts.Uninstalling:
			return fault.New(fault.Conflict, "wait until it has uninstalled, then let it join again", "host %s was replaced and is to uninstall", h.Facts.Name)
		case h.Phase != hosts.Enrolled:
			return fault.New(fault.Conflict, "coordinator hosts remove it and let it join again",
				"host %s already has the role %s", h.Facts.Name, h.Role)
		}
		if changed, err = s.assign(w, h, role, s.clock()); err != nil {
			return err
		}
		return s.event(w, Event{Kind: "assigned", Host: id, Actor: actor.Name, From: actor.From, Message: h.Facts.Name + roleWords(*h)})
	})
	if err != nil {
		return "", err
	}
	s.bell.ring(id)
	return id, s.announce(ctx, changed)
}

// Retry lets a failed host try again from its preflight on. One that was done before, and failed to follow a change, tries that
// again: preflight would stop what runs there, to judge the host without it.
func (s *Service) Retry(ctx context.Context, actor Actor, name string) (hosts.ID, error) {
	id, err := s.Find(name)
	if err != nil {
		return "", err
	}
	err = s.change(ctx, id, func(w store.Writer, h *hosts.Host) error {
		if h.Phase != hosts.Failed {
			return fault.New(fault.Conflict, "only a failed host can be tried again", "host %s is %s", h.Facts.Name, h.Phase)
		}
		h.Phase = hosts.Ready
		if !h.Installed() {
			h.Phase, h.Checks = hosts.Assigned, nil
		}
		h.PhaseSince, h.Failed, h.Given = s.clock(), nil, nil
		h.Attempt++
		return s.event(w, Event{Kind: "retry", Host: id, Actor: actor.Name, From: actor.From, Message: h.Facts.Name})
	})
	if err != nil {
		return "", err
	}
	s.bell.ring(id)
	return id, nil
}

// Remove ends a host's identity: its next call is denied, its place in a roster and its address are free, its reports
// are gone. The record stays as the reason why the certificate is refused. Of a host that was pushed to and never joined,
// the push is forgotten and its token revoked.
func (s *Service) Remove(ctx context.Context, actor Actor, name string) error {
	id, err := s.Find(name)
	if errors.Is(err, fault.NotFound) {
		return s.removePush(ctx, actor, name)
	}
	if err != nil {
		return err
	}
	var role manifest.Role
	err = s.alter(ctx, id, func(w store.Writer, h *hosts.Host) error {
		role = h.Role
		if h.Role != "" && s.gen.entries[h.Role].Count > 0 {
			roster, err := s.roster(w, h.Role)
			if err != nil {
				return err
			}
			if err := write(w, keyRosters+string(h.Role), roster.Leave(id)); err != nil {
				return err
			}
		}
		h.Phase, h.PhaseSince = hosts.Removed, s.clock()
		if err := freeAddress(w, *h); err != nil {
			return err
		}
		if err := dropReports(w, id, h.Acknowledged); err != nil {
			return err
		}
		return s.event(w, Event{Kind: "removed", Host: id, Actor: actor.Name, From: actor.From, Message: h.Facts.Name})
	})
	if err != nil {
		return err
	}
	s.bell.ring(id)
	if s.gen.entries[role].Count > 0 || s.gen.awaited[role] {
		s.bell.ringAll()
	}
	return nil
}

func (s *Service) removePush(ctx context.Context, actor Actor, target string) error {
	target = clip(target, 253)
	err := s.store.Update(ctx, func(w store.Writer) error {
		var p Push
		if err := read(w, keyPushes+target, &p); err != nil {
			return err
		}
		if p.Target == "" {
			return errNoHost(target)
		}
		var token identity.TokenRecord
		if err := read(w, keyTokens+p.Token, &token); err != nil {
			return err
		}
		if token.Host == target {
			if err := s.revoke(w, actor, token); err != nil {
				return err
			}
		}
		return errors.Join(
			w.Delete(keyPushes+target),
			s.event(w, Event{Kind: "removed", Actor: actor.Name, From: actor.From, Message: target + ", which was pushed to and never joined"}),
		)
	})
	if err == nil {
		s.directory.dropPush(target)
	}
	return err
}

// RecordPush keeps how a push ended, unless the host has already enrolled: then it stands for itself, and only a push that
// failed is an event.
func (s *Service) RecordPush(ctx context.Context, actor Actor, p Push) error {
	p.HostKey = clip(p.HostKey, 128)
	p.Target, p.Class = clip(p.Target, 253), clip(p.Class, 64)
	p.Message, p.Remedy, p.Time = clip(p.Message, 1024), clip(p.Remedy, 1024), s.clock()
	given := p.Labels
	p.Labels = make(map[string]string, len(given))
	for key, value := range given { // as long as a token's may be
		p.Labels[clip(key, 63)] = clip(value, 253)
	}
	var joined bool
	err := s.store.Update(ctx, func(w store.Writer) error {
		// Read where the enrolment writes it: of the two, one comes first.
		var token identity.TokenRecord
		if err := read(w, keyTokens+p.Token, &token); err != nil {
			return err
		}
		if p.HostKey != "" {
			if err := s.event(w, Event{Kind: "host-key-accepted", Actor: actor.Name, From: actor.From,
				Message: p.Target + ": the host key " + p.HostKey + " was trusted without having been known"}); err != nil {
				return err
			}
		}
		known, err := s.pushedHost(w, p.Target)
		if err != nil {
			return err
		}
		if joined = known.host.ID != "" || token.Uses > 0 || s.directory.joinedBy(p.Token); joined {
			if p.OK {
				return nil
			}
			return s.event(w, Event{Kind: "push-failed", Host: known.host.ID, Actor: actor.Name, From: actor.From, Message: p.Target + ": " + p.Message})
		}
		return write(w, keyPushes+p.Target, p)
	})
	if err == nil && !joined {
		s.directory.putPush(p)
	}
	return err
}

// pushedHost is the host that a push to the target meant, if it has joined; else none. A name is the host's own word, and may be
// what somebody else is pushed to: so the address tells, or the token of the push that the host joined by.
func (s *Service) pushedHost(r store.Reader, target string) (entry, error) {
	known, err := s.directory.get(target)
	if err != nil || known.host.Facts.Address == target {
		return known, nil
	}
	var token identity.TokenRecord
	if err := read(r, keyTokens+known.host.JoinedBy, &token); err != nil || token.Host != target {
		return entry{}, err
	}
	return known, nil
}
