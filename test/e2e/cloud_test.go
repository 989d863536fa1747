//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// How long the hosts of a cloud are up before their coordinator is. MUSTER_E2E_LATE asks for another time.
const coordinatorIsLate = 60 * time.Second

// Six hosts boot at once, by two datasources, while no coordinator answers. Then an image is made of a master, and two
// hosts are booted from it.
func TestCloudHostsThatComeBeforeTheirCoordinatorAndImagesOfThem(t *testing.T) {
	late := coordinatorIsLate
	if text := os.Getenv("MUSTER_E2E_LATE"); text != "" {
		var err error
		if late, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	l, c := newSite(t, exampleCluster(t, 3))
	var masters []string
	for range 3 {
		masters = append(masters, c.userData("master"))
	}
	agents := c.must("user-data", "--role", "agent", "--uses", "3", "--format", "mime")
	images := c.must("user-data", "--role", "agent", "--uses", "2", "--format", "script")
	c.kill()

	zones := []string{"eu-central-1a", "eu-central-1b", "eu-central-1c"}
	instances := make(map[int]*instance)
	for n := range 3 {
		ec2 := n + 1 // a master on each of the instances
		instances[ec2] = &instance{id: fmt.Sprintf("i-%017x", ec2), zone: zones[n], userData: masters[n]}
		l.boot(ec2, "--no-wait", "--ec2", fmt.Sprint(ec2))
		l.metadata(ec2, instances[ec2])
		l.bootWith(n+4, agents)
	}
	began := time.Now()
	for host := 1; host <= 6; host++ {
		eventually(t, time.Minute, fmt.Sprintf("host%d tries", host), func() error {
			_, err := l.sh(host, "grep -q 'muster: try [0-9]* failed, the next one is in' /var/log/cloud-init-output.log")
			return err
		})
	}
	time.Sleep(time.Until(began.Add(late)))
	c.start()
	c.wait(6)
	t.Logf("done %.1f s after the coordinator came, which was %.1f s after the hosts", time.Since(began.Add(late)).Seconds(), late.Seconds())
	wantEtcd(t, l, 1, 2, 3)
	for host, i := range instances {
		wantEc2Local(t, l, host)
		if got := l.mustSh(host, "cloud-init query platform; cloud-init query region"); got != "ec2\neu-central-1" {
			t.Errorf("host%d is on %q", host, got)
		}
		h, _ := c.status().at(host)
		if h.Role != "master" || h.Facts.Zone != i.zone || h.Facts.Labels["region"] != "eu-central-1" || h.Facts.Labels["instance-id"] != i.id ||
			h.Facts.Labels["private-address"] != address(host) || h.Facts.Labels["public-address"] != fmt.Sprintf("192.0.2.%d", host) {
			t.Errorf("host%d is %+v", host, h)
		}
		i.wantNoRefusal(t)
	}
	if h, _ := c.status().at(4); h.Facts.Labels["instance-id"] != "" || h.Facts.Zone != "" {
		t.Errorf("host4, which is on no cloud, is %+v", h)
	}

	wantHostsFromAnImageOfAMaster(t, l, c, images)
}

// wantEc2Local wants a host to have booted as on EC2: DHCP first, then the metadata service, and DHCP from then on.
func wantEc2Local(t *testing.T, l *lab, host int) {
	t.Helper()
	if got := l.mustSh(host, "cloud-init status --wait --long; cloud-id"); !strings.Contains(got, "status: done") || !strings.Contains(got, "DataSourceEc2Local") || !strings.HasSuffix(got, "\naws") {
		t.Errorf("cloud-init of host%d says\n%s", host, got)
	}
	if got := l.mustSh(host, "networkctl status eth0"); !strings.Contains(got, address(host)+" (DHCP4 via 10.77.0.2)") {
		t.Errorf("host%d has its address from\n%s", host, got)
	}
}

func wantHostsFromAnImageOfAMaster(t *testing.T, l *lab, c *coordinator, userData string) {
	t.Helper()
	original, _ := c.status().at(3)
	l.wantNoAgent(3)
	l.fault("kill", 3)
	for _, host := range []int{7, 8} {
		l.boot(host, "--no-wait", "--image-of", fmt.Sprintf("%d=3", host), "--ec2", fmt.Sprint(host))
		l.metadata(host, &instance{id: fmt.Sprintf("i-%017x", host), zone: "eu-central-1a", userData: userData})
	}
	machine := readFile(t, l.root(3)+"/etc/machine-id")
	c.wait(8)
	for _, host := range []int{7, 8} {
		h, _ := c.status().at(host)
		if h.Role != "agent" || h.Phase != "done" || h.ID == original.ID || h.JoinedBy == original.JoinedBy {
			t.Errorf("host%d is %+v, its image was made of %+v", host, h, original)
		}
		if got := readFile(t, l.root(host)+"/etc/machine-id"); got != machine {
			t.Errorf("host%d has the machine-id %s, its image %s: that is no copy", host, got, machine)
		}
		// The master's etcd would have come up as the master, beside it.
		if got := l.mustSh(host, "journalctl -o cat --no-pager -u demo-etcd.service"); !strings.Contains(got, "not started: installed for the instance i-00000000000000003, and this is another") || strings.Contains(got, "raft") {
			t.Errorf("the etcd of host%d's image says\n%s", host, got)
		}
		if got := l.mustSh(host, "ls -d /var/lib/demo*; ls /var/lib/demo.i-00000000000000003; cat /opt/demo/instance; cat /var/lib/cloud/data/instance-id"); !strings.Contains(got, "/var/lib/demo.i-00000000000000003") || !strings.Contains(got, "etcd") {
			t.Errorf("host%d has\n%s", host, got)
		}
		if got := l.mustSh(host, "cmp /opt/demo/instance /var/lib/cloud/data/instance-id && /opt/demo/current/bin/etcdctl get x && echo works"); got != "works" {
			t.Errorf("host%d says %q", host, got)
		}
		l.wantNoAgent(host)
		wantEc2Local(t, l, host)
	}
	first, _ := c.status().at(7)
	second, _ := c.status().at(8)
	if first.ID == second.ID {
		t.Errorf("two hosts of one image are both %s", first.ID)
	}
	// Run again, as some do at each boot, the script has nothing to do and needs no coordinator for it.
	if got := l.mustSh(7, "sh /var/lib/cloud/instance/scripts/part-001 2>&1"); got != "muster: demo is installed" {
		t.Errorf("run again it says %q", got)
	}

	// What the image was made of comes back as what it was.
	l.do("restart", "3", "--no-wait")
	wantEtcd(t, l, 1, 2, 3)
	if got := l.mustSh(1, "/opt/demo/current/bin/etcdctl member list | grep -c started"); got != "3" {
		t.Errorf("etcd has %s members, want 3", got)
	}
	for _, e := range c.events() {
		if strings.Contains(e.Kind, "quarantine") || e.Kind == "enrolment-denied" {
			t.Errorf("a host that was booted from an image was taken for another: %+v", e)
		}
	}
}
