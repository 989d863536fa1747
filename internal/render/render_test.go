package render

import (
	"crypto/sha256"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"muster/internal/late"
	"muster/internal/manifest"
)

var testMarker = late.Marker(sha256.Sum256([]byte("test")))

var testSpec = late.Spec{Rosters: map[manifest.Role]int{"master": 3, "public-agent": 1}, Endpoint: true}

func testSpace() *late.Space { return late.NewSpace(testMarker, testSpec) }

// testContext is what the tests' templates see: a counted role of a cluster with three masters.
func testContext() Context {
	return Context{
		Param: map[string]any{
			"port": float64(2379), "big": float64(21000000), "ratio": 0.5, "exact": json.Number("12"), "tenth": json.Number("0.1"),
			"int64": int64(-5), "uint64": uint64(7), "max": uint64(math.MaxUint64), "name": "etcd", "size": "512MiB", "empty": "",
			"on": true, "null": nil, "list": []any{"a", "b"}, "db": map[string]any{"host": "h", "port": 1},
		},
		Cluster: ClusterInfo{Name: "demo", Root: "/opt/demo", Data: "/var/lib/demo"},
		Role:    RoleInfo{Name: "master", Count: 3},
	}
}

func testValues() late.Values {
	v := late.Values{}
	v.SetHost(manifest.Member{Name: "m1", Address: "10.0.0.11", Index: 1, Zone: "b"})
	v.SetRoster("master", []manifest.Member{
		{Name: "m0", Address: "10.0.0.10", Index: 0, Zone: "a"},
		{Name: "m1", Address: "10.0.0.11", Index: 1, Zone: "b"},
		{Name: "m2", Address: "fd00::12", Index: 2, Zone: "c"},
	})
	v.SetRoster("public-agent", []manifest.Member{{Name: "p0", Address: "10.0.0.20", Index: 0, Zone: "a"}})
	v.SetEndpoint("api.example:443")
	return v
}

// TestTemplates renders as a generation does and binds as a host does.
func TestTemplates(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"an empty template renders nothing", "", ""},
		{"text stays as it is", "a\n\tb", "a\n\tb"},
		{"parameters are printed", "{{ .Param.name }}:{{ .Param.port }} {{ .Param.ratio }} {{ .Param.on }}", "etcd:2379 0.5 true"},
		{"whole numbers have no exponent", "{{ .Param.big }} {{ .Param.big | json }} {{ .Param.exact }}", "21000000 21000000 12"},
		{"large and broken numbers stay exact", "{{ .Param.int64 }} {{ .Param.uint64 }} {{ .Param.max }} {{ .Param.tenth }}", "-5 7 18446744073709551615 0.1"},
		{"cluster and role are printed", "{{ .Cluster.Name }} {{ .Cluster.Root }} {{ .Cluster.Data }} {{ .Role.Name }} {{ .Role.Count }}", "demo /opt/demo /var/lib/demo master 3"},
		{"the host's own values are bound", "{{ .Host.Name }} {{ .Host.Address }} {{ .Host.Index }} {{ .Host.Zone }}", "m1 10.0.0.11 1 b"},
		{"the endpoint is bound", "{{ .Endpoint | json }}", `"api.example:443"`},
		{"a roster can be ranged over", "{{ range $i, $m := .Roster.master }}{{ if $i }},{{ end }}{{ $m.Name }}=http://{{ $m.Address | urlhost }}:2380{{ end }}", "m0=http://10.0.0.10:2380,m1=http://10.0.0.11:2380,m2=http://[fd00::12]:2380"},
		{"a roster has a length", "{{ len .Roster.master }} {{ if gt (len .Roster.master) 1 }}many{{ end }}", "3 many"},
		{"a roster can be indexed", "{{ (index .Roster.master 2).Name }} {{ with index .Roster.master 0 }}{{ .Address }}{{ end }}", "m2 10.0.0.10"},
		{"a role with a hyphen is reached by index", `{{ range index .Roster "public-agent" }}{{ .Name }}{{ end }}`, "p0"},
		{"a part of a roster is a roster", "{{ range slice .Roster.master 1 }}{{ .Name }} {{ end }}", "m1 m2 "},
		{"the roster itself can be ranged over, in the order of names", "{{ range $role, $all := .Roster }}{{ $role }}:{{ len $all }} {{ end }}", "master:3 public-agent:1 "},
		{"a roster's emptiness is known", "{{ if and .Roster.master (not .Param.empty) }}yes{{ end }}", "yes"},
		{"encoders chain", "{{ .Host.Name | base64 | json }} {{ .Param.name | base64 | json }}", `"bTE=" "ZXRjZA=="`},
		{"an encoder may be called like a function", `{{ json .Host.Name }} {{ shell (json .Param.name) }}`, `"m1" '"etcd"'`},
		{"lists and maps are encoded", "{{ .Param.list | json }} {{ .Param.db | yaml }}", `["a","b"] {"host": "h","port": 1}`},
		{"a variable may hold a late value", "{{ $x := .Host.Name }}{{ $x }} {{ $x = .Host.Zone }}{{ $x | shell }}", "m1 'b'"},
		{"a variable may hold an encoded late value", "{{ $x := .Host.Name | json }}{{ $x }}", `"m1"`},
		{"a template may be handed a host", `{{ define "url" }}http://{{ .Address }}{{ end }}{{ template "url" .Host }}`, "http://10.0.0.11"},
		{"a template may be handed a late value", `{{ define "q" }}<{{ . }}>{{ end }}{{ template "q" .Host.Name }}`, "<m1>"},
		{"a block is a template", `{{ block "b" .Param }}{{ .name }}{{ end }}`, "etcd"},
		{"and and or stop at the first argument that decides", "{{ if and .Param.null .Param.null.x }}{{ else if or .Param.on .Param.null.x }}ok{{ end }}", "ok"},
		{"the functions of the language work", `{{ printf "%s-%03d" .Param.name .Param.port }} {{ print 1 2 }} {{ "a&b" | html }} {{ "a b" | urlquery }} {{ js "'" }} {{ println "x" }}`, "etcd-2379 1 2 a&amp;b a+b \\' x\n"},
		{"comparisons work", `{{ eq .Param.name "x" "etcd" }} {{ ne 1 2 }} {{ lt .Param.port 5 }} {{ ge .Param.ratio 0.5 }} {{ eq .Param.null nil }}`, "true true false true true"},
		{"a missing key is null for index", `{{ if index .Param "nothing" }}{{ else }}none{{ end }}`, "none"},
		{"index works on lists, maps and text", `{{ index .Param.list 1 }} {{ index .Param "db" "host" }} {{ index "a" 0 }}`, "b h 97"},
		{"units can be converted", `{{ bytes .Param.size }} {{ div (duration "1m30s") (duration "1ms") }} {{ add .Param.port 1 }}{{ if has .Param.list "b" }} b{{ end }}`, "536870912 90000 2380 b"},
		{"a port can be added", `{{ hostport "10.0.0.1" 53 }} {{ hostport "fd00::1" "53" }} {{ hostport "ns.example.com:54" 53 }} {{ hostport "[fd00::1]:54" 53 }} {{ hostport "ns" .Param.port }}`, "10.0.0.1:53 [fd00::1]:53 ns.example.com:54 [fd00::1]:54 ns:2379"},
		{"range takes numbers, and breaks and continues", "{{ range $i := 9 }}{{ if eq $i 1 }}{{ continue }}{{ end }}{{ if eq $i 4 }}{{ break }}{{ end }}{{ $i }}{{ else }}x{{ end }}", "023"},
		{"range over null does nothing", "{{ range .Param.null }}x{{ else }}none{{ end }}", "none"},
		{"a dollar reaches the root", "{{ range .Param.list }}{{ $.Host.Name }}{{ . }} {{ end }}", "m1a m1b "},
		{"comments and trimming work", "a {{- /* no */ -}} b", "ab"},
	} {
		t.Run(c.name, func(t *testing.T) {
			space := testSpace()
			out, err := New(testContext(), space).Render("file", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			bound, err := late.Bind(space.Table(), testValues(), out)
			if err != nil || string(bound) != c.want {
				t.Fatalf("got %q, %v, want %q", bound, err, c.want)
			}
		})
	}
}

func TestTheTableHoldsWhatAllFilesOfTheRolePrinted(t *testing.T) {
	space := testSpace()
	r := New(testContext(), space)
	for _, text := range []string{"{{ .Host.Name }}{{ $unused := .Host.Zone }}", "{{ .Endpoint }}{{ .Host.Name }}"} {
		if _, err := r.Render("file", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(late.Refs(space.Table()), " "); got != "Host.Name Endpoint" {
		t.Fatalf("refs %q", got)
	}
}

func TestALaterChangeOfTheParametersDoesNotShow(t *testing.T) {
	c := testContext()
	r := New(c, testSpace())
	c.Param["db"].(map[string]any)["host"] = "changed"
	if out, err := r.Render("file", []byte("{{ .Param.db.host }}")); err != nil || string(out) != "h" {
		t.Fatalf("got %q, %v", out, err)
	}
}
