package coordinator

import (
	"context"
	"fmt"

	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/store"
)

// quarantine bars a host whose ended certificate was shown: two machines have its identity, and which of them is the host
// nobody can tell from here. Calls of both that are held back end. It always answers an error.
func (s *Service) quarantine(ctx context.Context, who Caller, shown Shown) error {
	var imposed error
	err := s.change(context.WithoutCancel(ctx), who.Host, func(w store.Writer, h *hosts.Host) error {
		if imposed = who.mayCall(*h); imposed == nil {
			return nil
		}
		name := clip(h.Facts.Name, 253)
		h.Quarantine = &hosts.Quarantine{
			Since: s.clock(),
			Reason: fmt.Sprintf("two machines have its identity: certificate %s, which was replaced, was shown from %s; certificate %s is in use from %s",
				shortSerial(who.Serial), shown.From, shortSerial(h.Certificate.Serial), h.UsedFrom),
			Remedy: fmt.Sprintf("find out which machine is the copy and clear /var/lib/bootstrap-agent on it. If the machine at %s is the right one: "+
				"coordinator hosts release %s; if not: coordinator hosts remove %s, then push to the right one again", h.UsedFrom, h.ID, h.ID),
		}
		imposed = barred(*h)
		return s.event(w, Event{Kind: "quarantined", Host: h.ID, From: shown.From.String(), Message: name + ": " + h.Quarantine.Reason})
	})
	s.bell.ring(who.Host)
	switch {
	case err != nil:
		return err
	case imposed == nil:
		return fault.New(fault.Unavailable, "the bootstrap agent tries again", "host %s has just renewed", who.Host)
	}
	s.log.Warn("host quarantined", "host", who.Host, "from", shown.From)
	return imposed
}

// Release ends a quarantine by the operator's word: the certificate in use counts again, and what was issued to whoever
// showed it. Any other that is shown brings the quarantine back.
func (s *Service) Release(ctx context.Context, actor Actor, name string) (hosts.ID, error) {
	id, err := s.Find(name)
	if err != nil {
		return "", err
	}
	err = s.alter(ctx, id, func(w store.Writer, h *hosts.Host) error {
		if h.Quarantine == nil {
			return fault.New(fault.Conflict, "coordinator status shows which hosts are", "host %s is not in quarantine", h.Facts.Name)
		}
		h.Quarantine = nil
		return s.event(w, Event{Kind: "released", Host: id, Actor: actor.Name, From: actor.From, Message: fmt.Sprintf(
			"%s: certificate %s counts, in use from %s", h.Facts.Name, shortSerial(h.Certificate.Serial), h.UsedFrom)})
	})
	if err != nil {
		return "", err
	}
	s.bell.ring(id)
	return id, nil
}
