package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestOneEventIsOneLineInEveryFormat(t *testing.T) {
	f := fiveHosts()
	state := serveFake(t, f)
	out, _ := mustRun(t, state, "events")
	if strings.Count(out, "\n") != 2 || !strings.Contains(out, `host1\n\x1b[2Jjoined`) {
		t.Errorf("got\n%s", out)
	}
	out, _ = mustRun(t, state, "events", "-o", "json", "--host", "host1", "-n", "7")
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("got\n%s", out)
	}
	var e struct{ Kind, Message string }
	if err := json.Unmarshal([]byte(lines[0]), &e); err != nil || e.Kind != "enrolled" || e.Message != "host1\n\x1b[2Jjoined" {
		t.Errorf("got %+v, %v", e, err)
	}
	if !slices.Equal(f.calls, []string{"events  100", "events host1 7"}) {
		t.Errorf("calls: %q", f.calls)
	}
	refused(t, state, "10000", "events", "-n", "0")
	refused(t, state, "10000", "events", "-n", "20000")
	refused(t, state, "--host", "events", "--host", "")
}
