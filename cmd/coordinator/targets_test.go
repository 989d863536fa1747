package main

import (
	"slices"
	"strings"
	"testing"

	"muster/internal/manifest"
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
		"hosts with the role of --role":                 {[]string{"a", "b"}, "agent", []target{{"a", "agent"}, {"b", "agent"}}},
		"a role with its hosts":                         {[]string{"master=a,b", "agent=c"}, "", []target{{"a", "master"}, {"b", "master"}, {"c", "agent"}}},
		"both, each with its own":                       {[]string{"master=a", "b"}, "agent", []target{{"a", "master"}, {"b", "agent"}}},
		"a listed host by its address":                  {[]string{"10.0.0.11"}, "", []target{{"10.0.0.11", "master"}}},
		"a listed host by its name":                     {[]string{"m3"}, "", []target{{"m3", "master"}}},
		"a listed host with another role":               {[]string{"m1"}, "agent", []target{{"m1", "agent"}}},
		"an IPv6 address":                               {[]string{"agent=fd00::2,fe80::1%eth0"}, "", []target{{"fd00::2", "agent"}, {"fe80::1%eth0", "agent"}}},
		"none: all that are listed with an address":     {nil, "", []target{{"10.0.0.11", "master"}, {"10.0.0.12", "master"}}},
		"none, with a role that is for named ones only": {nil, "agent", []target{{"10.0.0.11", "master"}, {"10.0.0.12", "master"}}},
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
		"a host twice":                {[]string{"agent=a", "master=b,a"}, nil, "a is named twice", ""},
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
