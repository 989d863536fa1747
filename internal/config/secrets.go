package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"muster/internal/late"
	"muster/internal/manifest"
)

// SecretSource is where the value of a secret is to be had. A value never stands in cluster.yaml: the file is copied,
// reviewed and committed. One of the three is set.
type SecretSource struct {
	// File is a path relative to cluster.yaml, Env the name of a variable. Both are read by coordinator secret load.
	File string
	Env  string
	// Set says that the operator hands the value over with coordinator secret set.
	Set bool
}

const (
	// maxSecrets of the longest values still fit into one plan.
	maxSecrets = 64
	// 128 bits of chance cannot be guessed; above 512 nothing is gained.
	minSecretBytes, defaultSecretBytes, maxSecretBytes = 16, 32, 64
	// A shorter value can be guessed, and found by accident in any log that it is masked in.
	leastSecretLength, defaultSecretLength = 4, 8
)

// secret reads a bundle's declaration of a secret.
func (p *bundleParser) secret(name string, c cursor) manifest.Secret {
	out := manifest.Secret{Name: name}
	if !late.ValidSecretName(name) {
		c.failKey(quote(name)+" cannot name a secret", "write at most 63 lower-case letters, digits and underscores, beginning with a letter, so that templates can say .Secret."+"name")
	}
	var generate, given, per *cursor
	form := manifest.Form{Format: "line", MinLength: defaultSecretLength}
	var ofForm []cursor
	if !c.fields(
		may("summary", func(c cursor) { out.Summary = c.phrase() }),
		// Everything else in a bundle is for all roles unless it says otherwise. A secret is for nobody.
		must("roles", "list the roles that may read it, such as roles: ["+strings.Join(p.roles[:min(1, len(p.roles))], "")+"]; no other host is ever sent it", func(c cursor) {
			out.Roles = p.roleList(c)
			if c.node.Kind == yaml.SequenceNode && len(c.node.Content) == 0 {
				c.fail("must list at least one role", "name the roles that may read the secret, or remove it")
			}
		}),
		may("generate", func(c cursor) { generate, out.Generate = &c, c.recipe() }),
		may("given", func(c cursor) {
			if !c.boolean() && c.node.Tag == "!!bool" {
				c.fail("cannot be false", "leave given out and write generate: {} to let the coordinator make the value")
			}
			given, out.Given = &c, &form
		}),
		may("per", func(c cursor) { per, out.PerHost = &c, c.oneOf("cluster", "host") == "host" }),
		may("format", func(c cursor) { ofForm, form.Format = append(ofForm, c), c.oneOf(manifest.FormFormats...) }),
		may("pattern", func(c cursor) { ofForm, form.Pattern = append(ofForm, c), c.secretPattern() }),
		may("min_length", func(c cursor) {
			ofForm = append(ofForm, c)
			form.MinLength, _ = c.whole(leastSecretLength, late.MaxSecret)
		}),
	) {
		return out
	}
	switch {
	case generate == nil && given == nil:
		c.failKey("needs generate or given", "write generate: {} to let the coordinator make the value, or given: true if the operator has it")
	case generate != nil && given != nil:
		given.failKey(fmt.Sprintf("cannot stand together with generate (line %d)", generate.line()), "keep one of the two")
	case given == nil:
		for _, c := range ofForm {
			c.failKey("is only for secrets that are given", "remove it, or write it below generate: generate: {format: hex}")
		}
	case out.PerHost:
		per.fail("a given secret has one value for the cluster", "remove per, or let the coordinator make the values: generate: {}")
	}
	return out
}

// recipe reads how a value is made. generate: true is all of the defaults.
func (c cursor) recipe() *manifest.Recipe {
	r := &manifest.Recipe{Bytes: defaultSecretBytes, Format: manifest.RecipeFormats[0]}
	if c.node.Kind == yaml.ScalarNode && c.node.Tag == "!!bool" {
		if !c.boolean() {
			c.fail("cannot be false", "write given: true if the operator has the value")
		}
		return r
	}
	c.fields(
		may("bytes", func(c cursor) {
			if n, ok := c.whole(minSecretBytes, maxSecretBytes); ok {
				r.Bytes = n
			}
		}),
		may("format", func(c cursor) { r.Format = c.oneOf(manifest.RecipeFormats...) }),
	)
	return r
}

func (c cursor) secretPattern() string {
	s, ok := c.text()
	if !ok {
		return ""
	}
	if _, err := regexp.Compile(s); err != nil || s == "" {
		c.fail(quote(s)+" is not a regular expression", "write one in the syntax of RE2, such as ^[A-Za-z0-9]+$; it must match the whole value")
		return ""
	}
	return s
}

func (p *bundleParser) secrets(c cursor) {
	c.named(func(name string, c cursor) { p.bundle.Secrets = append(p.bundle.Secrets, p.secret(name, c)) })
	if len(p.bundle.Secrets) > maxSecrets {
		c.failKey(fmt.Sprintf("must be at most %d, found %d", maxSecrets, len(p.bundle.Secrets)), "keep what belongs together in one secret, such as a file of several lines")
	}
}

// readSecrets reads where the values come from and asks for those that nothing is said of.
func (p *clusterParser) readSecrets(top cursor, c *cursor) {
	sources := map[string]SecretSource{}
	p.cluster.Secrets = sources
	at := cursor{report: top.report, at: top.at, way: top.way.key("secrets")}
	if c != nil && c.node.Kind != yaml.MappingNode {
		c.fail("must be a mapping of names to sources", "write name: {file: path}, name: {env: NAME} or name: {set: true}, one a line, indented below this key")
		return
	}
	if c != nil {
		at.at = c.at
		c.named(func(name string, c cursor) {
			declared, ok := p.declared(name)
			switch {
			case p.bundle == nil:
			case !ok:
				c.failKey("the bundle declares no secret "+quote(name)+suggestion(name, p.secretNames()), p.secretsRemedy())
			case declared.PerHost:
				c.failKey("every host has its own value of this secret", "remove it; the coordinator makes the values")
			}
			sources[name] = c.secretSource(name)
		})
	}
	if p.bundle == nil {
		return
	}
	for _, s := range p.bundle.Secrets {
		if _, said := sources[s.Name]; !said && s.Given != nil {
			at.missing(s.Name, "is required: the bundle leaves the value of this secret to you",
				"write secrets: {"+s.Name+": {file: secrets/"+s.Name+"}}, or {env: NAME}, or {set: true} to hand it over with: coordinator secret set "+s.Name)
		}
	}
}

func (p *clusterParser) declared(name string) (manifest.Secret, bool) {
	if p.bundle != nil {
		for _, s := range p.bundle.Secrets {
			if s.Name == name {
				return s, true
			}
		}
	}
	return manifest.Secret{}, false
}

func (p *clusterParser) secretNames() []string {
	var names []string
	for _, s := range p.bundle.Secrets {
		names = append(names, s.Name)
	}
	return names
}

func (p *clusterParser) secretsRemedy() string {
	if names := p.secretNames(); len(names) > 0 {
		return "the bundle's secrets are " + join(names, "and")
	}
	return "remove it; the bundle has no secrets"
}

// valueWords are keys that somebody writes who wants to put the value itself here.
var valueWords = []string{"value", "text", "content", "literal", "data", "secret", "password", "plain"}

const noValueRemedy = "keep the value in a file with mode 0600 and write {file: path}, relative to this file; or {env: NAME}; " +
	"or {set: true} to hand it over with coordinator secret set. Change the value if this file was ever shared"

// secretSource reads one source. It never repeats what it finds: that may be the value.
func (c cursor) secretSource(name string) SecretSource {
	var out SecretSource
	if c.node.Kind != yaml.MappingNode {
		if c.empty() {
			c.failKey("says nothing of where the value comes from", "write {file: path}, {env: NAME} or {set: true}")
		} else {
			c.fail("the value of a secret must not stand in this file", noValueRemedy)
		}
		return out
	}
	for key, c := range c.entries() {
		if slices.Contains(valueWords, key) {
			c.failKey("the value of a secret must not stand in this file", noValueRemedy)
			return out
		}
	}
	var said []string
	good := c.fields(
		may("file", func(c cursor) { said, out.File = append(said, "file"), c.secretFile() }),
		may("env", func(c cursor) { said, out.Env = append(said, "env"), c.variable() }),
		may("set", func(c cursor) {
			said, out.Set = append(said, "set"), true
			if c.node.Kind != yaml.ScalarNode || c.node.Tag != "!!bool" || !strings.EqualFold(c.node.Value, "true") {
				c.fail("must be true", "write set: true, and hand the value over with: coordinator secret set "+name)
			}
		}),
	)
	if good && len(said) != 1 {
		c.failKey("needs one of file, env and set", "write {file: path}, {env: NAME} or {set: true}")
	}
	return out
}

func (c cursor) secretFile() string {
	if c.node.Kind != yaml.ScalarNode {
		c.fail("must be a path", "write the path of the file with the value, relative to this file, such as secrets/db_password")
		return ""
	}
	s := c.node.Value
	switch {
	case s == "" || strings.ContainsRune(s, 0) || strings.ContainsRune(s, '\n') || len(s) > 4096:
		c.fail("is not a path", "write the path of the file with the value, relative to this file, such as secrets/db_password")
	case filepath.IsAbs(s):
		c.fail("must be relative to this file", "write the path from the directory of this file, so that it is right on every machine")
	}
	return s
}

// variableName is what a variable of the environment is called.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

func (c cursor) variable() string {
	if c.node.Kind != yaml.ScalarNode || !variableName.MatchString(c.node.Value) {
		c.fail("is not the name of a variable", "write the name alone, such as DB_PASSWORD, without $ and without the value")
		return ""
	}
	return c.node.Value
}
