package artifacts

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"muster/internal/durable"
	"muster/internal/fault"
	"muster/internal/manifest"
	"muster/internal/sign"
)

// Admission decides whether a coordinator serves a generation, by what it has accepted before: from the first signed
// generation on, it takes only what the same keys sign, and never an older one. Until then it believes the generation
// itself, which is why the first one is to be compared with the keys (coordinator verify --key).
type Admission struct {
	path   string
	now    time.Time
	before accepted
}

// accepted is what is remembered of the last signed generation.
type accepted struct {
	Cluster string            `json:"cluster"`
	Version uint64            `json:"version"`
	Signing *manifest.Signing `json:"signing"`
}

// OpenAdmission reads what was accepted before from the file path, if there is one.
func OpenAdmission(path string, now time.Time) (*Admission, error) {
	a := &Admission{path: path, now: now}
	data, err := readAtMost(path, sign.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err == nil {
		err = manifest.Decode(data, &a.before)
	}
	if err == nil && a.before.Signing == nil {
		err = errors.New("it has no keys")
	}
	if err != nil {
		// Going on as if there had been none would accept anything.
		return nil, fault.New(fault.Invalid, "restore it from a backup; or remove it, if the generation that is to be served was compared with its keys (coordinator verify DIR --key PUB)",
			"%s says which generations this coordinator accepts, and cannot be read", path).Because(err)
	}
	return a, nil
}

// check says whether the generation may be served. The statement is nil where generations are not signed.
func (a *Admission) check(g *manifest.Generation, envelope []byte) (*sign.Statement, error) {
	if g.Signing == nil {
		if a.before.Signing != nil {
			return nil, fault.New(fault.Denied, "bring signing back to cluster.yaml, generate and sign; to give it up on purpose, remove "+a.path,
				"the generation names no signing keys, and signed ones were served before").Because(sign.ErrSignatures)
		}
		return nil, nil
	}
	if envelope == nil {
		return nil, fault.New(fault.Denied, "generate again with `coordinator genconf`, then: coordinator sign DIR --key FILE",
			"the generation is not signed: it has no %s", sign.File).Because(sign.ErrSignatures)
	}
	seen := sign.Seen{Now: a.now, Version: a.before.Version}
	trust := sign.Trust{Cluster: g.Cluster, Signing: *g.Signing}
	if a.before.Signing != nil {
		// The old keys decide, also on who follows them.
		trust = sign.Trust{Cluster: a.before.Cluster, Signing: *a.before.Signing}
	}
	s, err := trust.Verify(envelope, seen)
	if err == nil && !sameKeys(trust.Signing, *g.Signing) {
		s, err = sign.Trust{Cluster: g.Cluster, Signing: *g.Signing}.Verify(envelope, seen)
	}
	if err != nil {
		if a.before.Signing != nil && !sameKeys(*a.before.Signing, *g.Signing) {
			err = fault.New(fault.Denied, "let the old keys sign the new generation as well (coordinator sign DIR --old-key FILE); if they are lost, compare the new ones with those who hold them and remove "+a.path,
				"the generation has other signing keys than those that were accepted before").Because(err)
		}
		return nil, err
	}
	if err := covers(s, g); err != nil {
		return nil, fault.New(fault.Denied, "copy the whole directory again; coordinator verify DIR says what differs", "the generation is not the one that was signed").Because(errors.Join(sign.ErrUnlisted, err))
	}
	return s, nil
}

func sameKeys(a, b manifest.Signing) bool {
	return a.Threshold == b.Threshold && slices.Equal(slices.Sorted(slices.Values(a.Keys)), slices.Sorted(slices.Values(b.Keys)))
}

// remember keeps what was accepted. It is written before the generation takes its place: whatever happens between, an
// older one is not served again.
func (a *Admission) remember(s *sign.Statement) error {
	if s == nil {
		return nil
	}
	signing := s.Signing()
	data, err := indented(accepted{Cluster: s.Cluster, Version: s.Version, Signing: &signing})
	if err != nil {
		return err
	}
	return durable.WriteFile(a.path, data, 0o600)
}
