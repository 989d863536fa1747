package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"muster/internal/fault"
	"muster/internal/manifest"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

var listedHosts = []manifest.Listed{
	{Name: "m1", Address: "10.0.0.11", Role: "master"},
	{Address: "10.0.0.12", Role: "master"},
	{Name: "m3", Role: "master"},
	{CIDR: "10.0.1.0/24", Role: "agent"},
}

func TestTargetsAreWhatTheArgumentsSay(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		role string
		want []target
	}{
		"hosts with the role of --role":   {[]string{"a", "b"}, "agent", []target{{Host: "a", Role: "agent"}, {Host: "b", Role: "agent"}}},
		"a role with its hosts":           {[]string{"master=a,b", "agent=c"}, "", []target{{Host: "a", Role: "master"}, {Host: "b", Role: "master"}, {Host: "c", Role: "agent"}}},
		"both, each with its own":         {[]string{"master=a", "b"}, "agent", []target{{Host: "a", Role: "master"}, {Host: "b", Role: "agent"}}},
		"a listed host by its address":    {[]string{"10.0.0.11"}, "", []target{{Host: "10.0.0.11", Role: "master"}}},
		"a listed host by its name":       {[]string{"m3"}, "", []target{{Host: "m3", Role: "master"}}},
		"a listed host with another role": {[]string{"m1"}, "agent", []target{{Host: "m1", Role: "agent", Address: "10.0.0.11"}}},
		"an IPv6 address":                 {[]string{"agent=fd00::2,fe80::1%eth0"}, "", []target{{Host: "fd00::2", Role: "agent"}, {Host: "fe80::1%eth0", Role: "agent"}}},
		"ranges": {[]string{"master=m[1,3]", "agent=node[08-10],x"}, "", []target{
			{Host: "m1", Role: "master", Address: "10.0.0.11"}, {Host: "m3", Role: "master"},
			{Host: "node08", Role: "agent"}, {Host: "node09", Role: "agent"}, {Host: "node10", Role: "agent"}, {Host: "x", Role: "agent"}}},
		"ranges of listed hosts, and a host twice":      {[]string{"10.0.0.[11-12]", "10.0.0.12"}, "", []target{{Host: "10.0.0.11", Role: "master"}, {Host: "10.0.0.12", Role: "master"}}},
		"none: all that are listed with an address":     {nil, "", []target{{Host: "10.0.0.11", Role: "master"}, {Host: "10.0.0.12", Role: "master"}}},
		"none, with a role that is for named ones only": {nil, "agent", []target{{Host: "10.0.0.11", Role: "master"}, {Host: "10.0.0.12", Role: "master"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseTargets(test.args, test.role, listedHosts)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %v, %v; want %v", got, err, test.want)
			}
		})
	}
}

func TestTargetsThatCannotBeMeantAreWrongUsage(t *testing.T) {
	const alone = ` is not a host: give a name or an address alone; --user and --port say the rest`
	const fourNumbers = "write four numbers from 0 to 255 without leading zeros, such as 10.0.0.[1-254]"
	for name, test := range map[string]struct {
		args   []string
		listed []manifest.Listed
		want   string
		remedy string
	}{
		"a host without a role":       {[]string{"b"}, listedHosts, "what role is b for?", "say --role ROLE, or ROLE=b, or list it under hosts in cluster.yaml"},
		"an empty role":               {[]string{"=b"}, nil, "what role is b for?", "say --role ROLE, or ROLE=b, or list it under hosts in cluster.yaml"},
		"a role without a host":       {[]string{"master="}, nil, `""` + alone, ""},
		"a comma too many":            {[]string{"master=a,"}, nil, `""` + alone, ""},
		"an empty argument":           {[]string{""}, nil, `""` + alone, ""},
		"a login":                     {[]string{"agent=root@a"}, nil, `"root@a"` + alone, ""},
		"a port":                      {[]string{"agent=a:22"}, nil, `"a:22"` + alone, ""},
		"an address with a port":      {[]string{"agent=10.0.0.1:22"}, nil, `"10.0.0.1:22"` + alone, ""},
		"a network":                   {[]string{"agent=10.0.0.0/24"}, nil, `"10.0.0.0/24"` + alone, ""},
		"a URL":                       {[]string{"agent=ssh://a"}, nil, `"ssh://a"` + alone, ""},
		"two equals signs":            {[]string{"agent=a=b"}, nil, `"a=b"` + alone, ""},
		"a blank":                     {[]string{"agent=a, b"}, nil, `" b"` + alone, ""},
		"a host twice":                {[]string{"agent=a", "master=b,a"}, nil, "a is named twice, for the roles agent and master", ""},
		"a range that is none":        {[]string{"agent=a[3-1]"}, nil, "a[3-1]: the range 3-1 ends before it begins", ""},
		"a range past the addresses":  {[]string{"agent=10.0.0.[250-300]"}, nil, `"10.0.0.256" is not an address (10.0.0.[250-300])`, fourNumbers},
		"an address that is none":     {[]string{"agent=10.0.0.300"}, nil, `"10.0.0.300" is not an address`, fourNumbers},
		"an address of three numbers": {[]string{"agent=10.0.1"}, nil, `"10.0.1" is not an address`, fourNumbers},
		"an address with zeros":       {[]string{"agent=10.0.0.[08-12]"}, nil, `"10.0.0.08" is not an address (10.0.0.[08-12])`, fourNumbers},
		"an option":                   {[]string{"agent=-oProxyCommand"}, nil, `"-oProxyCommand"` + alone, ""},
		"nothing, and nothing listed": {nil, nil, "no host to push to", "name hosts (coordinator push --role ROLE HOST...), or list them under hosts in cluster.yaml"},
		"nothing, and only networks":  {nil, listedHosts[3:], "no host to push to", "name hosts (coordinator push --role ROLE HOST...), or list them under hosts in cluster.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseTargets(test.args, "", test.listed)
			want := "error: " + test.want + "\n"
			if test.remedy != "" {
				want += "remedy: " + test.remedy + "\n"
			}
			var said strings.Builder
			if code := exitCode(&said, err); got != nil || code != exitInvalid || said.String() != want {
				t.Errorf("got %v, exit code %d and\n%swant\n%s", got, code, said.String(), want)
			}
		})
	}
}

func TestHostsFromStandardInput(t *testing.T) {
	for name, test := range map[string]struct {
		args  []string
		stdin string
		want  []string
		err   string
	}{
		"lines, blanks and comments": {[]string{"-"}, "a b # c\n\n# d\nmaster=e[1-2]\n", []string{"a", "b", "master=e[1-2]"}, ""},
		"beside arguments":           {[]string{"x", "-", "y"}, "a\n", []string{"x", "a", "y"}, ""},
		"not asked for":              {[]string{"x"}, "a\n", []string{"x"}, ""},
		"empty":                      {[]string{"-"}, "# nothing\n", nil, "standard input names no host"},
		"twice":                      {[]string{"-", "-"}, "a\n", nil, "- is named twice"},
		"an option":                  {[]string{"-"}, "a\n--user\n", nil, `standard input:2: "--user" is not a host`},
		"bytes that are no text":     {[]string{"-"}, "a\xff\n", nil, `standard input:1: "a\xff" is not a host`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readArguments(test.args, strings.NewReader(test.stdin))
			if test.err != "" {
				if exitCode(new(strings.Builder), err) != exitInvalid || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %q, %v", got, err)
				}
			} else if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestRetryFailedMeansTheHostsWhoseLastPushFailed(t *testing.T) {
	f := fiveHosts()
	f.hosts = append(f.hosts[:0], &operatorv1.Host{Id: "10.1.1.1", Name: "10.1.1.1", Role: "agent", Push: "auth"},
		&operatorv1.Host{Id: "10.1.1.2", Name: "10.1.1.2", Role: "agent", Push: "pushed"}, &operatorv1.Host{Id: "m1", Name: "m1", Role: "master", Push: "timeout", Facts: &syncv1.Facts{Labels: map[string]string{"zone": "a"}}})
	cmd := &cobra.Command{}
	cmd.Flags().String("state", serveFake(t, f), "")
	client, done, err := connect(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	got, labels, err := failedTargets(t.Context(), client, nil, listedHosts)
	want := []target{{Host: "10.1.1.1", Role: "agent"}, {Host: "m1", Role: "master", Address: "10.0.0.11"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if len(labels) != 1 || labels["m1"]["zone"] != "a" {
		t.Errorf("the labels are %v", labels)
	}
	if _, _, err := failedTargets(t.Context(), client, []string{"a"}, nil); err == nil {
		t.Error("hosts beside --retry-failed are passed over")
	}
	f.hosts = f.hosts[1:2]
	if _, _, err := failedTargets(t.Context(), client, nil, nil); !errors.Is(err, fault.NotFound) {
		t.Errorf("nothing failed: %v", err)
	}
}
