package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/internal/hosts"
	"muster/internal/manifest"
	"muster/internal/roles"
	"muster/internal/store"
	syncv1 "muster/proto/muster/sync/v1"
)

// straggler is how long a host that follows a change may be silent before hosts of its open role no longer wait for it.
const straggler = 5 * time.Minute

// stays says whether the bootstrap agent is to stay on a host that is done.
func (s *Service) stays(h hosts.Host) bool { return h.Resident && s.gen.g.Resident }

// behind says whether the late values of a host have changed since it was done, and in words why it may not follow now; ""
// when it may.
func (s *Service) behind(r store.Reader, h hosts.Host) (yes bool, why string, err error) {
	if h.Phase != hosts.Done || !s.stays(h) || h.PlanID == "" {
		return false, "", nil
	}
	values, missing, err := s.lateValues(r, h)
	if err != nil {
		return false, "", err
	}
	p := s.plan(h, values)
	switch {
	case p.Id == h.PlanID:
		return false, "", nil
	case configOf(p.Id) != configOf(h.PlanID):
		return true, fmt.Sprintf("keeps config %s and follows nothing while config %s is served: serve that one again, or uninstall the host and let it join anew",
			configOf(h.PlanID), configOf(p.Id)), nil
	case len(missing) > 0:
		return true, "keeps its late values; waiting for " + strings.Join(missing, ", "), nil
	}
	if why, err = s.othersFirst(r, h); why != "" {
		s.directory.waits(h.Role, h.ID)
	}
	return true, why, err
}

// othersFirst says whom a host has to wait for before it follows a change: members of the rosters that it names until they
// are done, its peers in a counted role until all of them are done and heard of, and in an open role as many as follow at
// a time.
func (s *Service) othersFirst(r store.Reader, h hosts.Host) (string, error) {
	role, _ := s.gen.spec.Role(h.Role)
	for _, name := range s.gen.rosters[h.Role] {
		if name == role.Name {
			continue
		}
		if busy, err := s.notWell(r, name, h.ID, false); err != nil || len(busy) > 0 {
			return waitWords(name, busy), err
		}
	}
	most := s.atATime(role)
	if role.Count == 0 {
		if s.directory.mayFollow(role.Name, h.ID, most, s.clock().Add(-straggler)) {
			return "", nil
		}
		return fmt.Sprintf("its late values have changed; its turn comes, %d at a time of role %s", most, role.Name), nil
	}
	busy, err := s.notWell(r, role.Name, h.ID, true)
	if err != nil || len(busy) < most {
		return "", err
	}
	return waitWords(role.Name, busy), nil
}

func (s *Service) atATime(role roles.Role) int {
	return roles.AtATime(role, s.directory.total(role.Name))
}

func waitWords(role manifest.Role, busy []string) string {
	if len(busy) == 0 {
		return ""
	}
	return fmt.Sprintf("its late values have changed; waiting for %s of role %s", strings.Join(busy, ", "), role)
}

// notWell names the other members of a counted role that are not done, and with heard set those that nobody hears of.
func (s *Service) notWell(r store.Reader, role manifest.Role, but hosts.ID, heard bool) ([]string, error) {
	roster, err := s.roster(r, role)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range roster {
		if m.Host == but || m.Host == "" {
			continue
		}
		h, err := getHost(r, m.Host)
		if err != nil {
			return nil, err
		}
		last, _ := s.directory.lastHeard(m.Host)
		if h.Phase != hosts.Done || heard && h.Resident && s.clock().Sub(last) > roles.Fresh {
			names = append(names, m.Name)
		}
	}
	return names, nil
}

// turn lets a host that is done take up what has changed, if it still may: from then on it is as one that is ready to
// install, in a new attempt.
func (s *Service) turn(ctx context.Context, id hosts.ID) error {
	before, err := s.record(ctx, id)
	if err != nil {
		return err
	}
	// Of an open role no record is shared. So the turn is taken here before it is written down, or all would take it that
	// ask at this moment.
	if role, _ := s.gen.spec.Role(before.Role); role.Count == 0 && !s.directory.begin(role.Name, id, s.atATime(role), s.clock().Add(-straggler)) {
		return nil
	}
	err = s.change(ctx, id, func(w store.Writer, h *hosts.Host) error {
		yes, why, err := s.behind(w, *h)
		if err != nil || !yes || why != "" {
			return err
		}
		h.Phase, h.PhaseSince, h.Failed, h.Given = hosts.Ready, s.clock(), nil, nil
		h.Attempt++
		return s.event(w, Event{Kind: "following", Host: id, Message: h.Facts.Name + " takes up its changed late values"})
	})
	if err != nil {
		return errors.Join(err, s.follow(ctx, id)) // it has not begun, or another of its calls let it
	}
	return nil
}

// release rings the hosts that are ready and may have waited for the last of a role that theirs comes after.
func (s *Service) release(role manifest.Role) {
	if !s.gen.awaited[role] || s.directory.notDone(role, s.gen.entries[role].Count) != "" {
		return
	}
	for _, e := range s.gen.g.Roles {
		if slices.Contains(e.After, role) {
			for _, id := range s.directory.listReady(e.Name) {
				s.bell.ring(id)
			}
		}
	}
}

// wake rings hosts that wait for their turn, after one of the role has taken its own: all members of a counted role, and of an
// open one as many as may have it. Those that nobody rings ask again when their hold is over.
func (s *Service) wake(role manifest.Role) {
	for _, e := range s.gen.g.Roles {
		if e.Name != role && !slices.Contains(s.gen.rosters[e.Name], role) {
			continue
		}
		spec, _ := s.gen.spec.Role(e.Name)
		for _, id := range s.directory.takeWaiting(e.Name, max(s.atATime(spec), spec.Count)) {
			s.bell.ring(id)
		}
	}
}

// letGo records that a host's bootstrap agent is told to leave: from then on its silence means nothing.
func (s *Service) letGo(ctx context.Context, id hosts.ID, resp *syncv1.SyncResponse) error {
	if resp.Directive.GetLeave() == nil {
		return nil
	}
	if h, err := s.record(ctx, id); err != nil || !h.Resident {
		return err
	}
	return s.change(ctx, id, func(_ store.Writer, h *hosts.Host) error {
		h.Resident = false
		return nil
	})
}

// configOf is the config that a plan is of: see Service.plan.
func configOf(plan string) string {
	config, _, _ := strings.Cut(plan, "-")
	return config
}
