package web_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"muster/internal/coordinator"
)

func TestASessionEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		end  func(s *pageSite, cookie string)
		ends bool
	}{
		{"not after 29 minutes", func(s *pageSite, _ string) { s.advance(29 * time.Minute) }, false},
		{"after half an hour without use", func(s *pageSite, _ string) { s.advance(30 * time.Minute) }, true},
		{"not while it is used", func(s *pageSite, cookie string) {
			for range 15 {
				s.advance(29 * time.Minute)
				s.sees(cookie)
			}
		}, false},
		{"although its script asks for news", func(s *pageSite, cookie string) {
			for range 3 {
				s.advance(10 * time.Minute)
				s.sees(cookie, "Muster-Refresh", "1")
			}
		}, true},
		{"after 8 hours whatever is done", func(s *pageSite, cookie string) {
			for range 24 {
				s.advance(20 * time.Minute)
				s.sees(cookie)
			}
		}, true},
		{"when the operator logs out", func(s *pageSite, cookie string) {
			a := s.do("POST", "/logout", "", "Cookie", cookie)
			if a.StatusCode != http.StatusSeeOther || !strings.Contains(a.Header.Get("Set-Cookie"), "Max-Age=0") {
				s.Errorf("got %s, %v", a.Status, a.Header)
			}
		}, true},
		{"not when somebody opens the address of the logout", func(s *pageSite, cookie string) { s.do("GET", "/logout", "", "Cookie", cookie) }, false},
		{"when the operator is revoked", func(s *pageSite, _ string) {
			s.must(s.core.RevokeOperator(s.Context(), coordinator.Actor{Name: "uid 0"}, "vera"))
		}, true},
		{"when the operator's name is given to somebody else", func(s *pageSite, _ string) {
			s.must(s.core.RevokeOperator(s.Context(), coordinator.Actor{Name: "uid 0"}, "vera"))
			s.operate("vera", coordinator.Admin, time.Hour)
		}, true},
		{"not when another one is", func(s *pageSite, _ string) {
			s.operate("rita", coordinator.Viewer, time.Hour)
			s.must(s.core.RevokeOperator(s.Context(), coordinator.Actor{Name: "uid 0"}, "rita"))
		}, false},
		{"when the same browser logs in again", func(s *pageSite, cookie string) { s.post(s.code(socket), "Cookie", cookie) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newPageSite(t, nil, nil)
			cookie := s.logIn(s.operate("vera", coordinator.Viewer, 24*time.Hour))
			if !s.sees(cookie) {
				t.Fatal("it never began")
			}
			c.end(s, cookie)
			if s.sees(cookie) == c.ends {
				t.Errorf("ended: %v, want %v", !c.ends, c.ends)
			}
			if c.ends && s.sees(cookie) {
				t.Error("it came back")
			}
		})
	}
}

func TestASessionEndsWithTheCredential(t *testing.T) {
	t.Parallel()
	s := newPageSite(t, nil, nil)
	cookie := s.logIn(s.operate("vera", coordinator.Viewer, 10*time.Minute))
	s.advance(9 * time.Minute)
	if !s.sees(cookie) {
		t.Error("it ended before")
	}
	s.advance(2 * time.Minute)
	if s.sees(cookie) {
		t.Error("it goes on")
	}
}

func TestACodeOfSomebodyRevokedMeanwhileLogsNobodyIn(t *testing.T) {
	t.Parallel()
	s := newPageSite(t, nil, nil)
	code := s.code(s.operate("vera", coordinator.Admin, time.Hour))
	s.must(s.core.RevokeOperator(t.Context(), coordinator.Actor{Name: "uid 0"}, "vera"))
	a := s.post(code)
	if a.StatusCode != http.StatusForbidden || a.Header.Get("Set-Cookie") != "" {
		t.Errorf("got %s", a.Status)
	}
	if found := s.events("page-login-refused"); len(found) != 1 || found[0].Actor != "operator vera (admin)" || !strings.Contains(found[0].Message, "revoked") {
		t.Errorf("got %v", found)
	}
}

func TestNobodySeesAnythingWithoutASession(t *testing.T) {
	t.Parallel()
	s := newPageSite(t, nil, nil)
	good := s.logIn(socket)
	name, _, _ := strings.Cut(good, "=")
	for _, path := range []string{"/", "/host?id=x", "/events", "/?role=master"} {
		for _, cookie := range []string{"", name + "=", name + "=" + strings.Repeat("A", 43), good + "A", strings.TrimSuffix(good, good[len(good)-1:]), "other=" + strings.TrimPrefix(good, name+"=")} {
			if a := s.do("GET", path, "", "Cookie", cookie); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/login" || strings.Contains(a.body, "demo") {
				t.Errorf("%s with %q: %s", path, cookie, a.Status)
			}
		}
	}
}

func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	s := newPageSite(t, nil, nil)
	other := s.logIn(s.operate("vera", coordinator.Viewer, time.Hour))
	var cookies []string
	for range 11 {
		cookies = append(cookies, s.logIn(socket))
		s.advance(time.Second)
	}
	if s.sees(cookies[0]) || !s.sees(cookies[1]) || !s.sees(cookies[10]) || !s.sees(other) {
		t.Error("it was not the oldest of the same operator that went")
	}
	for i := range 90 {
		s.logIn(coordinator.PageUser{Actor: fmt.Sprint("uid ", i+1), Level: coordinator.Admin})
		s.advance(time.Second)
	}
	open := 0
	for _, cookie := range append(cookies[1:], other) {
		if s.sees(cookie) {
			open++
		}
	}
	if open != 10 {
		t.Errorf("%d of the first 11 are still open, want 10", open)
	}
}

// There is nothing on the page that changes anything, for whomever.
func TestNothingCanBeChangedThroughThePage(t *testing.T) {
	t.Parallel()
	s := newPageSite(t, manyHosts(3), nil)
	cookies := map[string]string{"a viewer": s.logIn(s.operate("vera", coordinator.Viewer, time.Hour)), "an admin": s.logIn(socket)}
	before := s.state()
	for who, cookie := range cookies {
		for _, path := range []string{"/", "/host?id=h00001", "/events", "/static/page.js", "/hosts/remove", "/api/hosts/h00001"} {
			for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
				if a := s.do(method, path, "", "Cookie", cookie); a.StatusCode != http.StatusNotFound && a.StatusCode != http.StatusMethodNotAllowed {
					t.Errorf("%s %s for %s: %s", method, path, who, a.Status)
				}
			}
		}
		for _, path := range []string{"/", "/host?id=h00001", "/events", "/login"} {
			if a := s.do("GET", path, "", "Cookie", cookie); a.StatusCode != http.StatusOK || strings.Count(a.body, `method="post"`) != 1 {
				t.Errorf("%s for %s: %s", path, who, a.Status)
			}
		}
	}
	if s.state() != before {
		t.Error("the store has changed")
	}
}

func TestEveryAnswerKeepsTheBrowserSafe(t *testing.T) {
	t.Parallel()
	s := newPageSite(t, manyHosts(3), nil)
	cookie := s.logIn(socket)
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Access-Control-Allow-Origin": "",
	}
	for name, a := range map[string]answer{
		"hosts": s.do("GET", "/", "", "Cookie", cookie), "a host": s.do("GET", "/host?id=h00001", "", "Cookie", cookie),
		"events": s.do("GET", "/events", "", "Cookie", cookie), "login": s.do("GET", "/login", ""), "to the login": s.do("GET", "/", ""),
		"style": s.do("GET", "/static/style.css", ""), "script": s.do("GET", "/static/login.js", ""), "logged in": s.post(s.code(socket)),
		"wrong code": s.post("x"), "no such host": s.do("GET", "/host?id=none", "", "Cookie", cookie), "no such part": s.do("GET", "/?after=x", "", "Cookie", cookie),
		"not found": s.do("GET", "/favicon.ico", ""), "a directory": s.do("GET", "/static/", ""), "a template": s.do("GET", "/static/host.html", ""),
		"not allowed": s.do("DELETE", "/login", ""), "other host": s.do("GET", "/", "", "Host", "evil.example"),
		"other origin": s.post("x", "Sec-Fetch-Site", "cross-site"), "too long": s.do("POST", "/login", "code="+strings.Repeat("x", 1<<20)),
		"a path to be cleaned": s.do("GET", "//x/../y", ""), "out": s.do("POST", "/logout", "", "Cookie", "x=y"),
	} {
		for header, value := range want {
			if got := strings.Join(a.Header.Values(header), "|"); got != value {
				t.Errorf("%s (%s): %s: %q", name, a.Status, header, got)
			}
		}
		if strings.Contains(a.body, " style=") || strings.Contains(a.body, "<style") || strings.Contains(a.body, " onclick=") || strings.Contains(a.body, "<script>") {
			t.Errorf("%s has what the policy forbids", name)
		}
	}
}

func TestWhatABrowserSendsIsBounded(t *testing.T) {
	t.Parallel()
	s := newPageSite(t, nil, nil)
	conn, err := net.Dial("tcp", s.at)
	s.must(err)
	defer conn.Close()
	s.must(conn.SetDeadline(time.Now().Add(10 * time.Second)))
	go fmt.Fprintf(conn, "GET /login HTTP/1.1\r\nHost: %s\r\nX: %s\r\n\r\n", s.at, strings.Repeat("x", 1<<20))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	s.must(err)
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 1 MiB: %s", resp.Status)
	}
	code := s.code(socket)
	if a := s.do("POST", "/login", "code="+code+"&x="+strings.Repeat("x", 1<<20)); a.StatusCode != http.StatusBadRequest || a.Header.Get("Set-Cookie") != "" {
		t.Errorf("a form of 1 MiB: %s", a.Status)
	}
	if a := s.post(code); a.StatusCode != http.StatusSeeOther {
		t.Errorf("afterwards: %s", a.Status)
	}
}
