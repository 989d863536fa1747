package coordinator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"muster/internal/store"
)

const (
	// A stranger or a hostile host can repeat at will what is worth an event. The same one is kept once in noteWindow,
	// and of each kind no more than maxNotes different ones; the others are counted. They are kept apart from the events
	// that operators and the coordinator cause, so that nobody pushes those out or fills the disk.
	noteWindow = 10 * time.Minute
	maxNotes   = 1000
	// keptNotes bounds those that are kept in all; the oldest go first.
	keptNotes = 20_000
)

// notes remembers which events were kept in this window, and counts those that were not.
type notes struct {
	mu    sync.Mutex
	since time.Time
	kept  map[Event]bool
	kinds map[string]int // kept, of each kind
	more  map[string]int // only counted
}

// take says whether to keep e, and answers with the sums of the windows that are over.
func (n *notes) take(e Event, now time.Time) (keep bool, sums []Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	sums = n.roll(now)
	if n.kept[e] || n.kinds[e.Kind] == maxNotes {
		n.more[e.Kind]++
		return false, sums
	}
	n.kept[e] = true
	n.kinds[e.Kind]++
	return true, sums
}

// roll begins a new window when it is time.
func (n *notes) roll(now time.Time) (sums []Event) {
	if n.kept != nil && now.Sub(n.since) < noteWindow && !now.Before(n.since) {
		return nil
	}
	for _, kind := range slices.Sorted(maps.Keys(n.more)) {
		sums = append(sums, Event{Kind: kind, Message: fmt.Sprintf("%d more of these in the %d minutes from %s were only counted",
			n.more[kind], int(noteWindow.Minutes()), n.since.UTC().Format(time.RFC3339))})
	}
	n.kept, n.kinds, n.more, n.since = make(map[Event]bool), make(map[string]int), make(map[string]int), now
	return sums
}

// note keeps an event that a caller can cause as often as it likes, and logs it if it is kept: a log that strangers write
// line by line fills the disk too. Whoever hangs up at once does not escape it.
func (s *Service) note(ctx context.Context, e Event) error {
	e = e.bounded()
	keep, events := s.notes.take(e, s.clock())
	if keep {
		s.log.Warn(e.Kind, "host", e.Host, "who", e.Actor, "from", e.From, "reason", e.Message)
		events = append(events, e)
	}
	return s.keepNotes(ctx, events)
}

// sumNotes writes down what was only counted, when its window is over and nobody has come since.
func (s *Service) sumNotes(ctx context.Context) error {
	s.notes.mu.Lock()
	sums := s.notes.roll(s.clock())
	s.notes.mu.Unlock()
	return s.keepNotes(ctx, sums)
}

func (s *Service) keepNotes(ctx context.Context, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	return s.store.Update(context.WithoutCancel(ctx), func(w store.Writer) error {
		for _, e := range events {
			if err := s.eventUnder(w, keyNotes, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// Denied records that somebody was refused something, and why. kind is the event's.
func (s *Service) Denied(ctx context.Context, who Actor, kind, why string) error {
	return s.note(ctx, Event{Kind: kind, Actor: who.Name, From: who.From, Message: why})
}
