package render

import (
	"encoding/json"
	"maps"
	"math"
	"strconv"

	"muster/internal/late"
)

// Context is the early values that the templates of one role see.
type Context struct {
	// Param is the operator's parameters, defaults filled in, as decoded JSON or YAML values.
	Param   map[string]any
	Cluster ClusterInfo
	Role    RoleInfo
}

// ClusterInfo is .Cluster.
type ClusterInfo struct {
	Name string
	// Root is the directory of the installation, Data that of what outlives it.
	Root, Data string
	// Discovery is how other hosts find the members of the counted roles: static, coordinator or endpoint.
	Discovery string
}

// RoleInfo is .Role.
type RoleInfo struct {
	Name string
	// Count is the number of members of a counted role, 0 for an open one.
	Count int
}

// Renderer renders the templates of one role. Like its Space it is not safe for concurrent use.
type Renderer struct {
	space     *late.Space
	data      map[string]any
	counted   bool
	preflight bool
	// withheld says why .Secret is not there, if it is not.
	withheld *late.Error
}

// New makes a renderer of one role. What the templates print becomes the space's table.
func New(c Context, space *late.Space) *Renderer {
	r := &Renderer{space: space, counted: c.Role.Count > 0}
	r.data = map[string]any{
		"Param":   plain(c.Param),
		"Cluster": map[string]any{"Name": c.Cluster.Name, "Root": c.Cluster.Root, "Data": c.Cluster.Data, "Discovery": c.Cluster.Discovery},
		"Role":    map[string]any{"Name": c.Role.Name, "Count": c.Role.Count},
		"Host":    space.Host,
		"Roster":  space.Roster,
		"Secret":  space.Secret,
	}
	if (space.Endpoint != late.Value{}) {
		r.data["Endpoint"] = space.Endpoint
	}
	return r
}

// Preflight gives a renderer for what runs before the roster is known: of the late values it has .Host alone.
func (r *Renderer) Preflight() *Renderer {
	limited := r.without("Roster", "Endpoint", "Secret")
	limited.preflight = true
	limited.withheld = &late.Error{
		Message: ".Secret is not known here: a host is given secrets only when it installs, after preflight",
		Remedy:  "make this a postflight check",
	}
	return limited
}

// WithoutSecrets gives a renderer for what others can read. The error says so of whatever uses a secret in it.
func (r *Renderer) WithoutSecrets(why *late.Error) *Renderer {
	limited := r.without("Secret")
	if limited.withheld == nil {
		limited.withheld = why
	}
	return limited
}

func (r *Renderer) without(keys ...string) *Renderer {
	limited := *r
	limited.data = maps.Clone(r.data)
	for _, key := range keys {
		delete(limited.data, key)
	}
	return &limited
}

// plain copies decoded values, so that no template sees a later change, and makes every whole number an int: a decoder
// gives 21000000 as a float, which would print as 2.1e+07 and index nothing.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, item := range v {
			m[key] = plain(item)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = plain(item)
		}
		return list
	case json.Number:
		if n, err := strconv.Atoi(v.String()); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return plain(f)
		}
		return v.String()
	case float64:
		// Up to here a float holds every whole number exactly.
		const exact = 1 << 53
		if v == math.Trunc(v) && math.Abs(v) <= exact {
			return int(v)
		}
	case int64:
		return int(v)
	case uint64:
		if v <= math.MaxInt {
			return int(v)
		}
	}
	return v
}
