//go:build e2e

package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// From nothing to a running cluster, as an operator does it, and nothing but the installation is left on the hosts.
func TestPushedMastersAndCloudInitHostsBecomeAClusterAndNothingElseIsLeft(t *testing.T) {
	l, c := newSite(t, exampleCluster(t, 3))
	l.up(3, "--requiretty", "2")
	// What cloud-init itself does to a host shows on one whose user-data says nothing.
	l.bootWith(6, "#cloud-config\n{}\n")
	var before [4]tree
	for host := 1; host <= 3; host++ {
		before[host] = l.snapshot(host)
	}

	l.bootWith(4, c.userData("agent"))
	l.bootWith(5, c.userData("public-agent"))
	c.push("master", 1, 2)
	// Two of three masters have to wait: until then the traces are there that must be gone in the end.
	c.untilPhase(1, "ready")
	if found := l.tokens(1); len(found) != 1 {
		t.Errorf("a host that is joining has its join token in %v, want one file", found)
	}
	if left, err := l.agentLeft(1); err != nil || strings.Count(left, "\n") < 4 {
		t.Errorf("a host that is joining shows this of the bootstrap agent (error %v):\n%s", err, left)
	}
	c.push("master", 3)
	c.wait(5)

	wantEtcd(t, l, 1, 2, 3)
	l.mustSh(1, "/opt/demo/current/bin/etcdctl put greeting 'written on a master'")
	wantGreeting(t, l)
	wantCompleteStatus(t, c)
	wantNoTrace(t, l, before)

	// Without the coordinator, it all comes back by itself.
	c.kill()
	l.do("reboot", "all")
	wantEtcd(t, l, 1, 2, 3)
	wantGreeting(t, l)
}

// wantEtcd waits until etcd on each host is healthy.
func wantEtcd(t *testing.T, l *lab, hosts ...int) {
	t.Helper()
	for _, host := range hosts {
		eventually(t, time.Minute, fmt.Sprintf("etcd on host%d is healthy", host), func() error {
			_, err := l.sh(host, "/opt/demo/current/bin/etcdctl endpoint health")
			return err
		})
	}
}

// wantGreeting reads what was written on a master: on the agent, and from outside of the hosts.
func wantGreeting(t *testing.T, l *lab) {
	t.Helper()
	for where, read := range map[string]func() (string, error){
		"on the agent, through its proxy": func() (string, error) {
			return l.sh(4, "/opt/demo/current/bin/etcdctl get --print-value-only greeting")
		},
		"from outside, through the public agent": func() (string, error) {
			out, err := exec.Command(etcdctl(), "--endpoints=http://"+address(5)+":2379", "get", "--print-value-only", "greeting").Output()
			return strings.TrimSpace(string(out)), err
		},
	} {
		eventually(t, time.Minute, "the key can be read "+where, func() error {
			got, err := read()
			if err != nil || got != "written on a master" {
				return fmt.Errorf("read %q (error %v)", got, err)
			}
			return nil
		})
	}
}

func wantCompleteStatus(t *testing.T, c *coordinator) {
	t.Helper()
	s := c.status()
	if len(s.Hosts) != 5 || s.Cluster.Phases["done"] != 5 {
		t.Errorf("status shows %d hosts and the phases %v, want 5 that are done", len(s.Hosts), s.Cluster.Phases)
	}
	places := make(map[int]bool)
	for number, role := range map[int]string{1: "master", 2: "master", 3: "master", 4: "agent", 5: "public-agent"} {
		h, ok := s.at(number)
		if !ok || h.Role != role || h.Phase != "done" || h.Name != fmt.Sprintf("host%d", number) || h.Push != "" || h.Failure != "" ||
			h.JoinedBy == "" || h.Attempt != 1 || h.ChecksOK == 0 || h.ChecksCritical != 0 || h.Enrolled == nil || h.Done == nil ||
			h.Facts.OS == "" || h.Facts.Kernel == "" || h.Facts.Architecture == "" {
			t.Errorf("status of host%d is not complete: %+v", number, h)
		}
		if role == "master" {
			places[h.Index] = true
		}
		page := c.page(number)
		steps := make(map[string]bool)
		for _, r := range page.Reports {
			if r.Step != nil {
				steps[r.Step.Name] = r.Step.OK
			}
		}
		for _, step := range []string{"preflight", "fetch", "unpack", "bind", "activate", "start", "postflight"} {
			if !steps[step] {
				t.Errorf("the page of host%d does not show that step %s went well: %v", number, step, steps)
			}
		}
		if len(page.Events) < 2 {
			t.Errorf("the page of host%d has the events %v, want enrolled and done at least", number, page.Events)
		}
	}
	if len(places) != 3 {
		t.Errorf("the masters have the places %v, want three", places)
	}
	for _, r := range s.Cluster.Roles {
		if r.Role == "master" && (r.Counted != 3 || r.Done != 3 || len(r.Members) != 3) {
			t.Errorf("the roster of masters is %+v", r)
		}
	}
}

func wantNoTrace(t *testing.T, l *lab, before [4]tree) {
	t.Helper()
	for host := 1; host <= 3; host++ {
		l.wantNoAgent(host)
		wantNoChange(t, fmt.Sprintf("host%d", host), before[host].changes(l.snapshot(host), append(installed, systemdsOwn...)...))
		if found := l.tokens(host); len(found) > 0 {
			t.Errorf("host%d has a join token in %v", host, found)
		}
		if tokenText.MatchString(l.mustSh(host, "journalctl --no-pager --output=cat")) {
			t.Errorf("the journal of host%d has a join token", host)
		}
	}
	l.mustSh(6, "cloud-init status --wait")
	control := l.snapshot(6)
	for host := 4; host <= 5; host++ {
		l.mustSh(host, "cloud-init status --wait")
		l.wantNoAgent(host)
		changes := control.changes(l.snapshot(host), append(append(installed, systemdsOwn...), ofEachCloudHost...)...)
		wantNoChange(t, fmt.Sprintf("host%d, compared with a host that only has cloud-init", host), changes)
	}
}

// ofEachCloudHost are what differs between any two hosts of the lab, and where cloud-init keeps its user-data and logs.
var ofEachCloudHost = []string{
	`/etc/(hostname|hosts|machine-id)`, `/etc/ssh/ssh_host_[a-z0-9]*_key(\.pub)?`, `/etc/systemd/network/10-cloud-init-eth0\.network`,
	`/etc/sudoers\.d/90-cloud-init-users`,
	`/var/lib/cloud`, `/var/log/cloud-init(-output)?\.log`,
}
