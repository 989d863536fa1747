package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"muster/internal/coordinator"
	"muster/internal/hosts"
	"muster/internal/identity"
	"muster/internal/manifest"
	agentproof "muster/internal/proof"
	"muster/internal/store"
	"muster/internal/web"
	syncv1 "muster/proto/muster/sync/v1"
)

var began = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// socket is who asks for a link on the coordinator's machine.
var socket = coordinator.PageUser{Actor: "uid 0", Level: coordinator.Admin}

// pageSite is a coordinator with its page, served over HTTP.
type pageSite struct {
	testing.TB
	core *coordinator.Service
	db   store.Store
	at   string // host:port
	port string

	mu  sync.Mutex
	now time.Time
}

// newPageSite serves a cluster in which these hosts are, with what they reported.
func newPageSite(t testing.TB, known []hosts.Host, reports map[hosts.ID][]*syncv1.Report) *pageSite {
	t.Helper()
	s := &pageSite{TB: t, now: began}
	var err error
	s.db, err = store.OpenBolt(filepath.Join(t.TempDir(), "store.db"))
	s.must(err)
	t.Cleanup(func() { _ = s.db.Close() })
	s.must(s.db.Update(t.Context(), func(w store.Writer) error {
		for _, h := range known {
			raw, err := json.Marshal(h)
			if err != nil {
				return err
			}
			if err := w.Put("hosts/"+string(h.ID), raw); err != nil {
				return err
			}
		}
		for id, list := range reports {
			for i, r := range list {
				raw, err := proto.Marshal(r)
				if err != nil {
					return err
				}
				if err := w.Put(fmt.Sprintf("reports/%s/%020d", id, i), raw); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	ca, err := identity.Create(filepath.Join(t.TempDir(), "ca"), "demo", began)
	s.must(err)
	blob := manifest.Blob{Digest: manifest.Digest(strings.Repeat("d", 64)), Size: 1}
	s.core, err = coordinator.New(t.Context(), coordinator.Options{
		Store: s.db, CA: ca, Clock: s.clock,
		Generation: &manifest.Generation{
			Format: manifest.Format, Cluster: "demo", ConfigID: manifest.ConfigID(strings.Repeat("c", 64)),
			Bundle:      manifest.Bundle{Name: "demo", Version: "1"},
			Coordinator: manifest.Coordinator{Addresses: []string{"127.0.0.1"}, HTTPPort: 8080, GRPCPort: 8443},
			Roles:       []manifest.RoleEntry{{Name: "master", Count: 3, Manifest: blob}, {Name: "agent", Manifest: blob}},
		},
		Manifests: map[manifest.Role]*manifest.Manifest{"master": {}, "agent": {}},
	})
	s.must(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	s.at = l.Addr().String()
	_, s.port, _ = net.SplitHostPort(s.at)
	server := web.NewPageServer(s.core, "127.0.0.1", l.Addr())
	go func() { _ = web.Serve(server, web.Bounded(l, web.PageConnections)) }()
	t.Cleanup(func() { _ = server.Close() })
	return s
}

func (s *pageSite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *pageSite) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *pageSite) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// operate makes an operator on another machine.
func (s *pageSite) operate(name string, level coordinator.Level, ttl time.Duration) coordinator.PageUser {
	s.Helper()
	key, err := agentproof.NewKey()
	s.must(err)
	der, err := agentproof.CSR(key)
	s.must(err)
	csr, err := identity.CheckCSR(der)
	s.must(err)
	made, err := s.core.CreateOperator(s.Context(), coordinator.Actor{Name: "uid 0"}, csr, name, level, ttl)
	s.must(err)
	return coordinator.PageUser{Actor: "operator " + name + " (" + string(level) + ")", Level: level, Operator: name, Serial: made.Record.Serial}
}

// code asks for a link and takes out its code.
func (s *pageSite) code(user coordinator.PageUser) string {
	s.Helper()
	login, err := s.core.CreatePageLogin(s.Context(), coordinator.Actor{Name: user.Actor, From: "unix socket"}, user)
	s.must(err)
	prefix := "http://" + s.at + "/login#"
	if !strings.HasPrefix(login.Link, prefix) || len(login.Link) != len(prefix)+43 {
		s.Fatalf("the link is %s", login.Link)
	}
	return strings.TrimPrefix(login.Link, prefix)
}

// answer is what came back, read.
type answer struct {
	*http.Response
	body string
}

// do sends a request as it is: no redirect is followed, no cookie is kept. A header "Host" is the request's.
func (s *pageSite) do(method, path, form string, header ...string) answer {
	s.Helper()
	var body io.Reader
	if form != "" {
		body = strings.NewReader(form)
	}
	r, err := http.NewRequestWithContext(s.Context(), method, "http://"+s.at+path, body)
	s.must(err)
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		} else {
			r.Header.Set(header[i], header[i+1])
		}
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	s.must(err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	s.must(err)
	return answer{resp, string(raw)}
}

func (s *pageSite) post(code string, header ...string) answer {
	s.Helper()
	return s.do("POST", "/login", url.Values{"code": {code}}.Encode(), header...)
}

// logIn is the cookie of a new session.
func (s *pageSite) logIn(user coordinator.PageUser) string {
	s.Helper()
	a := s.post(s.code(user))
	if a.StatusCode != http.StatusSeeOther || len(a.Cookies()) != 1 {
		s.Fatalf("the login got %s and %v: %s", a.Status, a.Cookies(), a.body)
	}
	c := a.Cookies()[0]
	return c.Name + "=" + c.Value
}

// sees says whether a cookie opens the page.
func (s *pageSite) sees(cookie string, header ...string) bool {
	s.Helper()
	a := s.do("GET", "/", "", append(header, "Cookie", cookie)...)
	switch {
	case a.StatusCode == http.StatusOK && strings.Contains(a.body, "<h1>Hosts</h1>"):
		return true
	case a.StatusCode == http.StatusSeeOther && a.Header.Get("Location") == "/login" && !strings.Contains(a.body, "Hosts"):
		return false
	}
	s.Fatalf("got %s: %s", a.Status, a.body)
	return false
}

func (s *pageSite) events(kind string) []coordinator.Event {
	s.Helper()
	found, err := s.core.Events(s.Context(), coordinator.EventFilter{Kind: kind}, 10_000)
	s.must(err)
	return found
}

// state is all that the store holds but for the notes, as a stranger may leave those.
func (s *pageSite) state() string {
	s.Helper()
	all := make(map[string]string)
	s.must(s.db.View(context.Background(), func(r store.Reader) error {
		return r.Scan("", "", func(key string, value []byte) (bool, error) {
			if !strings.HasPrefix(key, "notes/") {
				all[key] = string(value)
			}
			return true, nil
		})
	}))
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "%s=%s\n", key, all[key])
	}
	return b.String()
}
