//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/attest/attesttest"
)

// groups are the autoscaling groups of a cluster: each instance of one gets the same user-data, which holds no secret.
type groups struct {
	*testing.T
	l        *lab
	c        *coordinator
	signer   *attesttest.Signer
	userData map[string]string // by role
	launched int
}

// launch boots a host as the next instance of a role's group.
func (g *groups) launch(host int, role, zone string) {
	g.Helper()
	g.launched++
	i := &instance{id: fmt.Sprintf("i-%017x", g.launched), zone: zone, userData: g.userData[role], signer: g.signer}
	g.l.boot(host, "--no-wait", "--ec2", fmt.Sprint(host))
	g.l.metadata(host, i)
	g.Cleanup(func() { i.wantNoRefusal(g.T) })
}

// masters are the numbers of the hosts that have the role, by zone.
func (g *groups) masters(s status) map[string]int {
	of := make(map[string]int)
	for _, h := range s.Hosts {
		if h.Role == "master" {
			if other, taken := of[h.Facts.Zone]; taken {
				g.Errorf("%s and host%d are masters in zone %s", h.Name, other, h.Facts.Zone)
			}
			of[h.Facts.Zone] = hostNumber(g.T, h)
		}
	}
	return of
}

func hostNumber(t *testing.T, h host) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(h.Name, "host%d", &n); err != nil {
		t.Fatalf("%q is no host of the lab", h.Name)
	}
	return n
}

const (
	zoneA = "eu-central-1a"
	zoneB = "eu-central-1b"
	zoneC = "eu-central-1c"
)

// Groups of masters and agents are started at once, agents first, the coordinator last. A surplus master is a spare. It takes
// over when a master is terminated, the next one when the operator says so, and everybody is told.
func TestAutoscalingGroupsOfMastersAndAgentsAndWhatBecomesOfTerminatedInstances(t *testing.T) {
	signer := attesttest.NewSigner(time.Now())
	cluster := strings.Replace(exampleCluster(t, 3), "master: {count: 3}",
		"master: {count: 3, zones: ["+zoneA+", "+zoneB+", "+zoneC+"], take_over: 2m}", 1) + `
resident: true
attestation:
  aws:
    policies:
      masters: {role: master, accounts: ["123456789012"], regions: [eu-central-1], images: [ami-0123456789abcdef0]}
      agents: {role: agent, accounts: ["123456789012"], regions: [eu-central-1]}
    certificates: {eu-central-1: aws.pem}
`
	l, c := newSite(t, cluster, file{"aws.pem", string(signer.PEM)})
	g := &groups{T: t, l: l, c: c, signer: signer, userData: map[string]string{}}
	for _, role := range []string{"master", "agent"} {
		g.userData[role] = c.must("user-data", "--role", role, "--attest", "aws")
	}
	c.kill()
	g.launch(5, "agent", zoneA)
	g.launch(6, "agent", zoneC)
	for host, zone := range map[int]string{1: zoneA, 2: zoneA, 3: zoneB, 4: zoneC} {
		g.launch(host, "master", zone)
	}
	for host := 1; host <= 6; host++ {
		eventually(t, time.Minute, fmt.Sprintf("host%d tries", host), func() error {
			_, err := l.sh(host, "grep -q 'muster: try [0-9]* failed' /var/log/cloud-init-output.log")
			return err
		})
	}
	c.start()

	spare := 0
	eventually(t, 3*time.Minute, "three masters in three zones and two agents are done, and a master is a spare", func() error {
		done := 0
		for _, h := range c.status().Hosts {
			switch {
			case h.Phase == "done":
				done++
			case h.Phase == "enrolled" && strings.Contains(h.Waiting, "spare: "):
				spare = hostNumber(t, h)
			default:
				return errorOf(h)
			}
		}
		if done != 5 || spare == 0 {
			return fmt.Errorf("%d are done, spare is host%d", done, spare)
		}
		return nil
	})
	masters := g.masters(c.status())
	if len(masters) != 3 || spare != 1 && spare != 2 {
		t.Fatalf("masters by zone are %v, the spare is host%d", masters, spare)
	}
	if text := c.must("status"); !strings.Contains(text, "the role is spread over the label zone, and 1 of at most 1 members have zone="+zoneA+" already") {
		t.Errorf("status does not say why host%d waits:\n%s", spare, text)
	}
	wantEtcd(t, l, 3, 4, masters[zoneA])
	l.mustSh(5, "/opt/demo/current/bin/etcdctl put greeting before")

	// The master of zone a is terminated: its spare is there.
	gone := masters[zoneA]
	id := mustAt(t, c.status(), gone).ID
	l.do("down", fmt.Sprint(gone))
	began := time.Now()
	c.until(spare, 5*time.Minute, "takes over", func(h host) bool { return h.Role == "master" && h.Phase == "done" })
	t.Logf("host%d was done in the place of host%d %.1f s after that was gone", spare, gone, time.Since(began).Seconds())
	if text := c.must("status", id); !strings.Contains(text, "replaced by host"+fmt.Sprint(spare)+"; it uninstalls as soon as it is heard of") {
		t.Errorf("of the master that was terminated status says\n%s", text)
	}
	wantMembers(t, l, spare, 3, 4)
	g.untilAllFollow(gone, spare, 3, 4)
	if got := l.mustSh(6, "/opt/demo/current/bin/etcdctl get --print-value-only greeting"); got != "before" {
		t.Errorf("the agent reads %q", got)
	}

	// It returns, as another instance with the address that it had, and is a spare. Its group sends one for zone b, too.
	g.launch(gone, "master", zoneA)
	g.launch(7, "master", zoneB)
	for _, number := range []int{gone, 7} {
		c.until(number, 2*time.Minute, "is a spare", func(h host) bool { return h.Phase == "enrolled" && strings.Contains(h.Waiting, "spare: ") })
	}
	if h := mustAt(t, c.status(), gone); h.ID == id {
		t.Errorf("host%d came back as %s, which it was before", gone, id)
	}

	// The operator replaces the master of zone b, which is well: the spare of its zone has its place, and it uninstalls.
	before := l.mustSh(3, "ls -d /var/lib/demo/etcd/member")
	said := c.must("hosts", "replace", "host3", "--yes")
	if !strings.Contains(said, "host7 (10.77.0.17) takes the place master/") || !strings.Contains(said, "of host3 (10.77.0.13)") {
		t.Errorf("hosts replace says %q", said)
	}
	l.wantNoAgent(3)
	if left := l.mustSh(3, "ls -d /opt/demo /etc/systemd/system/demo* 2>/dev/null; systemctl list-units --all --no-legend 'demo*'; pgrep etcd; ls -d /var/lib/demo/etcd/member"); left != before {
		t.Errorf("of the replaced master is left:\n%s\nwant its data alone", left)
	}
	c.untilPhase(7, "done")
	wantMembers(t, l, spare, 7, 4)
	g.untilAllFollow(3, spare, 7, 4)
	if s := c.status(); len(s.Hosts) != 6 {
		t.Errorf("status has %v", s.Hosts)
	}
	if got := g.masters(c.status()); len(got) != 3 || got[zoneA] != spare || got[zoneB] != 7 || got[zoneC] != 4 {
		t.Errorf("masters by zone are %v", got)
	}
	// Written and read through what was told twice of new masters.
	l.mustSh(6, "/opt/demo/current/bin/etcdctl put greeting after")
	if got := l.mustSh(5, "/opt/demo/current/bin/etcdctl get --print-value-only greeting"); got != "after" {
		t.Errorf("the agent reads %q", got)
	}
	for _, e := range c.events() {
		if e.Kind == "enrolment-denied" || e.Kind == "failed" || strings.Contains(e.Kind, "quarantine") {
			t.Errorf("on the way: %+v", e)
		}
	}
}

func mustAt(t *testing.T, s status, number int) host {
	t.Helper()
	h, ok := s.at(number)
	if !ok {
		t.Fatalf("host%d has not joined", number)
	}
	return h
}

// wantMembers wants etcd to have these members, all of them started, and no other.
func wantMembers(t *testing.T, l *lab, hosts ...int) {
	t.Helper()
	wantEtcd(t, l, hosts...)
	var want []string
	for _, host := range hosts {
		want = append(want, "started http://"+address(host)+":2380")
	}
	slices.Sort(want)
	eventually(t, time.Minute, "etcd's members are the masters", func() error {
		out, err := l.sh(hosts[0], "/opt/demo/current/bin/etcdctl member list --write-out=simple | sed 's/^[0-9a-f]*, \\([a-z]*\\), [^,]*, \\([^,]*\\),.*/\\1 \\2/' | sort")
		if got := strings.Split(out, "\n"); err != nil || !slices.Equal(got, want) {
			return fmt.Errorf("%q (%v), want %q", got, err, want)
		}
		return nil
	})
}

// untilAllFollow waits until every host that names the masters has done so again, with the new ones and without the old.
func (g *groups) untilAllFollow(old int, masters ...int) {
	g.Helper()
	for _, number := range append([]int{5, 6}, masters...) {
		names := "/opt/demo/current/lib/start-etcd"
		if !slices.Contains(masters, number) {
			names = "/etc/systemd/system/demo-etcd-proxy.service"
		}
		eventually(g.T, 2*time.Minute, fmt.Sprintf("host%d names the masters that there are", number), func() error {
			text, err := g.l.sh(number, "cat "+names)
			for _, m := range masters {
				if err == nil && !strings.Contains(text, address(m)) {
					err = fmt.Errorf("%s is missing", address(m))
				}
			}
			if err == nil && strings.Contains(text, address(old)) {
				err = fmt.Errorf("%s is still there", address(old))
			}
			return err
		})
		g.c.untilPhase(number, "done")
	}
}
