package config

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/manifest"
)

func TestEverythingThatAnOperatorCanSay(t *testing.T) {
	const text = `
cluster: demo
bundle: ../app
coordinator:
  addresses: [10.0.0.1, coordinator.example.com, "fd00::1"]
  http_port: 80
roles:
  master:
    count: 3
    select: {disk: ssd}
    allow_shared_tokens: true
hosts:
  - {name: db1, address: 10.0.0.11, role: master, labels: {zone: a}}
  - {address: "fd00::12", role: master}
  - {name: db3.example.com, role: master}
  - {cidr: 10.1.0.0/16, role: agent}
address: {cidr: 10.0.0.0/8}
endpoint: "[fd00::1]:6443"
parameters:
  port: 3000
  ratio: 0.5
  replicas: 1e3
  cache: {ttl: 5m}
  tls: {}
ssh: {user: admin, port: 2222}
`
	c, problems := ParseCluster("cluster.yaml", []byte(text), testBundle(t))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if want := (Coordinator{[]string{"10.0.0.1", "coordinator.example.com", "fd00::1"}, 80, 8443}); !reflect.DeepEqual(c.Coordinator, want) {
		t.Errorf("coordinator %+v", c.Coordinator)
	}
	wantRoles := map[manifest.Role]ClusterRole{
		"master": {Count: 3, Select: map[string]string{"disk": "ssd"}, AllowSharedTokens: true}, "keeper": {Count: 1}, "agent": {},
	}
	if !reflect.DeepEqual(c.Roles, wantRoles) {
		t.Errorf("roles %+v", c.Roles)
	}
	if len(c.Hosts) != 4 || c.Hosts[0].Labels["zone"] != "a" || c.Hosts[3].CIDR.String() != "10.1.0.0/16" {
		t.Errorf("hosts %+v", c.Hosts)
	}
	if c.SSH != (SSH{"admin", 2222}) || c.Endpoint != "[fd00::1]:6443" || c.Address.CIDR.String() != "10.0.0.0/8" {
		t.Errorf("%+v", c)
	}
	wantParameters := map[string]any{
		"port": int64(3000), "ratio": 0.5, "replicas": int64(1000), "level": "info", "discovery": "static",
		"cache": map[string]any{"ttl": "5m", "size": "64MiB"}, "tls": map[string]any{"enabled": false},
	}
	if !reflect.DeepEqual(c.Parameters, wantParameters) {
		t.Errorf("parameters %#v", c.Parameters)
	}
}

// The example is what people copy from. Only its text is read here: its packages have to be built first.
func TestExampleIsValid(t *testing.T) {
	const dir = "../../examples/etcd/"
	text, err := os.ReadFile(dir + bundleFile)
	if err != nil {
		t.Skip(err)
	}
	bundle, problems := ParseBundle(bundleFile, text)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if text, err = os.ReadFile(dir + "cluster.yaml"); err != nil {
		t.Fatal(err)
	}
	if _, problems = ParseCluster("cluster.yaml", text, bundle); len(problems) > 0 {
		t.Error(problems)
	}
}

func TestDefaultsReachListsAndOtherEntries(t *testing.T) {
	b := bundleWith(t, `{properties: {list: {items: {properties: {n: {default: [1]}}}}, map: {additionalProperties: {properties: {n: {default: {a: 1}}}}}}}`)
	c, problems := ParseCluster("cluster.yaml", []byte("parameters: {list: [{}, {n: []}], map: {x: {}}}\n"+clusterRest), b)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := map[string]any{
		"list": []any{map[string]any{"n": []any{int64(1)}}, map[string]any{"n": []any{}}},
		"map":  map[string]any{"x": map[string]any{"n": map[string]any{"a": int64(1)}}},
	}
	if !reflect.DeepEqual(c.Parameters, want) {
		t.Errorf("parameters %#v", c.Parameters)
	}
}

// bundleWith gives a bundle with these parameters.
func bundleWith(t *testing.T, parameters string) *Bundle {
	t.Helper()
	b, problems := ParseBundle(bundleFile, []byte("parameters: "+parameters+"\nbundle: 1\nname: app\nversion: \"1\"\nroles: {master: {counts: [3]}}\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return b
}

func TestMistakeFarAboveIsFound(t *testing.T) {
	lines := strings.Repeat("a: b\n", 20_000)
	for _, text := range []string{"cluster: \"x\n" + lines, lines + "cluster: \"x\n" + lines} {
		_, problems := ParseCluster("cluster.yaml", []byte(text), nil)
		want := 1 + strings.Count(text[:strings.Index(text, "cluster")], "\n")
		if len(problems) != 1 || problems[0].Line != want || problems[0].Column != 10 {
			t.Errorf("found %v, want line %d", problems, want)
		}
	}
}

func TestNothingSaidMeansDefaults(t *testing.T) {
	c, problems := ParseCluster("cluster.yaml", []byte("hosts:\nparameters:\nssh:\n"+clusterRest), testBundle(t))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if c.SSH != (SSH{"root", 22}) || c.Coordinator.HTTPPort != 8080 || c.Coordinator.GRPCPort != 8443 || c.Hosts != nil {
		t.Errorf("%+v", c)
	}
	want := map[string]any{"port": int64(2379), "level": "info", "discovery": "static", "cache": map[string]any{"ttl": "1m", "size": "64MiB"}}
	if !reflect.DeepEqual(c.Parameters, want) {
		t.Errorf("parameters %#v", c.Parameters)
	}
}

func TestParsingTwiceSharesNothing(t *testing.T) {
	bundle := testBundle(t)
	a, _ := ParseCluster("cluster.yaml", []byte(clusterRest), bundle)
	a.Parameters["cache"].(map[string]any)["ttl"] = "changed"
	b, _ := ParseCluster("cluster.yaml", []byte(clusterRest), bundle)
	if got := b.Parameters["cache"].(map[string]any)["ttl"]; got != "1m" {
		t.Errorf("a default is %v after another cluster changed it", got)
	}
}

func TestBundleMadeElsewhereIsCompiledWhenNeeded(t *testing.T) {
	b := &Bundle{Roles: []Role{{Name: "master", Counts: []int{3}}}, Schema: map[string]any{"properties": map[string]any{"a": map[string]any{"type": "integer"}}}}
	_, problems := ParseCluster("cluster.yaml", []byte("parameters: {a: x, b: 1}\n"+clusterRest), b)
	want := "cluster.yaml:1:17: parameters.a: must be a whole number, got the text \"x\"\ncluster.yaml:1:20: parameters.b: unknown parameter"
	if got := problems.Error(); got != want {
		t.Errorf("found\n%s\nwant\n%s", got, want)
	}
}

func TestRenderShowsTheLineAndACaret(t *testing.T) {
	problems := Problems{
		{File: "a\x1b.yaml", Line: 12, Column: 3, Key: "k", Message: "is \x07 wrong", Remedy: "do this", Source: "\ta: \x1b[31m"},
		{File: "b.yaml", Line: 1, Column: 151, Message: "far right", Remedy: "do that", Source: strings.Repeat("é", 150) + "x" + strings.Repeat("y", 150), Warning: true},
		{File: "c.yaml", Message: "is gone", Remedy: "bring it back"},
	}
	var out bytes.Buffer
	if err := problems.Render(&out); err != nil {
		t.Fatal(err)
	}
	want := `a\x1b.yaml:12:3: k: is \a wrong
   12 |  a: \x1b[31m
      |   ^
  remedy: do this

b.yaml:1:151: warning: far right
    1 | …` + strings.Repeat("é", 99) + "x" + strings.Repeat("y", 99) + `…
      | ` + strings.Repeat(" ", 100) + `^
  remedy: do that

c.yaml: is gone
  remedy: bring it back
`
	if got := out.String(); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}

func TestOnlyTheFirstThousandProblemsAreKept(t *testing.T) {
	text := clusterRest + "hosts:\n" + strings.Repeat("  - {role: nobody}\n", 2000)
	_, problems := ParseCluster("cluster.yaml", []byte(text), testBundle(t))
	if n := len(problems); n != maxProblems+1 {
		t.Fatalf("%d problems", n)
	}
	if got := problems[maxProblems].Message; got != "3000 more problems are not shown" {
		t.Error(got)
	}
}

func TestDeepNestingIsRefused(t *testing.T) {
	for _, text := range []string{strings.Repeat("[", 5000) + strings.Repeat("]", 5000), strings.Repeat("- ", 5000) + "a", strings.Repeat("{a: ", 20000)} {
		_, problems := ParseCluster("cluster.yaml", []byte("parameters: {a: "+text+"}\n"), nil)
		if problems.Err() == nil {
			t.Error("no problem with", text[:20])
		}
		checkProblems(t, []byte("parameters: {a: "+text+"}\n"), problems, "parameters")
	}
}

func TestEditDistanceIsADistance(t *testing.T) {
	word := rapid.StringMatching(`[a-c]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		d := editDistance(a, b)
		if d != editDistance(b, a) || (d == 0) != (a == b) || d > max(len(a), len(b)) {
			t.Fatalf("%q and %q have the distance %d", a, b, d)
		}
	})
}

func TestSlipsAreRecognised(t *testing.T) {
	known := []string{"addresses", "http_port", "grpc_port", "count", "select"}
	for slip, want := range map[string]string{
		"adresses": "addresses", "http-port": "http_port", "HTTP_PORT": "http_port", "cuont": "count", "selct": "select",
		"addr": "addresses", "x": "", "monitoring": "", "": "", strings.Repeat("a", 5000): "",
	} {
		if got := nearest(slip, known); got != want {
			t.Errorf("nearest(%.20q) = %q, want %q", slip, got, want)
		}
	}
}

// Whatever is in the lines, a value stands where its line and column say.
func TestPositionsPointAtTheValue(t *testing.T) {
	bundle := testBundle(t)
	rapid.Check(t, func(t *rapid.T) {
		comments := rapid.SliceOfN(rapid.StringMatching(`# [a-zé€𐍈 ]{0,20}`), 0, 5).Draw(t, "comments")
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end of line")
		mark := rapid.SampledFrom([]string{"", "\ufeff"}).Draw(t, "byte order mark")
		label := rapid.StringMatching(`[a-zé€𐍈]{1,8}`).Draw(t, "label")
		line := `hosts: [{name: a, labels: {x: "` + label + `"}, role: agent, address: 10.0.0.300}]`
		text := mark + strings.Join(append(comments, line, clusterRest), end)
		_, problems := ParseCluster("cluster.yaml", []byte(text), bundle)
		column := 1 + len([]rune(line[:strings.Index(line, "10.0.0.300")]))
		want := fmt.Sprintf(`cluster.yaml:%d:%d: hosts[0].address: "10.0.0.300" is not an IP address`, len(comments)+1, column)
		if got := problems.Error(); got != want {
			t.Fatalf("found\n%s\nwant\n%s", got, want)
		}
	})
}

const testKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAGnsmFIf3Xg5Iwtpq/iXlKkYQaSGbRI5C94T0RSrzIB"

func TestFormats(t *testing.T) {
	tests := map[string]struct{ good, bad []string }{
		"ip":            {[]string{"10.0.0.1", "fd00::1"}, []string{"", "10.0.0.300", "fe80::1%eth0", "a"}},
		"cidr":          {[]string{"10.0.0.0/8", "::/0"}, []string{"10.0.0.1/8", "10.0.0.0", "10.0.0.0/33"}},
		"host":          {[]string{"a", "a.b-c", "10.0.0.1", "fd00::1"}, []string{"", "a_b", "-a", "10.0.0.300", "a..b", "a:1"}},
		"host-port":     {[]string{"a:1", "10.0.0.1:65535", "[fd00::1]:80"}, []string{"a", "a:0", "fd00::1:80", "[10.0.0.1]:80", "a:+1", ":80"}},
		"port":          {[]string{"1", "65535"}, []string{"0", "65536", "-1", "+1", "x"}},
		"url":           {[]string{"https://a", "http://a:1/b?c"}, []string{"a", "/a", "http://", "http://a b"}},
		"duration":      {[]string{"1h30m", "0s", "1.5s"}, []string{"1", "-1s", "1 h", "1d"}},
		"bytes":         {[]string{"512MiB", "1GB", "0", "1.5 TiB", "100"}, []string{"", "MiB", "-1", "1 XB", "1e3"}},
		"absolute-path": {[]string{"/", "/a/b"}, []string{"", "a", "/a/", "/a/../b", "//a"}},
		"ssh-key": {
			[]string{testKey, testKey + " ops@example.com", testKey + " a b c"},
			[]string{"", "ssh-ed25519", "ssh-rsa " + testKey[12:], "no-pty " + testKey, " " + testKey, "# " + testKey, testKey + "\n", testKey + "\n" + testKey, "-----BEGIN OPENSSH PRIVATE KEY-----"},
		},
		"zk-path": {[]string{"/", "/a", "/mesos/prod-1"}, []string{"", "bad/path", "/a/", "/a//b", "/a/./b", "/a/..", "/a\x01", "/\uf8ff"}},
	}
	for name, tt := range tests {
		for _, s := range tt.good {
			if !formats[name].valid(s) {
				t.Errorf("%q is %s", s, formats[name].what)
			}
		}
		for _, s := range tt.bad {
			if formats[name].valid(s) {
				t.Errorf("%q is not %s", s, formats[name].what)
			}
		}
		if example := formats[name].example; !formats[name].valid(example) {
			t.Errorf("the example %q is not %s", example, formats[name].what)
		}
	}
	below, ok := formatNamed("path-below:/srv")
	if !ok || !below.valid(below.example) || !below.valid("/srv/a") || below.valid("/srv") || below.valid("/srv/../etc") || below.valid("/srvx/a") || below.valid("srv/a") {
		t.Error("path-below:/srv takes what it should not, or does not take what it should")
	}
	for _, name := range []string{"path-below:", "path-below:srv", "path-below:/", "path-below:/srv/"} {
		if _, ok := formatNamed(name); ok {
			t.Errorf("%s is a format", name)
		}
	}
	if len(tests) != len(formats) {
		t.Error("a format is not tested")
	}
}

func BenchmarkFiftyThousandHosts(b *testing.B) {
	bundle := testBundle(b)
	var text strings.Builder
	text.WriteString(clusterRest + "hosts:\n")
	for i := range 50_000 {
		fmt.Fprintf(&text, "  - {name: host-%d, address: 10.%d.%d.%d, role: agent, labels: {zone: z%d}}\n", i, i>>16, i>>8&255, i&255, i%3)
	}
	data := []byte(text.String())
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, problems := ParseCluster("cluster.yaml", data, bundle); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}
