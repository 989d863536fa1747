package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/manifest"
	"muster/internal/roles"
	"muster/internal/store"
)

// overdue is the member of a counted role whose place a spare may take over by itself, or "".
func (s *Service) overdue(r store.Reader, role roles.Role, roster roles.Roster) (hosts.ID, error) {
	if role.TakeOver == 0 || !roster.Complete() {
		return "", nil
	}
	standings := make([]roles.Standing, len(roster))
	for i, m := range roster {
		h, err := getHost(r, m.Host)
		if err != nil {
			return "", err
		}
		if h.PlanID != "" && configOf(h.PlanID) != s.gen.config() {
			return "", nil // a new member would be of another config, and the others would not be told of it
		}
		_, steady := s.directory.lastHeard(m.Host)
		done := h.Phase == hosts.Done
		standings[i] = roles.Standing{
			Host: m.Host, Heard: s.heardOf(h), Steady: steady, Done: done, Silent: done && !h.Resident || h.Quarantine != nil,
		}
	}
	return roles.Overdue(standings, role.TakeOver, s.clock()), nil
}

// givenUp says whether a host is a member whose place may be taken over.
func (s *Service) givenUp(r store.Reader, id hosts.ID) (bool, error) {
	h, err := getHost(r, id)
	if err != nil {
		return false, err
	}
	role, ok := s.gen.spec.Role(h.Role)
	if !ok || role.TakeOver == 0 {
		return false, nil
	}
	roster, err := s.roster(r, role.Name)
	if err != nil {
		return false, err
	}
	overdue, err := s.overdue(r, role, roster)
	return overdue == id, err
}

// supersede lets the member go whose place another host has been given, in the transaction that gives it. Where there is a
// bootstrap agent, it is to uninstall as soon as it is heard of: two hosts must not go on as one member. Its address is
// free for another machine at once.
func (s *Service) supersede(w store.Writer, id hosts.ID, by hosts.Host, actor Actor, why string) error {
	h, err := getHost(w, id)
	if err != nil {
		return err
	}
	e := Event{Kind: "replaced", Host: by.ID, Actor: actor.Name, From: actor.From,
		Message: fmt.Sprintf("%s takes the place %s/%d of %s (%s): %s", by.Facts.Name, by.Role, by.Index, h.Facts.Name, h.ID, why)}
	h.Successor, h.PhaseSince, h.Role, h.Index, h.Failed = by.ID, s.clock(), "", 0, nil
	h.Phase = hosts.Uninstalling
	h.Attempt++ // what it still says of its installation is history
	if unheard(h) {
		h.Phase = hosts.Removed
		err = dropReports(w, id, h.Acknowledged)
	}
	return errors.Join(err, freeAddress(w, h), write(w, keyHosts+string(id), h), s.event(w, e))
}

// unheard says that nobody will call as this host who could be told anything: its bootstrap agent has left, or nobody knows
// which machine it is.
func unheard(h hosts.Host) bool { return h.Quarantine != nil || h.Installed() && !h.Resident }

// freeAddress lets another machine join with the host's address, unless one has done so already.
func freeAddress(w store.Writer, h hosts.Host) error {
	var owner hosts.ID
	if err := read(w, keyAddresses+h.Facts.Address, &owner); err != nil || owner != h.ID {
		return err
	}
	return w.Delete(keyAddresses + h.Facts.Address)
}

// Replacement is what Replace did.
type Replacement struct {
	Member, Spare hosts.ID
	Role          manifest.Role
	Index         int
	// Left says that nobody can tell the member to uninstall.
	Left bool
}

// Replace gives the place of a member of a counted role to a host that waits: the one that is named, or if by is empty the
// spare that has waited longest. The member is removed from the roster in the same transaction, dead or alive.
func (s *Service) Replace(ctx context.Context, actor Actor, name, by string) (Replacement, error) {
	var out Replacement
	member, err := s.directory.get(name)
	if err != nil {
		return out, err
	}
	role, ok := s.gen.spec.Role(member.host.Role)
	if !ok || role.Count == 0 {
		return out, fault.New(fault.Conflict, "coordinator hosts remove ends any other host", "host %s has no place in a role with a fixed number of members",
			member.host.Facts.Name)
	}
	out.Member, out.Role = member.host.ID, role.Name
	if by == "" {
		out.Spare, err = s.spareFor(ctx, role, out.Member)
	} else {
		out.Spare, err = s.Find(by)
	}
	if err != nil {
		return out, err
	}
	err = s.change(ctx, out.Spare, func(w store.Writer, h *hosts.Host) error {
		if h.Phase != hosts.Enrolled {
			return fault.New(fault.Conflict, "choose a host that waits; coordinator status shows them", "host %s is %s already", h.Facts.Name, h.Phase)
		}
		if s.clock().Sub(s.heardOf(*h)) > roles.Fresh {
			return fault.New(fault.Conflict, "see that it is up and reaches the coordinator, or choose another host that waits", "host %s: %s", h.Facts.Name, s.silence(*h))
		}
		roster, err := s.roster(w, role.Name)
		if err != nil {
			return err
		}
		place := roster.Index(out.Member)
		if place < 0 {
			return fault.New(fault.Conflict, "coordinator status shows who the members are", "host %s is no member of role %s any more", member.host.Facts.Name, role.Name)
		}
		if roster, out.Index, err = roster.Leave(out.Member).Join(s.memberOf(*h, role), place, nil); err != nil {
			return fault.New(fault.Conflict, "choose another host that waits, or remove the one that is gone", "role %s", role.Name).Because(err)
		}
		h.Role, h.Index, h.Phase, h.PhaseSince = role.Name, out.Index, hosts.Assigned, s.clock()
		before, err := getHost(w, out.Member)
		if err != nil {
			return err
		}
		out.Left = unheard(before)
		return errors.Join(
			write(w, keyRosters+string(role.Name), roster),
			s.supersede(w, out.Member, *h, actor, "by the operator's word"),
		)
	})
	if err != nil {
		return out, err
	}
	return out, s.superseded(ctx, out.Member)
}

// superseded makes what a place's new host means known, after its transaction.
func (s *Service) superseded(ctx context.Context, member hosts.ID) error {
	err := s.follow(ctx, member)
	s.bell.ringAll()
	return err
}

// spareFor is the host that has waited longest for a place in the role and may have the member's: something gives it the
// role, it is heard of, and where the role is spread it is not too many of its kind.
func (s *Service) spareFor(ctx context.Context, role roles.Role, member hosts.ID) (spare hosts.ID, err error) {
	now := s.clock()
	waiting := s.directory.find(func(e entry) bool {
		return e.host.Phase == hosts.Enrolled && e.host.Quarantine == nil && now.Sub(e.seen) <= roles.Fresh
	})
	slices.SortFunc(waiting, func(a, b hosts.Host) int {
		return cmp.Or(a.Enrolled.Compare(b.Enrolled), cmp.Compare(a.ID, b.ID))
	})
	var why error
	err = s.store.View(ctx, func(r store.Reader) error {
		roster, err := s.roster(r, role.Name)
		if err != nil {
			return err
		}
		roster = roster.Leave(member)
		for _, h := range waiting {
			d, ok := s.gen.spec.Decide(candidate(h, ""))
			if !ok || d.Role != role.Name {
				continue
			}
			if apart := s.apart(roster, s.memberOf(h, role), role, d, ""); apart != nil {
				why = fault.New(fault.Conflict, "name it with --by to have it nevertheless", "%s waits, but %s", h.Facts.Name, apart)
				continue
			}
			spare, why = h.ID, nil
			return nil
		}
		return nil
	})
	switch {
	case err != nil:
		return "", err
	case why != nil:
		return "", why
	case spare == "":
		return "", fault.New(fault.Conflict, fmt.Sprintf("let another host join for the role %s (coordinator push, or user-data), then try again; or name a host that waits "+
			"with --by; or free the place for whichever comes next: coordinator hosts remove", role.Name), "no spare waits for a place in role %s", role.Name)
	}
	return spare, nil
}

// heardOf is when a host was heard of last. Before it has called at all since this process began, that counts as a sign of
// life, and so does what put it where it stands: nobody has waited for it any longer.
func (s *Service) heardOf(h hosts.Host) time.Time {
	heard, _ := s.directory.lastHeard(h.ID)
	for _, t := range []time.Time{s.began, h.Enrolled, h.PhaseSince} {
		if t.After(heard) {
			heard = t
		}
	}
	return heard
}

// silence says for how long nothing was heard of a host.
func (s *Service) silence(h hosts.Host) string {
	return fmt.Sprintf("it was not heard of for %v", s.clock().Sub(s.heardOf(h)).Round(time.Second))
}
