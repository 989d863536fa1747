package coordinator

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"muster/internal/fault"
)

// PageUser is whose right a login to the operator's page carries. One without an operator's name came by the Unix socket:
// the kernel said who it is, and no record could take that back.
type PageUser struct {
	Actor            string
	Level            Level
	Operator, Serial string
}

// PageLogin is a code that was asked for. Whoever has the link is who asked for it, once.
type PageLogin struct {
	Link    string
	Expires time.Time
}

const (
	pageCodeBytes = 32
	pageCodeTTL   = time.Minute
	// maxPageCodes bounds what is outstanding, and maxCodesEach that of one operator, whose oldest goes for a new one: no
	// operator keeps the others out.
	maxPageCodes = 100
	maxCodesEach = 5
	// wrongCodes a minute are recorded; the others are only turned away.
	wrongCodes = 30
)

// pageLogins are the codes that are outstanding, oldest first. They are kept hashed, and not on disk.
type pageLogins struct {
	mu    sync.Mutex
	at    string
	codes []pageCode
	wrong int
	since time.Time // when counting the wrong ones began
}

type pageCode struct {
	sum     [sha256.Size]byte
	user    PageUser
	expires time.Time
}

// name tells one login from others in events, and helps nobody to guess its code.
func (c pageCode) name() string { return hex.EncodeToString(c.sum[:4]) }

// ServePageAt says where the operator's page is, as http://host:port. Until then nobody can log in.
func (s *Service) ServePageAt(base string) {
	s.page.mu.Lock()
	defer s.page.mu.Unlock()
	s.page.at = base
}

// CreatePageLogin makes a code for whoever calls. Its text is in the answer and nowhere else.
func (s *Service) CreatePageLogin(ctx context.Context, actor Actor, user PageUser) (PageLogin, error) {
	raw := make([]byte, pageCodeBytes)
	if _, err := io.ReadFull(s.random, raw); err != nil {
		return PageLogin{}, err
	}
	text := base64.RawURLEncoding.EncodeToString(raw)
	code := pageCode{sum: sha256.Sum256([]byte(text)), user: user, expires: s.clock().Add(pageCodeTTL)}
	base, err := s.page.add(code, s.clock())
	if err != nil {
		return PageLogin{}, err
	}
	// An operator can repeat it at will.
	if err := s.note(ctx, Event{Kind: "page-login-created", Actor: actor.Name, From: actor.From, Message: "login " + code.name()}); err != nil {
		return PageLogin{}, err
	}
	// What follows the # stays in the browser: it is in no request, and so in no log and no Referer. A script posts it.
	return PageLogin{Link: base + "/login#" + text, Expires: code.expires}, nil
}

func (p *pageLogins) add(code pageCode, now time.Time) (base string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == "" {
		return "", fault.New(fault.Conflict, "start it with --listen-page 127.0.0.1:PORT; its log says why the page was left out, if it was",
			"this coordinator does not serve the operator's page")
	}
	p.drop(now)
	his := func(c pageCode) bool { return c.user.Actor == code.user.Actor }
	n := 0
	for _, c := range p.codes {
		if his(c) {
			n++
		}
	}
	if n >= maxCodesEach {
		i := slices.IndexFunc(p.codes, his)
		p.codes = slices.Delete(p.codes, i, i+1)
	}
	if len(p.codes) >= maxPageCodes {
		return "", fault.New(fault.Unavailable, "try again in a minute", "%d logins to the page are outstanding, which is the most", maxPageCodes)
	}
	p.codes = append(p.codes, code)
	return p.at, nil
}

func (p *pageLogins) drop(now time.Time) {
	p.codes = slices.DeleteFunc(p.codes, func(c pageCode) bool { return !now.Before(c.expires) })
}

// take ends the code with this hash, whatever comes of it. It compares with all of them, so that how long it takes says
// nothing of any.
func (p *pageLogins) take(sum [sha256.Size]byte, now time.Time) (code pageCode, found, tooMany bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(now)
	at := -1
	for i, c := range p.codes {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(c.sum[:], sum[:]), i, at)
	}
	if at >= 0 {
		code = p.codes[at]
		p.codes = slices.Delete(p.codes, at, at+1)
		return code, true, false
	}
	if now.Sub(p.since) >= time.Minute || now.Before(p.since) {
		p.wrong, p.since = 0, now
	}
	p.wrong++
	return pageCode{}, false, p.wrong > wrongCodes
}

// RedeemPageLogin is whose right a code carries. No code of 256 bits is guessed at any pace, so what others send does not
// keep out who has a right one.
func (s *Service) RedeemPageLogin(ctx context.Context, code, from string) (PageUser, error) {
	const remedy = "ask for a new link: coordinator page"
	c, found, tooMany := s.page.take(sha256.Sum256([]byte(code)), s.clock())
	switch {
	case tooMany:
		return PageUser{}, fault.New(fault.Unavailable, "wait a minute, then "+remedy, "too many logins with wrong codes")
	case !found:
		return PageUser{}, s.refusePageLogin(ctx, Actor{From: from}, fault.New(fault.Denied, remedy, "the link was used already, has expired, or is none"))
	}
	if err := s.MaySeePage(ctx, c.user); err != nil {
		return PageUser{}, s.refusePageLogin(ctx, Actor{c.user.Actor, from}, err)
	}
	return c.user, s.note(ctx, Event{Kind: "page-login", Actor: c.user.Actor, From: from, Message: "login " + c.name()})
}

func (s *Service) refusePageLogin(ctx context.Context, who Actor, why error) error {
	if err := s.Denied(ctx, who, "page-login-refused", why.Error()); err != nil {
		return err
	}
	return why
}

// RefusePageLogin records a login that a browser's door did not let as far as its code.
func (s *Service) RefusePageLogin(ctx context.Context, from, why string) error {
	return s.Denied(ctx, Actor{From: from}, "page-login-refused", why)
}

// MaySeePage decides whether the right of a session is still there.
func (s *Service) MaySeePage(ctx context.Context, user PageUser) error {
	level := user.Level
	if user.Operator != "" {
		standing, err := s.OperatorBySerial(ctx, user.Operator, user.Serial)
		if err != nil {
			return err
		}
		level = standing.Level
	}
	if level != user.Level || !level.AtLeast(Viewer) {
		return fault.New(fault.Denied, "ask for a new link: coordinator page", "%s has another level now", fmt.Sprintf("%.128s", user.Actor))
	}
	return nil
}

// Now is the coordinator's time.
func (s *Service) Now() time.Time { return s.clock() }
