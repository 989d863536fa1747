package coordinator

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
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

// bounded is e as it may be kept. What hosts and strangers say is escaped where it is shown.
func (e Event) bounded() Event {
	e.Actor, e.From, e.Message = clip(e.Actor, 128), clip(e.From, 128), clip(e.Message, maxMessage)
	return e
}

const (
	keyEvents = "events/"
	keyNotes  = "notes/"
)

func (s *Service) event(w store.Writer, e Event) error { return s.eventUnder(w, keyEvents, e) }

// eventUnder keeps e under a key of its time, so that no two coordinators share a counter; events of one instant stay in
// the order in which this one saw them.
func (s *Service) eventUnder(w store.Writer, prefix string, e Event) error {
	var tail [6]byte
	if _, err := io.ReadFull(s.random, tail[:]); err != nil {
		return err
	}
	e = e.bounded()
	e.Time = s.clock().UTC()
	return write(w, fmt.Sprintf("%s%s-%016x-%s", prefix, instant(e.Time), s.eventCount.Add(1), hex.EncodeToString(tail[:])), e)
}

func instant(t time.Time) string { return fmt.Sprintf("%020d", max(0, t.UnixNano())) }

// EventFilter chooses events; what is zero chooses all.
type EventFilter struct {
	Host hosts.ID
	Kind string
	// Actor is a part of the name of who caused it.
	Actor string
	Since time.Time
}

func (f EventFilter) chooses(e *Event) bool {
	return (f.Host == "" || e.Host == f.Host) && (f.Kind == "" || e.Kind == f.Kind) && strings.Contains(e.Actor, f.Actor)
}

// Events are the newest ones that the filter chooses, oldest first.
func (s *Service) Events(ctx context.Context, filter EventFilter, limit int) ([]Event, error) {
	type keyed struct {
		key string // without the prefix: in the order of time
		Event
	}
	var found []keyed
	err := s.store.View(ctx, func(r store.Reader) error {
		found = nil
		for _, prefix := range []string{keyEvents, keyNotes} {
			after := ""
			if !filter.Since.IsZero() {
				after = prefix + instant(filter.Since)
			}
			var ring []keyed
			if err := scan(r, prefix, after, func(key string, e *Event) (bool, error) {
				if !filter.chooses(e) {
					return true, nil
				}
				ring = append(ring, keyed{strings.TrimPrefix(key, prefix), *e})
				if len(ring) > 2*limit {
					ring = append(ring[:0], ring[len(ring)-limit:]...)
				}
				return true, nil
			}); err != nil {
				return err
			}
			found = append(found, ring...)
		}
		return nil
	})
	slices.SortFunc(found, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
	var events []Event
	for _, k := range found[max(0, len(found)-limit):] {
		events = append(events, k.Event)
	}
	return events, err
}

// expiredTokens is how long a token is kept after its end, for whoever asks why it is refused.
const expiredTokens = 24 * time.Hour

// Prune deletes the oldest events beyond the bound, and the tokens that ended long ago. Hosts keep the names of those that
// they joined by.
func (s *Service) Prune(ctx context.Context) error {
	if err := s.sumNotes(ctx); err != nil {
		return err
	}
	return s.store.Update(ctx, func(w store.Writer) error {
		if err := errors.Join(dropOldest(w, keyEvents, maxEvents), dropOldest(w, keyNotes, keptNotes), s.dropOperators(w)); err != nil {
			return err
		}
		ended := s.clock().Add(-expiredTokens)
		return store.DeleteWhere(w, keyTokens, func(key string, raw []byte) (store.Verdict, error) {
			var t identity.TokenRecord
			if err := decode(key, raw, &t); err != nil || !t.Expires.Before(ended) {
				return store.Keep, err
			}
			return store.Drop, nil
		})
	})
}

// dropOldest deletes the first keys, of those with prefix, beyond the newest so many.
func dropOldest(w store.Writer, prefix string, keep int) error {
	excess := -keep
	if err := w.Scan(prefix, "", func(string, []byte) (bool, error) {
		excess++
		return true, nil
	}); err != nil {
		return err
	}
	return store.DeleteWhere(w, prefix, func(string, []byte) (store.Verdict, error) {
		if excess--; excess < 0 {
			return store.Stop, nil
		}
		return store.Drop, nil
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
