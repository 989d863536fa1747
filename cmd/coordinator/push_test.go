package main

import (
	"os/user"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/manifest"
	"muster/internal/push"
	"muster/internal/show"
)

// events are a push to three hosts: one is reached, one with a new key, one is not and says nasty things.
func pushEvents() []push.Event {
	a, b, c := push.Target{Address: "10.0.0.1"}, push.Target{Address: "10.0.0.2"}, push.Target{Address: "10.0.0.3", Port: 10}
	failure := &push.Error{Class: push.AuthRefused, Message: "the host refuses\x1b[2J the login", Remedy: "name a key\nwith --identity"}
	return []push.Event{
		{Target: a, Step: push.Connecting}, {Target: b, Step: push.Connecting}, {Target: c, Step: push.Connecting},
		{Target: a, Step: push.Uploading, Bytes: 5, Total: 10}, {Target: b, Step: push.Authenticating, NewHostKey: "SHA256:abc"},
		{Target: a, Step: push.Pushed, Took: 1234567 * time.Microsecond},
		{Target: c, Step: push.Failed, Err: failure, Took: time.Second},
		{Target: b, Step: push.Pushed, Took: 2 * time.Second},
	}
}

func pushResults() (results []push.Result) {
	for _, e := range pushEvents() {
		if e.Step == push.Pushed || e.Step == push.Failed {
			results = append(results, push.Result{Target: e.Target, Err: e.Err, Took: e.Took})
		}
	}
	return results
}

func TestAPushIsToldLineByLineWhereThereIsNoTerminal(t *testing.T) {
	var out strings.Builder
	p := newPushProgress(&out, 3, show.IsTerminal(&out))
	for _, e := range pushEvents() {
		p.event(e)
	}
	p.end()
	p.summary(pushResults())
	const want = `10.0.0.2: host key SHA256:abc recorded
10.0.0.1: pushed in 1.235s
10.0.0.3: failed (the host refuses the login): the host refuses\x1b[2J the login
10.0.0.2: pushed in 2s
10.0.0.3:10: the host refuses\x1b[2J the login
  remedy: name a key\nwith --identity
pushed to 2 of 3 hosts; slowest 10.0.0.2 in 2s
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestAPushIsOneLineRedrawnOnATerminal(t *testing.T) {
	var out strings.Builder
	p := newPushProgress(&out, 3, true)
	p.event(pushEvents()[0])
	if got := out.String(); got != "\r\x1b[K0/3 hosts, 1 "+string(push.Connecting) {
		t.Errorf("got %q", got)
	}
	for _, e := range pushEvents()[1:] {
		p.event(e)
	}
	p.end()
	if got := out.String(); !strings.Contains(got, "\r\x1b[K10.0.0.1: pushed in 1.235s\n") || !strings.HasSuffix(got, "\r\x1b[K") || !strings.Contains(got, "3/3 hosts") {
		t.Errorf("got %q", got)
	}
}

func TestTheLoginIsOfTheFlagThenTheConfigThenOnesOwn(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ flag, config, want string }{
		"the flag":    {"flag", "config", "flag"},
		"the config":  {"", "config", "config"},
		"one's own":   {"", "", me.Username},
		"flag, alone": {"flag", "", "flag"},
	} {
		got, err := (&pushFlags{user: test.flag}).login(&manifest.Generation{SSH: manifest.SSH{User: test.config}})
		if err != nil || got != test.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestThePortIsOfTheFlagThenTheConfig(t *testing.T) {
	f := fiveHosts()
	state := serveFake(t, f)
	cmd := &cobra.Command{}
	cmd.Flags().String("state", state, "")
	client, done, err := connect(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	for name, test := range map[string]struct{ flag, config, want int }{
		"the flag": {2222, 2200, 2222}, "the config": {0, 2200, 2200}, "neither": {0, 0, 0},
	} {
		flags := pushFlags{user: "u", port: test.flag, ttl: time.Hour}
		made, ids, err := flags.seeds(t.Context(), client, []target{{"a", "agent"}, {"b", "master"}}, &manifest.Generation{SSH: manifest.SSH{Port: test.config}})
		if err != nil {
			t.Fatal(err)
		}
		for n, host := range []string{"a", "b"} {
			if made[n].Address != host || made[n].Port != test.want || made[n].User != "u" || string(made[n].Seed) != "seed of "+host || ids[n] != "token of "+host {
				t.Errorf("%s: %+v, token %s", name, made[n], ids[n])
			}
		}
	}
	for _, req := range f.tokens {
		if req.Uses != 1 || req.Ttl.AsDuration() != time.Hour || req.Host == "" || req.Role == "" {
			t.Errorf("asked for %v", req)
		}
	}
}
