package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"muster/internal/manifest"
)

// Conversion is a cluster.yaml made of the ancestor's config.
type Conversion struct {
	// YAML is the file with every value. HidingYAML has comments in the place of secret values, for a terminal; the
	// two are the same when there are none.
	YAML, HidingYAML []byte
	// Secrets says that the two differ.
	Secrets bool
	// Warnings name what was not taken over, or not as it was, each with the reason.
	Warnings Problems
}

// ConvertOptions are what a conversion says that the ancestor's config does not know.
type ConvertOptions struct {
	// Bundle is the bundle that the cluster is to have. When it is nil, no parameter can be converted.
	Bundle *BundleText
	// Path is the way from the new file's directory to the bundle.
	Path string
}

// Convert reads the ancestor's config, a JSON object whose values are strings or its later YAML form, and gives the
// cluster.yaml that says the same. Every key of it is in the result, or is named in the warnings and in comments at the
// end of the result. The conversion is nil when the text cannot be read.
func Convert(file string, data []byte, o ConvertOptions) (*Conversion, Problems) {
	report, top := parseLegacy(file, data)
	if top == nil || report.failed() {
		return nil, report.sorted()
	}
	c := &converter{cursor: cursor{report: report, node: top, at: top}, bundle: o.Bundle, taken: map[string]bool{}}
	c.out.counts = map[string]string{}
	c.readCluster()
	c.readCoordinator()
	c.readHosts()
	c.readDiscovery()
	c.readSSH()
	c.readParameters()
	c.readRest()
	if report.failed() {
		// A number that programs read in two ways. What would not have been converted is of no interest now.
		return nil, slices.DeleteFunc(report.sorted(), func(p Problem) bool { return p.Warning })
	}
	out := &Conversion{YAML: []byte(c.write(o, false)), Secrets: c.secrets}
	out.HidingYAML = out.YAML
	if c.secrets {
		out.HidingYAML = []byte(c.write(o, true))
	}
	c.checkResult(out)
	out.Warnings = report.sorted()
	return out, nil
}

// converter goes through the ancestor's config and collects what cluster.yaml says.
type converter struct {
	cursor
	bundle *BundleText
	// taken are the keys that have found their place or are left over for a reason that was told.
	taken   map[string]bool
	left    []leftover
	secrets bool

	out struct {
		name      string
		addresses []string
		httpPort  int
		hosts     []string
		counts    map[string]string
		discovery Discovery
		endpoint  string
		user      string
		port      int
		// parameters are in the order of the ancestor's file.
		parameters []convertedParameter
	}
}

type convertedParameter struct {
	name   string
	value  any
	secret bool
}

// leftover is a key, or a part of its value, that has no place.
type leftover struct {
	key, value, reason string
	line               int
}

// leave tells that a value is not taken over.
func (c *converter) leave(v cursor, reason, remedy string) {
	p := Problem{Line: v.node.Line, Column: v.node.Column, Key: v.way.String(), Message: "is not converted: " + reason, Remedy: remedy, Warning: true}
	c.add(p)
	value := legacyText(v.node)
	if looksSecret(v.way.String()) || c.isSecret(v.way.String()) {
		// The comment goes into a file that people share, and the terminal into their logs.
		value = Masked
		c.unshow(v.node)
	}
	c.left = append(c.left, leftover{v.way.String(), value, reason, v.node.Line})
}

// unshow takes the lines of a value out of all that is shown of the file.
func (c *converter) unshow(n *yaml.Node) {
	for line := n.Line; line <= lastLine(n) && line <= len(c.lines); line++ {
		c.lines[line-1] = ""
	}
	for i := range c.problems {
		if p := &c.problems[i]; n.Line <= p.Line && p.Line <= lastLine(n) {
			p.Source = ""
		}
	}
}

// secretWords begin or end the names of values that nobody wants to see in a log.
var secretWords = []string{"password", "passwd", "passphrase", "secret", "token", "credential", "private_key", "access_key", "api_key"}

// looksSecret guesses by the name, where no schema says it.
func looksSecret(key string) bool {
	key = strings.ReplaceAll(strings.ToLower(key), "-", "_")
	return slices.ContainsFunc(secretWords, func(w string) bool { return strings.Contains(key, w) })
}

// legacyText shows a value of the file, cut to a length that suits a comment.
func legacyText(n *yaml.Node) string {
	const longest = 200
	v, ok := cursor{report: &report{}, node: n, at: n}.data()
	if !ok && n.Kind == yaml.ScalarNode {
		v = n.Value // a number that nobody can be sure of
	}
	text := []rune(flow(v))
	if len(text) > longest {
		return string(text[:longest]) + "…"
	}
	return string(text)
}

// take gives a key of the file if it has a value.
func (c *converter) take(key string) (cursor, bool) {
	v := valueOf(c.cursor, key)
	if v == nil {
		return cursor{}, false
	}
	c.taken[key] = true
	if v.empty() || v.node.Kind == yaml.ScalarNode && v.node.Value == "" {
		c.leave(*v, "it has no value", "leave it out")
		return cursor{}, false
	}
	return *v, true
}

// scalar gives the text of a single value; anything else is left over.
func (c *converter) scalar(key, want string) (cursor, string, bool) {
	v, ok := c.take(key)
	if ok && v.node.Kind != yaml.ScalarNode {
		c.leave(v, "it must be a single value, found "+describe(v.node), "write "+want+" by hand")
		ok = false
	}
	if !ok {
		return v, "", false
	}
	return v, strings.TrimSpace(v.node.Value), true
}

func (c *converter) readCluster() {
	v, s, ok := c.scalar("cluster_name", "cluster:")
	if !ok {
		return
	}
	c.out.name = labelFrom(s)
	switch c.out.name {
	case s:
	case "":
		c.leave(v, quote(s)+" cannot name a cluster, nor anything like it", "choose a name of lower-case letters, digits and hyphens")
	default:
		v.warn("the cluster's name became "+c.out.name+": it is part of paths and units on every host", "choose another one in cluster.yaml if you like, before the first host joins")
	}
}

// readCoordinator reads where the ancestor's hosts fetched from.
func (c *converter) readCoordinator() {
	v, s, ok := c.scalar("bootstrap_url", "coordinator:")
	if !ok {
		return
	}
	const remedy = "write in coordinator.addresses where hosts reach the coordinator"
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		c.leave(v, "it names no host that serves by HTTP", remedy)
		return
	case u.User != nil:
		c.unshow(v.node)
		c.left = append(c.left, leftover{"bootstrap_url", Masked, "it holds credentials", v.node.Line})
		v.warn("is not converted: it holds credentials", remedy)
		return
	}
	host := u.Hostname()
	if !isHost(host) {
		c.leave(v, quote(host)+" is neither a host name nor an IP address", remedy)
		return
	}
	port := 80
	if u.Scheme == "https" {
		port = 443
		v.warn("was HTTPS; the coordinator serves artifacts by HTTP, each verified by its digest", "see that http_port is right")
	}
	if u.Port() != "" {
		n, err := strconv.Atoi(u.Port())
		if err != nil || n < 1 || n > 65535 {
			c.leave(v, quote(u.Port())+" is not a port", remedy)
			return
		}
		port = n
	}
	if port == defaultGRPCPort {
		c.leave(v, fmt.Sprintf("port %d is the coordinator's gRPC port", port), "set coordinator.http_port and grpc_port by hand")
		port = defaultHTTPPort
	}
	if path := strings.Trim(u.Path, "/"); path != "" || u.RawQuery != "" {
		v.warn("the path "+quote(u.RequestURI())+" of the URL is dropped: artifacts have paths of their own", "nothing, unless a web server of your own is to serve them")
	}
	c.out.addresses, c.out.httpPort = []string{host}, port
}

// unpacked gives the list that a value is: itself, or as JSON in a string, or words with commas between them.
func unpacked(v cursor) (items []cursor, ok bool) {
	node := v.node
	if node.Kind == yaml.ScalarNode && isText(node) {
		inner, good := unpackText(node)
		switch {
		case good && inner.Kind == yaml.SequenceNode:
			node = inner
		case good && inner.Kind == yaml.MappingNode:
			return nil, false
		default:
			inner := &yaml.Node{Kind: yaml.SequenceNode}
			for _, word := range strings.FieldsFunc(node.Value, func(r rune) bool { return strings.ContainsRune(" ,\n\t[]", r) }) {
				inner.Content = append(inner.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: word, Line: node.Line, Column: node.Column})
			}
			node = inner
		}
	}
	if node.Kind != yaml.SequenceNode {
		return nil, false
	}
	for i, item := range node.Content {
		items = append(items, cursor{report: v.report, node: item, at: item, way: v.way.item(i)})
	}
	return items, true
}

// unpackText reads the JSON that a string holds. All of it has the place of the string.
func unpackText(n *yaml.Node) (*yaml.Node, bool) {
	_, wrapped := parseJSON("", []byte(`{"v":`+n.Value+"\n}"))
	if wrapped == nil || len(wrapped.Content) != 2 {
		return nil, false
	}
	inner := wrapped.Content[1]
	var place func(*yaml.Node)
	place = func(m *yaml.Node) {
		m.Line, m.Column = n.Line, n.Column
		for _, below := range m.Content {
			place(below)
		}
	}
	place(inner)
	return inner, true
}

func (c *converter) readHosts() {
	seen := map[string]string{}
	for _, legacy := range legacyRoles {
		v, ok := c.take(legacy.key)
		if !ok {
			continue
		}
		role, known := Role{Name: manifest.Role(legacy.role)}, true
		if c.bundle != nil {
			role, known = (&clusterParser{bundle: c.bundle.Bundle}).find(legacy.role)
		}
		if !known {
			c.leave(v, "the bundle has no role "+legacy.role, "list the hosts in cluster.yaml with a role of the bundle: "+choice(roleNamesOf(c.bundle.Bundle)))
			continue
		}
		items, ok := unpacked(v)
		if !ok {
			c.leave(v, "it is not a list", "list the hosts in cluster.yaml by hand")
			continue
		}
		n := 0
		for _, item := range items {
			if c.host(item, legacy.role, legacy.key, seen) {
				n++
			}
		}
		c.count(v, legacy.key, role, n)
	}
}

func roleNamesOf(b *Bundle) []string {
	var names []string
	for _, r := range b.Roles {
		names = append(names, string(r.Name))
	}
	return names
}

// host takes one host over.
func (c *converter) host(v cursor, role, list string, seen map[string]string) bool {
	s := strings.TrimSpace(v.node.Value)
	quiet := hostsParser{names: map[string]int{}, addresses: map[netip.Addr]int{}}
	check := cursor{report: &report{}, node: &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}, at: v.node}
	kind := "name"
	if looksLikeAddress(s) {
		kind = "address"
		quiet.address(check)
	} else {
		quiet.name(check)
	}
	if v.node.Kind != yaml.ScalarNode || check.failed() {
		reason := "it names no host"
		if len(check.problems) > 0 {
			reason = check.problems[0].Message
		}
		c.leave(v, reason, "write the host into cluster.yaml by its address")
		return false
	}
	key := strings.ToLower(s)
	if a, err := netip.ParseAddr(s); err == nil {
		key = a.Unmap().String()
	}
	if first, ok := seen[key]; ok {
		c.leave(v, quote(s)+" is in "+first+" already; a host has one role", "remove it from one of the two")
		return false
	}
	seen[key] = list
	c.out.hosts = append(c.out.hosts, fmt.Sprintf("{%s: %s, role: %s}", kind, flowText(s), flowText(role)))
	return true
}

// count says how many members a counted role has, if there is a choice.
func (c *converter) count(v cursor, list string, role Role, n int) {
	switch {
	case c.bundle == nil && role.Name == "master" && n > 0:
		c.out.counts[string(role.Name)] = fmt.Sprintf("{count: %d}", n)
	case !role.Counted():
	case slices.Contains(role.Counts, n):
		c.out.counts[string(role.Name)] = fmt.Sprintf("{count: %d}", n)
	default:
		c.out.counts[string(role.Name)] = fmt.Sprintf("%s{count: %s}; %s has %s", fillInMark, choice(role.Counts), list, count(n, "host"))
		v.warn(fmt.Sprintf("has %s, and the bundle allows %s with the role %s", count(n, "host"), choice(role.Counts), role.Name), "correct the list of hosts in cluster.yaml")
	}
}

func (c *converter) readSSH() {
	if v, s, ok := c.scalar("ssh_user", "ssh.user"); ok {
		if userName.MatchString(s) {
			c.out.user = s
		} else {
			c.leave(v, quote(s)+" cannot be a user name", "set ssh.user")
		}
	}
	if v, s, ok := c.scalar("ssh_port", "ssh.port"); ok {
		if n, err := strconv.Atoi(s); err == nil && n >= 1 && n <= 65535 && decimal.MatchString(s) {
			c.out.port = n
		} else {
			c.leave(v, quote(s)+" is not a port", "set ssh.port to a number from 1 to 65535")
		}
	}
}

// readRest names the keys that nothing wanted.
func (c *converter) readRest() {
	for key, v := range c.entries() {
		if c.taken[key] {
			continue
		}
		known, ok := legacyReasons[key]
		switch {
		case c.isSecret(key):
			c.leave(v, "secrets do not stand in a cluster config", "hand it over with `coordinator secret set "+key+"`, or write secrets: {"+key+": {file: path}}")
		case ok:
			c.leave(v, known.reason, known.remedy)
		case c.bundle == nil:
			c.leave(v, "without a bundle, its parameters are not known", "convert again with --bundle")
		default:
			near := suggestion(key, c.bundle.parametersText().top().properties())
			c.leave(v, "the bundle has no parameter of that name"+near, "leave it out if the software does not need it, or ask the publisher of the bundle")
		}
	}
}

// isSecret says whether the bundle has a secret of that name.
func (c *converter) isSecret(name string) bool {
	return c.bundle != nil && slices.ContainsFunc(c.bundle.Secrets, func(s manifest.Secret) bool { return s.Name == name })
}
