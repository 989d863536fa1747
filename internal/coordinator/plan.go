package coordinator

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"muster/internal/hosts"
	"muster/internal/late"
	"muster/internal/manifest"
	"muster/internal/roles"
	"muster/internal/store"
	syncv1 "muster/proto/muster/sync/v1"
)

func joinHostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// comeBack is when a host calls again that goes on with a plan of before.
const comeBack = 5 * time.Second

// direct is what a host is to do now. behind is what keeps one that is done from following a change.
func (s *Service) direct(r store.Reader, h hosts.Host, behind string) (*syncv1.Directive, error) {
	var values late.Values
	var missing []string
	if h.Phase.Planned() {
		var err error
		if values, missing, err = s.lateValues(r, h); err != nil {
			return nil, err
		}
	}
	around := hosts.Surroundings{Missing: missing, Stays: s.stays(h), Behind: behind}
	if h.Phase == hosts.Enrolled {
		if _, err := s.place(r, h, ""); err != nil {
			around.NoRole = err.Error()
		}
	}
	d := hosts.Next(h, around)
	if d.Action == hosts.ActInstall && len(values) < len(s.gen.refs[h.Role]) {
		// A member of a roster was removed in the middle of this host's installation. A plan without it could not be
		// bound; the host goes on with the one that it has.
		d.Action, d.Reason, d.ComeBack = hosts.ActWait, "goes on with its plan; waiting for "+strings.Join(missing, ", "), comeBack
	}
	out := &syncv1.Directive{Attempt: d.Attempt}
	switch d.Action {
	case hosts.ActPreflight:
		out.Action = &syncv1.Directive_Preflight{Preflight: s.plan(h, hostOnly(values))}
	case hosts.ActInstall:
		out.Action = &syncv1.Directive_Install{Install: s.plan(h, values)}
	case hosts.ActUninstall:
		out.Action = &syncv1.Directive_Uninstall{Uninstall: &syncv1.Uninstall{}}
	case hosts.ActLeave:
		out.Action = &syncv1.Directive_Leave{Leave: &syncv1.Leave{Reason: d.Reason}}
	default:
		out.Action = &syncv1.Directive_Wait{Wait: &syncv1.Wait{Reason: d.Reason, ComeBack: durationpb.New(d.ComeBack)}}
	}
	out.Id = s.name(out)
	return out, nil
}

func (s *Service) plan(h hosts.Host, values map[string]string) *syncv1.Plan {
	entry := s.gen.entries[h.Role]
	p := &syncv1.Plan{
		ConfigId:       string(s.gen.g.ConfigID),
		Role:           string(h.Role),
		ManifestDigest: string(entry.Manifest.Digest),
		ManifestSize:   entry.Manifest.Size,
		Late:           values,
		Sources:        s.gen.sources(),
		SecretsId:      s.secretsID(values),
	}
	// The config in front of what names the rest: so it is known of a host that was done long ago which one it has.
	p.Id = s.gen.config() + "-" + s.name(p)[:16]
	return p
}

// lateValues are those that the host's artifacts name, and in words those that are not known yet.
func (s *Service) lateValues(r store.Reader, h hosts.Host) (map[string]string, []string, error) {
	if h.Role == "" {
		return nil, nil, nil
	}
	known := late.Values{}
	known.SetHost(manifest.Member{Name: h.Facts.Name, Address: h.Facts.Address, Zone: h.Facts.Zone, Index: h.Index})
	if s.gen.g.Endpoint != "" {
		known.SetEndpoint(s.gen.g.Endpoint)
	}
	var missing []string
	complete := true
	for _, role := range s.gen.rosters[h.Role] {
		roster, err := s.roster(r, role)
		if err != nil {
			return nil, nil, err
		}
		if free := roster.Free(); free > 0 {
			missing = append(missing, fmt.Sprintf("%d more of %d hosts of role %s", free, len(roster), role))
			complete = false
		}
		known.SetRoster(role, members(roster))
	}
	for _, role := range s.gen.entries[h.Role].After {
		if waiting := s.directory.notDone(role, s.gen.entries[role].Count); waiting != "" {
			missing = append(missing, waiting)
		}
	}
	values := make(late.Values)
	absent, err := s.secretValues(r, h.Role, hostLabel(h.ID), values)
	if err != nil {
		return nil, nil, err
	}
	missing = append(missing, absent...)
	for _, ref := range s.gen.refs[h.Role] {
		if _, ok := late.SecretName(ref); ok {
			continue
		}
		if v := known[ref]; v != "" {
			values[ref] = v
		} else if strings.HasPrefix(ref, "Host.") || complete {
			missing = append(missing, ref+", which the host does not say")
		}
	}
	return values, missing, nil
}

func members(roster roles.Roster) []manifest.Member {
	list := make([]manifest.Member, len(roster))
	for i, m := range roster {
		list[i] = manifest.Member{Name: m.Name, Address: m.Address, Zone: m.Zone, Index: i}
	}
	return list
}

// hostOnly are the values that preflight may use: those that no other host changes.
func hostOnly(values map[string]string) map[string]string {
	own := make(map[string]string)
	for ref, v := range values {
		if strings.HasPrefix(ref, "Host.") {
			own[ref] = v
		}
	}
	return own
}

func (s *Service) roster(r store.Reader, role manifest.Role) (roles.Roster, error) {
	roster := roles.NewRoster(s.gen.entries[role].Count)
	err := read(r, keyRosters+string(role), &roster)
	return roster, err
}

// fitRoster makes the roster of a counted role when there is none. A count that shrank below its members is refused.
func (s *Service) fitRoster(w store.Writer, role manifest.RoleEntry) error {
	var have roles.Roster
	if err := read(w, keyRosters+string(role.Name), &have); err != nil {
		return err
	}
	fitted, err := have.Resize(role.Count)
	if err != nil {
		return fmt.Errorf("role %s: %w", role.Name, err)
	}
	return write(w, keyRosters+string(role.Name), fitted)
}
