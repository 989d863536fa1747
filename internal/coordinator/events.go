package coordinator

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"

	"muster/internal/hosts"
	"muster/internal/identity"
	"muster/internal/store"
)

// Event is something worth knowing later: one line for people.
type Event struct {
	Time    time.Time `json:"time"`
	Kind    string    `json:"kind"`
	Host    hosts.ID  `json:"host,omitempty"`
	Actor   string    `json:"actor,omitempty"`
	From    string    `json:"from,omitempty"`
	Message string    `json:"message"`
}

// maxEvents bounds what is kept; the oldest go first.
const maxEvents = 100_000

// maxMessage is the longest message of an event in bytes.
const maxMessage = 1024

const (
	// A stranger or a hostile host can repeat at will what is worth an event. The same one is kept once in noteWindow,
	// and no more than maxNotes different ones, so that nobody pushes the others out or fills the disk.
	noteWindow = 10 * time.Minute
	maxNotes   = 1000
)

// notes remembers which events were kept in this window.
type notes struct {
	mu    sync.Mutex
	since time.Time
	kept  map[Event]bool
}

func (n *notes) first(e Event, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.kept == nil || now.Sub(n.since) >= noteWindow {
		n.kept, n.since = make(map[Event]bool), now
	}
	if n.kept[e] || len(n.kept) == maxNotes {
		return false
	}
	n.kept[e] = true
	return true
}

// note keeps an event that a caller can cause as often as it likes. Whoever hangs up at once does not escape it.
func (s *Service) note(ctx context.Context, e Event) error {
	e.Message = clip(e.Message, maxMessage)
	if !s.notes.first(e, s.clock()) {
		return nil
	}
	return s.store.Update(context.WithoutCancel(ctx), func(w store.Writer) error { return s.event(w, e) })
}

// event keeps e under a key of its time, so that no two coordinators share a counter; events of one instant stay in the
// order in which this one saw them.
func (s *Service) event(w store.Writer, e Event) error {
	var tail [6]byte
	if _, err := io.ReadFull(s.random, tail[:]); err != nil {
		return err
	}
	e.Time = s.clock().UTC()
	e.Message = clip(e.Message, maxMessage)
	return write(w, fmt.Sprintf("%s%020d-%016x-%s", keyEvents, e.Time.UnixNano(), s.eventCount.Add(1), hex.EncodeToString(tail[:])), e)
}

// Events are the newest ones, oldest first, of one host or of all.
func (s *Service) Events(ctx context.Context, host hosts.ID, limit int) ([]Event, error) {
	var ring []Event
	err := s.store.View(ctx, func(r store.Reader) error {
		return scan(r, keyEvents, "", func(_ string, e *Event) (bool, error) {
			if host != "" && e.Host != host {
				return true, nil
			}
			ring = append(ring, *e)
			if len(ring) > 2*limit {
				ring = append(ring[:0], ring[len(ring)-limit:]...)
			}
			return true, nil
		})
	})
	if len(ring) > limit {
		ring = ring[len(ring)-limit:]
	}
	return ring, err
}

// expiredTokens is how long a token is kept after its end, for whoever asks why it is refused.
const expiredTokens = 24 * time.Hour

// Prune deletes the oldest events beyond the bound, and the tokens that ended long ago. Hosts keep the names of those that
// they joined by.
func (s *Service) Prune(ctx context.Context) error {
	return s.store.Update(ctx, func(w store.Writer) error {
		var keys []string
		if err := w.Scan(keyEvents, "", func(key string, _ []byte) (bool, error) {
			keys = append(keys, key)
			return true, nil
		}); err != nil {
			return err
		}
		keys = keys[:max(0, len(keys)-maxEvents)]
		ended := s.clock().Add(-expiredTokens)
		if err := scan(w, keyTokens, "", func(key string, t *identity.TokenRecord) (bool, error) {
			if t.Expires.Before(ended) {
				keys = append(keys, key)
			}
			return true, nil
		}); err != nil {
			return err
		}
		for _, key := range keys {
			if err := w.Delete(key); err != nil {
				return err
			}
		}
		return nil
	})
}

// clip makes a host's words safe to keep: valid UTF-8 of at most n bytes. They are escaped where they are shown.
func clip(text string, n int) string {
	if len(text) > n {
		text = text[:n]
		for len(text) > 0 {
			if r, size := utf8.DecodeLastRuneInString(text); r != utf8.RuneError || size > 1 {
				break
			}
			text = text[:len(text)-1]
		}
	}
	if utf8.ValidString(text) {
		return text
	}
	return string([]rune(text))
}
