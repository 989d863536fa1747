package coordinator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"muster/internal/fault"
	"muster/internal/identity"
	"muster/internal/manifest"
	"muster/internal/seed"
	"muster/internal/store"
)

// CreateToken makes a join token. Its text is in this answer and nowhere else.
func (s *Service) CreateToken(ctx context.Context, actor Actor, spec identity.TokenSpec) (identity.Token, identity.TokenRecord, error) {
	return s.createToken(ctx, actor, spec, "token-created")
}

func (s *Service) createToken(ctx context.Context, actor Actor, spec identity.TokenSpec, kind string) (identity.Token, identity.TokenRecord, error) {
	if spec.MaxUses == 0 {
		spec.MaxUses = 1
	}
	if spec.Role != "" {
		entry, ok := s.gen.entries[spec.Role]
		if !ok {
			return identity.Token{}, identity.TokenRecord{}, s.errNoRole(spec.Role)
		}
		if entry.Count > 0 && spec.MaxUses > 1 && !entry.AllowSharedTokens {
			return identity.Token{}, identity.TokenRecord{}, fault.New(fault.Invalid,
				fmt.Sprintf("make one token of a single use for each member, or set roles.%s.allow_shared_tokens: true in cluster.yaml", spec.Role),
				"a token of %d uses would let whoever finds it become %s", spec.MaxUses, spec.Role)
		}
	}
	token, err := identity.NewToken(s.random)
	if err != nil {
		return token, identity.TokenRecord{}, err
	}
	record, err := identity.NewRecord(token, spec, s.clock())
	if err != nil {
		return token, record, fault.New(fault.Invalid, "coordinator token create --help says what is allowed", "%v", err)
	}
	err = s.store.Update(ctx, func(w store.Writer) error {
		if err := write(w, keyTokens+string(record.ID), record); err != nil {
			return err
		}
		return s.event(w, Event{Kind: kind, Actor: actor.Name, From: actor.From, Message: tokenWords(record)})
	})
	return token, record, err
}

func tokenWords(r identity.TokenRecord) string {
	words := fmt.Sprintf("token %s for %d uses until %s", r.ID, r.MaxUses, r.Expires.UTC().Format(time.RFC3339))
	if r.Role != "" {
		words += ", role " + string(r.Role)
	}
	if r.Host != "" {
		words += ", host " + r.Host
	}
	for _, network := range r.CIDRs {
		words += ", from " + network.String()
	}
	for _, key := range slices.Sorted(maps.Keys(r.Labels)) {
		words += ", " + key + "=" + r.Labels[key]
	}
	return words
}

func (s *Service) errNoRole(role manifest.Role) error {
	return fault.New(fault.Invalid, fmt.Sprintf("choose one of %v", s.gen.spec.Roles()), "there is no role %q", role)
}

// Tokens lists what is kept of the tokens, newest first.
func (s *Service) Tokens(ctx context.Context) ([]identity.TokenRecord, error) {
	var records []identity.TokenRecord
	err := s.store.View(ctx, func(r store.Reader) error {
		return scan(r, keyTokens, "", func(_ string, t *identity.TokenRecord) (bool, error) {
			records = append(records, *t)
			return true, nil
		})
	})
	slices.SortFunc(records, func(a, b identity.TokenRecord) int { return b.Created.Compare(a.Created) })
	return records, err
}

// RevokeToken ends a token; hosts that joined with it stay.
func (s *Service) RevokeToken(ctx context.Context, actor Actor, id identity.TokenID) error {
	return s.store.Update(ctx, func(w store.Writer) error {
		var record identity.TokenRecord
		if err := read(w, keyTokens+string(id), &record); err != nil {
			return err
		}
		if record.ID == "" {
			return fault.New(fault.NotFound, "coordinator token list shows the tokens", "there is no token %q", id)
		}
		return s.revoke(w, actor, record)
	})
}

func (s *Service) revoke(w store.Writer, actor Actor, record identity.TokenRecord) error {
	return errors.Join(
		w.Delete(keyTokens+string(record.ID)),
		s.event(w, Event{Kind: "token-revoked", Actor: actor.Name, From: actor.From, Message: tokenWords(record)}),
	)
}

// CreateSeed makes a token and wraps it into what a host needs to join.
func (s *Service) CreateSeed(ctx context.Context, actor Actor, spec identity.TokenSpec) (*seed.Seed, identity.TokenRecord, error) {
	s.handing.RLock()
	defer s.handing.RUnlock()
	token, record, err := s.createToken(ctx, actor, spec, "seed-created")
	if err != nil {
		return nil, record, err
	}
	made := s.bareSeed()
	made.Token, made.Expires = seed.Token(token.Reveal()), record.Expires
	return made, record, nil
}

// SeedFor wraps a token that there is already. Nothing is consumed and nothing kept; a token with which no host could
// join is told of here, and not by hosts that wait.
func (s *Service) SeedFor(ctx context.Context, text string) (*seed.Seed, identity.TokenID, error) {
	const remedy = "coordinator token list shows which are good; make one with coordinator token create, or leave it out to have user-data make one"
	token, err := identity.ParseToken(text)
	if err != nil {
		return nil, "", fault.New(fault.Invalid, remedy, "this is not a join token")
	}
	s.handing.RLock()
	defer s.handing.RUnlock()
	var record identity.TokenRecord
	if err := s.store.View(ctx, func(r store.Reader) error { return read(r, keyTokens+string(token.ID()), &record) }); err != nil {
		return nil, "", err
	}
	var from netip.Addr // where hosts come from is seen when they do
	if len(record.CIDRs) > 0 {
		from = record.CIDRs[0].Addr()
	}
	if err := record.Admit(token, from, s.clock()); err != nil {
		var denial *identity.Denial
		if !errors.As(err, &denial) {
			return nil, "", err
		}
		return nil, "", fault.New(fault.Invalid, remedy, "no host can join with this token: %s", denial.Reason)
	}
	made := s.bareSeed()
	made.Token, made.Expires = seed.Token(token.Reveal()), record.Expires
	return made, record.ID, nil
}

// bareSeed is a seed that lets nobody join. The caller holds handing.
func (s *Service) bareSeed() *seed.Seed {
	g := s.gen.g
	made := &seed.Seed{
		Format:  seed.Format,
		Cluster: g.Cluster,
		CA:      string(s.ca.RootPEM()),
		Agents:  make(map[manifest.Arch]seed.Agent, len(g.Agents)),
		Sources: s.gen.sources(),
		Address: g.Address,
		Signing: g.Signing,
	}
	for arch, blob := range g.Agents {
		made.Agents[arch] = seed.Agent{Digest: blob.Digest, Size: blob.Size}
	}
	for _, address := range g.Coordinator.Addresses {
		made.Coordinators = append(made.Coordinators, joinHostPort(address, g.Coordinator.GRPCPort))
	}
	return made
}
