package artifacts_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"muster/internal/artifacts"
	"muster/internal/manifest"
	"muster/internal/sign"
)

func TestAuditOfAWholeGeneration(t *testing.T) {
	s := newSite(t)
	s.trusting(2, 1, 2, 3)
	s.signed(noon, 1, 3)
	for name, o := range map[string]artifacts.AuditOptions{
		"by its own keys":    {Now: noon},
		"by the given":       {Now: noon, Keys: []string{publicKey(3), publicKey(1)}},
		"by two of given":    {Now: noon, Keys: []string{publicKey(1), publicKey(2), publicKey(3)}, Threshold: 2},
		"before the signing": {Now: noon, Unsigned: true},
	} {
		a, err := artifacts.Audit(t.Context(), s.out(), o)
		if err != nil || len(a.Problems) > 0 {
			t.Errorf("%s: %+v, %v", name, a.Problems, err)
		}
		if len(a.Roles) != 2 || a.Blobs == 0 || a.Bytes == 0 {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestAuditNamesEveryProblem(t *testing.T) {
	first := func(m *manifest.Manifest) manifest.Blob { return m.Packages[0].Blobs["amd64"] }
	tests := map[string]struct {
		spoil func(s site, g *manifest.Generation, m *manifest.Manifest)
		opts  artifacts.AuditOptions
		// want are parts of the path and of the problem.
		want [][2]string
	}{
		"bit flipped in a package": {func(s site, _ *manifest.Generation, m *manifest.Manifest) { s.flip(manifest.BlobPath(first(m).Digest)) },
			artifacts.AuditOptions{}, [][2]string{{"blobs/", "SHA-256 is another one"}}},
		"bit flipped in an agent": {func(s site, g *manifest.Generation, _ *manifest.Manifest) {
			s.flip(manifest.BlobPath(g.Agents["arm64"].Digest))
		}, artifacts.AuditOptions{}, [][2]string{{"blobs/", "its SHA-256 is"}}},
		"bit flipped in a manifest": {func(s site, g *manifest.Generation, _ *manifest.Manifest) {
			s.flip(manifest.BlobPath(g.Roles[0].Manifest.Digest))
		}, artifacts.AuditOptions{}, [][2]string{{"blobs/", "its SHA-256 is"}}},
		"blob missing": {func(s site, _ *manifest.Generation, m *manifest.Manifest) {
			s.must(os.Remove(filepath.Join(s.out(), manifest.BlobPath(m.Config.Digest))))
		}, artifacts.AuditOptions{}, [][2]string{{"blobs/", "missing"}}},
		"several at once": {func(s site, _ *manifest.Generation, m *manifest.Manifest) {
			s.flip(manifest.BlobPath(first(m).Digest))
			s.flip("install.sh")
			s.write("out/genconf/roles/master/notes", "x")
		}, artifacts.AuditOptions{}, [][2]string{{"blobs/", "SHA-256"}, {"install.sh", "SHA-256"}, {"roles/master/notes", "does not belong"}}},
		"user-data changed": {func(s site, _ *manifest.Generation, _ *manifest.Manifest) { s.flip("roles/master/user-data") },
			artifacts.AuditOptions{}, [][2]string{{"roles/master/user-data", "SHA-256"}}},
		"user-data missing": {func(s site, _ *manifest.Generation, _ *manifest.Manifest) {
			s.must(os.Remove(filepath.Join(s.out(), "roles/master/user-data")))
		}, artifacts.AuditOptions{}, [][2]string{{"roles/master/user-data", "no such file"}}},
		"stray blob": {func(s site, _ *manifest.Generation, _ *manifest.Manifest) {
			s.write("out/genconf/blobs/aa/"+strings.Repeat("a", 64), "x")
		}, artifacts.AuditOptions{}, [][2]string{{"blobs/aa/", "does not belong"}}},
		"link": {func(s site, _ *manifest.Generation, _ *manifest.Manifest) {
			s.must(os.Symlink("/etc/passwd", filepath.Join(s.out(), "passwd")))
		}, artifacts.AuditOptions{}, [][2]string{{"passwd", "neither a file nor a directory"}}},
		"generation.json damaged": {func(s site, _ *manifest.Generation, _ *manifest.Manifest) { s.flip("generation.json") },
			artifacts.AuditOptions{}, [][2]string{{"generation.json", "damaged"}}},
		"another address in generation.json": {func(s site, g *manifest.Generation, _ *manifest.Manifest) {
			g.Hosts[0].Address = "10.77.0.12"
			s.state(g)
		}, artifacts.AuditOptions{Unsigned: true}, [][2]string{{"generation.json", "says something else than config.json"}}},
		"another port in generation.json": {func(s site, g *manifest.Generation, _ *manifest.Manifest) {
			g.Coordinator.GRPCPort++
			s.state(g)
		}, artifacts.AuditOptions{Unsigned: true}, [][2]string{{"generation.json", "says something else than config.json"}}},
		"a role that waits for none that there is": {func(s site, g *manifest.Generation, _ *manifest.Manifest) {
			g.Roles[1].After = []manifest.Role{"mester"}
			s.state(g)
		}, artifacts.AuditOptions{Unsigned: true}, [][2]string{{"generation.json", `after the unknown role "mester"`}}},
		"not signed": {func(s site, _ *manifest.Generation, _ *manifest.Manifest) {
			s.must(os.Remove(filepath.Join(s.out(), sign.File)))
		}, artifacts.AuditOptions{}, [][2]string{{sign.File, "not signed"}}},
		"signed by another key than given": {func(site, *manifest.Generation, *manifest.Manifest) {},
			artifacts.AuditOptions{Keys: []string{publicKey(2)}}, [][2]string{{sign.File, "signed by 0 of the 1 keys"}}},
		"signed by one of the two given": {func(site, *manifest.Generation, *manifest.Manifest) {},
			artifacts.AuditOptions{Keys: []string{publicKey(1), publicKey(2)}}, [][2]string{{sign.File, "signed by 1 of the 2 keys"}}},
		"expired": {func(site, *manifest.Generation, *manifest.Manifest) {},
			artifacts.AuditOptions{Now: noon.Add(10000 * time.Hour)}, [][2]string{{sign.File, "expired"}}},
		"file with a hostile name": {func(s site, g *manifest.Generation, _ *manifest.Manifest) {
			g.Files["../../etc/passwd"] = g.Files["install.sh"]
			s.state(g)
		}, artifacts.AuditOptions{}, [][2]string{{"generation.json", "no place"}}},
		"package with a hostile name": {func(s site, g *manifest.Generation, m *manifest.Manifest) {
			s.repack(g, m, map[string]string{"../../etc/cron.d/x": "x"}, func(b manifest.Blob) { m.Packages[0].Blobs["amd64"] = b })
		}, artifacts.AuditOptions{Unsigned: true}, [][2]string{{"blobs/", "not a plain path"}}},
		"placeholder that is not listed": {func(s site, g *manifest.Generation, m *manifest.Manifest) {
			s.repack(g, m, map[string]string{"etc/x": "a\n" + m.Late.Marker + "99@"}, func(b manifest.Blob) { m.Config = b })
		}, artifacts.AuditOptions{Unsigned: true}, [][2]string{{"blobs/", "line 2 has a placeholder of slot 99"}}},
		"placeholder of another generation": {func(s site, g *manifest.Generation, m *manifest.Manifest) {
			s.repack(g, m, map[string]string{"etc/x": "@late-" + strings.Repeat("0", 32) + "-1@"}, func(b manifest.Blob) { m.Config = b })
		}, artifacts.AuditOptions{Unsigned: true}, [][2]string{{"blobs/", "of another generation"}}},
		"unit that is not there": {func(s site, g *manifest.Generation, m *manifest.Manifest) {
			s.repack(g, m, map[string]string{"etc/x": "x"}, func(b manifest.Blob) { m.Config = b })
		}, artifacts.AuditOptions{Unsigned: true}, [][2]string{{"blobs/", "the unit "}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.trusting(1, 1)
			s.signed(noon, 1)
			g, manifests, err := artifacts.Load(s.out())
			s.must(err)
			test.spoil(s, g, manifests["master"])
			if test.opts.Now.IsZero() {
				test.opts.Now = noon
			}
			a, err := artifacts.Audit(t.Context(), s.out(), test.opts)
			s.must(err)
			for _, want := range test.want {
				found := false
				for _, p := range a.Problems {
					found = found || strings.Contains(p.Path, want[0]) && strings.Contains(p.Problem, want[1]) && p.Remedy != ""
				}
				if !found {
					t.Errorf("no problem with %q: %q in %+v", want[0], want[1], a.Problems)
				}
			}
		})
	}
}

// state writes what generation.json is to say.
func (s site) state(g *manifest.Generation) {
	s.t.Helper()
	data, err := g.Encode()
	s.must(err)
	s.must(os.WriteFile(filepath.Join(s.out(), "generation.json"), data, 0o644))
}

// flip changes a bit in the middle of a file.
func (s site) flip(name string) {
	s.t.Helper()
	path := filepath.Join(s.out(), filepath.FromSlash(name))
	data, err := os.ReadFile(path)
	s.must(err)
	data[len(data)/2] ^= 1
	// A new file: blobs are linked between generations.
	s.must(os.Remove(path))
	s.must(os.WriteFile(path, data, 0o644))
}

// repack gives a manifest another blob, and the generation that manifest: only what is in the blob is wrong.
func (s site) repack(g *manifest.Generation, m *manifest.Manifest, files map[string]string, set func(manifest.Blob)) {
	s.t.Helper()
	var raw bytes.Buffer
	zip, err := zstd.NewWriter(&raw)
	s.must(err)
	archive := tar.NewWriter(zip)
	b := manifest.Blob{Entries: len(files)}
	for name, text := range files {
		s.must(archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text))}))
		_, err := archive.Write([]byte(text))
		s.must(err)
		b.Unpacked += int64(len(text))
	}
	s.must(archive.Close())
	s.must(zip.Close())
	put := func(data []byte) manifest.Blob {
		sum := sha256.Sum256(data)
		b := manifest.Blob{Digest: manifest.Digest(hex.EncodeToString(sum[:])), Size: int64(len(data))}
		s.write("out/genconf/"+manifest.BlobPath(b.Digest), string(data))
		return b
	}
	blob := put(raw.Bytes())
	blob.Unpacked, blob.Entries = b.Unpacked, b.Entries
	set(blob)
	data, err := m.Encode()
	s.must(err)
	for i, entry := range g.Roles {
		if entry.Name == m.Role {
			g.Roles[i].Manifest = put(data)
		}
	}
	encoded, err := g.Encode()
	s.must(err)
	s.must(os.WriteFile(filepath.Join(s.out(), "generation.json"), encoded, 0o644))
}
