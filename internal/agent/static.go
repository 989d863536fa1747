package agent

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"muster/internal/checks"
	"muster/internal/durable"
	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/late"
	"muster/internal/manifest"
)

// Static is an installation without a coordinator: the roster is the manifest's, the host's own values are the host's.
type Static struct {
	Role     manifest.Role
	Manifest manifest.Blob
	Sources  []string
	// Cluster and Signing say for which cluster and by whose keys the manifest must be signed, if they are given.
	Cluster                      string
	Signing                      *manifest.Signing
	PreflightOnly, SkipPreflight bool
	// Secrets is the path of the file with the role's secrets, if it has any: see package handover.
	Secrets string
	Out     io.Writer
}

// InstallStatic installs one role and says on Out how each step and check went.
func InstallStatic(ctx context.Context, l Layout, s Static) error {
	if os.Geteuid() != 0 {
		return fault.New(fault.Denied, "run it as root (sudo)", "installing needs root")
	}
	if err := forgetAgent(ctx, l); err != nil {
		return err
	}
	if exists(l.seed()) {
		return fault.New(fault.Conflict, "wait until it is done", "this host is joining a cluster through a coordinator")
	}
	if err := durable.MkdirAll(l.State(), 0o700); err != nil {
		return localFault(err)
	}
	lock, err := Lock(l)
	if err != nil {
		return fault.New(fault.Conflict, "wait until it is done", "one installation at a time").Because(err)
	}
	defer lock.Close()
	defer os.RemoveAll(l.State())

	out := &printer{out: s.Out}
	i := &installation{
		layout: l, systemd: systemd{l}, tell: out, static: true, cluster: s.Cluster, signing: s.Signing,
		plan:   Plan{ID: "static", Role: s.Role, Manifest: s.Manifest, Sources: s.Sources},
		offset: sourceClock(ctx, s.Sources),
	}
	if err := i.prepareStatic(ctx, s); err != nil {
		return err
	}
	i.tell = maskedTeller(out, i.plan)
	if !s.PreflightOnly {
		if err := forgetInstallation(ctx, l, i.cluster); err != nil {
			return err
		}
	}
	if !s.SkipPreflight {
		if err := out.ended(i.run(ctx, preflightSteps, hosts.Ready)); err != nil {
			return err
		}
	}
	if s.PreflightOnly {
		return nil
	}
	return out.ended(i.run(ctx, installSteps, hosts.Done))
}

// prepareStatic reads the manifest for the cluster's name and works the late values out.
func (i *installation) prepareStatic(ctx context.Context, s Static) error {
	if err := i.prepareFetcher(); err != nil {
		return err
	}
	if i.signing != nil {
		if err := i.believe(ctx); err != nil {
			return err
		}
	}
	path, err := i.fetcher.Fetch(ctx, i.plan.Manifest, i.layout.blobs(), nil)
	if err != nil {
		return localFault(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return localFault(err)
	}
	m, err := manifest.DecodeManifest(raw)
	if err != nil {
		return err
	}
	i.cluster = m.Cluster
	values := late.Values{}
	var routes []string
	for role, members := range m.Roster {
		values.SetRoster(role, members)
		for _, member := range members {
			routes = append(routes, net.JoinHostPort(member.Address, "9"))
		}
	}
	for _, s := range i.plan.Sources {
		if u, err := url.Parse(s); err == nil && u.Hostname() != "" {
			routes = append([]string{net.JoinHostPort(u.Hostname(), "9")}, routes...)
		}
	}
	if m.Endpoint != "" {
		values.SetEndpoint(m.Endpoint)
	}
	f, err := facts(i.layout, routes, m.Address, nil)
	if err != nil {
		return err
	}
	self := manifest.Member{Name: f.Name, Address: f.Address}
	for _, member := range m.Roster[i.plan.Role] {
		if member.Address == f.Address {
			self = member
		}
	}
	if m.Counted > 0 && self.Address != "" && !contains(m.Roster[i.plan.Role], self) {
		return fault.New(fault.Conflict, "run it on a host that cluster.yaml lists as "+string(i.plan.Role)+", or list this one",
			"this host has the address %s, which is not one of the members of role %s", f.Address, i.plan.Role)
	}
	values.SetHost(self)
	if err := i.staticSecrets(m, s, values); err != nil {
		return err
	}
	i.plan.Late = map[string]string{}
	for _, ref := range late.Refs(m.Late) {
		v, ok := values[ref]
		if _, secret := late.SecretName(ref); secret && s.PreflightOnly {
			continue
		}
		if !ok {
			return fault.New(fault.Invalid, "list every member of the counted roles in cluster.yaml, then run coordinator genconf again",
				"the late value %s is not known without a coordinator", ref)
		}
		i.plan.Late[ref] = v
	}
	return nil
}

func contains(members []manifest.Member, self manifest.Member) bool {
	for _, m := range members {
		if m.Address == self.Address {
			return true
		}
	}
	return false
}

// printer tells people what an installation without a coordinator does.
type printer struct {
	out    io.Writer
	failed error
}

func (p *printer) ended(err error) error {
	if err != nil {
		return err
	}
	return p.failed
}

// Phase implements Teller.
func (p *printer) Phase(hosts.Phase) error { return nil }

// Step implements Teller.
func (p *printer) Step(_ hosts.Phase, name, message string, took time.Duration, err error) error {
	if err != nil {
		p.failed = err
		fmt.Fprintf(p.out, "%-12s failed: %v\n", name, err)
		if d := detailOf(err); d != "" {
			fmt.Fprintln(p.out, "  "+strings.ReplaceAll(d, "\n", "\n  "))
		}
		return nil
	}
	message, detail, _ := strings.Cut(message, "\n")
	fmt.Fprintf(p.out, "%-12s %s (%s)\n", name, message, took.Round(10*time.Millisecond))
	if detail != "" {
		fmt.Fprintln(p.out, "  "+strings.ReplaceAll(detail, "\n", "\n  "))
	}
	return nil
}

// Check implements Teller.
func (p *printer) Check(r checks.Result) error {
	fmt.Fprintf(p.out, "  %-9s %s: %s\n", r.Status, r.Name, r.Summary)
	if r.Status != checks.OK && r.Remedy != "" {
		fmt.Fprintf(p.out, "            %s\n", r.Remedy)
	}
	return nil
}

// Progress implements Teller.
func (p *printer) Progress(_ string, _, _ int64, waiting string) {
	if waiting != "" {
		fmt.Fprintln(p.out, "  "+waiting)
	}
}
