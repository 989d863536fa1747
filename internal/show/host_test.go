package show

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"google.golang.org/protobuf/types/known/durationpb"

	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

func failedHost() *operatorv1.GetHostResponse {
	h := oneFailed()[4]
	h.Attempt = 2
	return &operatorv1.GetHostResponse{Host: h, Reports: reports()}
}

func events() []*operatorv1.Event {
	return []*operatorv1.Event{
		{Time: ago(300e9), Kind: "enrolled", HostId: "h-5", From: "10.0.0.5", Message: "host5 (10.0.0.5) joined by token tk-1"},
		{Time: ago(42e9), Kind: "failed", HostId: "h-5", Message: "at preflight:\nport\x1b[2J 2379 is taken"},
		{Time: ago(9e9), Kind: "retry", HostId: "h-5", Actor: "root", Message: "host5"},
	}
}

// quarantined was working when a second machine came.
func quarantined() *operatorv1.Host {
	h := oneFailed()[3]
	h.LastSeen = ago(time.Hour)
	h.Quarantine = &operatorv1.Quarantine{
		Since:  ago(time.Minute),
		Reason: "two machines have its identity: certificate 0a1b2c3d4e5f, which was replaced, was shown from 10.0.0.66; certificate 9f8e7d6c5b4a is in use from 10.0.0.4",
		Remedy: "find out which machine is the copy and clear /var/lib/bootstrap-agent on it. If the machine at 10.0.0.4 is the right one: coordinator hosts release h-4",
	}
	return h
}

func TestHostPage(t *testing.T) {
	tests := []struct {
		name string
		host *operatorv1.GetHostResponse
		opts TableOptions
	}{
		{name: "host-failed", host: failedHost()},
		{name: "host-failed-terminal", host: failedHost(), opts: TableOptions{Width: 80}},
		{name: "host-quarantined", host: &operatorv1.GetHostResponse{Host: quarantined()}},
		{name: "host-done", host: &operatorv1.GetHostResponse{Host: host(1, "master", 0)}},
		{name: "host-fetching", host: &operatorv1.GetHostResponse{Host: oneFailed()[3]}},
		{name: "host-pushed", host: &operatorv1.GetHostResponse{Host: push("10.0.0.9", "unreachable", "no answer on port 22", "")}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var told []*operatorv1.Event
			if test.host.Reports != nil {
				told = events()
			}
			got := HostPage(cluster(), test.host, told, now, test.opts)
			fits(t, got, test.opts.Width)
			harmless(t, got, "\n")
			golden(t, test.name, got)
		})
	}
}

func TestHostPagesAreHarmlessWhateverTheHostReports(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []*syncv1.Report
		for range rapid.IntRange(0, 5).Draw(t, "reports") {
			r := &syncv1.Report{Attempt: rapid.Uint32().Draw(t, "attempt")}
			if rapid.Bool().Draw(t, "step") {
				r.Kind = &syncv1.Report_Step{Step: &syncv1.StepResult{
					Name: drawText(t, "name"), Message: drawText(t, "message"), Detail: drawText(t, "detail"), Remedy: drawText(t, "remedy"),
					Took: &durationpb.Duration{Seconds: rapid.Int64().Draw(t, "took")}, Phase: syncv1.Phase(rapid.Int32().Draw(t, "phase")),
				}}
			} else {
				r.Kind = &syncv1.Report_Check{Check: &syncv1.CheckResult{
					Name: drawText(t, "name"), Stage: drawText(t, "stage"), Summary: drawText(t, "summary"), Detail: drawText(t, "detail"),
					Status: syncv1.CheckStatus(rapid.Int32Range(-1, 9).Draw(t, "status")),
				}}
			}
			list = append(list, r)
		}
		h := host(1, "master", 0)
		h.Facts.Labels = map[string]string{drawText(t, "key"): drawText(t, "value")}
		h.Facts.Os, h.Facts.AgentVersion = drawText(t, "os"), drawText(t, "version")
		event := &operatorv1.Event{Kind: drawText(t, "kind"), HostId: drawText(t, "id"), Message: drawText(t, "said"), Actor: drawText(t, "actor")}
		harmless(t, HostPage(nil, &operatorv1.GetHostResponse{Host: h, Reports: list}, []*operatorv1.Event{event}, now, TableOptions{
			Width: rapid.IntRange(0, 150).Draw(t, "width"),
		}), "\n")
		harmless(t, EventLine(event, now.Location()), "")
	})
}

func TestOneEventIsOneLine(t *testing.T) {
	var lines []string
	for _, e := range events() {
		lines = append(lines, EventLine(e, now.Location())+"\n")
	}
	golden(t, "events", strings.Join(lines, ""))
}

func TestTokens(t *testing.T) {
	tokens := []*operatorv1.Token{
		{Id: "tk-2", Role: "master", MaxUses: 1, Host: "host1", Expires: ago(-20e9 * 60), Cidrs: []string{"10.0.0.0/16", "fd00::/8"}},
		{Id: "tk-1", MaxUses: 500, Uses: 12, Expires: ago(60e9)},
	}
	golden(t, "tokens", Tokens(tokens, now, 0)+Tokens(nil, now, 0))
}
