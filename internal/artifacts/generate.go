package artifacts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"muster/internal/config"
	"muster/internal/late"
	"muster/internal/manifest"
	"muster/internal/seed/script"
)

// Generate makes a generation of the cluster and puts it at opts.Out. What is wrong with the input is a
// config.Problems, and then nothing is written.
func Generate(ctx context.Context, cluster *config.Cluster, opts Options) (*manifest.Generation, error) {
	g, err := prepare(ctx, cluster, opts, true)
	if err != nil {
		return nil, err
	}
	defer g.sources.close()
	if g.stage, err = newStage(g.out); err != nil {
		return nil, unwritable(g.out, err)
	}
	generation, err := g.write(ctx)
	if err == nil {
		err = g.stage.commit()
	}
	if err = errors.Join(err, g.stage.discard()); err != nil {
		return nil, unwritable(g.out, err)
	}
	if n := g.stage.reused.Load(); n > 0 {
		g.progress("took %d KiB of blobs over from the previous generation", n>>10)
	}
	return generation, nil
}

// Check does all of Generate that can find a mistake, and writes nothing. The bootstrap agents may be missing.
func Check(ctx context.Context, cluster *config.Cluster, opts Options) error {
	g, err := prepare(ctx, cluster, opts, false)
	if err != nil {
		return err
	}
	return g.sources.close()
}

// generator is one run.
type generator struct {
	cluster *config.Cluster
	opts    Options
	out     string
	sources *sources
	id      manifest.ConfigID
	roles   []rendered
	stage   *stage

	progressLock sync.Mutex
}

// prepare reads and renders everything. Its problems are all that there are.
func prepare(ctx context.Context, c *config.Cluster, opts Options, toWrite bool) (*generator, error) {
	g := &generator{cluster: c, opts: opts}
	var p problems
	if toWrite {
		g.out = findOut(opts.Out, c, opts, &p)
		if len(opts.Agents) == 0 {
			p.file("bootstrap-agent", "no binary of the bootstrap agent is given", "build them with scripts/build")
		}
	}
	var err error
	if g.sources, err = read(ctx, c, opts.Agents, &p); err != nil {
		return nil, err
	}
	if g.sources == nil {
		return nil, p.list
	}
	digest, err := g.sources.inputs(c).digest()
	if err != nil {
		return nil, errors.Join(err, g.sources.close())
	}
	g.id = configID(digest)
	if err := checkSignKeys(c.Signing, opts.SignKeys); err != nil {
		return nil, errors.Join(err, g.sources.close())
	}
	place := g.sources.place
	// What a broken rule leads to in templates and probes would be told as the publisher's fault.
	others := len(p.list)
	if checkRules(c, place, &p); len(p.list) == others {
		for _, role := range c.Bundle.Roles {
			g.roles = append(g.roles, renderRole(c, g.sources, late.Marker(digest), role, place, &p))
		}
	}
	if err := p.list.Err(); err != nil {
		_ = g.sources.close() // it was only read
		return nil, err
	}
	return g, nil
}

func (g *generator) progress(format string, args ...any) {
	if g.opts.Progress != nil {
		g.progressLock.Lock()
		defer g.progressLock.Unlock()
		g.opts.Progress(fmt.Sprintf(format, args...))
	}
}

// write fills the stage.
func (g *generator) write(ctx context.Context) (*manifest.Generation, error) {
	if err := g.writeAgents(ctx); err != nil {
		return nil, err
	}
	packages, err := g.packPackages(ctx)
	if err != nil {
		return nil, err
	}
	generation := g.describe()
	members, complete := roster(g.cluster)
	if !complete {
		g.progress("no user-data for an installation without a coordinator: cluster.yaml does not list every member of the counted roles by its address")
	}
	configs := map[manifest.Role]manifest.Blob{}
	for _, r := range g.roles {
		m := g.manifest(r, packages)
		if complete {
			m.Roster, m.Endpoint, m.Address = members, generation.Endpoint, generation.Address
		}
		blob, err := g.writeManifest(m, r)
		if err != nil {
			return nil, fmt.Errorf("role %s: %w", r.role.Name, err)
		}
		configs[r.role.Name] = m.Config
		said := g.cluster.Roles[r.role.Name]
		generation.Roles = append(generation.Roles, manifest.RoleEntry{
			Name: r.role.Name, Count: r.count, After: r.role.After, Select: said.Select,
			AllowSharedTokens: said.AllowSharedTokens, Zones: said.Zones, TakeOver: manifest.Span(said.TakeOver),
			Spread: r.role.Spread, Upgrade: r.role.Upgrade, Manifest: blob,
		})
		if complete {
			if err := g.writeUserData(generation, m); err != nil {
				return nil, err
			}
		}
	}
	if err := g.writeTop(generation, packages, configs); err != nil {
		return nil, err
	}
	if err := g.keepPrevious(); err != nil {
		return nil, err
	}
	return generation, g.writeStatement(generation)
}

// describe is the generation without its roles.
func (g *generator) describe() *manifest.Generation {
	e := expand(g.cluster)
	return &manifest.Generation{
		Format: manifest.Format, Cluster: e.Cluster, ConfigID: g.id, Bundle: e.Bundle, Coordinator: e.Coordinator,
		Roles: []manifest.RoleEntry{}, Hosts: e.Hosts, Agents: g.sources.agents, Endpoint: e.Endpoint, Resident: e.Resident, Address: e.Address, SSH: e.SSH,
		Secrets: g.cluster.Bundle.Secrets, Signing: e.Signing, Attestation: e.Attestation,
	}
}

func (g *generator) writeAgents(ctx context.Context) error {
	for _, arch := range slices.Sorted(maps.Keys(g.sources.agents)) {
		blob := g.sources.agents[arch]
		if g.stage.reuse(ctx, blob) {
			continue
		}
		got, err := g.stage.stream(func(w io.Writer) error { return copyFile(ctx, w, g.opts.Agents[arch]) })
		if err == nil && got != blob {
			err = errChanged
		}
		if err != nil {
			return fmt.Errorf("bootstrap agent %s: %w", g.opts.Agents[arch], err)
		}
	}
	return nil
}

// packed are the blobs of packages by the digests of their trees.
type packed map[manifest.Digest]packedTree

// packedTree is a blob with what the bill of materials says of the tree.
type packedTree struct {
	manifest.Blob
	Verification string `json:"verification"`
}

// packPackages packs every tree once, several at a time.
func (g *generator) packPackages(ctx context.Context) (packed, error) {
	known := readPacked(g.stage.previous)
	blobs := packed{}
	var lock sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	started := map[manifest.Digest]bool{}
	for _, pkg := range g.cluster.Bundle.Packages {
		for _, arch := range slices.Sorted(maps.Keys(g.sources.trees[pkg.Name])) {
			t := g.sources.trees[pkg.Name][arch]
			if started[t.digest] {
				continue
			}
			started[t.digest] = true
			group.Go(func() error {
				blob, ok := known[t.digest]
				if !ok || blob.Verification == "" || !g.stage.reuse(ctx, blob.Blob) {
					g.progress("packing %s for %s", pkg.Name, arch)
					var err error
					if blob.Blob, err = g.stage.stream(func(w io.Writer) error { return t.pack(ctx, w) }); err == nil {
						blob.Verification, err = t.verificationCode()
					}
					if err != nil {
						return fmt.Errorf("pack package %s: %w", pkg.Name, err)
					}
				}
				blob.Unpacked, blob.Entries = t.unpacked(), len(t.entries)
				lock.Lock()
				defer lock.Unlock()
				blobs[t.digest] = blob
				return nil
			})
		}
	}
	return blobs, group.Wait()
}

// manifest is the role's manifest but for its config blob.
func (g *generator) manifest(r rendered, blobs packed) *manifest.Manifest {
	m := &manifest.Manifest{
		Format: manifest.Format, Cluster: g.cluster.Name, ConfigID: g.id,
		Bundle: manifest.Bundle{Name: g.cluster.Bundle.Name, Version: g.cluster.Bundle.Version},
		Role:   r.role.Name, Counted: r.count, Packages: []manifest.Package{},
		Units: r.units, Late: r.late, Checks: r.checks, Steps: r.steps,
	}
	m.Owners, m.Directories = owners(g.cluster.Bundle, r.role.Name)
	for _, pkg := range r.packages {
		p := manifest.Package{Name: pkg.Name, Blobs: map[manifest.Arch]manifest.Blob{}, Links: map[manifest.Arch][]string{}}
		for arch, t := range g.sources.trees[pkg.Name] {
			p.Blobs[arch] = blobs[t.digest].Blob
			if links := t.links(); len(links) > 0 {
				p.Links[arch] = links
			}
		}
		m.Packages = append(m.Packages, p)
	}
	return m
}

// writeManifest writes the role's config blob, its manifest as a blob and the manifest under its readable name.
func (g *generator) writeManifest(m *manifest.Manifest, r rendered) (manifest.Blob, error) {
	data, unpacked, entries, err := packFiles(r.files)
	if err != nil {
		return manifest.Blob{}, err
	}
	if m.Config, err = g.stage.blob(data); err != nil {
		return manifest.Blob{}, err
	}
	m.Config.Unpacked, m.Config.Entries = unpacked, entries
	encoded, err := m.Encode()
	if err != nil {
		return manifest.Blob{}, err
	}
	// Whoever reads it is strict; so nobody else is the first to find out.
	if _, err := manifest.DecodeManifest(encoded); err != nil {
		return manifest.Blob{}, err
	}
	blob, err := g.stage.blob(encoded)
	if err != nil {
		return manifest.Blob{}, err
	}
	return blob, g.stage.write(filepath.Join(rolesDir, string(r.role.Name), manifestFile), encoded)
}

// writeUserData writes what installs the role by cloud-init without a coordinator, if a host can then know all that the
// role's artifacts reference.
func (g *generator) writeUserData(generation *manifest.Generation, m *manifest.Manifest) error {
	if unknown := unknownWithoutCoordinator(m); len(unknown) > 0 {
		g.progress("no user-data for role %s without a coordinator: it uses .%s, which only a coordinator knows", m.Role, unknown[0])
		return nil
	}
	text, err := script.StaticUserData(generation, m.Role, script.CloudConfig)
	if err != nil {
		return err
	}
	return g.stage.write(filepath.Join(rolesDir, string(m.Role), userDataFile), text)
}

// unknownWithoutCoordinator are the late values that neither the manifest's roster nor the host itself can tell.
func unknownWithoutCoordinator(m *manifest.Manifest) []string {
	known := late.Values{}
	for role, members := range m.Roster {
		known.SetRoster(role, members)
	}
	// Which values they are does not matter here, only that they are there.
	self := manifest.Member{Name: "known", Address: "known"}
	if i := slices.IndexFunc(m.Roster[m.Role], func(m manifest.Member) bool { return m.Zone == "" }); m.Counted > 0 && i < 0 {
		self.Zone = "known"
	}
	known.SetHost(self)
	if m.Endpoint != "" {
		known.SetEndpoint(m.Endpoint)
	}
	return late.Missing(m.Late, known)
}

// writeTop writes what lies at the top, generation.json last: it lists the others.
func (g *generator) writeTop(generation *manifest.Generation, blobs packed, configs map[manifest.Role]manifest.Blob) error {
	install, err := script.Install(generation)
	if err != nil {
		return err
	}
	expandedConfig, err := indented(expand(g.cluster))
	if err != nil {
		return err
	}
	index, err := indented(blobs)
	if err != nil {
		return err
	}
	bill, err := g.sbom(blobs, configs)
	if err != nil {
		return err
	}
	err = errors.Join(
		g.stage.write(installFile, install),
		g.stage.write(configFile, expandedConfig),
		g.stage.write(packedFile, index),
		g.stage.write(sbomFile, bill),
	)
	if err != nil {
		return err
	}
	if generation.Files, err = digestFiles(g.stage.dir, generation.Roles); err != nil {
		return err
	}
	encoded, err := generation.Encode()
	if err != nil {
		return err
	}
	// What is read must be valid. To decode it again as a reader does would take longer than all else with 50,000 hosts,
	// and what Encode writes is always in the form that is read.
	if err := generation.Validate(); err != nil {
		return err
	}
	return g.stage.write(generationFile, encoded)
}

func indented(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	return append(data, '\n'), err
}
