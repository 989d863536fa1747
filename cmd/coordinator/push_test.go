package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"muster/internal/fault"
	"muster/internal/manifest"
	"muster/internal/push"
	"muster/internal/show"
)

// events are a push to three hosts: one is reached, one with a new key, one is not and says nasty things.
func pushEvents() []push.Event {
	a, b, c := push.Target{Server: push.Server{Address: "10.0.0.1"}}, push.Target{Server: push.Server{Address: "10.0.0.2"}}, push.Target{Server: push.Server{Address: "10.0.0.3", Port: 10}}
	failure := &push.Error{Class: push.AuthRefused, Message: "the host refuses\x1b[2J the login", Remedy: "name a key\nwith --identity"}
	return []push.Event{
		{Target: a, Step: push.Connecting}, {Target: b, Step: push.Connecting}, {Target: c, Step: push.Connecting},
		{Target: a, Step: push.Uploading, Bytes: 5, Total: 10}, {Target: a, Step: push.Fetching, Note: "it can't fetch\x1b[2J"}, {Target: b, Step: push.Authenticating, NewHostKey: "SHA256:abc"},
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
	const want = `10.0.0.1: it can't fetch\x1b[2J
10.0.0.2: host key SHA256:abc recorded
10.0.0.1: pushed in 1.235s
10.0.0.3: failed (auth): the host refuses\x1b[2J the login
10.0.0.2: pushed in 2s
10.0.0.3:10: the host refuses\x1b[2J the login
  remedy: name a key\nwith --identity
pushed to 2 of 3 hosts; slowest 10.0.0.2 in 2s
failed: 1 auth; when the causes are removed: coordinator push --retry-failed
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

func TestAPushOnATerminalNamesRateAndSlowest(t *testing.T) {
	p := newPushProgress(new(strings.Builder), 9, true)
	now := time.Now()
	p.began, p.ended, p.failed, p.sent = now.Add(-10*time.Second), 4, 1, 50e6
	p.hosts = map[string]*hostProgress{
		"a": {step: push.Uploading, began: now.Add(-3 * time.Second)}, "b": {step: push.Starting, began: now.Add(-7 * time.Second)}, "c": {step: push.Uploading, began: now},
	}
	const want = "4/9 hosts, 1 failed, 2 uploading, 1 starting, 5.0 MB/s, slowest: b 7s a 3s"
	if got := p.status(now, 200); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := p.status(now, 20); got != want[:19] {
		t.Errorf("on a narrow terminal: %q", got)
	}
}

func TestWhatOneLogsInWith(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SSH_AUTH_SOCK", "")
	key := filepath.Join(home, "key")
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(home, "config")
	if err := os.WriteFile(config, []byte("Host web\n HostName 10.9.9.9\n User deploy\n Port 2200\n ProxyJump ops@bastion,inner\n ConnectTimeout 3\n"+
		" UserKnownHostsFile /known\n HostKeyAlias alias\nHost bastion\n HostName 10.1.1.1\n Port 2222\n ProxyJump outer\nHost round\n ProxyJump round\nHost *\n IdentityFile "+key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := func(name, address, user string, port int) push.Server {
		return push.Server{Name: name, Address: address, User: user, Port: port}
	}
	fromConfig := push.Server{
		Name: "web", Address: "10.9.9.9", User: "deploy", Port: 2200, HostKeyAlias: "alias", KnownHosts: []string{"/known", systemKnownHosts}, ConnectTimeout: 3 * time.Second,
	}
	with := func(s push.Server, change func(*push.Server)) push.Server { change(&s); return s }
	way := []push.Server{server("outer", "outer", "root", 22), server("bastion", "10.1.1.1", "ops", 2222), server("inner", "inner", "root", 22)}
	for name, test := range map[string]struct {
		flags   pushFlags
		cluster manifest.SSH
		target  target
		want    push.Target
	}{
		"nothing said": {target: target{Host: "a"}, want: push.Target{Server: server("a", "a", "root", 22)}},
		"cluster.yaml": {cluster: manifest.SSH{User: "admin", Port: 2022}, target: target{Host: "a", Address: "10.0.0.1"},
			want: push.Target{Server: server("a", "10.0.0.1", "admin", 2022)}},
		"the SSH configuration": {cluster: manifest.SSH{User: "root", Port: 22}, target: target{Host: "web"}, want: push.Target{Server: fromConfig, Jumps: way}},
		"cluster.yaml before the SSH configuration": {cluster: manifest.SSH{User: "admin", Port: 2022}, target: target{Host: "web"},
			want: push.Target{Server: with(fromConfig, func(s *push.Server) { s.User, s.Port = "admin", 2022 }),
				Jumps: way}},
		"flags before all": {flags: pushFlags{user: "u", port: 10, jumps: []string{"none"}, knownHosts: []string{"/k"}, connectSaid: true},
			cluster: manifest.SSH{User: "admin", Port: 2022}, target: target{Host: "web"},
			want: push.Target{Server: push.Server{Name: "web", Address: "10.9.9.9", User: "u", Port: 10, HostKeyAlias: "alias"}}},
		"a jump host of the command line": {flags: pushFlags{jumps: []string{"j:7"}}, target: target{Host: "a"},
			want: push.Target{Server: server("a", "a", "root", 22), Jumps: []push.Server{server("j", "j", "root", 7)}}},
	} {
		t.Run(name, func(t *testing.T) {
			test.flags.sshConfig, test.flags.passwordFD, test.flags.sudoFD = config, -1, -1
			l, err := newLogins(t.Context(), &test.flags, test.cluster)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			got, err := l.all([]target{test.target})
			if err != nil {
				t.Fatal(err)
			}
			if len(got[0].Auth.Keys()) != 1 {
				t.Errorf("keys are %q", got[0].Auth.Keys())
			}
			got[0].Auth = nil
			for i := range got[0].Jumps {
				got[0].Jumps[i].Auth = nil
			}
			// Who jumps as nobody in particular jumps as the hosts' user.
			if test.cluster.User == "admin" && len(test.want.Jumps) > 0 {
				test.want.Jumps = slices.Clone(test.want.Jumps)
				test.want.Jumps[0].User, test.want.Jumps[2].User = "admin", "admin"
			}
			if !reflect.DeepEqual(got[0], test.want) {
				t.Errorf("got  %+v\nwant %+v", got[0], test.want)
			}
		})
	}
	l, err := newLogins(t.Context(), &pushFlags{sshConfig: config, passwordFD: -1, sudoFD: -1}, manifest.SSH{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.all([]target{{Host: "round"}}); err == nil || !strings.Contains(err.Error(), "jump hosts") {
		t.Errorf("jump hosts that go round in a circle: %v", err)
	}
}

func TestAnSSHConfigurationThatIsNamedMustExist(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	for flag, ok := range map[string]bool{"": true, "none": true, "/nowhere/config": false} {
		_, err := newLogins(t.Context(), &pushFlags{sshConfig: flag, passwordFD: -1, sudoFD: -1}, manifest.SSH{})
		if (err == nil) != ok {
			t.Errorf("--ssh-config %q: %v", flag, err)
		}
	}
}

func TestPasswordsComeFromFileDescriptors(t *testing.T) {
	for content, want := range map[string]string{
		"geheim\n": "geheim", "with blank \n": "with blank ", "none": "none", "": "it is empty", "a\nb\n": "more than one line",
		strings.Repeat("x", 5000): "are no password",
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = w.WriteString(content); _ = w.Close() }()
		// The reader closes its descriptor itself, so it gets one of its own.
		fd, err := unix.Dup(int(r.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		secret, err := secretFrom(t.Context(), "--password-fd", fd, true, "")
		if err != nil && !strings.Contains(err.Error(), want) || err == nil && string(secret) != want {
			t.Errorf("%.10q: %q, %v; want %q", content, []byte(secret), err, want)
		}
		_ = r.Close()
	}
	if _, err := secretFrom(t.Context(), "--password-fd", 987, false, ""); err == nil {
		t.Error("a file descriptor that is not open gives a password")
	}
	if secret, err := secretFrom(t.Context(), "--password-fd", -1, false, ""); secret != nil || err != nil {
		t.Errorf("nothing wanted: %v", err)
	}
}

func TestRates(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "500K": 500_000, "10M": 10_000_000, "1G": 1e9, "2MB/s": 2e6, "4096": 4096} {
		if got, err := parseRate(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"fast", "0", "-1M", "10", "1T", "M", "99999999999G", "1.5M"} {
		if got, err := parseRate(text); err == nil || fault.Remedy(err) == "" {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
}

func TestEveryHostGetsATokenOfItsOwn(t *testing.T) {
	f := fiveHosts()
	state := serveFake(t, f)
	cmd := &cobra.Command{}
	cmd.Flags().String("state", state, "")
	client, done, err := connect(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	made := make([]push.Target, 2)
	flags := pushFlags{ttl: time.Hour, labels: map[string]string{"zone": "b"}, retried: map[string]map[string]string{"a": {"zone": "a", "rack": "r1"}}}
	ids, err := flags.seeds(t.Context(), client, []target{{Host: "a", Role: "agent"}, {Host: "b", Role: "master"}}, made)
	if err != nil {
		t.Fatal(err)
	}
	for n, host := range []string{"a", "b"} {
		if string(made[n].Seed) != "seed of "+host || ids[n] != "token of "+host {
			t.Errorf("%+v, token %s", made[n], ids[n])
		}
	}
	for _, req := range f.tokens {
		if req.Uses != 1 || req.Ttl.AsDuration() != time.Hour || req.Host == "" || req.Role == "" {
			t.Errorf("asked for %v", req)
		}
		want := map[string]string{"zone": "b"} // --label counts more than what the last push gave
		if req.Host == "a" {
			want["rack"] = "r1"
		}
		if !reflect.DeepEqual(req.Labels, want) {
			t.Errorf("%s gets the labels %v, want %v", req.Host, req.Labels, want)
		}
	}
	p := &pushed{targets: []target{{Host: "a"}, {Host: "b"}}, tokens: ids, results: make([]push.Result, 2)}
	if err := p.record(t.Context(), client, flags.labelsOf); err != nil || f.recorded["a"]["rack"] != "r1" || f.recorded["b"]["zone"] != "b" {
		t.Errorf("recorded are the labels %v, %v", f.recorded, err)
	}
}

func TestAPushThatFailsAndCannotBeRecordedSaysBothAndExitsAsFailed(t *testing.T) {
	lost := status.Error(codes.Unavailable, "the coordinator went away")
	p := &pushed{results: pushResults()}
	var said strings.Builder
	if code := exitCode(&said, p.end(lost)); code != exitFailedHosts {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"1 of 3 hosts failed", "the coordinator went away", "remedy: push to them by name"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is not in:\n%s", want, said.String())
		}
	}
	said.Reset()
	if code := exitCode(&said, p.end(nil)); code != exitFailedHosts || said.Len() > 0 {
		t.Errorf("recorded: exit code %d, %s", code, said.String())
	}
	p.results = p.results[:1]
	if code := exitCode(&said, p.end(lost)); code != exitFailed {
		t.Errorf("no host failed: exit code %d", code)
	}
}

func TestAPushAsJSON(t *testing.T) {
	p := &pushed{results: pushResults()}
	for _, r := range p.results {
		p.targets = append(p.targets, target{Host: r.Target.Address, Role: "agent"})
	}
	var out strings.Builder
	if err := p.write(&out, show.FormatJSON); err != nil {
		t.Fatal(err)
	}
	var got pushReport
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if got.Pushed != 2 || got.Failed != 1 || len(got.Hosts) != 3 {
		t.Fatalf("got %+v", got)
	}
	want := pushHostReport{Host: "10.0.0.3", Address: "10.0.0.3", Port: 10, Role: "agent", Result: "failed", Class: "auth",
		Message: "the host refuses\x1b[2J the login", Remedy: "name a key\nwith --identity", Seconds: 1, Steps: map[string]float64{}}
	if !reflect.DeepEqual(got.Hosts[1], want) {
		t.Errorf("got  %+v\nwant %+v", got.Hosts[1], want)
	}
	if strings.ContainsAny(out.String(), "\x1b") {
		t.Error("what the host said drives the terminal")
	}
}
