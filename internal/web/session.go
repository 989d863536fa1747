package web

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"

	"muster/internal/coordinator"
)

const (
	sessionIdle = 30 * time.Minute
	sessionLife = 8 * time.Hour
	// maxSessions bounds all, maxSessionsEach those of one operator; the one that was used longest ago goes.
	maxSessions     = 100
	maxSessionsEach = 10
)

// session is one browser that is logged in.
type session struct {
	coordinator.PageUser
	begun, used time.Time
}

func (s *session) over(now time.Time) bool {
	return now.Sub(s.used) >= sessionIdle || now.Sub(s.begun) >= sessionLife
}

type sessionKey [sha256.Size]byte

func keyOf(secret string) sessionKey { return sha256.Sum256([]byte(secret)) }

// sessions are those that are open, by the hash of what the cookie says. They end with the coordinator.
type sessions struct {
	mu   sync.Mutex
	open map[sessionKey]*session
}

// begin answers with the secret for the cookie.
func (s *sessions) begin(user coordinator.PageUser, now time.Time) string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails: it ends the program instead
	secret := base64.RawURLEncoding.EncodeToString(raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[sessionKey]*session)
	}
	his := 0
	for key, old := range s.open {
		if old.over(now) {
			delete(s.open, key)
		} else if old.Actor == user.Actor {
			his++
		}
	}
	if his >= maxSessionsEach {
		s.dropOldest(func(old *session) bool { return old.Actor == user.Actor })
	}
	if len(s.open) >= maxSessions {
		s.dropOldest(func(*session) bool { return true })
	}
	s.open[keyOf(secret)] = &session{PageUser: user, begun: now, used: now}
	return secret
}

func (s *sessions) dropOldest(among func(*session) bool) {
	var oldest sessionKey
	var at *session
	for key, old := range s.open {
		if among(old) && (at == nil || old.used.Before(at.used)) {
			oldest, at = key, old
		}
	}
	delete(s.open, oldest)
}

// find is whose session it is. A person's request keeps it open, a refresh by the page's script does not.
func (s *sessions) find(secret string, now time.Time, person bool) (coordinator.PageUser, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.open[keyOf(secret)]
	if found == nil {
		return coordinator.PageUser{}, false
	}
	if found.over(now) {
		delete(s.open, keyOf(secret))
		return coordinator.PageUser{}, false
	}
	if person {
		found.used = now
	}
	return found.PageUser, true
}

func (s *sessions) end(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, keyOf(secret))
}
