package agent

import (
	"os"
	"slices"
	"strings"
	"testing"

	syncv1 "muster/proto/muster/sync/v1"
)

var wholeWay = []string{"1 stop", "1 manifest", "1 preflight", "1 manifest", "1 fetch", "1 unpack", "1 bind", "1 activate", "1 start", "1 postflight"}

func TestAHostGoesAllTheWayAndLeavesNothingButTheInstallation(t *testing.T) {
	s := newSite(t)
	h := s.host("loner")
	h.finish()
	h.installed("etc/app.conf")
	d := h.described()
	if d.Phase != syncv1.Phase_PHASE_DONE || d.Role != "loner" {
		t.Errorf("the coordinator says %v", d)
	}
	if got := h.steps(); !slices.Equal(got, wholeWay) {
		t.Errorf("the steps were %q, want %q", got, wholeWay)
	}
	name, _ := os.Hostname()
	address, _ := ownIP(t)
	want := "name='" + name + "'\naddress=" + address.String() + "\n"
	if got := read(t, h.layout.at("opt/demo/current/etc/app.conf")); got != want && got != strings.ReplaceAll(want, "'", "") {
		t.Errorf("the config is %q, want %q", got, want)
	}
	if got := read(t, h.layout.at("opt/demo/current/bin/tool")); !strings.Contains(got, "echo tool") {
		t.Errorf("the package's command is %q", got)
	}
	got := calls(t, h.layout)
	for _, want := range []string{"enable demo.target", "start --no-block demo.target", "daemon-reload"} {
		if !slices.Contains(got, want) {
			t.Errorf("systemctl was not called with %q but with %q", want, got)
		}
	}
	link, err := os.Readlink(h.layout.current("demo"))
	if err != nil || !strings.HasPrefix(link, "generations/") {
		t.Errorf("current leads to %q (%v)", link, err)
	}
}
