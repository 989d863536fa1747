package config

import (
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"muster/internal/manifest"
)

// Origin says why a key has its value.
type Origin string

// The origins.
const (
	// FromFile: cluster.yaml says it.
	FromFile Origin = "cluster.yaml"
	// FromBundle: the bundle's default.
	FromBundle Origin = "bundle default"
	// FromMuster: Muster's own default.
	FromMuster Origin = "Muster's default"
	// Derived: what else is there leaves no choice.
	Derived Origin = "derived"
	// NotSet: it has no value, which is allowed.
	NotSet Origin = "not set"
)

// Explained is one key of a cluster config, with what is to know about it.
type Explained struct {
	Key string `json:"key"`
	// Value is the decoded value; Masked when it is secret, and nil when it is not set.
	Value  any    `json:"value"`
	Origin Origin `json:"origin"`
	// At is where the value stands, if it does.
	At *Place `json:"at,omitempty"`
	// Why adds a sentence to a derived value.
	Why         string `json:"why,omitempty"`
	Description string `json:"description,omitempty"`
	Allowed     string `json:"allowed,omitempty"`
	// Default is what holds when cluster.yaml says nothing, DefaultAt where that is said.
	Default   any    `json:"default,omitempty"`
	DefaultAt *Place `json:"default_at,omitempty"`
	Secret    bool   `json:"secret,omitempty"`
	Uses      []Use  `json:"uses,omitempty"`
}

// Keys explains every key of the cluster config without its uses: cluster.yaml's own in the order of keyInfos, then the
// parameters in the publisher's. Mappings appear as their entries, lists as a whole.
func (s *Site) Keys() []Explained {
	c := s.Cluster
	var out []Explained
	own := func(key string, value any) { out = append(out, s.own(key, value)) }
	own("cluster", c.Name)
	_, bundle := childNode(s.top, "bundle")
	own("bundle", bundle.Value)
	if _, pin := childNode(s.top, "bundle_sha256"); pin != nil {
		own("bundle_sha256", pin.Value)
	}
	own("coordinator.addresses", anyList(c.Coordinator.Addresses))
	own("coordinator.http_port", int64(c.Coordinator.HTTPPort))
	own("coordinator.grpc_port", int64(c.Coordinator.GRPCPort))
	for _, r := range c.Bundle.Roles {
		out = append(out, s.role(r)...)
	}
	own("hosts", s.data("hosts"))
	if c.Address.CIDR.IsValid() {
		own("address.cidr", c.Address.CIDR.String())
	} else if c.Address.Interface != "" {
		own("address.interface", c.Address.Interface)
	} else {
		own("address", nil)
	}
	own("endpoint", orNil(c.Endpoint))
	own("discovery", string(c.Discovery))
	own("resident", c.Resident)
	out = append(out, s.secretSources()...)
	out = append(out, s.signing()...)
	out = append(out, s.attestation()...)
	own("ssh.user", c.SSH.User)
	own("ssh.port", int64(c.SSH.Port))
	return append(out, s.parameters()...)
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func anyList(words []string) any {
	out := make([]any, len(words))
	for i, w := range words {
		out[i] = w
	}
	return out
}

// data decodes what the file says below keys.
func (s *Site) data(keys ...string) any {
	_, node := descend(s.top, keys...)
	if node == nil {
		return nil
	}
	v, _ := cursor{report: &report{}, node: node, at: node}.data()
	return v
}

// own explains one of cluster.yaml's own keys. Without a place in the file, its value is Muster's.
func (s *Site) own(key string, value any) Explained {
	info, _ := infoOf(key)
	e := Explained{Key: key, Value: value, Origin: NotSet, Description: info.what, Allowed: info.terms, Default: info.fallback}
	_, node := descend(s.top, strings.Split(key, ".")...)
	switch {
	case node != nil && node.Tag != "!!null":
		e.Origin, e.At = FromFile, &Place{s.File, node.Line}
	case value != nil:
		e.Origin = FromMuster
	}
	return e
}

func (s *Site) role(r Role) []Explained {
	said := s.Roles[r.Name]
	prefix := "roles." + string(r.Name) + "."
	var out []Explained
	if r.Counted() {
		e := s.own(prefix+"count", int64(said.Count))
		e.Allowed = choice(r.Counts)
		e.Description = strings.TrimSpace(e.Description + " " + sentence(r.Summary))
		if e.Origin != FromFile {
			e.Origin, e.Why = Derived, "the bundle allows no other number"
			if key, _ := descend(s.Source.top, "roles", string(r.Name), "counts"); key != nil {
				e.At = &Place{s.Source.File, key.Line}
			}
		}
		out = append(out, e)
	}
	if said.Select != nil {
		out = append(out, s.own(prefix+"select", s.data("roles", string(r.Name), "select")))
	}
	if said.AllowSharedTokens {
		out = append(out, s.own(prefix+"allow_shared_tokens", true))
	}
	if said.Zones != nil {
		out = append(out, s.own(prefix+"zones", anyList(said.Zones)))
	}
	if said.TakeOver > 0 {
		out = append(out, s.own(prefix+"take_over", short(said.TakeOver)))
	}
	return out
}

// secretSources explains where the values of secrets come from. The values are nowhere here.
func (s *Site) secretSources() []Explained {
	var out []Explained
	for _, secret := range s.Bundle.Secrets {
		key := "secrets." + secret.Name
		e := s.own(key, nil)
		e.Description = secret.Summary
		if e.Origin == FromFile {
			source := s.Secrets[secret.Name]
			switch {
			case source.File != "":
				e.Value = map[string]any{"file": source.File}
			case source.Env != "":
				e.Value = map[string]any{"env": source.Env}
			default:
				e.Value = map[string]any{"set": true}
			}
		} else {
			e.Value, e.Origin, e.Why = "generated", Derived, "the coordinator makes the value"
			if secret.PerHost {
				e.Allowed, e.Why = "", "the coordinator makes a value for each host"
			}
			if _, node := descend(s.Source.top, "secrets", secret.Name); node != nil {
				e.At = &Place{s.Source.File, node.Line}
			}
		}
		out = append(out, e)
	}
	return out
}

func (s *Site) parameters() []Explained {
	text := s.Source.parametersText()
	_, node := childNode(s.top, "parameters")
	x := parameterExplainer{site: s, secrets: text}
	x.below([]string{"parameters"}, text.top(), s.Parameters, node, nil)
	return x.out
}

// parameterExplainer walks the parameters, the schema, the file and the defaults side by side.
type parameterExplainer struct {
	site    *Site
	secrets *schemaText
	out     []Explained
}

// below explains the entries of a mapping; node is the mapping in the file, byDefault the one in the bundle that it was
// filled in from.
func (x *parameterExplainer) below(way []string, v view, value map[string]any, node, byDefault *yaml.Node) {
	names := v.properties()
	for _, name := range sortedKeys(value) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		p, _ := v.property(name)
		if p.in == nil {
			p = view{in: x.secrets}
		}
		given, there := value[name]
		x.entry(append(slices.Clip(way), name), p, given, there, node, byDefault)
	}
}

func (x *parameterExplainer) entry(way []string, p view, value any, there bool, node, byDefault *yaml.Node) {
	name := way[len(way)-1]
	fallback, fallbackNode, hasDefault := p.fallback()
	_, inFile := childNode(node, name)
	_, inDefault := childNode(byDefault, name)
	if inDefault == nil && inFile == nil {
		inDefault = fallbackNode
	}
	secret := p.secret()
	if below, ok := value.(map[string]any); ok && !secret && len(below)+len(p.properties()) > 0 && len(way) <= maxDepth {
		x.below(way, p, below, inFile, inDefault)
		return
	}
	e := Explained{Key: joinKey(way), Value: value, Origin: NotSet, Description: p.description(), Allowed: p.terms(), Secret: secret}
	if hasDefault {
		e.Default = fallback
		if fallbackNode != nil {
			e.DefaultAt = &Place{x.site.Source.File, fallbackNode.Line}
		}
	}
	switch {
	case inFile != nil:
		e.Origin, e.At = FromFile, &Place{x.site.File, inFile.Line}
	case there:
		e.Origin = FromBundle
		if inDefault != nil {
			e.At = &Place{x.site.Source.File, inDefault.Line}
		}
	}
	if secret {
		e.hide(there)
	} else {
		// A list may hold secrets.
		e.Value = maskBelow([]view{p}, e.Value)
		e.Default = maskBelow([]view{p}, e.Default)
	}
	x.out = append(x.out, e)
}

func (e *Explained) hide(there bool) {
	if there {
		e.Value = Masked
	}
	if e.Default != nil {
		e.Default = Masked
	}
}

// joinKey writes a way as problems do.
func joinKey(way []string) string {
	var t *trail
	for _, name := range way {
		t = t.key(name)
	}
	return t.String()
}

// Explain explains one key. A parameter may be named without parameters. before it, and a mapping as a whole. The second
// result is a suggestion, or empty, when there is no such key.
func (s *Site) Explain(key string, uses []Use) (found []Explained, near string) {
	all := s.Keys()
	for _, key := range []string{key, "parameters." + key} {
		for _, e := range all {
			if e.Key == key || strings.HasPrefix(e.Key, key+".") || strings.HasPrefix(e.Key, key+"[") {
				e.Uses = s.usesOf(e.Key, uses)
				found = append(found, e)
			}
		}
		if found != nil {
			return found, ""
		}
	}
	if e, ok := s.inside(key); ok {
		return []Explained{e}, ""
	}
	var known []string
	for _, e := range all {
		known = append(known, e.Key)
		if short, ok := strings.CutPrefix(e.Key, "parameters."); ok {
			known = append(known, short)
		}
	}
	for _, info := range keyInfos {
		if !strings.ContainsAny(info.key, "*[") {
			known = append(known, info.key)
		}
	}
	return nil, nearest(key, known)
}

// inside explains a key of cluster.yaml that Keys gives only as part of another, such as hosts[3].address, or that it
// leaves out because nothing is said.
func (s *Site) inside(key string) (Explained, bool) {
	info, ok := infoOf(key)
	if !ok {
		return Explained{}, false
	}
	if rest, isHost := strings.CutPrefix(key, "hosts["); isHost {
		index, field, _ := strings.Cut(rest, "].")
		i, err := strconv.Atoi(index)
		_, hosts := childNode(s.top, "hosts")
		if err != nil || i < 0 || hosts == nil || i >= len(hosts.Content) {
			return Explained{}, false
		}
		e := Explained{Key: key, Origin: NotSet, Description: info.what, Allowed: info.terms}
		if _, node := childNode(hosts.Content[i], field); node != nil {
			e.Value, _ = cursor{report: &report{}, node: node, at: node}.data()
			e.Origin, e.At = FromFile, &Place{s.File, node.Line}
		}
		return e, true
	}
	if rest, isRole := strings.CutPrefix(key, "roles."); isRole {
		role, field, _ := strings.Cut(rest, ".")
		r, ok := (&clusterParser{bundle: s.Bundle}).find(role)
		if !ok || field == "count" && !r.Counted() {
			return Explained{}, false
		}
	}
	if strings.HasPrefix(key, "secrets.") {
		return Explained{}, false
	}
	return s.own(key, nil), true
}

// usesOf picks the uses of a key.
func (s *Site) usesOf(key string, uses []Use) []Use {
	var out []Use
	for _, u := range uses {
		if s.reads(u, key) {
			out = append(out, u)
		}
	}
	return out
}

// reads says whether a use reads a key, or a part of it, or all around it.
func (s *Site) reads(u Use, key string) bool {
	switch u.path[0] {
	case "Param":
		way := joinKey(append([]string{"parameters"}, u.path[1:]...))
		return way == key || strings.HasPrefix(way, key+".") || strings.HasPrefix(key, way+".")
	case "Cluster":
		if len(u.path) > 1 && u.path[1] == "Discovery" {
			return key == "discovery"
		}
		return key == "cluster"
	case "Endpoint":
		return key == "endpoint"
	case "Secret":
		name, isSecret := strings.CutPrefix(key, "secrets.")
		return isSecret && (len(u.path) == 1 || u.path[1] == name)
	case "Role":
		count, isCount := strings.CutSuffix(strings.TrimPrefix(key, "roles."), ".count")
		return isCount && len(u.path) > 1 && u.path[1] == "Count" && slices.Contains(u.Roles, manifest.Role(count))
	case "Roster":
		count, isCount := strings.CutSuffix(strings.TrimPrefix(key, "roles."), ".count")
		return isCount && (len(u.path) == 1 || u.path[1] == count)
	}
	return false
}
