package agent

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"

	"muster/internal/durable"
	"muster/internal/fault"
	"muster/internal/late"
	"muster/internal/manifest"
	"muster/internal/unpack"
)

func (i *installation) unpackPackages(ctx context.Context) (string, error) {
	// From here on, what is found below /opt/<cluster> is ours.
	if err := durable.WriteFile(i.layout.began(), nil, 0o600); err != nil {
		return "", localFault(err)
	}
	for _, dir := range []string{i.layout.Home(i.cluster), i.layout.at("opt", i.cluster, "packages"), i.layout.at("opt", i.cluster, "generations")} {
		if err := durable.MkdirAll(dir, 0o755); err != nil {
			return "", localFault(err)
		}
		if err := durable.CleanTemp(dir); err != nil {
			return "", localFault(err)
		}
	}
	if err := i.layout.claimFor(i.layout.Home(i.cluster)); err != nil {
		return "", localFault(err)
	}
	for n, p := range i.manifest.Packages {
		i.tell.Progress("unpack "+p.Name, int64(n), int64(len(i.manifest.Packages)), "")
		blob := p.Blobs[manifest.Arch(runtime.GOARCH)]
		if err := i.unpackBlob(ctx, blob, i.layout.pack(i.cluster, p.Name, blob.Digest), unpack.Options{}); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d packages", len(i.manifest.Packages)), nil
}

// unpackBlob makes dst, unless it is there already, which is never in part.
func (i *installation) unpackBlob(ctx context.Context, blob manifest.Blob, dst string, o unpack.Options) error {
	if info, err := os.Lstat(dst); err == nil && info.IsDir() {
		return nil
	}
	f, err := os.Open(filepath.Join(i.layout.blobs(), string(blob.Digest)))
	if err != nil {
		return localFault(err)
	}
	defer f.Close()
	if err := unpack.Unpack(ctx, f, blob, dst, o); err != nil {
		if fault.Remedy(err) != "" {
			return err
		}
		return fault.New(fault.Unavailable, "free space or repair the file system below "+filepath.Dir(dst)+", then: coordinator hosts retry",
			"unpacking into %s", dst).Because(err)
	}
	return nil
}

// bindConfig unpacks the config with its placeholders replaced, so that no unbound one ever reaches the disk, and links
// the packages' commands beside it.
func (i *installation) bindConfig(ctx context.Context) (string, error) {
	id := i.plan.generationID(i.manifest)
	dst := i.layout.generation(i.cluster, id)
	binder, err := late.NewBinder(i.manifest.Late, i.plan.Late)
	if err != nil {
		return "", fault.New(fault.Invalid, "this is a defect of the plan: report it with coordinator status HOST -o json", "binding late values").Because(err)
	}
	err = i.unpackBlob(ctx, i.manifest.Config, dst, unpack.Options{
		Transform: func(_ string, data []byte) ([]byte, error) { return binder.Bind(data) },
	})
	if err != nil {
		return "", err
	}
	for _, dir := range manifest.WellKnown {
		if err := durable.CleanTemp(filepath.Join(dst, dir)); err != nil {
			return "", localFault(err)
		}
	}
	for _, p := range i.manifest.Packages {
		arch := manifest.Arch(runtime.GOARCH)
		for _, name := range p.Links[arch] {
			if !filepath.IsLocal(name) {
				return "", fault.New(fault.Invalid, "run coordinator genconf again", "package %s links %q, which is outside", p.Name, name)
			}
			link := filepath.Join(dst, name)
			if err := durable.MkdirAll(filepath.Dir(link), 0o755); err != nil {
				return "", localFault(err)
			}
			// generations/<id>/bin/etcd → ../../../packages/<name>--<digest>/bin/etcd
			up := "../../" + path.Join(dots(path.Dir(name)))
			target := path.Join(up, "packages", packName(p.Name, p.Blobs[arch].Digest), name)
			if err := durable.Symlink(target, link); err != nil {
				return "", localFault(err)
			}
		}
	}
	return "generation " + id, nil
}

// dots is the relative way up out of a directory.
func dots(dir string) string {
	if dir == "." {
		return "."
	}
	up := ""
	for d := dir; d != "."; d = path.Dir(d) {
		up = path.Join(up, "..")
	}
	return up
}
