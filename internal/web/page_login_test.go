package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"muster/internal/coordinator"
)

func TestALinkLogsInOnceAndIsWrittenDown(t *testing.T) {
	t.Parallel()
	s := newPageSite(t, nil, nil)
	vera := s.operate("vera", coordinator.Viewer, 24*time.Hour)
	code := s.code(vera)
	a := s.post(code)
	cookie := a.Header.Get("Set-Cookie")
	name, value, _ := strings.Cut(strings.SplitN(cookie, ";", 2)[0], "=")
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/" || name != "muster-page-"+s.port || len(value) != 43 {
		t.Fatalf("got %s and %q", a.Status, cookie)
	}
	if want := name + "=" + value + "; Path=/; HttpOnly; SameSite=Strict"; cookie != want {
		t.Errorf("the cookie is %q, want %q", cookie, want)
	}
	if strings.Contains(value, code) || !s.sees(name+"="+value) {
		t.Error("the cookie is the code, or opens nothing")
	}
	a = s.post(code)
	if a.StatusCode != http.StatusForbidden || a.Header.Get("Set-Cookie") != "" || !strings.Contains(a.body, "coordinator page") {
		t.Errorf("a second time: %s, %s", a.Status, a.body)
	}
	for kind, want := range map[string]string{
		"page-login-created": "operator vera (viewer) from unix socket: login ", "page-login": "operator vera (viewer) from 127.0.0.1: login ",
		"page-login-refused": " from 127.0.0.1: the link was used already",
	} {
		found := s.events(kind)
		if len(found) != 1 {
			t.Errorf("%s: %v", kind, found)
			continue
		}
		said := found[0].Actor + " from " + found[0].From + ": " + found[0].Message
		if !strings.HasPrefix(said, want) || strings.Contains(said, code) || strings.Contains(said, value) {
			t.Errorf("%s: %q, want %q", kind, said, want)
		}
	}
	if strings.Contains(s.state(), code) {
		t.Error("the store has the code")
	}
}

func TestACodeIsGoodForAMinute(t *testing.T) {
	t.Parallel()
	s := newPageSite(t, nil, nil)
	good, late := s.code(socket), s.code(socket)
	s.advance(59 * time.Second)
	if a := s.post(good); a.StatusCode != http.StatusSeeOther {
		t.Errorf("after 59 seconds: %s", a.Status)
	}
	s.advance(time.Second)
	if a := s.post(late); a.StatusCode != http.StatusForbidden || a.Header.Get("Set-Cookie") != "" || len(s.events("page-login-refused")) != 1 {
		t.Errorf("after 60 seconds: %s", a.Status)
	}
}

// Nothing but the body of a POST logs in: the code is still good after all that.
func TestNothingButAPostedFormLogsIn(t *testing.T) {
	t.Parallel()
	s := newPageSite(t, nil, nil)
	code := s.code(socket)
	for _, c := range []struct{ method, path, form, kind string }{
		{"GET", "/login", "", ""}, {"HEAD", "/login", "", ""}, {"GET", "/login?code=" + code, "", ""}, {"GET", "/?code=" + code, "", ""},
		{"GET", "/login", "code=" + code, "application/x-www-form-urlencoded"},
		{"PUT", "/login", "code=" + code, "application/x-www-form-urlencoded"},
		{"POST", "/login?code=" + code, "", ""}, {"POST", "/login?code=" + code, "code=", "application/x-www-form-urlencoded"},
		{"POST", "/login", "code=" + code, "text/plain"}, {"POST", "/", "code=" + code, "application/x-www-form-urlencoded"},
	} {
		a := s.do(c.method, c.path, c.form, "Content-Type", c.kind)
		if a.Header.Get("Set-Cookie") != "" || a.StatusCode == http.StatusSeeOther && a.Header.Get("Location") != "/login" {
			t.Errorf("%s %s %q: %s, %v", c.method, c.path, c.kind, a.Status, a.Header)
		}
	}
	if a := s.post(code); a.StatusCode != http.StatusSeeOther {
		t.Errorf("afterwards: %s", a.Status)
	}
}

func TestAnotherSiteCannotLogInOrOut(t *testing.T) {
	t.Parallel()
	s := newPageSite(t, nil, nil)
	code, cookie := s.code(socket), s.logIn(socket)
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:9"}, {"Origin", "http://evil.example"}, {"Origin", "null"},
		{"Origin", "http://127.0.0.1:9"},
	} {
		if a := s.post(code, header...); a.StatusCode != http.StatusForbidden || a.Header.Get("Set-Cookie") != "" {
			t.Errorf("%v: %s", header, a.Status)
		}
		if a := s.do("POST", "/logout", "", append(header, "Cookie", cookie)...); a.StatusCode != http.StatusForbidden {
			t.Errorf("logout %v: %s", header, a.Status)
		}
	}
	if !s.sees(cookie) {
		t.Error("somebody was logged out")
	}
	// The same one is kept once.
	if found := s.events("page-login-refused"); len(found) != 1 || found[0].From != "127.0.0.1" || !strings.Contains(found[0].Message, "another site") {
		t.Errorf("got %v", found)
	}
	for _, header := range [][]string{{"Sec-Fetch-Site", "same-origin", "Origin", "http://" + s.at}, {"Origin", "http://" + s.at}} {
		if a := s.post(s.code(socket), header...); a.StatusCode != http.StatusSeeOther {
			t.Errorf("%v: %s", header, a.Status)
		}
	}
	if a := s.post(code, "Sec-Fetch-Site", "same-origin"); a.StatusCode != http.StatusSeeOther {
		t.Errorf("the code was used up: %s", a.Status)
	}
}

func TestThePageIsServedUnderItsOwnNamesOnly(t *testing.T) {
	t.Parallel()
	s := newPageSite(t, nil, nil)
	code, cookie := s.code(socket), s.logIn(socket)
	for _, host := range []string{
		"evil.example:" + s.port, "evil.example", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:1", "localhost", "evil.localhost:" + s.port, "127.0.0.1.evil.example:" + s.port,
		"localhost.:" + s.port, "0.0.0.0:" + s.port, "[::]:" + s.port, "127.0.0.2:" + s.port, "user@127.0.0.1:" + s.port,
	} {
		a := s.do("GET", "/", "", "Host", host, "Cookie", cookie)
		if a.StatusCode == http.StatusOK || strings.Contains(a.body, "<h1>Hosts") {
			t.Errorf("%s: %s", host, a.Status)
		}
		if a := s.post(code, "Host", host, "Origin", "http://"+host); a.StatusCode != http.StatusMisdirectedRequest && a.StatusCode != http.StatusBadRequest || a.Header.Get("Set-Cookie") != "" {
			t.Errorf("login by %s: %s", host, a.Status)
		}
	}
	if len(s.events("page-login-refused")) != 1 {
		t.Errorf("got %v", s.events("page-login-refused"))
	}
	for _, host := range []string{"127.0.0.1:" + s.port, "localhost:" + s.port, "LocalHost:" + s.port, "[::1]:" + s.port} {
		if !s.sees(cookie, "Host", host) {
			t.Errorf("%s opens nothing", host)
		}
	}
	if a := s.post(code); a.StatusCode != http.StatusSeeOther {
		t.Errorf("the code was used up: %s", a.Status)
	}
}

func TestWrongCodesAreLimitedAndKeepNobodyOut(t *testing.T) {
	t.Parallel()
	s := newPageSite(t, nil, nil)
	code := s.code(socket)
	refused := make(map[int]int)
	for i := range 60 {
		refused[s.post(fmt.Sprintf("wrong%d", i)).StatusCode]++
	}
	if refused[http.StatusForbidden] != 30 || refused[http.StatusTooManyRequests] != 30 {
		t.Errorf("got %v", refused)
	}
	if n := len(s.events("page-login-refused")); n != 1 {
		t.Errorf("%d events", n)
	}
	if a := s.post(code); a.StatusCode != http.StatusSeeOther {
		t.Errorf("the right one: %s", a.Status)
	}
	s.advance(time.Minute)
	if a := s.post("wrong"); a.StatusCode != http.StatusForbidden {
		t.Errorf("a minute later: %s", a.Status)
	}
}

func TestCodesAreBoundedAndNobodyTakesThemAll(t *testing.T) {
	t.Parallel()
	s := newPageSite(t, nil, nil)
	first := s.code(socket)
	second := s.code(socket)
	for range 4 {
		s.code(socket)
	}
	if a := s.post(first); a.StatusCode != http.StatusForbidden {
		t.Errorf("the oldest of six: %s", a.Status)
	}
	if a := s.post(second); a.StatusCode != http.StatusSeeOther {
		t.Errorf("the second: %s", a.Status)
	}
	ask := func(i int) error {
		who := fmt.Sprintf("operator %d", i)
		_, err := s.core.CreatePageLogin(t.Context(), coordinator.Actor{Name: who}, coordinator.PageUser{Actor: who, Level: coordinator.Viewer})
		return err
	}
	var err error
	n := 4
	for ; err == nil && n < 200; n++ {
		err = ask(n)
	}
	if n != 101 || err == nil || !strings.Contains(err.Error(), "100 logins") {
		t.Errorf("the %dth: %v", n, err)
	}
	s.advance(time.Minute)
	s.must(ask(n))
}
