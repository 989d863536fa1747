package config

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Rule is what must hold between parameters, in the publisher's words. It is asked only when all of its keys have a
// value. Package render evaluates it; here its form is checked.
type Rule struct {
	// Assert is a template over .Param that prints true when the rule holds.
	Assert  string
	Message string
	Remedy  string
	// Keys are the parameters that the rule is about, such as cache.size; the operator is shown where they stand.
	Keys []string
	// Discovery says that the rule is about the cluster's way of discovery, too.
	Discovery bool
}

func (p *bundleParser) rule(c cursor) Rule {
	var r Rule
	c.fields(
		must("assert", "write a template that prints true when the rule holds, such as assert: '{{ lt .Param.low .Param.high }}'", func(c cursor) { r.Assert = braced(c.phrase()) }),
		must("message", "say what is wrong when the rule does not hold, such as message: low must be below high", func(c cursor) { r.Message = strings.TrimSpace(c.phrase()) }),
		must("remedy", "say what the operator is to change", func(c cursor) { r.Remedy = strings.TrimSpace(c.phrase()) }),
		must("keys", "list the parameters that the rule is about, such as keys: [low, high]", func(c cursor) { r.Keys, r.Discovery = p.ruleKeys(c) }),
	)
	return r
}

// braced makes a template of a bare pipeline.
func braced(s string) string {
	if s == "" || strings.Contains(s, "{{") {
		return s
	}
	return "{{ " + strings.TrimSpace(s) + " }}"
}

// ruleKeys reads names of parameters, those inside of others with dots between. The word discovery means the key of
// cluster.yaml, unless a parameter has that name.
func (p *bundleParser) ruleKeys(c cursor) (keys []string, discovery bool) {
	c.items(func(_ int, c cursor) {
		s, ok := c.text()
		switch {
		case !ok:
		case slices.Contains(keys, s):
			c.fail(quote(s)+" is in the list already", "remove one of the two")
		default:
			known, where := p.hasParameter(s)
			if !known && s == "discovery" {
				discovery = true
				return
			}
			if !known {
				c.fail("the bundle has no parameter "+quote(s)+suggestion(s, where), "write the name of a parameter; one inside of another as outer.inner")
				return
			}
			keys = append(keys, s)
		}
	})
	if c.node.Kind == yaml.SequenceNode && len(c.node.Content) == 0 {
		c.fail("must list at least one parameter", "list the parameters that the rule is about, such as [low, high]")
	}
	return keys, discovery
}

// hasParameter looks a parameter up in the schema's properties, and gives the names that there are where it fails. What
// a schema says by references or conditions is taken on trust.
func (p *bundleParser) hasParameter(key string) (bool, []string) {
	schema := p.bundle.Schema
	prefix := ""
	for part := range strings.SplitSeq(key, ".") {
		properties, listed := schema["properties"].(map[string]any)
		if !listed {
			t, typed := schema["type"]
			return prefix != "" && (!typed || t == "object"), nil
		}
		below, ok := properties[part]
		if !ok {
			var names []string
			for name := range properties {
				names = append(names, prefix+name)
			}
			slices.Sort(names)
			return false, names
		}
		schema, _ = below.(map[string]any)
		prefix += part + "."
	}
	return true, nil
}
