package coordinator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"muster/internal/hosts"
	"muster/internal/manifest"
	"muster/internal/store"
	syncv1 "muster/proto/muster/sync/v1"
)

// keyServing is the configuration that was served last.
const keyServing = "serving"

// Serving records that hosts are given this generation from now on, if they were given another before.
func (s *Service) Serving(ctx context.Context) error {
	return s.store.Update(ctx, func(w store.Writer) error {
		var before manifest.ConfigID
		if err := read(w, keyServing, &before); err != nil || before == s.gen.g.ConfigID {
			return err
		}
		message := fmt.Sprintf("config %.12s of bundle %s %s is served", s.gen.g.ConfigID, s.gen.g.Bundle.Name, s.gen.g.Bundle.Version)
		if before != "" {
			message += fmt.Sprintf(", after %.12s", before)
		}
		return errors.Join(write(w, keyServing, s.gen.g.ConfigID), s.event(w, Event{Kind: "generation-served", Actor: itself.Name, Message: message}))
	})
}

// GenerationRefused records, in the store of a coordinator that does not start, that it was to serve something it may not.
func GenerationRefused(ctx context.Context, kept store.Store, why string) error {
	s := &Service{store: kept, clock: time.Now, random: rand.Reader, log: slog.New(slog.DiscardHandler)}
	return s.note(ctx, Event{Kind: "generation-refused", Actor: itself.Name, Message: why})
}

// keptGiven bounds the plans that are remembered of one attempt; a host is told of another when a roster changes under way.
const keptGiven = 8

// planGiven records, before it leaves, which plan a resident host is given, and that a host gets the values of its role's
// secrets: once for each plan, and once for each set of values.
func (s *Service) planGiven(ctx context.Context, id hosts.ID, resp *syncv1.SyncResponse) error {
	plan := resp.Directive.GetInstall()
	if plan == nil {
		return nil
	}
	known := func(h hosts.Host) (given, secrets bool) {
		return !s.gen.g.Resident || slices.Contains(h.Given, plan.Id), plan.SecretsId == "" || h.Secrets == plan.SecretsId
	}
	h, err := s.record(ctx, id)
	if err != nil {
		return err
	}
	if given, secrets := known(h); given && secrets {
		return nil
	}
	return s.change(ctx, id, func(w store.Writer, h *hosts.Host) error {
		given, secrets := known(*h)
		if !given {
			h.Given = append(h.Given[max(0, len(h.Given)-keptGiven+1):len(h.Given):len(h.Given)], plan.Id)
		}
		if secrets {
			return nil
		}
		h.Secrets = plan.SecretsId
		var names []string
		for _, secret := range s.gen.secrets[h.Role] {
			names = append(names, secret.Name)
		}
		return s.event(w, Event{Kind: "secrets-sent", Host: id, Actor: "host " + string(id), From: h.UsedFrom,
			Message: h.Facts.Name + " gets the secrets of role " + string(h.Role) + ": " + strings.Join(names, ", ")})
	})
}
