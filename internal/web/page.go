package web

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/show"
)

const (
	// maxForm bounds what a browser may post; a login has 48 bytes.
	maxForm = 4 << 10
	// maxScans is how many answers that look at every host or event are made at once, and scanPatience how long one waits.
	maxScans     = 2
	scanPatience = 10 * time.Second
	// PageConnections is how many browsers' connections there may be.
	PageConnections = 64
)

//go:embed page
var pageFiles embed.FS

var pageTemplates = template.Must(template.ParseFS(pageFiles, "page/*.html"))

// page is the operator's page: it shows and changes nothing.
type page struct {
	core     *coordinator.Service
	sessions sessions
	hosts    []string // that a request may be for
	cookie   string
	scans    chan struct{}
}

// NewPageServer serves the operator's page on a listener at this address, with the host that the operator asked for. Whoever
// is logged in sees; nothing can be changed through it.
func NewPageServer(core *coordinator.Service, host string, at net.Addr) *http.Server {
	_, port, _ := net.SplitHostPort(at.String())
	p := &page{core: core, scans: make(chan struct{}, maxScans),
		// Cookies are for all ports of a name, and one machine may have several coordinators.
		cookie: "muster-page-" + port}
	for _, name := range []string{"127.0.0.1", "localhost", "::1", strings.ToLower(host)} {
		if at := net.JoinHostPort(name, port); !slices.Contains(p.hosts, at) {
			p.hosts = append(p.hosts, at)
		}
	}
	core.ServePageAt("http://" + net.JoinHostPort(host, port))
	s := NewServer(p.guarded(p.routes()))
	s.WriteTimeout = time.Minute
	return s
}

func (p *page) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.signedIn(p.showHosts))
	mux.HandleFunc("GET /host", p.signedIn(p.showHost))
	mux.HandleFunc("GET /events", p.signedIn(p.showEvents))
	mux.HandleFunc("GET /login", p.showLogin)
	mux.HandleFunc("POST /login", p.login)
	mux.HandleFunc("POST /logout", p.logout)
	for name, kind := range map[string]string{"style.css": "text/css", "login.js": "text/javascript", "page.js": "text/javascript"} {
		mux.HandleFunc("GET /static/"+name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind+"; charset=utf-8")
			raw, err := pageFiles.ReadFile("page/" + name)
			if err != nil {
				p.refuse(w, http.StatusInternalServerError, "the file is missing from this program", "build it again")
				return
			}
			_, _ = w.Write(raw)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p.refuse(w, http.StatusNotFound, "there is no such page", "begin at /")
	})
	return mux
}

// guarded is what holds for every request and every answer, refusals too.
func (p *page) guarded(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.refuseLogin(w, r, http.StatusForbidden, "the request comes from another site's page", "open the link that coordinator page prints")
	}))
	next = http.MaxBytesHandler(cross.Handler(next), maxForm)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "+
			"frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		// A name of somebody else's that leads to this machine would make their page one of this site (DNS rebinding).
		if !slices.Contains(p.hosts, strings.ToLower(withPort(r.Host))) {
			p.refuseLogin(w, r, http.StatusMisdirectedRequest, "the page is not served under this name",
				"use one of "+strings.Join(p.hosts, ", ")+"; forward the same port with ssh -L, or name another address with --listen-page")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// withPort adds the port that browsers leave out.
func withPort(host string) string {
	if _, _, err := net.SplitHostPort(host); err != nil {
		return host + ":80"
	}
	return host
}

// signedIn lets in who has a session whose right is still there.
func (p *page) signedIn(next func(http.ResponseWriter, *http.Request, coordinator.PageUser)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		secret := p.secret(r)
		user, ok := p.sessions.find(secret, p.core.Now(), r.Header.Get("Muster-Refresh") == "")
		if ok {
			err := p.core.MaySeePage(r.Context(), user)
			if err == nil {
				next(w, r, user)
				return
			}
			if !errors.Is(err, fault.Denied) {
				p.fail(w, err)
				return
			}
			p.sessions.end(secret)
		}
		if secret != "" {
			p.setCookie(w, "")
		}
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	}
}

// render answers with a template. It is made whole before a byte is sent, so that an answer is never half of one.
func (p *page) render(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := pageTemplates.ExecuteTemplate(&b, name, data); err != nil {
		p.core.Trouble(fmt.Errorf("the page %s: %w", name, err))
		http.Error(w, "the page cannot be shown; the coordinator's log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

func (p *page) refuse(w http.ResponseWriter, status int, what, remedy string) {
	p.render(w, status, "refused.html", map[string]string{
		"Cluster": show.Safe(p.core.Cluster(), 64), "Status": http.StatusText(status), "What": show.Safe(what, 400), "Remedy": show.Safe(remedy, 400),
	})
}

// fail answers with a fault of the core. Of what is nobody's fault but the coordinator's, only its log says more.
func (p *page) fail(w http.ResponseWriter, err error) {
	var f *fault.Error
	if !errors.As(err, &f) {
		p.core.Trouble(err)
		p.refuse(w, http.StatusInternalServerError, "the coordinator could not do this", "its log says why")
		return
	}
	status, known := map[fault.Class]int{
		fault.Invalid: http.StatusBadRequest, fault.Denied: http.StatusForbidden, fault.NotFound: http.StatusNotFound, fault.Conflict: http.StatusConflict,
		fault.Unavailable: http.StatusServiceUnavailable,
	}[f.Class]
	if !known {
		status = http.StatusInternalServerError
	}
	p.refuse(w, status, f.What, f.Remedy)
}
