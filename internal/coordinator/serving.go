package coordinator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
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

// secretsGiven records, before they leave, that a host gets the values of its role's secrets: once for each set of values.
func (s *Service) secretsGiven(ctx context.Context, id hosts.ID, resp *syncv1.SyncResponse) error {
	set := resp.Directive.GetInstall().GetSecretsId()
	if set == "" {
		return nil
	}
	if h, err := s.record(ctx, id); err != nil || h.Secrets == set {
		return err
	}
	return s.change(ctx, id, func(w store.Writer, h *hosts.Host) error {
		if h.Secrets == set {
			return nil
		}
		h.Secrets = set
		var names []string
		for _, secret := range s.gen.secrets[h.Role] {
			names = append(names, secret.Name)
		}
		return s.event(w, Event{Kind: "secrets-sent", Host: id, Actor: "host " + string(id), From: h.UsedFrom,
			Message: h.Facts.Name + " gets the secrets of role " + string(h.Role) + ": " + strings.Join(names, ", ")})
	})
}
