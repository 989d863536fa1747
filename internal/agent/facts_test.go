package agent

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"muster/internal/checks"
	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/manifest"
)

func TestTheAddressIsFoundByRouteNetworkOrInterface(t *testing.T) {
	own, ifc := ownIP(t)
	for name, test := range map[string]struct {
		coordinators []string
		detection    manifest.Detection
		want         string
	}{
		"on the route to the coordinator":            {[]string{"127.0.0.1:8443"}, manifest.Detection{}, "127.0.0.1"},
		"on the route to the one that has any":       {[]string{"no port", "127.0.0.1:8443"}, manifest.Detection{}, "127.0.0.1"},
		"on the route over IPv6":                     {[]string{"[::1]:8443"}, manifest.Detection{}, "::1"},
		"in a network":                               {nil, manifest.Detection{CIDR: own.String() + "/32"}, own.String()},
		"in a network, whatever the route":           {[]string{"127.0.0.1:8443"}, manifest.Detection{CIDR: own.String() + "/32"}, own.String()},
		"in a network, on an interface":              {nil, manifest.Detection{CIDR: own.String() + "/32", Interface: ifc}, own.String()},
		"on an interface, the first when it has two": {nil, manifest.Detection{Interface: ifc}, own.String()},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "IPv6") && !exists("/proc/net/if_inet6") {
				t.Skip("this machine has no IPv6")
			}
			got, err := ownAddress(test.coordinators, test.detection)
			if err != nil || got.String() != test.want {
				t.Errorf("got %v, %v; want %s", got, err, test.want)
			}
		})
	}
}

func TestAnAddressThatCannotBeFoundSaysWhatToDo(t *testing.T) {
	own, ifc := ownIP(t)
	for name, test := range map[string]struct {
		coordinators []string
		detection    manifest.Detection
		class        fault.Class
		words        string
	}{
		"no route":                       {[]string{"no port"}, manifest.Detection{}, fault.Unavailable, "no route to any of the coordinators no port"},
		"no coordinator":                 {nil, manifest.Detection{}, fault.Unavailable, "no route"},
		"not a network":                  {nil, manifest.Detection{CIDR: "10.0.0.0/99"}, fault.Invalid, `address.cidr "10.0.0.0/99"`},
		"a network of others":            {nil, manifest.Detection{CIDR: "203.0.113.0/24"}, fault.Conflict, "0 addresses of this host fit"},
		"an interface that is not there": {nil, manifest.Detection{Interface: "nope0"}, fault.Conflict, `interface "nope0"`},
		"another interface's network":    {nil, manifest.Detection{CIDR: "203.0.113.0/24", Interface: ifc}, fault.Conflict, "0 addresses"},
		"loopback":                       {nil, manifest.Detection{CIDR: "127.0.0.0/8"}, fault.Conflict, "0 addresses"},
		"another interface":              {nil, manifest.Detection{CIDR: own.String() + "/32", Interface: "lo"}, fault.Conflict, "0 addresses"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ownAddress(test.coordinators, test.detection)
			wantFault(t, err, test.class, test.words)
			if got.IsValid() {
				t.Errorf("got %v all the same", got)
			}
		})
	}
}

func TestWhatAHostSaysOfItself(t *testing.T) {
	l := newRoot(t)
	write(t, l.at("etc/os-release"), "NAME=x\nPRETTY_NAME=\"Some Linux 12\"\n")
	f, err := facts(l, []string{"127.0.0.1:1"}, manifest.Detection{}, map[string]string{"zone": "a", "rack": "7"})
	must(t, err)
	name, _ := os.Hostname()
	if f.Name != strings.ToLower(name) || f.Address != "127.0.0.1" || f.Architecture != runtime.GOARCH || f.Os != "Some Linux 12" ||
		f.Zone != "a" || f.Labels["rack"] != "7" || f.MemoryBytes < 64<<20 || f.Processors < 1 || f.Kernel == "" || f.AgentVersion != Version {
		t.Errorf("got %v", f)
	}
	must(t, os.Remove(l.at("etc/os-release")))
	if f, err := facts(l, []string{"127.0.0.1:1"}, manifest.Detection{}, nil); err != nil || f.Os != "" || f.Zone != "" {
		t.Errorf("without os-release: %v, %v", f, err)
	}
}

func TestWhatIsNotUTF8CanBeSent(t *testing.T) {
	l := newRoot(t)
	write(t, l.at("etc/os-release"), "PRETTY_NAME=\"Linux \xe9t\xe9\"\n")
	f, err := facts(l, []string{"127.0.0.1:1"}, manifest.Detection{}, map[string]string{"zone": "a"})
	must(t, err)
	if f.Os != "Linux \uFFFDt\uFFFD" {
		t.Errorf("its system is %q", f.Os)
	}
	e := offline(t)
	must(t, e.Check(checks.Result{Name: "some", Summary: "a\xff", Detail: "b\xff", Remedy: "c\xff"}))
	must(t, e.Step(hosts.Starting, "start", "fine\xff\nor not\xff", 0, nil))
	must(t, e.Step(hosts.Starting, "start", "", 0, errors.New("bad\xff")))
	e.Progress("start", 0, 0, "waiting\xff")
	req, _ := e.request("", f)
	if _, err := proto.Marshal(req); err != nil || len(req.Reports) != 3 {
		t.Errorf("%d reports, %v", len(req.Reports), err)
	}
	if got := req.Reports[1].GetStep(); got.Message != "fine\uFFFD" || got.Detail != "or not\uFFFD" || req.Observed.Waiting != "waiting\uFFFD" {
		t.Errorf("got %v, %v", got, req.Observed)
	}
}
