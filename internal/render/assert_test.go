package render_test

import (
	"strings"
	"testing"

	"muster/internal/render"
)

func TestAssert(t *testing.T) {
	params := map[string]any{
		"low": int64(3), "high": int64(4), "half": 0.5, "ttl": "90s", "disk": "1.5GiB", "plain": int64(2048),
		"modes": []any{"a", "b"}, "deep": map[string]any{"n": int64(7)}, "large": int64(1) << 62,
	}
	for text, want := range map[string]bool{
		"{{ lt .Param.low .Param.high }}":                                  true,
		"{{ gt .Param.low .Param.high }}":                                  false,
		"  {{ eq (add .Param.low 1) .Param.high }}\n":                      true,
		"{{ eq (sub .Param.low 5) -2 }}":                                   true,
		"{{ eq (mul .Param.low .Param.high) 12 }}":                         true,
		"{{ eq (div 7 2) 3 }}":                                             true,
		"{{ eq (mod 7 2) 1 }}":                                             true,
		"{{ lt (mul .Param.half 3) 1.6 }}":                                 true,
		"{{ eq (duration .Param.ttl) (mul 90 (duration \"1s\")) }}":        true,
		"{{ eq (bytes .Param.disk) 1610612736 }}":                          true,
		"{{ eq (bytes \"2kB\") 2000 }}":                                    false, // K, not k
		"{{ eq (bytes \"2KB\") 2000 }}":                                    true,
		"{{ eq (bytes .Param.plain) 2048 }}":                               true,
		"{{ has .Param.modes \"b\" }}":                                     true,
		"{{ has .Param.modes \"c\" }}":                                     false,
		"{{ if gt .Param.deep.n 6 }}true{{ else }}false{{ end }}":          true,
		"{{ and (eq .Cluster.Name \"demo\") (ne .Param.low 9) }}":          true,
		"{{ or (not true) (ge (len .Param.modes) 3) }}":                    false,
		"{{ eq .Cluster.Data \"/var/lib/demo\" }}":                         true,
		"{{ range .Param.modes }}{{ end }}{{ le .Param.low 3 }}":           true,
		"{{ with index .Param \"absent\" }}{{ . }}{{ else }}true{{ end }}": true,
	} {
		got, err := render.Assert("rule", text, params, render.ClusterInfo{Name: "demo", Data: "/var/lib/demo"})
		if strings.Contains(text, "2kB") {
			if err == nil {
				t.Errorf("%s: kB is no unit", text)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func TestAssertRefusesWhatIsNoAnswer(t *testing.T) {
	for text, want := range map[string]string{
		"{{ .Param.low }}":            "prints \"3\", not true or false",
		"":                            "prints \"\", not true or false",
		"{{ .Host.Name }}":            "unknown value .Host",
		"{{ .Secret.x }}":             ".Secret",
		"{{ len .Roster.master }}":    "unknown value .Roster",
		"{{ div 1 0 }}":               "division by zero",
		"{{ div 1.5 2 }}":             "div and mod take whole numbers",
		"{{ add .Param.low \"1\" }}":  "arithmetic takes numbers",
		"{{ mul .Param.large 4 }}":    "too large a number",
		"{{ duration \"3 days\" }}":   "is not a duration",
		"{{ bytes \"many\" }}":        "is not a number of bytes",
		"{{ bytes \"99999999EiB\" }}": "too large a number",
		"{{ eq .Param.absent 1 }}":    "unknown parameter .Param.absent",
		"{{ lt .Param.low 1":          "",
	} {
		_, err := render.Assert("rule", text, map[string]any{"low": int64(3), "large": int64(1) << 62}, render.ClusterInfo{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
