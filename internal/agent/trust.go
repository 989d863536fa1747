package agent

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"

	"muster/internal/proof"
	"muster/internal/seed"
)

// toldRoots are the roots that the coordinator has told of, in DER, the newest first. They stand in for those of the seed that
// they were told under, and for no other: whoever brings another seed means what is in it.
type toldRoots struct {
	Roots [][]byte `json:"roots,omitempty"`
	Under string   `json:"under,omitempty"`
}

const (
	maxRoots    = 4
	maxRootSize = 4 << 10
)

func under(s *seed.Seed) string {
	sum := sha256.Sum256([]byte(s.CA))
	return hex.EncodeToString(sum[:])
}

// roots are the CA certificates that this host trusts, the newest first.
func (t toldRoots) roots(s *seed.Seed) ([]*x509.Certificate, error) {
	if len(t.Roots) == 0 || t.Under != under(s) {
		root, err := proof.ParseRoot([]byte(s.CA))
		if err != nil {
			return nil, err
		}
		return []*x509.Certificate{root}, nil
	}
	var all []*x509.Certificate
	for _, der := range t.Roots {
		root, err := proof.ParseRootDER(der)
		if err != nil {
			return nil, err
		}
		all = append(all, root)
	}
	return all, nil
}

// sums name them to the coordinator.
func (t toldRoots) sums(s *seed.Seed) [][]byte {
	roots, err := t.roots(s)
	if err != nil {
		return nil
	}
	var all [][]byte
	for _, root := range roots {
		sum := sha256.Sum256(root.Raw)
		all = append(all, sum[:])
	}
	return all
}

// trust takes over what the coordinator says of its CA. A root that is trusted must be among them, or a mistake there would
// cut this host off.
func (id *identity) trust(l Layout, s *seed.Seed, roots [][]byte) error {
	if len(roots) > maxRoots {
		return fmt.Errorf("%d CA certificates, more than %d", len(roots), maxRoots)
	}
	now, err := id.Told.roots(s)
	if err != nil {
		return err
	}
	shared := false
	for _, der := range roots {
		if len(der) > maxRootSize {
			return fmt.Errorf("a CA certificate of %d bytes, more than %d", len(der), maxRootSize)
		}
		root, err := proof.ParseRootDER(der)
		if err != nil {
			return err
		}
		shared = shared || slices.ContainsFunc(now, root.Equal)
	}
	if !shared {
		return fmt.Errorf("none of the %d CA certificates is one that this host trusts", len(roots))
	}
	fresh := *id
	fresh.Told = toldRoots{Roots: roots, Under: under(s)}
	if err := fresh.save(l); err != nil {
		return err
	}
	id.Told = fresh.Told
	return nil
}
