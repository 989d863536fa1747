package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestInitialFile(t *testing.T) {
	text := Initial(toolsBundle(t), InitialOptions{Bundle: "../bundle", Address: "10.0.0.5"})
	golden(t, "initial.yaml", string(text))
}

// What has to be filled in is named; filled in, the file loads, and with nothing to fill in it loads at once.
func TestInitialFileLoads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &drawer{T: t}
		schema := d.object(0)
		bundle := parameterBundle(t, flow(schema.schema))
		text := string(Initial(bundle, InitialOptions{Bundle: ".", Address: "10.0.0.5"}))
		_, problems := ParseSite("cluster.yaml", []byte(text), bundle)
		if !strings.Contains(text, fillInMark) {
			if len(problems) > 0 {
				t.Fatalf("%v in\n%s", problems, text)
			}
			return
		}
		if problems.Err() == nil {
			t.Fatalf("loads although something is left to fill in\n%s", text)
		}
		lines := strings.Split(text, "\n")
		for i, line := range lines {
			before, _, ok := strings.Cut(line, fillInMark)
			if !ok {
				continue
			}
			for name, sample := range schema.samples {
				if strings.TrimSpace(before) == flowText(name)+":" {
					lines[i] = before + flow(sample)
				}
			}
		}
		text = strings.Join(lines, "\n")
		if _, problems := ParseSite("cluster.yaml", []byte(text), bundle); len(problems) > 0 {
			t.Fatalf("filled in: %v in\n%s", problems, text)
		}
	})
}

// A line that is uncommented says what held before.
func TestInitialCommentsAreWhatHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &drawer{T: t}
		schema := d.object(0)
		delete(schema.schema, "required")
		bundle := parameterBundle(t, flow(schema.schema))
		text := string(Initial(bundle, InitialOptions{Bundle: ".", Address: "10.0.0.5"}))
		before, problems := ParseSite("cluster.yaml", []byte(text), bundle)
		if before == nil {
			t.Fatalf("%v in\n%s", problems, text)
		}
		for name, p := range schema.schema["properties"].(map[string]any) {
			if _, ok := p.(map[string]any)["default"]; !ok {
				continue
			}
			changed := uncommented(text, name)
			after, problems := ParseSite("cluster.yaml", []byte(changed), bundle)
			if after == nil {
				t.Fatalf("%v in\n%s", problems, changed)
			}
			if !equal(before.Parameters, after.Parameters) {
				t.Fatalf("%v became %v with\n%s", before.Parameters, after.Parameters, changed)
			}
		}
	})
}

// uncommented takes the # from a parameter's lines, as an operator does.
func uncommented(text, name string) string {
	lines := strings.Split(text, "\n")
	inside := false
	for i, line := range lines {
		rest, isComment := strings.CutPrefix(line, "  #")
		switch {
		case isComment && strings.HasPrefix(rest, flowText(name)+":"):
			inside = true
		case !isComment || !strings.HasPrefix(rest, "  "):
			inside = false
		}
		if inside {
			lines[i] = "  " + rest
		}
	}
	return strings.Join(lines, "\n")
}

func TestConditionsThatAskForMoreAreSaid(t *testing.T) {
	bundle := parameterBundle(t, `{properties: {kind: {enum: [a, b], default: a}, extra: {type: string}}, if: {properties: {kind: {const: a}}}, then: {required: [extra]}}`)
	text := string(Initial(bundle, InitialOptions{Bundle: ".", Address: "10.0.0.5"}))
	if want := fillInMark + "parameters.extra: is required"; !strings.Contains(text, want) {
		t.Errorf("no %q in\n%s", want, text)
	}
}

func TestNamesOfClusters(t *testing.T) {
	for text, want := range map[string]string{
		"DC/OS Prod": "dc-os-prod", "etcd": "etcd", "--": "", "Ünï": "n", "systemd": "", "a": "a",
		strings.Repeat("ab-", 20): "ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab",
	} {
		got := labelFrom(text)
		if got != want || got != "" && (!dnsLabel.MatchString(got) || len(got) > maxClusterName) {
			t.Errorf("labelFrom(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestFlowReadsBackAsItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(sampleText, rapid.String()).Draw(t, "text")
		want := map[string]any{"k" + s: []any{s, map[string]any{"x": s}, int64(1), 0.5, true, nil}}
		_, top := parse("x", []byte("v: "+flow(want)+"\n"))
		if top == nil {
			t.Fatalf("%s cannot be read", flow(want))
		}
		_, node := childNode(top, "v")
		got, _ := cursor{report: &report{}, node: node, at: node}.data()
		if !equal(got, want) {
			t.Fatalf("%#v became %#v by %s", want, got, flow(want))
		}
	})
}

// Whoever begins with this file sees all that there is.
func TestInitialHasEveryKey(t *testing.T) {
	text := "\n" + string(Initial(toolsBundle(t), InitialOptions{Bundle: ".", Address: "10.0.0.5"}))
	for _, info := range keyInfos {
		if strings.ContainsAny(info.key, ".[") || info.key == "bundle_sha256" {
			continue
		}
		if !strings.Contains(text, "\n"+info.key+":") && !strings.Contains(text, "\n#"+info.key+":") {
			t.Errorf("%s is not there", info.key)
		}
	}
}

// What is a comment is right when it is none any more, one section at a time.
func TestInitialSectionsCanBeUncommented(t *testing.T) {
	dir := t.TempDir()
	bundle := `{bundle: 1, name: a, version: "1", roles: {master: {counts: [1]}}, secrets: {own: {summary: Opens it, roles: [master], generate: {}}, each: {roles: [master], generate: {}, per: host}}}`
	for name, text := range map[string]string{"bundle.yaml": bundle, "keys/operator.pub": "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, problems := ReadBundle(filepath.Join(dir, "bundle.yaml"))
	if b == nil {
		t.Fatal(problems)
	}
	text := string(Initial(b, InitialOptions{Bundle: ".", Address: "10.0.0.5"}))
	for _, section := range []string{"hosts", "address", "endpoint", "discovery", "signing", "attestation", "ssh", "secrets"} {
		lines := strings.Split(text, "\n")
		inside := false
		for i, line := range lines {
			switch {
			case strings.HasPrefix(line, "#"+section+":"):
				inside = true
			case !strings.HasPrefix(line, "#  "):
				inside = inside && strings.HasPrefix(line, "  # ")
			}
			if inside {
				lines[i] = strings.TrimPrefix(line, "#")
			}
		}
		changed := strings.Join(lines, "\n")
		if changed == text {
			t.Errorf("%s is not there as a comment", section)
			continue
		}
		file := filepath.Join(dir, "cluster.yaml")
		if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
		if c, problems := LoadCluster(file); c == nil {
			t.Errorf("%s: %v in\n%s", section, problems, changed)
		}
	}
	if strings.Contains(text, "each:") {
		t.Error("a value that every host has its own of can be given")
	}
}
