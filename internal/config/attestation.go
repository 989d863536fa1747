package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"muster/internal/attest"
	"muster/internal/manifest"
)

// defaultAWSWindow is as long as a join token is good.
const defaultAWSWindow = 30 * time.Minute

const policiesKey = "attestation.aws.policies"

// maxCertificateFile is the longest file of certificates in bytes that is read.
const maxCertificateFile = 64 << 10

// attestation reads who may join by the word of their cloud. The roles have been read before.
func (p *clusterParser) attestation(c cursor) *manifest.Attestation {
	var out manifest.Attestation
	c.fields(must("aws", "write aws: {policies: ...}, or remove attestation", func(c cursor) { out.AWS = p.aws(c) }))
	return &out
}

func (p *clusterParser) aws(c cursor) *manifest.AWS {
	out := &manifest.AWS{Policies: map[string]manifest.AWSPolicy{}}
	var policies *cursor
	c.fields(
		must("policies", "name at least one, such as policies: {workers: {role: ..., accounts: [...], regions: [...]}}", func(c cursor) { policies = &c }),
		may("certificates", func(c cursor) { out.Certificates = c.certificates() }),
	)
	if policies == nil {
		return out
	}
	policies.named(func(name string, c cursor) {
		if !manifest.IsLabel(name) {
			c.failKey(quote(name)+" cannot name a policy", "write at most 63 lower-case letters, digits and hyphens, such as workers")
		}
		out.Policies[name] = p.awsPolicy(c, out.Certificates)
	})
	if policies.node.Kind == yaml.MappingNode && len(policies.node.Content) == 0 {
		policies.fail("must have at least one policy", "name one, such as workers: {role: ..., accounts: [...], regions: [...]}, or remove attestation")
	}
	return out
}

func (p *clusterParser) awsPolicy(c cursor, own map[string]string) manifest.AWSPolicy {
	out := manifest.AWSPolicy{Window: manifest.Span(defaultAWSWindow)}
	images := false
	good := c.fields(
		must("role", "write what the instances become", func(c cursor) { out.Role = p.policyRole(c) }),
		must("accounts", `list the accounts, such as accounts: ["123456789012"]; without, anybody's instances would do`, func(c cursor) {
			out.Accounts = c.distinct("account", cursor.awsAccount)
		}),
		must("regions", "list the regions, such as regions: [eu-central-1]", func(c cursor) {
			out.Regions = c.distinct("region", func(c cursor) (string, bool) { return c.regionOf(own) })
		}),
		may("images", func(c cursor) { images, out.Images = true, c.distinct("image", cursor.awsImage) }),
		may("labels", func(c cursor) { out.Labels = c.policyLabels() }),
		may("window", func(c cursor) {
			if d := c.duration(manifest.MaxAWSWindow); d > 0 {
				out.Window = manifest.Span(d)
			}
		}),
	)
	if role, ok := p.find(string(out.Role)); ok && good && !images && role.Counted() {
		// Else every instance of the account, whoever started it and with what, could become one of the few.
		c.missing("images", "is required, because the role "+string(role.Name)+" has a fixed number of members",
			"list the images that its hosts are launched from, such as images: [ami-0123456789abcdef0]")
	}
	return out
}

func (p *clusterParser) policyRole(c cursor) manifest.Role {
	s, ok := c.text()
	if ok && p.bundle != nil && !slices.Contains(p.roles, s) {
		c.fail("the bundle defines no role "+quote(s)+suggestion(s, p.roles), undefinedRoleRemedy(p.roles))
		return ""
	}
	return manifest.Role(s)
}

// distinct reads a list of at least one thing, each once.
func (c cursor) distinct(what string, read func(cursor) (string, bool)) []string {
	var out []string
	seen := map[string]int{}
	c.items(func(_ int, c cursor) {
		s, ok := read(c)
		if !ok {
			return
		}
		if line, ok := seen[s]; ok {
			c.fail(fmt.Sprintf("%s is listed twice: first in line %d, again here", quote(s), line), "remove one of the two")
			return
		}
		seen[s] = c.line()
		out = append(out, s)
	})
	if c.node.Kind == yaml.SequenceNode && len(c.node.Content) == 0 {
		c.fail("must list at least one "+what, "write each one that instances may be of")
	}
	return out
}

// account reads the number of an account. Without quotes it is a number, and of 012345678901 other programs would make
// another one.
func (c cursor) awsAccount() (string, bool) {
	s := c.node.Value
	if c.node.Kind == yaml.ScalarNode && isNumber(c.node) {
		c.fail("must be 12 digits in quotes, found the number "+s, "write "+quote(s)+" with the quotes: as a number it can lose its zeros")
		return "", false
	}
	s, ok := c.text()
	if ok && !manifest.IsAWSAccount(s) {
		remedy := "write the 12 digits of the account, in quotes, as `aws sts get-caller-identity` shows them"
		if short := strings.ReplaceAll(s, "-", ""); manifest.IsAWSAccount(short) {
			remedy = "write " + quote(short) + ", without hyphens"
		}
		c.fail(quote(s)+" is not the number of an AWS account", remedy)
		return "", false
	}
	return s, ok
}

func (c cursor) regionOf(own map[string]string) (string, bool) {
	s, ok := c.text()
	if !ok || !c.checkRegion(s) {
		return "", false
	}
	builtin := attest.Builtin()
	if builtin[s] == nil && own[s] == "" {
		c.fail("there is no certificate of the region "+quote(s)+suggestion(s, builtin.Regions()),
			"if it is written right, get its RSA-2048 certificate from the EC2 User Guide and write certificates: {"+s+": certs/"+s+".pem} beside policies")
		return "", false
	}
	return s, true
}

func (c cursor) checkRegion(s string) bool {
	if manifest.IsAWSRegion(s) {
		return true
	}
	remedy := "write a region, such as eu-central-1"
	if zone := strings.TrimRight(s, "abcdefgh"); zone != s && manifest.IsAWSRegion(zone) {
		remedy = "write the region " + zone + "; " + quote(s) + " is one of its zones"
	}
	c.fail(quote(s)+" is not an AWS region", remedy)
	return false
}

func (c cursor) awsImage() (string, bool) {
	s, ok := c.text()
	if ok && !manifest.IsAWSImage(s) {
		c.fail(quote(s)+" is not the ID of an image", "write the ID of the AMI, such as ami-0123456789abcdef0, not its name")
		return "", false
	}
	return s, ok
}

// policyLabels reads labels, of which a document gives some itself.
func (c cursor) policyLabels() map[string]string {
	return c.values(func(c cursor, s string) {
		if slices.Contains(attest.Reserved, s) {
			c.failKey("the label "+quote(s)+" comes from the instance identity document", "remove it")
			return
		}
		checkLabelKey(c, s)
	}, checkLabelValue)
}

// certificates reads the files with the certificates of regions, and keeps their text.
func (c cursor) certificates() map[string]string {
	out := map[string]string{}
	c.named(func(region string, c cursor) {
		if !manifest.IsAWSRegion(region) {
			c.failKey(quote(region)+" is not an AWS region", "write a region, such as eu-central-1")
			return
		}
		const remedy = "copy the RSA-2048 certificate of the region from the page on AWS public certificates in the EC2 User Guide"
		s, ok := c.text()
		switch {
		case !ok:
			return
		case s == "" || strings.ContainsRune(s, 0) || filepath.IsAbs(s):
			c.fail("must be a path relative to this file, found "+quote(s), "write the path of a PEM file from the directory of this file, so that it is right on every machine")
			return
		}
		text, err := readSmall(filepath.Join(filepath.Dir(c.file), s))
		if err == nil {
			_, err = attest.ParseCertificates(text)
		}
		if err != nil {
			c.fail(fmt.Sprintf("the certificate %s cannot be used: %v", quote(s), cause(err)), remedy)
			return
		}
		out[region] = string(text)
	})
	return out
}

func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("it is not a regular file")
	case info.Size() > maxCertificateFile:
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", info.Size(), maxCertificateFile)
	}
	return os.ReadFile(path)
}

// attestationSchema is for editors.
func attestationSchema(roles []Role) map[string]any {
	names := make([]any, len(roles))
	for i, r := range roles {
		names[i] = string(r.Name)
	}
	list := func(pattern string) map[string]any {
		return map[string]any{"type": "array", "minItems": 1, "uniqueItems": true, "items": map[string]any{"type": "string", "pattern": pattern}}
	}
	orNone := func(m map[string]any) map[string]any {
		m["type"] = orNull("array")
		return m
	}
	key := func(field string) string { return policiesKey + ".x." + field }
	policy := object(map[string]any{
		"role":     described(key("role"), map[string]any{"enum": names}),
		"accounts": described(key("accounts"), list("^[0-9]{12}$")),
		"regions":  described(key("regions"), list("^[a-z0-9]+(-[a-z0-9]+)+-[a-z0-9]*[0-9]$")),
		"images":   described(key("images"), orNone(list("^ami-([0-9a-f]{8}|[0-9a-f]{17})$"))),
		"labels": described(key("labels"), map[string]any{"type": orNull("object"),
			"propertyNames":        map[string]any{"pattern": labelKey.String(), "not": map[string]any{"enum": texts(attest.Reserved)}},
			"additionalProperties": map[string]any{"type": "string", "maxLength": maxLabelValue}}),
		"window": described(key("window"), map[string]any{"type": orNull("string")}),
	}, "role", "accounts", "regions")
	return optional(object(map[string]any{
		"aws": described("attestation.aws", object(map[string]any{
			"policies": described(policiesKey, map[string]any{
				"type": "object", "minProperties": 1, "propertyNames": map[string]any{"pattern": dnsLabel.String()}, "additionalProperties": policy,
			}),
			"certificates": described("attestation.aws.certificates", map[string]any{
				"type": orNull("object"), "additionalProperties": map[string]any{"type": "string", "pattern": "^[^/]"},
			}),
		}, "policies")),
	}, "aws"))
}

// attestation explains the keys of the section.
func (s *Site) attestation() []Explained {
	a := s.Cluster.Attestation
	if a == nil || a.AWS == nil {
		return []Explained{s.own("attestation", nil)}
	}
	var out []Explained
	for _, name := range sortedKeys(a.AWS.Policies) {
		p := a.AWS.Policies[name]
		key := policiesKey + "." + name + "."
		out = append(out,
			s.own(key+"role", string(p.Role)),
			s.own(key+"accounts", anyList(p.Accounts)),
			s.own(key+"regions", anyList(p.Regions)),
		)
		if p.Images != nil {
			out = append(out, s.own(key+"images", anyList(p.Images)))
		}
		if p.Labels != nil {
			out = append(out, s.own(key+"labels", s.data("attestation", "aws", "policies", name, "labels")))
		}
		out = append(out, s.own(key+"window", short(time.Duration(p.Window))))
	}
	if a.AWS.Certificates != nil {
		out = append(out, s.own("attestation.aws.certificates", s.data("attestation", "aws", "certificates")))
	}
	return out
}
