package coordinator

import (
	"context"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"muster/internal/hosts"
	"muster/internal/store"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

const (
	pageSize    = 500
	maxPageSize = 1000 // rows of the longest texts fit into the 4 MiB that a gRPC client accepts
	// watchPause bounds how often a watcher is told of the same host.
	watchPause = 200 * time.Millisecond
)

// ClusterState is the cluster in counts, with the rosters of the counted roles.
func (s *Service) ClusterState(ctx context.Context) (*operatorv1.GetClusterResponse, error) {
	g := s.gen.g
	resp := &operatorv1.GetClusterResponse{
		Name: g.Cluster, ConfigId: string(g.ConfigID), BundleName: g.Bundle.Name, BundleVersion: g.Bundle.Version,
		Phases: make(map[string]int64), Now: timestamppb.New(s.clock()),
	}
	tallies := s.directory.tallies()
	for _, phases := range tallies {
		for phase, n := range phases {
			if n > 0 {
				resp.Phases[string(phase)] += int64(n)
				resp.Hosts += int64(n)
			}
		}
	}
	err := s.store.View(ctx, func(r store.Reader) error {
		for _, e := range g.Roles {
			state := &operatorv1.RoleState{Role: string(e.Name), Counted: int32(e.Count), Done: int64(tallies[e.Name][hosts.Done])}
			for _, n := range tallies[e.Name] {
				state.Hosts += int64(n)
			}
			if e.Count > 0 {
				roster, err := s.roster(r, e.Name)
				if err != nil {
					return err
				}
				for i, m := range roster {
					state.Members = append(state.Members, &operatorv1.Member{
						Index: int32(i), HostId: string(m.Host), Name: m.Name, Address: m.Address, Zone: m.Zone,
					})
				}
			}
			resp.Roles = append(resp.Roles, state)
		}
		return nil
	})
	return resp, err
}

// afterPush begins the page tokens that stand in the pushes; the others are identities of hosts.
const afterPush = "push:"

// ListHosts is a page of hosts. Pushes whose hosts have not joined come first.
func (s *Service) ListHosts(token string, size int) *operatorv1.ListHostsResponse {
	if size <= 0 {
		size = pageSize
	}
	size = min(size, maxPageSize)
	resp := &operatorv1.ListHostsResponse{}
	if target, among := strings.CutPrefix(token, afterPush); among || token == "" {
		for _, p := range s.directory.listPushes() {
			if p.Target <= target {
				continue
			}
			if len(resp.Hosts) == size {
				return resp
			}
			resp.Hosts = append(resp.Hosts, p.message())
			resp.NextPageToken = afterPush + p.Target
		}
		token = ""
	}
	for _, e := range s.directory.page(hosts.ID(token), size-len(resp.Hosts)) {
		resp.Hosts = append(resp.Hosts, s.message(e))
		resp.NextPageToken = string(e.host.ID)
	}
	if len(resp.Hosts) < size {
		resp.NextPageToken = ""
	}
	return resp
}

// Describe is one host by identity, name or address.
func (s *Service) Describe(name string) (*operatorv1.Host, error) {
	e, err := s.directory.get(name)
	if err == nil {
		return s.message(e), nil
	}
	for _, p := range s.directory.listPushes() {
		if p.Target == name {
			return p.message(), nil
		}
	}
	return nil, err
}

// Watch sends every host once and then those that change, until ctx ends or send fails.
func (s *Service) Watch(ctx context.Context, send func(*operatorv1.WatchHostsResponse) error) error {
	w := s.directory.watch()
	defer s.directory.unwatch(w)
	shown := make(map[string]bool) // the pushes that the caller has seen
	for token, first := "", true; first || token != ""; first = false {
		page := s.ListHosts(token, pageSize)
		token = page.NextPageToken
		for _, h := range page.Hosts {
			if h.Push != "" {
				shown[h.Id] = true
			}
		}
		if err := send(&operatorv1.WatchHostsResponse{Hosts: page.Hosts, Complete: token == ""}); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
		}
		changed, gone, pushes := s.directory.take(w)
		var rows []*operatorv1.Host
		var removed []string
		for _, e := range changed {
			rows = append(rows, s.message(e))
		}
		for _, id := range gone {
			removed = append(removed, string(id))
		}
		if pushes {
			now := make(map[string]bool)
			for _, p := range s.directory.listPushes() {
				now[p.Target] = true
				rows = append(rows, p.message())
			}
			for target := range shown {
				if !now[target] {
					removed = append(removed, target)
				}
			}
			shown = now
		}
		// In messages that a client accepts, however many changed at once.
		for first := true; first || len(rows)+len(removed) > 0; first = false {
			resp := &operatorv1.WatchHostsResponse{Complete: true}
			resp.Hosts, rows = split(rows, pageSize)
			resp.Removed, removed = split(removed, pageSize)
			if err := send(resp); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchPause):
		}
	}
}

// split cuts the first n off a list, or all that there are.
func split[T any](list []T, n int) (first, rest []T) {
	n = min(n, len(list))
	return list[:n], list[n:]
}

// message shows a push as a host that has not joined; its target is its name.
func (p Push) message() *operatorv1.Host {
	h := &operatorv1.Host{
		Id: p.Target, Name: p.Target, Role: p.Role, Push: "pushed", LastSeen: timestamppb.New(p.Time), PhaseSince: timestamppb.New(p.Time),
	}
	if !p.OK {
		h.Push, h.FailedStep, h.Failure, h.Remedy = p.Class, "push", p.Message, p.Remedy
	}
	if len(p.Labels) > 0 {
		h.Facts = &syncv1.Facts{Labels: p.Labels}
	}
	return h
}

func (s *Service) message(e entry) *operatorv1.Host {
	h := e.host
	m := &operatorv1.Host{
		Id: string(h.ID), Name: h.Facts.Name, Address: h.Facts.Address, Role: string(h.Role), Index: int32(h.Index),
		Phase: syncv1.Phase(h.Phase.Number()), Attempt: h.Attempt, JoinedBy: h.JoinedBy, Resident: h.Phase == hosts.Done && s.stays(h),
		Enrolled: timestamppb.New(h.Enrolled), PhaseSince: timestamppb.New(h.PhaseSince),
		Facts: &syncv1.Facts{
			Name: h.Facts.Name, Address: h.Facts.Address, Architecture: h.Facts.Architecture, Os: h.Facts.OS, Kernel: h.Facts.Kernel,
			MemoryBytes: h.Facts.MemoryBytes, Processors: h.Facts.Processors, Zone: h.Facts.Zone, Labels: h.Facts.Labels,
			AgentVersion: h.Facts.AgentVersion,
		},
	}
	m.ChecksOk, m.ChecksWarning, m.ChecksCritical, m.ChecksUnknown = h.Tally()
	if !h.Done.IsZero() {
		m.Done = timestamppb.New(h.Done)
	}
	if !e.seen.IsZero() {
		m.LastSeen = timestamppb.New(e.seen)
	}
	if q := h.Quarantine; q != nil {
		m.Quarantine = &operatorv1.Quarantine{Since: timestamppb.New(q.Since), Reason: q.Reason, Remedy: q.Remedy}
	}
	if h.Failed != nil {
		m.FailedStep, m.Failure, m.Remedy = h.Failed.Step, h.Failed.Message, h.Failed.Remedy
	}
	if o := e.observed; o != nil && o.Attempt == h.Attempt {
		m.Step, m.DoneBytes, m.TotalBytes, m.Waiting = o.Step, o.DoneBytes, o.TotalBytes, o.Waiting
	}
	switch {
	case h.Phase == hosts.Uninstalling:
		m.Waiting = s.replacedWords(h)
	case h.Phase == hosts.Done && s.stays(h):
		m.Step = "" // it may wait to follow a change
	case h.Phase == hosts.Done:
		m.Step, m.Waiting = "", ""
	}
	return m
}

func (s *Service) replacedWords(h hosts.Host) string {
	words := "replaced"
	if by, err := s.directory.get(string(h.Successor)); err == nil {
		words += " by " + by.host.Facts.Name
	}
	if h.Failed != nil {
		return words + "; it cannot uninstall: " + h.Failed.Message
	}
	return words + "; it uninstalls as soon as it is heard of"
}
