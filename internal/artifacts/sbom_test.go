package artifacts_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
	"github.com/spdx/tools-golang/spdxlib"
	"github.com/spdx/tools-golang/utils"

	"muster/internal/artifacts"
	"muster/internal/manifest"
)

func readSBOM(t *testing.T, dir string) *v2_3.Document {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "sbom.spdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := spdxjson.Read(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestBillOfMaterialsIsSPDX(t *testing.T) {
	s := newSite(t)
	g := s.generate()
	doc := readSBOM(t, s.out())
	if err := spdxlib.ValidateDocument((*spdx.Document)(doc)); err != nil {
		t.Error(err)
	}
	// What the schema of SPDX 2.3 requires.
	if doc.SPDXVersion != "SPDX-2.3" || doc.DataLicense != "CC0-1.0" || doc.SPDXIdentifier != "DOCUMENT" || doc.DocumentName == "" ||
		doc.CreationInfo == nil || doc.CreationInfo.Created == "" || len(doc.CreationInfo.Creators) == 0 {
		t.Errorf("the document lacks something: %+v", doc)
	}
	if !regexp.MustCompile(`^https://[^#]+` + string(g.ConfigID) + `$`).MatchString(doc.DocumentNamespace) {
		t.Errorf("namespace %q", doc.DocumentNamespace)
	}
	ids := map[common.ElementID]bool{}
	id := func(e common.ElementID) {
		if !regexp.MustCompile(`^[A-Za-z0-9.-]+$`).MatchString(string(e)) || ids[e] {
			t.Errorf("identifier %q is not valid or used twice", e)
		}
		ids[e] = true
	}
	for _, p := range doc.Packages {
		id(p.PackageSPDXIdentifier)
		if p.PackageName == "" || p.PackageDownloadLocation == "" || p.FilesAnalyzed != (p.PackageVerificationCode != nil) {
			t.Errorf("package %+v", p)
		}
	}
	for _, f := range doc.Files {
		id(f.FileSPDXIdentifier)
		if f.FileName == "" || len(f.Checksums) != 2 || f.Checksums[0].Algorithm != common.SHA1 || f.Checksums[1].Algorithm != common.SHA256 {
			t.Errorf("file %+v", f)
		}
	}
	for _, r := range doc.Relationships {
		for _, e := range []common.ElementID{r.RefA.ElementRefID, r.RefB.ElementRefID} {
			if e != "DOCUMENT" && !ids[e] {
				t.Errorf("relationship with %q, which is not there", e)
			}
		}
	}
}

func TestBillOfMaterialsListsWhatIsShipped(t *testing.T) {
	s := newSite(t)
	g := s.generate()
	_, manifests, err := artifacts.Load(s.out())
	s.must(err)
	doc := readSBOM(t, s.out())
	sums := map[string]*v2_3.Package{}
	for _, p := range doc.Packages {
		for _, c := range p.PackageChecksums {
			sums[c.Value] = p
		}
	}
	want := []manifest.Blob{g.Agents["amd64"], g.Agents["arm64"]}
	for _, m := range manifests {
		want = append(want, m.Config)
		for _, p := range m.Packages {
			want = append(want, p.Blobs["amd64"], p.Blobs["arm64"])
		}
	}
	for _, b := range want {
		if sums[string(b.Digest)] == nil {
			t.Errorf("blob %.12s is not listed", b.Digest)
		}
	}
	// The verification code is what another implementation makes of the same files.
	dir := s.path("demo/packages/common")
	var files []*spdx.File
	for _, name := range []string{"bin/common"} {
		sum, _, _, err := utils.GetHashesForFilePath(filepath.Join(dir, name))
		s.must(err)
		files = append(files, &spdx.File{FileName: name, Checksums: []common.Checksum{{Algorithm: common.SHA1, Value: sum}}})
	}
	code, err := utils.GetVerificationCode(files, "")
	s.must(err)
	for _, m := range manifests["master"].Packages {
		if got := sums[string(m.Blobs["amd64"].Digest)]; m.Name == "common" && got.PackageVerificationCode.Value != code.Value {
			t.Errorf("verification code %s, want %s", got.PackageVerificationCode.Value, code.Value)
		}
	}
}

func TestModulesOfTheBootstrapAgentAreListed(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the bootstrap agent")
	}
	s := newSite(t)
	self := s.path("bootstrap-agent")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", self, "muster/cmd/bootstrap-agent").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	opts := s.options()
	opts.Agents["amd64"] = self
	_, err := artifacts.Generate(t.Context(), s.load(), opts)
	s.must(err)
	for _, p := range readSBOM(t, s.out()).Packages {
		if p.PackageName == "github.com/klauspost/compress" {
			if len(p.PackageExternalReferences) != 1 || p.PackageVersion == "" {
				t.Errorf("%+v", p)
			}
			return
		}
	}
	t.Error("a module is missing")
}
