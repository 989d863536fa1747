package config

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/manifest"
)

func testSides(b *BundleText) (before, after Side) {
	before = Side{
		Label: "old", Bundle: b,
		Config: map[string]any{
			"cluster": "prod", "endpoint": "a",
			"parameters": map[string]any{"port": int64(1), "gone": "x", "admin_password": "hunter2", "tls": map[string]any{"cert": "/a", "passphrase": "hunter2"}, "list": []any{int64(1)}},
		},
		Hosts: []manifest.Listed{
			{Address: "10.0.0.1", Role: "master"}, {Address: "10.0.0.2", Role: "agent", Labels: map[string]string{"zone": "a"}}, {Name: "old.example.com", Role: "agent"},
		},
		Roles: []RoleState{
			{"master", map[string]map[string]string{"file": {"etc/a": "1", "etc/b": "1"}, "unit": {"u": "1"}, "package": {"p": "1"}, KindLate: {"Endpoint": "a"}}},
			{"agent", map[string]map[string]string{"file": {"etc/a": "1"}}},
			{"former", map[string]map[string]string{}},
		},
	}
	after = Side{
		Label: "new",
		Config: map[string]any{
			"cluster": "prod", "endpoint": "b",
			"parameters": map[string]any{"port": int64(2), "admin_password": "hunter3", "tls": map[string]any{"cert": "/a", "passphrase": "hunter4"}, "list": []any{int64(1), int64(2)}, "more": map[string]any{}},
		},
		Hosts: []manifest.Listed{
			{Address: "10.0.0.1", Role: "agent"}, {Address: "10.0.0.2", Role: "agent", Labels: map[string]string{"zone": "b"}}, {CIDR: "10.1.0.0/16", Role: "agent"},
		},
		Roles: []RoleState{
			{"master", map[string]map[string]string{"file": {"etc/a": "2", "etc/c": "1"}, "unit": {"u": "1"}, KindLate: {"Endpoint": "b", "Host.Name": ""}}},
			{"agent", map[string]map[string]string{"file": {"etc/a": "1"}}},
			{"latter", map[string]map[string]string{}},
		},
	}
	return before, after
}

func TestDiffForPeople(t *testing.T) {
	before, after := testSides(toolsBundle(t))
	var out bytes.Buffer
	d := Compare(before, after)
	d.NotCompared = []string{"packages"}
	if err := d.Render(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hunter") {
		t.Error("a secret is shown")
	}
	golden(t, "diff.txt", out.String())
}

// A generation has no value of a secret parameter, so there is nothing to compare one with.
func TestDiffWithAGenerationLeavesSecretsOut(t *testing.T) {
	site, _ := testSides(toolsBundle(t))
	generation := Side{Config: site.masked()}
	if text := fmt.Sprintf("%+v", generation); strings.Contains(text, "hunter") {
		t.Fatal(text)
	}
	for _, sides := range [][2]Side{{site, generation}, {generation, site}, {generation, generation}} {
		d := Compare(sides[0], sides[1])
		if len(d.Keys) != 0 || len(d.NotCompared) != 1 || !strings.Contains(d.NotCompared[0], "writeOnly") {
			t.Errorf("%+v", d)
		}
	}
	delete(generation.Config["parameters"].(map[string]any), "admin_password")
	if d := Compare(generation, site); len(d.Keys) != 1 || d.Keys[0] != (KeyChange{"parameters.admin_password", Added, nil, Masked}) {
		t.Errorf("%+v", d)
	}
}

func TestDiffOfTheSameIsEmpty(t *testing.T) {
	before, after := testSides(toolsBundle(t))
	for _, s := range []Side{before, after} {
		d := Compare(s, s)
		var out bytes.Buffer
		if err := d.Render(&out); err != nil || !d.Same() || !strings.Contains(out.String(), "say the same") {
			t.Errorf("%+v, %v, %s", d, err, out.String())
		}
	}
}

// Turned around, a diff has the same keys, parts and hosts, with added and removed exchanged.
func TestDiffTurnsAround(t *testing.T) {
	turned := map[Change]Change{Added: Removed, Removed: Added, Changed: Changed}
	side := rapid.Custom(func(t *rapid.T) Side {
		words := rapid.MapOfN(rapid.StringMatching(`[a-d]`), rapid.StringMatching(`[xy]`), 0, 4)
		parameters := map[string]any{}
		for k, v := range words.Draw(t, "parameters") {
			parameters[k] = v
		}
		s := Side{Config: map[string]any{"parameters": parameters}}
		for host, role := range words.Draw(t, "hosts") {
			s.Hosts = append(s.Hosts, manifest.Listed{Name: host, Role: manifest.Role(role)})
		}
		for _, role := range rapid.SliceOfDistinct(rapid.StringMatching(`[xy]`), rapid.ID).Draw(t, "roles") {
			s.Roles = append(s.Roles, RoleState{manifest.Role(role), map[string]map[string]string{"file": words.Draw(t, "files")}})
		}
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := side.Draw(t, "a"), side.Draw(t, "b")
		there, back := Compare(a, b), Compare(b, a)
		said := func(d Diff, turn bool) map[string]bool {
			all := map[string]bool{}
			add := func(what string, c Change) {
				if turn {
					c = turned[c]
				}
				all[what+" "+string(c)] = true
			}
			for _, k := range d.Keys {
				add("key "+k.Key, k.Change)
			}
			for _, r := range d.Roles {
				add("role "+string(r.Role), r.Change)
				for _, p := range r.Parts {
					add("part "+string(r.Role)+p.Name, p.Change)
				}
			}
			for _, h := range d.Hosts {
				add("host "+h.Host, h.Change)
			}
			return all
		}
		// An empty mapping of parameters is a leaf of its own.
		one, other := said(there, true), said(back, false)
		if !equal(one, other) {
			t.Fatalf("there %v, back %v", one, other)
		}
	})
}
