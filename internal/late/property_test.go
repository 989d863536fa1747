package late

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"

	"muster/internal/manifest"
)

// textWithoutNUL draws valid UTF-8, with more of what quoting is about than chance would give.
func textWithoutNUL() *rapid.Generator[string] {
	special := rapid.SampledFrom([]rune("'\"\\$%`!#&;|<>(){}[]*?~=:-, \t\n\r\x01\x1b\x7f\u0080\u0085\u00a0\u2028\u2029\ufeff\ufffe\uffff\ufffd😀"))
	character := rapid.OneOf(special, rapid.Rune().Filter(func(r rune) bool { return r != 0 }))
	return rapid.StringOf(character)
}

func encodeOrFail(t *rapid.T, value, name string) string {
	encoded, err := Encode(value, []string{name})
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func TestJSONDecodesToTheValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := textWithoutNUL().Draw(t, "value")
		var got string
		if err := json.Unmarshal([]byte(encodeOrFail(t, value, "json")), &got); err != nil || got != value {
			t.Fatalf("got %q, %v", got, err)
		}
	})
}

func TestYAMLDecodesToTheValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := textWithoutNUL().Draw(t, "value")
		encoded := encodeOrFail(t, value, "yaml")
		var got struct {
			Block []map[string]any
			Flow  []any
		}
		document := "block:\n  - key: " + encoded + " # comment\nflow: [" + encoded + ", {" + encoded + ": 1}]\n"
		if err := yaml.Unmarshal([]byte(document), &got); err != nil {
			t.Fatalf("%s: %v", document, err)
		}
		if got.Block[0]["key"] != value || got.Flow[0] != value || got.Flow[1].(map[string]any)[value] != 1 {
			t.Fatalf("%s gives %q", document, got)
		}
	})
}

func TestYAMLOfListsAndMapsDecodesAsJSONDoes(t *testing.T) {
	s := NewSpace(testMarker, Spec{})
	rapid.Check(t, func(t *rapid.T) {
		value := map[string]any{}
		for _, key := range rapid.SliceOfN(textWithoutNUL(), 0, 4).Draw(t, "keys") {
			value[key] = []any{textWithoutNUL().Draw(t, "item"), rapid.IntRange(-1000, 1000).Draw(t, "number"), nil, true}
		}
		var fromJSON, fromYAML any
		for name, into := range map[string]*any{"json": &fromJSON, "yaml": &fromYAML} {
			encoder, _ := findEncoder(name)
			text, err := s.encode(encoder, value)
			if err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal([]byte(text.(string)), into); name == "yaml" && err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if name == "json" {
				*into = nil
				if err := json.Unmarshal([]byte(text.(string)), into); err != nil {
					t.Fatalf("%s: %v", text, err)
				}
			}
		}
		a, _ := json.Marshal(fromJSON)
		b, _ := json.Marshal(fromYAML)
		if string(a) != string(b) {
			t.Fatalf("json gives %s, yaml %s", a, b)
		}
	})
}

func TestBase64DecodesToTheValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := string(rapid.SliceOf(rapid.Byte()).Draw(t, "value"))
		got, err := base64.StdEncoding.DecodeString(encodeOrFail(t, value, "base64"))
		if err != nil || string(got) != value {
			t.Fatalf("got %q, %v", got, err)
		}
	})
}

func TestAShellReadsTheValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Any bytes but NUL; many values in one shell, because starting one takes long.
		values := rapid.SliceOfN(rapid.OneOf(
			textWithoutNUL(),
			rapid.Map(rapid.SliceOf(rapid.ByteRange(1, 255)), func(b []byte) string { return string(b) }),
		), 1, 20).Draw(t, "values")
		script := "printf '%s\\0'"
		for _, value := range values {
			script += " " + encodeOrFail(t, value, "shell")
		}
		out, err := exec.Command("/bin/sh", "-c", script).Output()
		if err != nil || string(out) != strings.Join(values, "\x00")+"\x00" {
			t.Fatalf("%s gives %q, %v", script, out, err)
		}
	})
}

// systemd repeats an invalid assignment after unquoting it and expanding its specifiers, which shows what it read.
func TestSystemdReadsTheValue(t *testing.T) {
	program, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here")
	}
	unit := filepath.Join(t.TempDir(), "test.service")
	read := func(file string) string {
		if err := os.WriteFile(unit, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		// It fails, because of the invalid assignments.
		out, _ := exec.Command(program, "verify", "--man=no", "--recursive-errors=no", unit).CombinedOutput()
		return string(out)
	}
	const start, invalid = "[Service]\nExecStart=/bin/true\n", ": Invalid environment assignment, ignoring: 1=a"
	if out := read(start + "Environment=1=a\n"); out != unit+":3"+invalid+"\n" {
		t.Skipf("this systemd-analyze reports something else: %s", out)
	}
	rapid.Check(t, func(t *rapid.T) {
		file, want := start, ""
		assign := func(quote, value string) {
			file += "Environment=" + quote + "1=a" + encodeOrFail(t, value, "systemd") + quote + "\n"
			want += unit + ":" + strconv.Itoa(strings.Count(file, "\n")) + invalid + value + "\n"
		}
		for _, value := range rapid.SliceOfN(textWithoutNUL(), 1, 10).Draw(t, "values") {
			// Dollar signs and noncharacters are refused, and of line ends the report makes something else.
			value = strings.Map(func(r rune) rune {
				if noncharacter(r) || strings.ContainsRune("$\n\r", r) {
					return -1
				}
				return r
			}, value)
			// A longer line of the report is cut.
			value = strings.ToValidUTF8(value[:min(len(value), 500)], "")
			assign("", value)
			assign(`"`, value)
			if value != "" {
				assign(`'`, value)
			}
		}
		if out := read(file); out != want {
			t.Fatalf("%s\ngives\n%q\nwant\n%q", file, out, want)
		}
	})
}

func TestNoPlaceholderSurvivesABindOfAllValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewSpace(testMarker, everySpec)
		all := []Value{s.Host.Name, s.Host.Address, s.Host.Index, s.Host.Zone, s.Endpoint}
		for _, members := range [][]Member{s.Roster["master"], s.Roster["store"]} {
			for _, m := range members {
				all = append(all, m.Name, m.Address, m.Index, m.Zone)
			}
		}
		values, in, want := everyValue(), "", ""
		for range rapid.IntRange(0, 20).Draw(t, "parts") {
			between := rapid.String().Draw(t, "text")
			v := rapid.SampledFrom(all).Draw(t, "value")
			for range rapid.IntRange(0, maxChain).Draw(t, "encoders") {
				v, _ = v.encoded(rapid.SampledFrom(encoders).Draw(t, "encoder").name)
			}
			bound, err := Encode(values[v.ref], chain(v.encode))
			if err != nil {
				t.Fatal(err)
			}
			in += between + v.String()
			want += between + bound
		}
		if missing := Missing(s.Table(), values); missing != nil {
			t.Fatalf("missing %q", missing)
		}
		out, err := Bind(s.Table(), values, []byte(in))
		if err != nil || string(out) != want {
			t.Fatalf("got %q, %v, want %q", out, err, want)
		}
	})
}

func TestAValueIsNeverReadForPlaceholders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// What Validate would never let through is put past it.
		fragment := rapid.OneOf(rapid.SampledFrom([]string{testMarker, testMarker[:10], testMarker[10:], "0", "1", "@"}), rapid.String())
		hostile := strings.Join(rapid.SliceOf(fragment).Draw(t, "value"), "")
		b := &Binder{marker: []byte(testMarker), slots: []boundSlot{{known: true, text: hostile}, {known: true, text: "SECRET"}}}
		before, after := rapid.StringN(0, 5, -1).Draw(t, "before"), rapid.StringN(0, 5, -1).Draw(t, "after")
		out, err := b.BindString(before + placeholder(testMarker, 0) + after)
		if strings.Contains(out, "SECRET") || strings.Contains(out, testMarker) {
			t.Fatalf("the value was interpreted: %q", out)
		}
		if strings.Contains(hostile, testMarker) != (err != nil) {
			t.Fatalf("error %v", err)
		}
		if err == nil && out != before+hostile+after {
			t.Fatalf("got %q", out)
		}
	})
}

func TestValuesFromHostsCannotHoldAPlaceholder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ref := rapid.SampledFrom(sortedKeys(everyValue())).Draw(t, "ref")
		value := rapid.String().Draw(t, "before") + placeholder(testMarker, rapid.IntRange(0, 9).Draw(t, "slot")) + rapid.String().Draw(t, "after")
		if _, err := NewBinder(manifest.LateTable{Marker: testMarker}, Values{ref: value}); err == nil {
			t.Fatalf("%s = %q is taken for valid", ref, value)
		}
	})
}
