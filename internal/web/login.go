package web

import (
	"errors"
	"net"
	"net/http"

	"muster/internal/fault"
	"muster/internal/show"
)

// The link logs nobody in when it is opened: something that looks at links, such as a chat's preview, would use it up, and
// a GET changes nothing here. Its code stands behind the #, and the script on this page posts it.
func (p *page) showLogin(w http.ResponseWriter, _ *http.Request) {
	p.render(w, http.StatusOK, "login.html", map[string]string{"Cluster": show.Safe(p.core.Cluster(), 64)})
}

func (p *page) login(w http.ResponseWriter, r *http.Request) {
	// Only the body counts: what stands in an address is logged on its way.
	if err := r.ParseForm(); err != nil {
		p.refuseLogin(w, r, http.StatusBadRequest, "the form cannot be read", "open the link that coordinator page prints")
		return
	}
	user, err := p.core.RedeemPageLogin(r.Context(), r.PostForm.Get("code"), from(r))
	if errors.Is(err, fault.Unavailable) {
		w.Header().Set("Retry-After", "60")
		p.refuse(w, http.StatusTooManyRequests, err.Error(), fault.Remedy(err))
		return
	}
	if err != nil {
		p.fail(w, err)
		return
	}
	p.sessions.end(p.secret(r))
	p.setCookie(w, p.sessions.begin(user, p.core.Now()))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *page) logout(w http.ResponseWriter, r *http.Request) {
	p.sessions.end(p.secret(r))
	p.setCookie(w, "")
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// refuseLogin answers somebody who came a way that no operator comes, and records it when it was to log in.
func (p *page) refuseLogin(w http.ResponseWriter, r *http.Request, status int, what, remedy string) {
	if r.Method == http.MethodPost && r.URL.Path == "/login" {
		if err := p.core.RefusePageLogin(r.Context(), from(r), what); err != nil {
			p.core.Trouble(err)
		}
	}
	p.refuse(w, status, what, remedy)
}

func (p *page) secret(r *http.Request) string {
	if c, err := r.Cookie(p.cookie); err == nil {
		return c.Value
	}
	return ""
}

// setCookie keeps the secret of a session in the browser, or takes it out again when it is "". Without a Domain it is for
// this name alone. It is not Secure: the page is served on the loopback interface, without TLS.
func (p *page) setCookie(w http.ResponseWriter, secret string) {
	c := &http.Cookie{Name: p.cookie, Value: secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if secret == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// from is the connection's address, whatever a header says.
func from(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
