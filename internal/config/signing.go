package config

import (
	"crypto/ed25519"
	"fmt"
	"path/filepath"

	"gopkg.in/yaml.v3"

	"muster/internal/manifest"
	"muster/internal/sign"
)

// signing reads whose word on a generation counts. The id is the cluster's name unless another is given.
func (c cursor) signing(cluster string) *manifest.Signing {
	out := &manifest.Signing{ID: cluster, Expires: sign.DefaultExpires}
	var keys, threshold *cursor
	if !c.fields(
		may("id", func(c cursor) { out.ID = c.label("a cluster id") }),
		must("keys", "list the public keys that `coordinator key generate` printed, or the files that hold them", func(c cursor) { keys, out.Keys = &c, c.signingKeys() }),
		may("threshold", func(c cursor) {
			threshold = &c
			out.Threshold, _ = c.whole(1, sign.MaxKeys)
		}),
		may("expires", func(c cursor) { out.Expires = c.duration(sign.MaxExpires) }),
	) || keys == nil {
		return nil
	}
	switch n := len(out.Keys); {
	case threshold == nil:
		// Whoever lists two keys and says no more does not mean that one of them will do.
		out.Threshold = n
	case out.Threshold > n && n > 0:
		threshold.fail(fmt.Sprintf("is %d, and there are %d keys", out.Threshold, n), "list more keys, or lower the threshold")
	}
	return out
}

// label reads a DNS label.
func (c cursor) label(what string) string {
	s, ok := c.text()
	if ok && !manifest.IsLabel(s) {
		c.fail(quote(s)+" cannot be "+what, "write lower-case letters, digits and hyphens, such as prod-eu")
	}
	return s
}

func (c cursor) signingKeys() []string {
	var out []string
	seen := map[string]int{}
	c.items(func(_ int, c cursor) {
		s, ok := c.text()
		if !ok {
			return
		}
		key, ok := c.signingKey(s)
		if !ok {
			return
		}
		encoded := sign.EncodeKey(key)
		if line, ok := seen[encoded]; ok {
			// Else one key would count twice towards the threshold.
			c.fail(fmt.Sprintf("is the same key as in line %d", line), "remove one of the two; a key counts once")
			return
		}
		seen[encoded] = c.line()
		out = append(out, encoded)
	})
	switch n := len(c.node.Content); {
	case c.node.Kind != yaml.SequenceNode:
	case n == 0:
		c.fail("must list at least one key", "list the public keys that `coordinator key generate` printed, or remove signing")
	case n > sign.MaxKeys:
		c.fail(fmt.Sprintf("lists %d keys, at most %d are possible", n, sign.MaxKeys), "keep those of the people who sign")
	}
	return out
}

// signingKey takes the key itself or the file that it is in.
func (c cursor) signingKey(s string) (ed25519.PublicKey, bool) {
	const remedy = "write the line that `coordinator key public FILE` prints, or the path of a file with it, relative to this file"
	key, err := sign.ParseKey(s)
	if err == nil {
		return key, true
	}
	if filepath.IsAbs(s) {
		c.fail("must be relative to this file, found "+quote(s), "write the path from the directory of this file, so that it is right on every machine")
		return nil, false
	}
	key, fileErr := sign.ReadPublic(filepath.Join(filepath.Dir(c.file), s))
	if fileErr != nil {
		c.fail(fmt.Sprintf("%s is neither a key (%v) nor the file of one (%v)", quote(s), err, cause(fileErr)), remedy)
		return nil, false
	}
	return key, true
}

// signingSchema is for editors.
func signingSchema() map[string]any {
	return optional(object(map[string]any{
		"id":        described("signing.id", map[string]any{"type": orNull("string"), "maxLength": 63}),
		"keys":      described("signing.keys", map[string]any{"type": "array", "minItems": 1, "maxItems": sign.MaxKeys, "items": map[string]any{"type": "string", "minLength": 1}}),
		"threshold": described("signing.threshold", map[string]any{"type": orNull("integer"), "minimum": 1, "maximum": sign.MaxKeys}),
		"expires":   described("signing.expires", map[string]any{"type": orNull("string")}),
	}, "keys"))
}

// signing explains the keys of the section.
func (s *Site) signing() []Explained {
	k := s.Cluster.Signing
	if k == nil {
		return []Explained{s.own("signing", nil)}
	}
	return []Explained{
		s.own("signing.id", k.ID),
		s.own("signing.keys", anyList(k.Keys)),
		s.own("signing.threshold", int64(k.Threshold)),
		s.own("signing.expires", short(k.Expires)),
	}
}
