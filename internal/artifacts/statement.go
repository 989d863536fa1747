package artifacts

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"muster/internal/durable"
	"muster/internal/fault"
	"muster/internal/manifest"
	"muster/internal/sign"
)

// state is the statement of a generation, without version and expiry: those are no business of the artifacts.
func state(g *manifest.Generation) (*sign.Statement, error) {
	encoded, err := g.Encode()
	if err != nil {
		return nil, err
	}
	s := &sign.Statement{
		Format: sign.Format, Cluster: g.Cluster, ClusterID: g.Signing.ID, ConfigID: g.ConfigID,
		Keys: g.Signing.Keys, Threshold: g.Signing.Threshold,
		Manifests: map[manifest.Role]manifest.Blob{}, Agents: map[manifest.Arch]manifest.Blob{},
		Files: map[string]manifest.Blob{generationFile: {Digest: digestOf(encoded), Size: int64(len(encoded))}},
	}
	for _, r := range g.Roles {
		s.Manifests[r.Name] = manifest.Blob{Digest: r.Manifest.Digest, Size: r.Manifest.Size}
	}
	for arch, b := range g.Agents {
		s.Agents[arch] = manifest.Blob{Digest: b.Digest, Size: b.Size}
	}
	for name, b := range g.Files {
		s.Files[name] = b
	}
	return s, nil
}

// covers says whether a statement is about exactly this generation.
func covers(s *sign.Statement, g *manifest.Generation) error {
	if g.Signing == nil {
		return errors.New("the generation names no keys, and the statement does")
	}
	want, err := state(g)
	if err != nil {
		return err
	}
	want.Version, want.Expires = s.Version, s.Expires
	if !reflect.DeepEqual(want, s) {
		return errors.New("the signed statement is about other files than these")
	}
	return nil
}

// writeStatement puts the generation's envelope into the stage. While the previous one says the same and is good for
// some time yet, it stays with all its signatures: generating again must not make people sign again.
func (g *generator) writeStatement(generation *manifest.Generation) error {
	if generation.Signing == nil {
		return nil
	}
	previous, err := readEnvelope(g.stage.previous)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && g.opts.Version == 0 {
		return fault.New(fault.Invalid, "say which version comes next: --version N, higher than any that hosts have seen",
			"the signed statement of the generation that is replaced cannot be read").Because(err)
	}
	var before uint64
	if err == nil {
		s, err := sign.Unverified(previous)
		if err != nil {
			return fault.New(fault.Invalid, "remove "+sign.File+" and say which version comes next: --version N", "the statement of the generation that is replaced").Because(err)
		}
		before = s.Version
		left := s.Expires.Sub(g.opts.now())
		same := covers(s, generation) == nil && (g.opts.Version == 0 || g.opts.Version == s.Version)
		if !same || left < generation.Signing.Expires/2 {
			previous = nil
		}
	}
	if previous == nil || err != nil {
		if previous, err = newEnvelope(generation, before, g.opts.Version, g.opts.now()); err != nil {
			return err
		}
	}
	data, err := addSignatures(previous, g.opts.SignKeys)
	if err != nil {
		return err
	}
	if s, err := sign.Unverified(previous); err == nil {
		signers, _ := sign.Signers(*generation.Signing, previous)
		g.progress("version %d, signed by %d of %d keys, %d are needed, good until %s", s.Version, len(signers),
			len(generation.Signing.Keys), generation.Signing.Threshold, s.Expires.Format(time.RFC3339))
	}
	return g.stage.write(sign.File, data)
}

// newEnvelope states a generation anew. The version follows the one before unless another, higher one is asked for.
func newEnvelope(g *manifest.Generation, before, version uint64, now time.Time) (*sign.Envelope, error) {
	if version == 0 {
		version = before + 1
	}
	if version <= before {
		return nil, fault.New(fault.Invalid, fmt.Sprintf("leave --version out, or give at least %d", before+1),
			"version %d is not higher than %d, which the directory has", version, before)
	}
	s, err := state(g)
	if err != nil {
		return nil, err
	}
	s.Version, s.Expires = version, now.Add(g.Signing.Expires).UTC().Truncate(time.Second)
	return sign.New(s)
}

func addSignatures(e *sign.Envelope, keys []ed25519.PrivateKey) ([]byte, error) {
	for _, key := range keys {
		if err := e.Add(key); err != nil {
			return nil, err
		}
	}
	return e.Encode()
}

// checkSignKeys refuses keys whose signatures would not count.
func checkSignKeys(s *manifest.Signing, keys []ed25519.PrivateKey) error {
	for _, key := range keys {
		public := sign.EncodeKey(key.Public().(ed25519.PublicKey))
		if s == nil {
			return fault.New(fault.Invalid, "add to cluster.yaml: signing: {keys: ["+public+"]}, then generate again",
				"cluster.yaml names no signing keys, so a signature would count for nobody")
		}
		if !slices.Contains(s.Keys, public) {
			return fault.New(fault.Invalid, "sign with one of the keys in cluster.yaml, or add this one to signing.keys and generate again",
				"the key %s is not one of the cluster's signing keys", public)
		}
	}
	return nil
}

// SignOptions say how to sign a directory.
type SignOptions struct {
	Keys []ed25519.PrivateKey
	// OldKeys are keys that cluster.yaml no longer has. Their signatures count for nobody but a coordinator that
	// accepted them before, which takes the new keys over only then.
	OldKeys []ed25519.PrivateKey
	// Renew states the generation anew: with a later expiry, a higher version and no other signatures.
	Renew bool
	// Version is that of a renewed statement, the next one if 0.
	Version uint64
	Now     time.Time
}

// Sign adds signatures to the envelope in dir. What is signed is what is there: whoever audits the directory before
// (Audit) knows what the signature says.
func Sign(dir string, o SignOptions) (*sign.Statement, []ed25519.PublicKey, error) {
	g, _, err := Load(dir)
	if err != nil {
		return nil, nil, err
	}
	if err := checkSignKeys(g.Signing, o.Keys); err != nil {
		return nil, nil, err
	}
	e, err := readEnvelope(dir)
	if err != nil {
		return nil, nil, fault.New(fault.Invalid, "generate again with `coordinator genconf`", "there is no statement to sign in %s", dir).Because(err)
	}
	s, err := sign.Unverified(e)
	if err != nil {
		return nil, nil, fault.New(fault.Invalid, "generate again with `coordinator genconf`", "the statement in %s", dir).Because(err)
	}
	if o.Renew {
		if e, err = newEnvelope(g, s.Version, o.Version, o.Now); err != nil {
			return nil, nil, err
		}
		if s, err = sign.Unverified(e); err != nil {
			return nil, nil, err
		}
	}
	if err := covers(s, g); err != nil {
		return nil, nil, fault.New(fault.Invalid, "find out who changed the directory (coordinator verify "+dir+"), then generate again", "%s is not signed", dir).Because(err)
	}
	if !o.Now.Before(s.Expires) {
		return nil, nil, fault.New(fault.Invalid, "coordinator sign "+dir+" --renew --key FILE", "the statement of %s expired at %s", dir, s.Expires.Format(time.RFC3339)).Because(sign.ErrExpired)
	}
	data, err := addSignatures(e, append(slices.Clone(o.Keys), o.OldKeys...))
	if err != nil {
		return nil, nil, err
	}
	if err := durable.WriteFile(filepath.Join(dir, sign.File), data, 0o644); err != nil {
		return nil, nil, err
	}
	signers, err := sign.Signers(*g.Signing, e)
	return s, signers, err
}
