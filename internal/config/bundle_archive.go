package config

import (
	"errors"
	"os"
	"path/filepath"

	"muster/internal/bundle"
	"muster/internal/fault"
	"muster/internal/manifest"
)

// definition gives the path of the bundle.yaml that path means: itself, the one of a directory, or the one of a bundle in
// one file, which is unpacked for that.
func definition(path string, pinned manifest.Digest) (string, error) {
	if bundle.Named(path) {
		dir, err := bundle.Open(path, pinned)
		return filepath.Join(dir, bundleFile), err
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, bundleFile)
	}
	return path, nil
}

// opened is definition for a bundle that is named on a command line.
func opened(path string) (string, *Problem) {
	file, err := definition(path, "")
	if err != nil {
		return "", &Problem{File: path, Message: err.Error(), Remedy: fault.Remedy(err)}
	}
	return file, nil
}

// openNamed is definition for the bundle of a cluster.yaml. What is wrong is told at the key.
func (c cursor) openNamed(named cursor, path string) (string, bool) {
	var pinned manifest.Digest
	pin := valueOf(c, "bundle_sha256")
	if pin != nil {
		// Of no other optional key would an empty value be a danger: a script that fills it in found nothing to write.
		if pin.empty() {
			pin.failKey("has no value, so the bundle would be compared with nothing", "write the SHA-256 that the publisher says, or remove the key")
			return "", false
		}
		quiet := cursor{report: &report{}, node: pin.node, at: pin.at}
		if pinned = quiet.sha256(); pinned == "" {
			return "", false // told when the key is read
		}
		if info, err := os.Stat(path); err == nil && !bundle.Named(path) && !info.Mode().IsRegular() {
			pin.failKey("only a bundle in one file has a digest, and "+quote(named.node.Value)+" is a directory", "remove it, or name a file that `coordinator bundle build` has made")
			return "", false
		}
	}
	file, err := definition(path, pinned)
	switch {
	case errors.Is(err, bundle.ErrPinned):
		pin.fail(err.Error(), fault.Remedy(err))
	case err != nil:
		named.fail(err.Error(), fault.Remedy(err))
	}
	return file, err == nil
}
