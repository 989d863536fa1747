package config

import (
	"encoding/json"
	"slices"
	"strings"

	"muster/internal/manifest"
)

// parametersPointer is where the schema of a cluster.yaml has that of the bundle's parameters.
const parametersPointer = "/properties/parameters"

// ClusterSchema gives the JSON Schema 2020-12 of a whole cluster.yaml of this bundle, for editors. The same bundle gives
// the same bytes. It never complains of a file that loads; what takes more than a schema to see, such as a host that is
// listed twice, only loading finds.
func ClusterSchema(b *BundleText) ([]byte, error) {
	s, err := b.parameters()
	if err != nil {
		return nil, err
	}
	parameters, err := editorSchema(s)
	if err != nil {
		return nil, err
	}
	parameters["type"] = orNull("object")
	top := object(map[string]any{
		"cluster": described("cluster", map[string]any{
			"type": "string", "pattern": dnsLabel.String(), "maxLength": maxClusterName, "not": map[string]any{"enum": texts(reservedClusters)},
		}),
		"bundle":        described("bundle", map[string]any{"type": "string", "pattern": "^[^/]"}),
		"bundle_sha256": described("bundle_sha256", map[string]any{"type": orNull("string"), "pattern": "^[0-9a-f]{64}$"}),
		"coordinator": described("coordinator", object(map[string]any{
			"addresses": described("coordinator.addresses", map[string]any{
				"type": "array", "minItems": 1, "uniqueItems": true, "items": map[string]any{"type": "string", "minLength": 1},
			}),
			"http_port": described("coordinator.http_port", port()),
			"grpc_port": described("coordinator.grpc_port", port()),
		}, "addresses")),
		"roles":      described("roles", rolesSchema(b.Roles)),
		"hosts":      described("hosts", map[string]any{"type": orNull("array"), "items": hostSchema(b.Roles)}),
		"address":    described("address", optional(addressSchema())),
		"endpoint":   described("endpoint", map[string]any{"type": orNull("string"), "minLength": 1}),
		"discovery":  described("discovery", map[string]any{"enum": []any{nil, string(DiscoveryStatic), string(DiscoveryCoordinator), string(DiscoveryEndpoint)}}),
		"resident":   described("resident", map[string]any{"type": []any{"boolean", "null"}}),
		"parameters": described("parameters", parameters),
		"secrets":    described("secrets", secretsSchema(b.Secrets)),
		"signing":    described("signing", signingSchema()),

		"attestation": described("attestation", attestationSchema(b.Roles)),
		"ssh": described("ssh", optional(object(map[string]any{
			"user": described("ssh.user", map[string]any{"type": orNull("string"), "pattern": userName.String()}),
			"port": described("ssh.port", port()),
		}))),
	}, slices.Concat([]string{"cluster", "bundle", "coordinator"}, requiredTops(b.Bundle, parameters))...)
	top["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	top["title"] = "cluster.yaml for " + b.Name + " " + b.Version
	if b.Summary != "" {
		top["description"] = b.Summary
	}
	data, err := json.MarshalIndent(top, "", "  ")
	return append(data, '\n'), err
}

func described(key string, m map[string]any) map[string]any {
	info, _ := infoOf(key)
	if info.what != "" {
		if _, own := m["description"]; !own {
			m["description"] = info.what
		}
	}
	if info.fallback != nil {
		m["default"] = info.fallback
	}
	return m
}

// object is a mapping that takes no other keys.
func object(properties map[string]any, required ...string) map[string]any {
	m := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		m["required"] = texts(required)
	}
	return m
}

// orNull is the type of what may be left empty after its key.
func orNull(t string) []any { return []any{t, "null"} }

func optional(m map[string]any) map[string]any {
	m["type"] = orNull("object")
	return m
}

func port() map[string]any {
	return map[string]any{"type": []any{"integer", "null"}, "minimum": 1, "maximum": 65535}
}

func texts[T ~string](words []T) []any {
	out := make([]any, len(words))
	for i, w := range words {
		out[i] = string(w)
	}
	return out
}

// requiredTops are the keys that a bundle makes required.
func requiredTops(b *Bundle, parameters map[string]any) []string {
	var out []string
	if slices.ContainsFunc(b.Secrets, func(s manifest.Secret) bool { return s.Given != nil }) {
		out = append(out, "secrets")
	}
	if slices.ContainsFunc(b.Roles, func(r Role) bool { return len(r.Counts) > 1 }) {
		out = append(out, "roles")
	}
	if list, ok := parameters["required"].([]any); ok && len(list) > 0 {
		out = append(out, "parameters")
	}
	return out
}

func rolesSchema(roles []Role) map[string]any {
	properties := map[string]any{}
	var required []string
	for _, r := range roles {
		fields := map[string]any{
			"select": described("roles.x.select", map[string]any{
				"type": orNull("object"), "propertyNames": map[string]any{"pattern": labelKey.String()}, "additionalProperties": map[string]any{"type": "string"},
			}),
			"allow_shared_tokens": described("roles.x.allow_shared_tokens", map[string]any{"type": []any{"boolean", "null"}}),
		}
		var must []string
		if r.Counted() {
			counts := make([]any, len(r.Counts))
			for i, n := range r.Counts {
				counts[i] = n
			}
			count := described("roles.x.count", map[string]any{"type": "integer", "enum": counts})
			if len(r.Counts) == 1 {
				count["enum"], count["type"], count["default"] = append(counts, nil), []any{"integer", "null"}, r.Counts[0]
			} else {
				must = []string{"count"}
				required = append(required, string(r.Name))
			}
			fields["count"] = count
			fields["zones"] = described("roles.x.zones", map[string]any{
				"type": orNull("array"), "minItems": 1, "uniqueItems": true, "items": map[string]any{"type": "string", "minLength": 1},
			})
			fields["take_over"] = described("roles.x.take_over", map[string]any{"type": orNull("string")})
		}
		role := object(fields, must...)
		if must == nil {
			role["type"] = orNull("object")
		}
		role["description"] = strings.TrimSpace(r.numberOfHosts() + ". " + r.Summary)
		properties[string(r.Name)] = role
	}
	m := object(properties, required...)
	if required == nil {
		m["type"] = orNull("object")
	}
	return m
}

func hostSchema(roles []Role) map[string]any {
	names := make([]any, len(roles))
	for i, r := range roles {
		names[i] = string(r.Name)
	}
	m := object(map[string]any{
		"name":    described("hosts[0].name", map[string]any{"type": orNull("string"), "minLength": 1, "maxLength": 253}),
		"address": described("hosts[0].address", map[string]any{"type": orNull("string"), "pattern": `^[0-9A-Fa-f.:]+$`}),
		"cidr":    described("hosts[0].cidr", map[string]any{"type": orNull("string"), "pattern": `^[0-9A-Fa-f.:]+/[0-9]+$`}),
		"role":    described("hosts[0].role", map[string]any{"enum": names}),
		"labels": described("hosts[0].labels", map[string]any{"type": orNull("object"), "propertyNames": map[string]any{"pattern": labelKey.String()},
			"additionalProperties": map[string]any{"type": "string", "maxLength": maxLabelValue}}),
	}, "role")
	m["anyOf"] = []any{map[string]any{"required": []any{"address"}}, map[string]any{"required": []any{"name"}}, map[string]any{"required": []any{"cidr"}}}
	return m
}

func addressSchema() map[string]any {
	m := object(map[string]any{
		"cidr":      described("address.cidr", map[string]any{"type": orNull("string"), "pattern": `^[0-9A-Fa-f.:]+/[0-9]+$`}),
		"interface": described("address.interface", map[string]any{"type": orNull("string"), "pattern": `^[^/ ]+$`, "maxLength": 15}),
	})
	m["minProperties"] = 1
	return m
}

// secretsSchema has an entry for each secret whose value may come from the operator.
func secretsSchema(secrets []manifest.Secret) map[string]any {
	properties := map[string]any{}
	var required []string
	for _, s := range secrets {
		if s.PerHost {
			continue
		}
		source := object(map[string]any{
			"file": map[string]any{"type": "string", "pattern": "^[^/]", "description": "A file with the value, relative to this one."},
			"env":  map[string]any{"type": "string", "pattern": variableName.String(), "description": "The name of a variable with the value."},
			"set":  map[string]any{"const": true, "description": "Handed over with coordinator secret set " + s.Name + "."},
		})
		source["minProperties"], source["maxProperties"] = 1, 1
		if s.Summary != "" {
			source["description"] = s.Summary
		}
		properties[s.Name] = source
		if s.Given != nil {
			required = append(required, s.Name)
		}
	}
	m := object(properties, required...)
	if required == nil {
		m["type"] = orNull("object")
	}
	return m
}
