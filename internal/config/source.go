package config

import (
	"fmt"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"muster/internal/bundle"
)

// BundleText is a bundle with the text that it was read from: its parameters in the publisher's order, and where each
// thing stands. Only the text is read: packages need not be built to explain a parameter.
type BundleText struct {
	*Bundle
	// File is the path of bundle.yaml.
	File string
	// Packed is the path of the one file that the bundle came in, if it did.
	Packed string
	top    *yaml.Node
}

// ReadBundle reads a bundle.yaml, or the one in the directory or bundle file path.
func ReadBundle(path string) (*BundleText, Problems) {
	file, problem := opened(path)
	if problem != nil {
		return nil, Problems{*problem}
	}
	data, problem := readFile(file)
	if problem != nil {
		return nil, Problems{*problem}
	}
	b, problems := ParseBundleText(file, data)
	if b != nil {
		b.Dir = filepath.Dir(file)
		if bundle.Named(path) {
			b.Packed = path
		}
	}
	return b, problems
}

// ParseBundleText is ReadBundle on bytes. It touches no file.
func ParseBundleText(file string, data []byte) (*BundleText, Problems) {
	bundle, problems := ParseBundle(file, data)
	if bundle == nil {
		return nil, problems
	}
	_, top := parse(file, data)
	return &BundleText{Bundle: bundle, File: file, top: top}, problems
}

// Site is a cluster config with its bundle and with the texts of both.
type Site struct {
	*Cluster
	Source *BundleText
	top    *yaml.Node
}

// ReadSite reads a cluster.yaml and the text of the bundle that it names. Of the problems, none shows the value of a
// secret parameter.
func ReadSite(path string) (*Site, Problems) {
	data, problem := readFile(path)
	if problem != nil {
		return nil, Problems{*problem}
	}
	report, top := parse(path, data)
	if top == nil {
		report.concealUnread(filepath.Dir(path))
		return nil, report.sorted()
	}
	report.conceal(nil, top)
	var bundle *BundleText
	var problems Problems
	if path, ok := (cursor{report: report, node: top, at: top}).namedBundle(filepath.Dir(path)); ok {
		bundle, problems = ReadBundle(path)
	}
	if report.failed() || problems.Err() != nil {
		return nil, append(report.sorted(), problems...)
	}
	site, found := ParseSite(path, data, bundle)
	return site, append(found, problems...)
}

// ParseSite is ReadSite on bytes. It touches no file; the bundle may be nil when the text names none, which is a
// problem that is told.
func ParseSite(file string, data []byte, bundle *BundleText) (*Site, Problems) {
	var plain *Bundle
	if bundle != nil {
		plain = bundle.Bundle
	}
	cluster, problems := ParseCluster(file, data, plain)
	if cluster == nil {
		return nil, problems
	}
	_, top := parse(file, data)
	return &Site{cluster, bundle, top}, problems
}

// Place is where something stands.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
}

// String gives the place as editors take it.
func (p Place) String() string {
	if p.Line == 0 {
		return printable(p.File)
	}
	return fmt.Sprintf("%s:%d", printable(p.File), p.Line)
}

// childNode gives a key of a mapping with its value, nil if there is none.
func childNode(n *yaml.Node, name string) (key, value *yaml.Node) {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// descend follows keys.
func descend(n *yaml.Node, names ...string) (key, value *yaml.Node) {
	key, value = n, n
	for _, name := range names {
		if key, value = childNode(value, name); value == nil {
			return nil, nil
		}
	}
	return key, value
}

// lastLine is the last line of a value, as far as the tree tells.
func lastLine(n *yaml.Node) int {
	last := n.Line
	if n.Kind == yaml.ScalarNode && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		// One more at the end costs nothing.
		return last + 1 + strings.Count(n.Value, "\n")
	}
	if n.Kind == yaml.ScalarNode && n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		last += strings.Count(n.Value, "\n")
	}
	for _, below := range n.Content {
		last = max(last, lastLine(below))
	}
	return last
}
