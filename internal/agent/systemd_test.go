package agent

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestAUnitMayTakeItsTimeToStopAndNoLonger(t *testing.T) {
	const systemdsOwn = 90 * time.Second // DefaultTimeoutStopSec
	if stopTimeout < 2*systemdsOwn {
		t.Errorf("stop is given up after %v", stopTimeout)
	}
	l := newRoot(t)
	write(t, l.at("usr/bin/systemctl"), "#!/bin/sh\nexec sleep 60\n")
	must(t, os.Chmod(l.at("usr/bin/systemctl"), 0o755))
	began := time.Now()
	_, err := systemd{l}.runFor(t.Context(), 50*time.Millisecond, "stop", "demo-app.service")
	if err == nil || !strings.Contains(err.Error(), "systemctl stop demo-app.service: it has not ended after 50ms") || time.Since(began) > 10*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	if words := stopWords([]string{"demo-app.service", "demo.target"}); words != "stopping demo-app.service, demo.target, for 5m0s at most" {
		t.Errorf("status says %q", words)
	}
}
