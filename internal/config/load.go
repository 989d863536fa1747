package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// bundleFile is what the file of a bundle is called in the bundle's directory.
const bundleFile = "bundle.yaml"

// LoadCluster reads a cluster.yaml and the bundle that it names, and checks both. The problems of cluster.yaml come
// first. The cluster is nil when any problem is more than a warning.
func LoadCluster(path string) (*Cluster, Problems) { return LoadClusterAnd(path, nil) }

// LoadClusterAnd is LoadCluster for who can find more mistakes than this package, so that all are said at once: of a file
// that is not valid, more is given what could be read and what is wrong with it. What it finds there is told in its place.
func LoadClusterAnd(path string, more func(*Cluster, Problems) Problems) (*Cluster, Problems) {
	data, problem := readFile(path)
	if problem != nil {
		return nil, Problems{*problem}
	}
	report, top := parse(path, data)
	if top == nil {
		report.concealUnread(filepath.Dir(path))
		return nil, report.sorted()
	}
	c := cursor{report: report, node: top, at: top}
	var bundle *Bundle
	var problems Problems
	if path, ok := c.namedBundle(filepath.Dir(path)); ok {
		bundle, problems = LoadBundle(path)
	}
	report.conceal(bundle, top)
	cluster := readCluster(c, bundle)
	own := report.sorted()
	if own.Err() != nil && bundle != nil && more != nil {
		own = append(slices.Clip(own), more(cluster, own)...)
		sortByPlace(own)
	}
	problems = append(own, problems...)
	if problems.Err() != nil {
		return nil, problems
	}
	return cluster, problems
}

// namedBundle finds the bundle.yaml that the key bundle leads to, false when there is none. What is wrong with the key itself
// is left to readCluster.
func (c cursor) namedBundle(dir string) (path string, ok bool) {
	named := valueOf(c, "bundle")
	if named == nil || !isText(named.node) {
		return "", false
	}
	quiet := cursor{report: &report{}, node: named.node, at: named.at}
	s, ok := quiet.bundlePath()
	if !ok {
		return "", false
	}
	path = filepath.Join(dir, s)
	info, err := os.Stat(path)
	if err != nil {
		named.fail(fmt.Sprintf("there is no bundle at %s: %v", strconv.Quote(path), cause(err)), "name the bundle's directory, relative to this file")
		return "", false
	}
	if path, ok = c.openNamed(*named, path); !ok {
		return "", false
	}
	if info.IsDir() {
		if _, err := os.Stat(path); err != nil {
			named.fail(fmt.Sprintf("the directory %s is not a bundle: it has no %s", strconv.Quote(filepath.Dir(path)), bundleFile), "name the directory that "+bundleFile+" lies in, relative to this file")
			return "", false
		}
	}
	return path, true
}

// LoadBundle reads a bundle.yaml, or the one in the directory or bundle file path, and looks whether the files that it names exist.
// The bundle is nil when any problem is more than a warning.
func LoadBundle(path string) (*Bundle, Problems) {
	path, problem := opened(path)
	if problem != nil {
		return nil, Problems{*problem}
	}
	data, problem := readFile(path)
	if problem != nil {
		return nil, Problems{*problem}
	}
	// The root keeps every path inside the bundle, also where a link leads out of it.
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, Problems{*unreadable(filepath.Dir(path), err)}
	}
	defer root.Close()
	bundle, problems := parseBundle(path, data, root.Stat)
	if bundle != nil {
		bundle.Dir = filepath.Dir(path)
	}
	return bundle, problems
}

// ParseBundle reads the text of a bundle.yaml; file is how messages name it. It touches no file: whether the templates,
// scripts and packages exist is left out, and Dir is empty.
func ParseBundle(file string, data []byte) (*Bundle, Problems) {
	return parseBundle(file, data, nil)
}

// ParseCluster reads the text of a cluster.yaml; file is how messages name it. The bundle that the text names is not
// read: bundle stands for it. When bundle is nil, what only a bundle can tell is not checked and no defaults of
// parameters are filled in.
func ParseCluster(file string, data []byte, bundle *Bundle) (*Cluster, Problems) {
	report, top := parse(file, data)
	report.conceal(bundle, top)
	if top == nil {
		return nil, report.sorted()
	}
	cluster := readCluster(cursor{report: report, node: top, at: top}, bundle)
	if report.failed() {
		return nil, report.sorted()
	}
	return cluster, report.sorted()
}

func readCluster(c cursor, bundle *Bundle) *Cluster {
	p := &clusterParser{cluster: &Cluster{File: c.file, Bundle: bundle}, bundle: bundle}
	if bundle != nil {
		for _, r := range bundle.Roles {
			p.roles = append(p.roles, string(r.Name))
		}
	}
	p.read(c)
	return p.cluster
}
