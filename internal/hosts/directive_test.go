package hosts_test

import (
	"testing"
	"time"

	"muster/internal/hosts"
)

func TestNext(t *testing.T) {
	const comeBack = 5 * time.Second
	failure := &hosts.Failure{Phase: hosts.Starting, Step: "start", Message: "unit x did not start"}
	roster := hosts.Surroundings{Missing: []string{"2 more of 3 hosts of role master", "Host.Zone, which the host does not say"}}
	for _, c := range []struct {
		name  string
		host  hosts.Host
		where hosts.Surroundings
		want  hosts.Directive
	}{
		{
			"an enrolled host waits and is told why it has no role", hosts.Host{Phase: hosts.Enrolled}, hosts.Surroundings{NoRole: "spare"},
			hosts.Directive{Action: hosts.ActWait, Reason: "spare", ComeBack: comeBack},
		},
		{"an assigned host begins its preflight", hosts.Host{Phase: hosts.Assigned}, hosts.Surroundings{}, hosts.Directive{Action: hosts.ActPreflight}},
		{
			"an assigned host does not wait for others with its preflight", hosts.Host{Phase: hosts.Assigned}, roster,
			hosts.Directive{Action: hosts.ActPreflight},
		},
		{"a host in preflight goes on with it", hosts.Host{Phase: hosts.Preflight}, roster, hosts.Directive{Action: hosts.ActPreflight}},
		{"a ready host installs", hosts.Host{Phase: hosts.Ready}, hosts.Surroundings{}, hosts.Directive{Action: hosts.ActInstall}},
		{
			"a ready host waits for late values and is told which", hosts.Host{Phase: hosts.Ready}, roster,
			hosts.Directive{Action: hosts.ActWait, Reason: "waiting for 2 more of 3 hosts of role master, Host.Zone, which the host does not say", ComeBack: comeBack},
		},
		{"a fetching host is not stopped by a roster that lost a member", hosts.Host{Phase: hosts.Fetching}, roster, hosts.Directive{Action: hosts.ActInstall}},
		{"nor is an installing one", hosts.Host{Phase: hosts.Installing}, roster, hosts.Directive{Action: hosts.ActInstall}},
		{"nor is a starting one", hosts.Host{Phase: hosts.Starting}, roster, hosts.Directive{Action: hosts.ActInstall}},
		{"nor is one in postflight", hosts.Host{Phase: hosts.Postflight}, roster, hosts.Directive{Action: hosts.ActInstall}},
		{"a host that is done leaves", hosts.Host{Phase: hosts.Done}, roster, hosts.Directive{Action: hosts.ActLeave, Reason: "the installation is complete"}},
		{
			"a failed host waits for a retry and is told at which step it failed", hosts.Host{Phase: hosts.Failed, Failed: failure}, hosts.Surroundings{},
			hosts.Directive{Action: hosts.ActWait, Reason: "failed at start; waiting for a retry", ComeBack: comeBack},
		},
		{
			"a failed host that did not say why waits too", hosts.Host{Phase: hosts.Failed}, hosts.Surroundings{},
			hosts.Directive{Action: hosts.ActWait, Reason: "failed", ComeBack: comeBack},
		},
		{
			"a done host whose bootstrap agent stays waits", hosts.Host{Phase: hosts.Done}, hosts.Surroundings{Stays: true},
			hosts.Directive{Action: hosts.ActWait, ComeBack: comeBack},
		},
		{
			"and is told why it may not follow a change", hosts.Host{Phase: hosts.Done}, hosts.Surroundings{Stays: true, Behind: "others first"},
			hosts.Directive{Action: hosts.ActWait, Reason: "others first", ComeBack: comeBack},
		},
		{"a host whose place another has uninstalls", hosts.Host{Phase: hosts.Uninstalling}, roster, hosts.Directive{Action: hosts.ActUninstall}},
		{
			"a host of a phase that a newer coordinator wrote waits", hosts.Host{Phase: "upgrading"}, hosts.Surroundings{},
			hosts.Directive{Action: hosts.ActWait, Reason: "nothing to do", ComeBack: comeBack},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.host.Attempt, c.want.Attempt = 7, 7
			if got := hosts.Next(c.host, c.where); got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// Every answer that makes a host wait must say when it comes back: without a time it would never call again or never stop.
func TestEveryWaitHasAnEndAndNothingElseHasOne(t *testing.T) {
	for _, p := range hosts.Phases {
		for _, where := range []hosts.Surroundings{{}, {Missing: []string{"something"}}} {
			d := hosts.Next(hosts.Host{Phase: p}, where)
			if (d.Action == hosts.ActWait) != (d.ComeBack > 0) {
				t.Errorf("%s: %+v", p, d)
			}
		}
	}
}
