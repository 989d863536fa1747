package show

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"

	"google.golang.org/protobuf/types/known/timestamppb"

	operatorv1 "muster/proto/muster/operator/v1"
)

func list(t *testing.T, format Format, hosts []*operatorv1.Host) string {
	t.Helper()
	var out strings.Builder
	l := NewListing(&out, format, cluster(), now, TableOptions{})
	for _, h := range hosts {
		l.Add(h)
	}
	if err := l.End(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTheShapeOfJSONAndYAML(t *testing.T) {
	hosts := []*operatorv1.Host{host(1, "master", 0), push("10.0.0.9", "unreachable", "no answer", "")}
	hosts[0].Name = "a\x1b\u202e\u009b"
	hosts[0].LastSeen = &timestamppb.Timestamp{Seconds: 1 << 62} // no time at all
	golden(t, "listing.json", list(t, FormatJSON, hosts))
	golden(t, "listing.yaml", list(t, FormatYAML, hosts))
	page, err := JSON(Fields(failedHost()))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "host.json", page+"\n")
}

func TestJSONAndYAMLSayTheSame(t *testing.T) {
	for _, hosts := range [][]*operatorv1.Host{nil, oneFailed()[:1], oneFailed()} {
		var fromJSON, fromYAML any
		if err := json.Unmarshal([]byte(list(t, FormatJSON, hosts)), &fromJSON); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal([]byte(list(t, FormatYAML, hosts)), &fromYAML); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(fromYAML)
		if err != nil {
			t.Fatal(err)
		}
		var normal any
		if err := json.Unmarshal(again, &normal); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(fromJSON, normal) {
			t.Errorf("JSON says %v, YAML %v", fromJSON, normal)
		}
		if got := len(fromJSON.(map[string]any)["hosts"].([]any)); got != len(hosts) {
			t.Errorf("%d hosts, not %d", got, len(hosts))
		}
	}
}

func TestWhateverAHostSaysIsHarmlessAndComesBackWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		said := strings.ToValidUTF8(drawText(t, "text"), "?")
		v := map[string]any{said: []any{said, map[string]any{"a": said}}}
		for _, test := range []struct {
			encode func(any) (string, error)
			decode func([]byte, any) error
		}{{JSON, json.Unmarshal}, {YAML, yaml.Unmarshal}} {
			text, err := test.encode(v)
			if err != nil {
				t.Fatal(err)
			}
			harmless(t, text, "\n")
			var back map[string]any
			if err := test.decode([]byte(text), &back); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			if !reflect.DeepEqual(back, v) {
				t.Fatalf("%q came back as %q in %s", v, back, text)
			}
		}
	})
}

func TestParseFormat(t *testing.T) {
	if f, err := ParseFormat("yaml"); err != nil || f != FormatYAML {
		t.Errorf("yaml is %q, %v", f, err)
	}
	if _, err := ParseFormat("xml"); err == nil {
		t.Error("xml is a format")
	}
}
