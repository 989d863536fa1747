package artifacts

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/internal/fault"
	"muster/internal/manifest"
	"muster/internal/sign"
)

// AuditOptions say what a directory is compared with besides itself.
type AuditOptions struct {
	// Keys and Threshold are whose signatures count, if there are any. Without keys they are those that the directory
	// names, which proves only that it is whole.
	Keys      []string
	Threshold int
	Now       time.Time
	// Unsigned leaves signatures out: whoever is about to sign has none yet.
	Unsigned bool
}

// Audited is what an audit found.
type Audited struct {
	Cluster  string            `json:"cluster"`
	ConfigID manifest.ConfigID `json:"config_id"`
	Bundle   manifest.Bundle   `json:"bundle"`
	// Version, Expires and Signatures are those of the signed statement.
	Version    uint64         `json:"version,omitempty"`
	Expires    time.Time      `json:"expires,omitzero"`
	Threshold  int            `json:"threshold,omitempty"`
	Signatures []AuditedKey   `json:"signatures,omitempty"`
	Roles      []AuditedRole  `json:"roles"`
	Old        int            `json:"old_generations"`
	Blobs      int            `json:"blobs"`
	Bytes      int64          `json:"bytes"`
	Problems   []AuditProblem `json:"problems"`
}

// AuditedKey is one key that counts.
type AuditedKey struct {
	Key    string `json:"key"`
	Signed bool   `json:"signed"`
}

// AuditedRole is one role of the current generation.
type AuditedRole struct {
	Name     manifest.Role   `json:"name"`
	Manifest manifest.Digest `json:"manifest"`
	Packages int             `json:"packages"`
	Bytes    int64           `json:"bytes"`
}

// AuditProblem is one thing that is wrong.
type AuditProblem struct {
	Path    string `json:"path"`
	Problem string `json:"problem"`
	Remedy  string `json:"remedy"`
}

const copyAgain = "copy the directory again, or generate it again with `coordinator genconf`"

// Audit compares everything in the directory of a generation: signatures, manifests, every blob, its content by the
// rules of the hosts, the named files, and that there is nothing else. What is wrong is in the result; an error is that
// the audit could not be done.
func Audit(ctx context.Context, dir string, o AuditOptions) (*Audited, error) {
	a := &auditor{dir: dir, opts: o, result: &Audited{Roles: []AuditedRole{}, Problems: []AuditProblem{}},
		expected: map[string]bool{packedFile: true}, blobs: map[manifest.Digest]content{}}
	g, err := readGeneration(dir)
	if errors.Is(err, fault.NotFound) {
		return nil, err
	}
	if err != nil {
		a.wrong(generationFile, err)
		return a.done(), nil
	}
	r := a.result
	r.Cluster, r.ConfigID, r.Bundle = g.Cluster, g.ConfigID, g.Bundle
	a.generation(g, "")
	for _, entry := range g.Roles {
		if c, ok := a.blobs[entry.Manifest.Digest]; ok && c.manifest != nil {
			role := AuditedRole{Name: entry.Name, Manifest: entry.Manifest.Digest, Packages: len(c.manifest.Packages)}
			for _, b := range blobsOf(c.manifest) {
				role.Bytes += b.Size
			}
			r.Roles = append(r.Roles, role)
		}
	}
	if !o.Unsigned {
		a.signatures(g)
	} else {
		a.expected[sign.File] = true
	}
	a.history(g.ConfigID)
	if err := a.contents(ctx); err != nil {
		return nil, err
	}
	if err := a.nothingElse(); err != nil {
		return nil, err
	}
	return a.done(), nil
}

type auditor struct {
	dir    string
	opts   AuditOptions
	result *Audited
	// expected are the paths that have a place in the directory.
	expected map[string]bool
	blobs    map[manifest.Digest]content

	mu sync.Mutex
}

// content is a blob with what it is.
type content struct {
	manifest.Blob
	kind kind
	// manifest is the one that the blob is, or the config of.
	manifest *manifest.Manifest
}

type kind int

const (
	plain kind = iota
	packageBlob
	configBlob
)

func (a *auditor) done() *Audited {
	slices.SortFunc(a.result.Problems, func(x, y AuditProblem) int {
		return cmp.Or(cmp.Compare(x.Path, y.Path), cmp.Compare(x.Problem, y.Problem))
	})
	a.result.Problems = slices.Compact(a.result.Problems)
	return a.result
}

func (a *auditor) problem(path, remedy, format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.result.Problems = append(a.result.Problems, AuditProblem{filepath.ToSlash(path), fmt.Sprintf(format, args...), remedy})
}

// wrong adds an error, with its own remedy if it has one.
func (a *auditor) wrong(path string, err error) {
	a.problem(path, cmp.Or(fault.Remedy(err), copyAgain), "%v", err)
}

// generation looks at a generation's manifests and named files; at is where those lie below the directory.
func (a *auditor) generation(g *manifest.Generation, at string) {
	a.expected[filepath.Join(at, generationFile)] = true
	for _, name := range fileNames(g) {
		path := filepath.Join(at, filepath.FromSlash(name))
		a.expected[path] = true
		switch got, err := digestFile(filepath.Join(a.dir, path)); {
		case err != nil:
			a.wrong(path, err)
		case got != g.Files[name]:
			a.problem(path, copyAgain, "it is not the file that generation.json lists: its SHA-256 is %s", got.Digest)
		case name == configFile && !saysTheSame(g, filepath.Join(a.dir, path)):
			a.problem(filepath.Join(at, generationFile), copyAgain, "it says something else than config.json")
		}
	}
	for _, entry := range g.Roles {
		a.expect(content{Blob: entry.Manifest})
		m, err := loadManifest(a.dir, g, entry)
		if err != nil {
			a.wrong(manifest.BlobPath(entry.Manifest.Digest), err)
			continue
		}
		a.blobs[entry.Manifest.Digest] = content{Blob: entry.Manifest, manifest: m}
		a.expect(content{Blob: m.Config, kind: configBlob, manifest: m})
		for _, p := range m.Packages {
			for _, b := range p.Blobs {
				a.expect(content{Blob: b, kind: packageBlob})
			}
		}
		a.texts(entry, m)
	}
	for _, b := range g.Agents {
		a.expect(content{Blob: b})
	}
}

// expect adds a blob to those that are read; one that two have is read once.
func (a *auditor) expect(c content) {
	a.expected[filepath.FromSlash(manifest.BlobPath(c.Digest))] = true
	if known, ok := a.blobs[c.Digest]; !ok || known.kind == plain && known.manifest == nil {
		a.blobs[c.Digest] = c
	}
}

// signatures looks whether the statement is signed by whom it should, and says what is there.
func (a *auditor) signatures(g *manifest.Generation) {
	signing := g.Signing
	if len(a.opts.Keys) > 0 {
		signing = &manifest.Signing{ID: g.Cluster, Keys: a.opts.Keys, Threshold: cmp.Or(a.opts.Threshold, len(a.opts.Keys))}
		if g.Signing != nil {
			signing.ID = g.Signing.ID
		}
	}
	data, err := readAtMost(filepath.Join(a.dir, sign.File), sign.MaxSize)
	absent := errors.Is(err, fs.ErrNotExist)
	if signing == nil {
		return // then an envelope is a file that has no place here
	}
	a.expected[sign.File] = true
	if err != nil && !absent {
		a.wrong(sign.File, err)
		return
	}
	if absent {
		a.problem(sign.File, "generate with signing in cluster.yaml, then: coordinator sign DIR --key FILE", "the generation is not signed")
		return
	}
	r := a.result
	r.Threshold = signing.Threshold
	if e, err := sign.Decode(data); err == nil {
		signers, _ := sign.Signers(*signing, e)
		for _, key := range signing.Keys {
			by := slices.ContainsFunc(signers, func(k ed25519.PublicKey) bool { return sign.EncodeKey(k) == key })
			r.Signatures = append(r.Signatures, AuditedKey{key, by})
		}
		if s, err := sign.Unverified(e); err == nil {
			r.Version, r.Expires = s.Version, s.Expires
		}
	}
	s, err := sign.Trust{Cluster: g.Cluster, Signing: *signing}.Verify(data, sign.Seen{Now: a.opts.Now})
	if err == nil {
		err = covers(s, g)
	}
	if err != nil {
		a.wrong(sign.File, err)
	}
}

// history looks at the old generations. Their statements may have expired and have been signed by earlier keys.
func (a *auditor) history(current manifest.ConfigID) {
	ids := readIndex(a.dir)
	if _, err := readAtMost(filepath.Join(a.dir, historyDir, indexFile), maxGeneration); err == nil {
		a.expected[filepath.Join(historyDir, indexFile)] = true
	}
	for _, id := range without(ids, current) {
		a.result.Old++
		at := filepath.Join(historyDir, string(id))
		g, err := readGeneration(filepath.Join(a.dir, at))
		if err == nil && g.ConfigID != id {
			err = damaged(at, "it is another generation than its name says")
		}
		if err != nil {
			a.wrong(at, err)
			continue
		}
		a.generation(g, at)
		if g.Signing != nil {
			a.expected[filepath.Join(at, sign.File)] = true
		}
	}
}

// contents reads every blob, several at a time.
func (a *auditor) contents(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	all := make([]content, 0, len(a.blobs))
	for _, c := range a.blobs {
		a.result.Blobs, a.result.Bytes = a.result.Blobs+1, a.result.Bytes+c.Size
		all = append(all, c)
	}
	// The longest first, so that no core waits for another at the end.
	slices.SortFunc(all, func(x, y content) int { return cmp.Compare(y.Size, x.Size) })
	for _, c := range all {
		group.Go(func() error {
			if err := a.content(ctx, c); err != nil && ctx.Err() == nil {
				a.wrong(manifest.BlobPath(c.Digest), err)
			}
			return context.Cause(ctx)
		})
	}
	return group.Wait()
}
