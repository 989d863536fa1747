package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	report.conceal()
	if top == nil {
		return nil, report.sorted()
	}
	bundle, problems := readNamedBundle(cursor{report: report, node: top, at: top}, filepath.Dir(path))
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
	_, top := parse(file, data)
	if bundle != nil && top != nil {
		problems = bundle.parametersText().hideSecrets(top, problems)
	}
	if cluster == nil {
		return nil, problems
	}
	return &Site{cluster, bundle, top}, problems
}

// readNamedBundle is loadNamedBundle for the text alone.
func readNamedBundle(c cursor, dir string) (*BundleText, Problems) {
	named := valueOf(c, "bundle")
	if named == nil || !isText(named.node) {
		return nil, nil
	}
	quiet := cursor{report: &report{}, node: named.node, at: named.at}
	s, ok := quiet.bundlePath()
	if !ok {
		return nil, nil
	}
	path := filepath.Join(dir, s)
	if _, err := os.Stat(path); err == nil {
		if path, ok = c.openNamed(*named, path); !ok {
			return nil, nil
		}
	}
	if _, err := os.Stat(path); err != nil {
		named.fail(fmt.Sprintf("there is no bundle at %s: %v", quote(path), cause(err)), "name the directory that "+bundleFile+" lies in, relative to this file")
		return nil, nil
	}
	return ReadBundle(path)
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

// hideSecrets takes the values of secret parameters out of problems: a message repeats the value, and the offending
// line is one that may hold another's.
func (s *schemaText) hideSecrets(top *yaml.Node, problems Problems) Problems {
	_, parameters := childNode(top, "parameters")
	if parameters == nil || len(problems) == 0 {
		return problems
	}
	type span struct {
		key         string
		first, last int
	}
	var spans []span
	s.eachSecret(parameters, (*trail)(nil).key("parameters"), func(n *yaml.Node, way *trail) {
		spans = append(spans, span{way.String(), n.Line, lastLine(n)})
	})
	if len(spans) == 0 {
		return problems
	}
	out := slices.Clone(problems)
	for i := range out {
		p := &out[i]
		for _, secret := range spans {
			if secret.first <= p.Line && p.Line <= secret.last {
				p.Source = ""
			}
			if p.Key == secret.key || strings.HasPrefix(p.Key, secret.key+".") || strings.HasPrefix(p.Key, secret.key+"[") {
				p.Message = "is not valid; the value is not shown because the bundle marks it as secret"
				p.Remedy = "correct it; `coordinator config explain " + secret.key + "` says what is allowed"
			}
		}
	}
	return out
}
