package artifacts

import (
	"crypto/sha1" // SPDX 2.3 asks for it beside SHA-256; nothing is verified by it
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"muster/internal/manifest"
)

// The bill of materials is SPDX 2.3 in JSON. It lists what a generation ships: the bundle's packages as the publisher
// made them, the rendered files of every role, and the bootstrap agents with the Go modules inside. Files of packages
// are summed up in SPDX's package verification code: listed one by one they could take more room than the packages.
//
// SPDX wants a time of creation. The clock would make every run's bytes different, so it is the epoch; who wants to know
// when finds it with the signature. The namespace, which has to be unique, has the config id.
const (
	spdxVersion = "SPDX-2.3"
	spdxCreated = "1970-01-01T00:00:00Z"
	noAssertion = "NOASSERTION"
	spdxRoot    = "SPDXRef-DOCUMENT"
)

type spdxDocument struct {
	Version       string             `json:"spdxVersion"`
	License       string             `json:"dataLicense"`
	ID            string             `json:"SPDXID"`
	Name          string             `json:"name"`
	Namespace     string             `json:"documentNamespace"`
	Creation      spdxCreation       `json:"creationInfo"`
	Packages      []spdxPackage      `json:"packages"`
	Files         []spdxFile         `json:"files"`
	Relationships []spdxRelationship `json:"relationships"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID            string            `json:"SPDXID"`
	Name          string            `json:"name"`
	Version       string            `json:"versionInfo,omitempty"`
	FileName      string            `json:"packageFileName,omitempty"`
	Download      string            `json:"downloadLocation"`
	FilesAnalyzed bool              `json:"filesAnalyzed"`
	Verification  *spdxVerification `json:"packageVerificationCode,omitempty"`
	Checksums     []spdxChecksum    `json:"checksums,omitempty"`
	External      []spdxExternal    `json:"externalRefs,omitempty"`
	Comment       string            `json:"comment,omitempty"`
}

type spdxVerification struct {
	Value string `json:"packageVerificationCodeValue"`
}

type spdxChecksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type spdxExternal struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxFile struct {
	ID        string         `json:"SPDXID"`
	Name      string         `json:"fileName"`
	Checksums []spdxChecksum `json:"checksums"`
	License   string         `json:"licenseConcluded"`
	Copyright string         `json:"copyrightText"`
}

type spdxRelationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

// sbom makes the bill of materials from what was rendered, packed and given.
func (g *generator) sbom(blobs packed, configs map[manifest.Role]manifest.Blob) ([]byte, error) {
	b := g.cluster.Bundle
	d := &spdxDocument{
		Version: spdxVersion, License: "CC0-1.0", ID: spdxRoot, Name: g.cluster.Name + "-" + string(g.id[:12]),
		Namespace: "https://spdx.org/spdxdocs/muster-" + g.cluster.Name + "-" + string(g.id),
		Creation:  spdxCreation{Created: spdxCreated, Creators: []string{"Tool: muster-coordinator"}},
		Packages:  []spdxPackage{}, Files: []spdxFile{}, Relationships: []spdxRelationship{},
	}
	bundle := spdxPackage{
		ID: "SPDXRef-Bundle", Name: b.Name, Version: b.Version, Download: noAssertion,
		Comment: "The publisher's bundle, with the parameters of cluster " + g.cluster.Name,
	}
	d.add(bundle, spdxRoot, "DESCRIBES")
	for i, pkg := range b.Packages {
		for _, arch := range slices.Sorted(maps.Keys(g.sources.trees[pkg.Name])) {
			blob := blobs[g.sources.trees[pkg.Name][arch].digest]
			d.add(spdxPackage{
				ID: fmt.Sprintf("SPDXRef-Package-%d-%s-%s", i, spdxName(pkg.Name), arch), Name: pkg.Name, Version: b.Version,
				FileName: manifest.BlobPath(blob.Digest), Download: noAssertion, FilesAnalyzed: true,
				Verification: &spdxVerification{blob.Verification}, Checksums: blobSum(blob.Blob), Comment: "for linux/" + string(arch),
			}, bundle.ID, "CONTAINS")
		}
	}
	for _, r := range g.roles {
		d.addConfig(r, configs[r.role.Name], bundle)
	}
	for _, arch := range slices.Sorted(maps.Keys(g.sources.agents)) {
		d.addAgent(arch, g.sources.agents[arch], g.opts.Agents[arch])
	}
	return indented(d)
}

func (d *spdxDocument) add(p spdxPackage, parent, relationship string) {
	d.Packages = append(d.Packages, p)
	d.relate(parent, relationship, p.ID)
}

func (d *spdxDocument) relate(element, relationship, related string) {
	d.Relationships = append(d.Relationships, spdxRelationship{element, relationship, related})
}

// addConfig lists the files of a role as they are in its config blob, with placeholders in the place of late values.
func (d *spdxDocument) addConfig(r rendered, blob manifest.Blob, bundle spdxPackage) {
	role := spdxName(string(r.role.Name))
	config := spdxPackage{
		ID: "SPDXRef-Config-" + role, Name: "config-" + string(r.role.Name), Version: bundle.Version, FileName: manifest.BlobPath(blob.Digest),
		Download: noAssertion, FilesAnalyzed: true, Checksums: blobSum(blob),
	}
	var sums []string
	var files []spdxFile
	for i, f := range r.files {
		one, many := sha1.Sum(f.content), sha256.Sum256(f.content)
		sums = append(sums, hex.EncodeToString(one[:]))
		files = append(files, spdxFile{
			ID: fmt.Sprintf("SPDXRef-File-%s-%d", role, i), Name: "./" + f.path, License: noAssertion, Copyright: noAssertion,
			Checksums: []spdxChecksum{{"SHA1", sums[i]}, {"SHA256", hex.EncodeToString(many[:])}},
		})
	}
	config.Verification = &spdxVerification{verificationCode(sums)}
	d.add(config, bundle.ID, "CONTAINS")
	for _, f := range files {
		d.Files = append(d.Files, f)
		d.relate(config.ID, "CONTAINS", f.ID)
	}
}

// addAgent lists a bootstrap agent, and the modules that its toolchain wrote into it.
func (d *spdxDocument) addAgent(arch manifest.Arch, blob manifest.Blob, path string) {
	agent := spdxPackage{
		ID: "SPDXRef-BootstrapAgent-" + string(arch), Name: "bootstrap-agent", FileName: manifest.BlobPath(blob.Digest),
		Download: noAssertion, Checksums: blobSum(blob), Comment: "for linux/" + string(arch),
	}
	d.add(agent, spdxRoot, "DESCRIBES")
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return // a program without it is listed as a whole
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		id := "SPDXRef-GoModule-" + spdxName(m.Path+"-"+m.Version) + "-" + string(digestOf([]byte(m.Path))[:8])
		if !slices.ContainsFunc(d.Packages, func(p spdxPackage) bool { return p.ID == id }) {
			d.Packages = append(d.Packages, spdxPackage{
				ID: id, Name: m.Path, Version: m.Version, Download: noAssertion,
				External: []spdxExternal{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + m.Path + "@" + m.Version}},
			})
		}
		d.relate(agent.ID, "STATIC_LINK", id)
	}
}

func blobSum(b manifest.Blob) []spdxChecksum {
	return []spdxChecksum{{"SHA256", string(b.Digest)}}
}

// spdxName makes a text fit into an identifier of SPDX: letters, digits, dots and hyphens.
func spdxName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, s)
}

// verificationCode is SPDX's sum over the SHA-1 sums of files, whatever their order and names.
func verificationCode(sums []string) string {
	slices.Sort(sums)
	sum := sha1.Sum([]byte(strings.Join(sums, "")))
	return hex.EncodeToString(sum[:])
}

// verificationCode is that of the tree's regular files. It is kept in packed.json, because it means to read all again.
func (t *tree) verificationCode() (string, error) {
	root, err := t.root.OpenRoot(t.dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	var sums []string
	for _, e := range t.entries {
		if !e.mode.IsRegular() {
			continue
		}
		f, err := root.Open(e.path)
		if err != nil {
			return "", err
		}
		h := sha1.New()
		n, err := io.Copy(h, f)
		f.Close()
		if err != nil {
			return "", err
		}
		if n != e.size {
			return "", errChanged
		}
		sums = append(sums, hex.EncodeToString(h.Sum(nil)))
	}
	return verificationCode(sums), nil
}
