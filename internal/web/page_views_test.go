package web_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"muster/internal/coordinator"
	"muster/internal/hosts"
	"muster/internal/manifest"
	syncv1 "muster/proto/muster/sync/v1"
)

// manyHosts are agents that are done, but for every hundredth, which failed.
func manyHosts(n int) []hosts.Host {
	all := make([]hosts.Host, n)
	for i := range all {
		all[i] = hosts.Host{
			ID: hosts.ID(fmt.Sprintf("h%05d", i)), Role: manifest.Role("agent"), Phase: hosts.Done, PhaseSince: began, Attempt: 1, Enrolled: began,
			Facts: hosts.Facts{Name: fmt.Sprintf("node%05d", i), Address: fmt.Sprintf("10.1.%d.%d", i/250, i%250+1)},
		}
		if i%100 == 99 {
			all[i].Phase = hosts.Failed
			all[i].Failed = &hosts.Failure{Step: "preflight", Message: "port 2379 is taken", Remedy: "stop what listens on it"}
		}
	}
	return all
}

var hostLink = regexp.MustCompile(`href="/host\?id=([^"]+)"`)

func ids(body string) []string {
	var all []string
	for _, m := range hostLink.FindAllStringSubmatch(body, -1) {
		all = append(all, m[1])
	}
	return all
}

func TestEveryHostIsOnOnePageAndTheFailedComeFirst(t *testing.T) {
	t.Parallel()
	s := newPageSite(t, manyHosts(1050), nil)
	cookie := s.logIn(socket)
	next := regexp.MustCompile(`<a href="([^"]+)">Next 100</a>`)
	seen := make(map[string]int)
	pages, path := 0, "/"
	for ; path != "" && pages < 20; pages++ {
		a := s.do("GET", path, "", "Cookie", cookie)
		got := ids(a.body)
		for i, id := range got {
			seen[id]++
			if failed := strings.HasSuffix(id, "99"); failed != (pages == 0 && i < 10) {
				t.Errorf("page %d, row %d is %s", pages, i, id)
			}
		}
		if pages == 0 && (!strings.Contains(a.body, "preflight: port 2379 is taken") || !strings.Contains(a.body, "remedy: stop what listens on it") || !strings.Contains(a.body, "1050 hosts")) {
			t.Errorf("the first page is\n%s", a.body)
		}
		path = ""
		if m := next.FindStringSubmatch(a.body); m != nil {
			path = html.UnescapeString(m[1])
		}
	}
	if len(seen) != 1050 || pages != 11 {
		t.Errorf("%d hosts on %d pages", len(seen), pages)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s is there %d times", id, n)
		}
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	all := manyHosts(200)
	all[0].Role, all[0].Facts.Name = "master", "Special"
	all[1].Phase, all[1].PhaseSince = hosts.Fetching, began.Add(-time.Hour)
	s := newPageSite(t, all, nil)
	cookie := s.logIn(socket)
	for _, c := range []struct {
		query string
		want  string
	}{
		{"phase=failed", "h00099 h00199"}, {"role=master", "h00000"}, {"role=master&phase=failed", ""}, {"text=sPECIAL", "h00000"}, {"text=10.1.0.6&phase=done", "h00005 h00059 h00060 h00061 h00062 h00063 h00064 h00065 h00066 h00067 h00068"},
		{"text=h00042", "h00042"}, {"phase=lost", "h00001"}, {"phase=fetching", "h00001"}, {"phase=nonsense", ""}, {"role=nonsense", ""}, {"text=%00", ""},
	} {
		a := s.do("GET", "/?"+c.query, "", "Cookie", cookie)
		if got := strings.Join(ids(a.body), " "); a.StatusCode != http.StatusOK || got != c.want {
			t.Errorf("%s: %s, %q, want %q", c.query, a.Status, got, c.want)
		}
	}
	if a := s.do("GET", "/?after="+url.QueryEscape(strings.Repeat("A", 5000)), "", "Cookie", cookie); a.StatusCode != http.StatusBadRequest {
		t.Errorf("a part that is none: %s", a.Status)
	}
}

// What a host says of itself, and what a check of it printed, stays text: for the browser and for whoever copies it into a
// terminal.
func TestWhatAHostSaysStaysText(t *testing.T) {
	t.Parallel()
	const evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b[2J\u202e"
	h := hosts.Host{
		ID: "h1", Role: "agent", Phase: hosts.Failed, PhaseSince: began, Enrolled: began, Attempt: 1,
		Failed: &hosts.Failure{Step: "step" + evil, Message: "failure" + evil, Remedy: "remedy" + evil},
		Facts:  hosts.Facts{Name: "name" + evil, Address: "javascript:alert(1)", OS: "os" + evil, Zone: "zone" + evil, Labels: map[string]string{"label" + evil: evil}},
	}
	other := h
	other.ID, other.Facts.Address = "h2", "10.0.0.2"
	s := newPageSite(t, []hosts.Host{h, other}, map[hosts.ID][]*syncv1.Report{"h1": {
		{Time: timestamppb.New(began), Attempt: 1, Kind: &syncv1.Report_Step{Step: &syncv1.StepResult{
			Name: "preflight" + evil, Phase: syncv1.Phase_PHASE_PREFLIGHT, Message: "said" + evil, Detail: "first line\nTAIL" + evil, Remedy: "do" + evil}}},
		{Time: timestamppb.New(began), Attempt: 1, Kind: &syncv1.Report_Check{Check: &syncv1.CheckResult{
			Name: "check" + evil, Stage: "preflight", Status: syncv1.CheckStatus_CHECK_STATUS_CRITICAL, Summary: "sum" + evil, Detail: "CHECKTAIL" + evil, Remedy: "mend" + evil}}},
	}})
	s.must(s.core.Denied(t.Context(), coordinator.Actor{Name: "who" + evil}, "call-denied", "why"+evil))
	cookie := s.logIn(socket)
	for path, want := range map[string][]string{
		"/":           {"name&lt;script&gt;", "failure&lt;script&gt;", "remedy&lt;script&gt;"},
		"/host?id=h1": {"name&lt;script&gt;", "said&lt;script&gt;", "| TAIL&lt;script&gt;", "remedy: do&lt;script&gt;", "check&lt;script&gt;", "| CHECKTAIL&lt;script&gt;", "critical"},
		"/events":     {"why&lt;script&gt;", "who&lt;script&gt;"},
		"/?text=" + url.QueryEscape("text"+evil) + "&role=" + url.QueryEscape(evil) + "&phase=" + url.QueryEscape(evil): {"text&lt;script&gt;"},
	} {
		a := s.do("GET", path, "", "Cookie", cookie)
		if a.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, a.Status)
		}
		for _, bad := range []string{"<script>", "<img", "\x1b", "\u202e", `href="javascript`} {
			if strings.Contains(a.body, bad) {
				t.Errorf("%s has %q", path, bad)
			}
		}
		for _, text := range append(want, `\x1b[2J\u202e`) {
			if !strings.Contains(a.body, text) {
				t.Errorf("%s lacks %q:\n%s", path, text, a.body)
			}
		}
	}
	for name, status := range map[string]int{evil: http.StatusNotFound, h.Facts.Name: http.StatusConflict} {
		a := s.do("GET", "/host?id="+url.QueryEscape(name), "", "Cookie", cookie)
		if a.StatusCode != status || strings.Contains(a.body, "<script>") || strings.Contains(a.body, "\x1b") || strings.Contains(a.body, "\u202e") {
			t.Errorf("a host that is not one: %s\n%s", a.Status, a.body)
		}
	}
}

// A page of very many hosts is no larger than a page of some, and is there before anybody wonders.
func TestAPageOfFiftyThousandHosts(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes 50,000 hosts")
	}
	s := newPageSite(t, manyHosts(50_000), nil)
	cookie := s.logIn(socket)
	for _, path := range []string{"/", "/?text=node4321", "/?phase=done"} {
		asked := time.Now()
		a := s.do("GET", path, "", "Cookie", cookie)
		took := time.Since(asked)
		t.Logf("%s: %d bytes in %v", path, len(a.body), took.Round(time.Millisecond))
		if n := len(ids(a.body)); a.StatusCode != http.StatusOK || n == 0 || n > 100 || len(a.body) > 256<<10 || took > 10*time.Second {
			t.Errorf("%s: %s, %d rows, %d bytes, %v", path, a.Status, n, len(a.body), took)
		}
	}
}
