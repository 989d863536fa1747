package coordinator

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"muster/internal/hosts"
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

// event keeps e under a key of its time, so that no two writers share a counter.
func (s *Service) event(w store.Writer, e Event) error {
	var tail [6]byte
	if _, err := io.ReadFull(s.random, tail[:]); err != nil {
		return err
	}
	e.Time = s.clock().UTC()
	e.Message = clip(e.Message, 1024)
	return write(w, fmt.Sprintf("%s%020d-%s", keyEvents, e.Time.UnixNano(), hex.EncodeToString(tail[:])), e)
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

// PruneEvents deletes the oldest events beyond the bound.
func (s *Service) PruneEvents(ctx context.Context) error {
	return s.store.Update(ctx, func(w store.Writer) error {
		var keys []string
		if err := w.Scan(keyEvents, "", func(key string, _ []byte) (bool, error) {
			keys = append(keys, key)
			return true, nil
		}); err != nil {
			return err
		}
		for _, key := range keys[:max(0, len(keys)-maxEvents)] {
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
