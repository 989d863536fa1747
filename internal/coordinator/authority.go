package coordinator

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/identity"
	"muster/internal/store"
	syncv1 "muster/proto/muster/sync/v1"
)

const (
	// maxRoots bounds what a host may say that it trusts.
	maxRoots = 4
	// Hosts renew early within renewWithin and renewEach for each host that there is, so that they do not all come at once.
	renewWithin = 30 * time.Second
	renewEach   = 5 * time.Millisecond
	// forceAfter is how long a seed and a host's certificate live at most: after it, whoever was not heard of has neither.
	forceAfter = identity.MaxTokenTTL
	// namedBehind is how many hosts are named that a rotation waits for.
	namedBehind = 20
)

// rootsOf are the roots that a host says it trusts, by fingerprint.
func rootsOf(req *syncv1.SyncRequest) []string {
	var roots []string
	for _, sum := range req.Roots[:min(len(req.Roots), maxRoots)] {
		roots = append(roots, hex.EncodeToString(sum[:min(len(sum), 32)]))
	}
	return roots
}

// tellTrust adds to an answer what a host has not taken of a rotation of the CA.
func (s *Service) tellTrust(resp *syncv1.SyncResponse, h hosts.Host, who Caller) {
	roots := s.ca.Roots()
	want := fingerprints(roots)
	ended := func(root string) bool { return !slices.Contains(want, root) }
	if len(h.Roots) > 0 && (!slices.Contains(h.Roots, want[0]) || slices.ContainsFunc(h.Roots, ended)) {
		resp.Roots = roots
	}
	if who.Serial == h.Certificate.Serial && h.Certificate.Issuer != s.ca.HostIssuer() {
		resp.RenewWithin = durationpb.New(s.renewWithin + time.Duration(s.directory.size())*renewEach)
	}
}

func fingerprints(roots [][]byte) []string {
	var all []string
	for _, der := range roots {
		all = append(all, identity.Fingerprint(der))
	}
	return all
}

// Authority is the CA and how far its rotation is.
type Authority struct {
	identity.Description
	// Rotation is nil when none is under way.
	Rotation *Rotation
}

// Rotation is how far a rotation of the CA is.
type Rotation struct {
	identity.DescribedRotation
	// Moved hosts under way trust the new root and have a certificate by the new intermediate, those of Behind do not.
	Moved  int
	Behind []string
	// Tokens from before can still be used until TokensUntil: their seeds carry the old root.
	Tokens      int
	TokensUntil time.Time
	// Operators from before have a credential that ends with the rotation.
	Operators []string
	ForceFrom time.Time
}

// Authority describes the CA.
func (s *Service) Authority(ctx context.Context) (Authority, error) {
	d, err := s.ca.Describe()
	if err != nil || d.Rotation == nil {
		return Authority{Description: d}, err
	}
	r := &Rotation{DescribedRotation: *d.Rotation, ForceFrom: d.Rotation.Started.Add(forceAfter)}
	root, issuer, now := fingerprints(s.ca.Roots())[0], s.ca.HostIssuer(), s.clock()
	err = s.store.View(ctx, func(v store.Reader) error {
		return errors.Join(
			scan(v, keyHosts, "", func(_ string, h *hosts.Host) (bool, error) {
				switch {
				case h.Phase == hosts.Done || h.Phase == hosts.Removed: // no agent is left, or none that may call
				case slices.Contains(h.Roots, root) && h.Certificate.Issuer == issuer:
					r.Moved++
				default:
					r.Behind = append(r.Behind, cmp.Or(clip(h.Facts.Name, 253), string(h.ID)))
				}
				return true, nil
			}),
			scan(v, keyTokens, "", func(_ string, t *identity.TokenRecord) (bool, error) {
				if !r.Intermediates && !t.Created.After(r.Started) && t.Uses < t.MaxUses && now.Before(t.Expires) {
					r.Tokens++
					if t.Expires.After(r.TokensUntil) {
						r.TokensUntil = t.Expires
					}
				}
				return true, nil
			}),
			scan(v, keyOperators, "", func(_ string, o *OperatorRecord) (bool, error) {
				if !o.Created.After(r.Started) && !o.ended(now) {
					r.Operators = append(r.Operators, o.Name)
				}
				return true, nil
			}),
		)
	})
	slices.Sort(r.Behind)
	return Authority{d, r}, err
}

// RotateAuthority begins a rotation of the CA: see identity.CA.Rotate.
func (s *Service) RotateAuthority(ctx context.Context, actor Actor, intermediates bool) error {
	what := "root and intermediates"
	if intermediates {
		what = "intermediates"
	}
	s.handing.Lock()
	defer s.handing.Unlock()
	if err := s.ca.MayRotate(); err != nil {
		return err
	}
	return s.audited(ctx, actor, "ca-rotated", what, func() error { return s.ca.Rotate(intermediates, s.clock()) })
}

// FinishAuthority ends a rotation of the CA, and the operators from before it. While a host under way or a seed would be cut
// off it refuses; by force it does not after forceAfter.
func (s *Service) FinishAuthority(ctx context.Context, actor Actor, force bool) error {
	s.handing.Lock()
	defer s.handing.Unlock()
	a, err := s.Authority(ctx)
	if err != nil {
		return err
	}
	what, r := "finished", a.Rotation
	if r == nil {
		return identity.ErrNoRotation
	}
	if len(r.Behind) > 0 || r.Tokens > 0 {
		waits := r.waitsFor()
		switch {
		case !force:
			return fault.New(fault.Conflict, "wait until they have: coordinator ca show. Hosts that are gone: coordinator hosts remove; tokens that nobody needs: coordinator token revoke; from "+
				r.ForceFrom.UTC().Format(time.RFC3339)+" on: coordinator ca rotate --finish --force", "finishing now would cut off %s", waits)
		case s.clock().Before(r.ForceFrom):
			return fault.New(fault.Conflict, "wait, or decide about each of them: coordinator hosts remove, coordinator token revoke",
				"it can be finished by force from %s on, when seeds and certificates from before have ended; now it would cut off %s",
				r.ForceFrom.UTC().Format(time.RFC3339), waits)
		}
		what = "finished by force; cut off: " + waits
	}
	if err := s.audited(ctx, actor, "ca-rotation-finished", what, s.ca.Finish); err != nil {
		return err
	}
	// Their certificates are refused from now on, but a call that is open and a session on the page ask for the record.
	var failed []error
	for _, name := range r.Operators {
		if err := s.RevokeOperator(context.WithoutCancel(ctx), actor, name); !errors.Is(err, fault.NotFound) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func (r *Rotation) waitsFor() string {
	var parts []string
	if n := len(r.Behind); n > 0 {
		named := strings.Join(r.Behind[:min(n, namedBehind)], ", ")
		if n > namedBehind {
			named += ", ..."
		}
		parts = append(parts, fmt.Sprintf("%d hosts under way that have not taken the new CA (%s)", n, named))
	}
	if r.Tokens > 0 {
		parts = append(parts, fmt.Sprintf("seeds with %d join tokens from before, good until %s", r.Tokens, r.TokensUntil.UTC().Format(time.RFC3339)))
	}
	return strings.Join(parts, " and ")
}

// audited keeps the event before what it tells of is done, so that a crash loses none; what then fails is told as well.
func (s *Service) audited(ctx context.Context, actor Actor, kind, what string, do func() error) error {
	tell := func(message string) error {
		return s.store.Update(context.WithoutCancel(ctx), func(w store.Writer) error {
			return s.event(w, Event{Kind: kind, Actor: actor.Name, From: actor.From, Message: message})
		})
	}
	if err := tell(what); err != nil {
		return err
	}
	if err := do(); err != nil {
		return errors.Join(err, tell(what+": failed: "+err.Error()))
	}
	return nil
}

// endsSoon is when people are told again and again that the CA ends, because the key that would renew it is elsewhere.
const endsSoon = 90 * 24 * time.Hour

// Tend renews what is due of the CA. While the old certificates serve, a failure is only logged.
func (s *Service) Tend() {
	if err := s.ca.Tend(s.clock()); err != nil {
		s.log.Error("the CA was not renewed", "error", err)
	}
	if ends := s.ca.NotAfter(); ends.Sub(s.clock()) < endsSoon {
		s.log.Warn("the CA ends soon; then nobody can join or renew", "ends", ends.UTC().Format(time.RFC3339),
			"remedy", "coordinator ca import FILE brings the root's key back, and renews; coordinator ca show")
	}
}
