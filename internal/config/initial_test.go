package config

import (
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
