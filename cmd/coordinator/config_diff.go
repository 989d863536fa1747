package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"muster/internal/artifacts"
	"muster/internal/config"
	"muster/internal/fault"
	"muster/internal/manifest"
	"muster/internal/show"
)

func diffCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say what changes between two cluster configs or generations",
		Long: `Compares two cluster configs, two directories that genconf wrote, or one of each: which keys have another value,
which files, units, checks, steps and packages of which roles change, and which listed hosts. A cluster config is
rendered for that, in a temporary directory; its packages are not compared, because they are not packed.

Values that the bundle marks as writeOnly are not shown. A generation does not hold them, so whether they changed is told
of two cluster configs only.`,
		Example: "  coordinator config diff genconf cluster.yaml",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := show.ParseFormat(output)
			if err != nil {
				return usageError(err)
			}
			return diff(cmd, args[0], args[1], format)
		},
	}
	outputFlag(c, &output)
	return c
}

func diff(cmd *cobra.Command, old, now string, format show.Format) error {
	before, err := loadSide(cmd, old)
	if err != nil {
		return err
	}
	after, err := loadSide(cmd, now)
	if err != nil {
		return err
	}
	d := config.Compare(before.Side, after.Side)
	if !before.packed || !after.packed {
		d.NotCompared = append(d.NotCompared, "packages, which are only known of a generation")
	}
	if format != show.FormatTable {
		return document(cmd.OutOrStdout(), format, d)
	}
	return d.Render(cmd.OutOrStdout())
}

// side is one of what is compared.
type side struct {
	config.Side
	// packed says that the packages are known.
	packed bool
}

func loadSide(cmd *cobra.Command, path string) (*side, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, usageError(fault.New(fault.NotFound, "name a cluster.yaml or a directory that `coordinator genconf` wrote", "%s cannot be read", path).Because(err))
	}
	if info.IsDir() {
		s, err := loadGeneration(path, true)
		if err != nil {
			return nil, usageError(err)
		}
		s.Label = path
		return s, nil
	}
	site, err := readSite(cmd, path)
	if err != nil {
		return nil, err
	}
	s, err := renderSide(cmd.Context(), site.Cluster)
	if err != nil {
		var problems config.Problems
		if errors.As(err, &problems) {
			err = errors.Join(problems.Render(cmd.ErrOrStderr()), usageError(fmt.Errorf("%s or its bundle is not valid", path)))
		}
		return nil, err
	}
	s.Label, s.Bundle = path, site.Source
	// Of two cluster configs all is compared, what no generation holds, too.
	s.Config["parameters"] = site.Parameters
	return s, nil
}

// renderSide makes the generation of a cluster config without its packages, where nobody looks, and loads it: so both
// kinds of sides come from the same code.
func renderSide(ctx context.Context, cluster *config.Cluster) (s *side, err error) {
	dir, err := os.MkdirTemp("", "coordinator-diff-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	agent := filepath.Join(dir, "agent")
	if err := os.WriteFile(agent, []byte("none"), 0o600); err != nil {
		return nil, err
	}
	bare, bundle := *cluster, *cluster.Bundle
	bundle.Packages = nil
	bare.Bundle = &bundle
	out := filepath.Join(dir, "genconf")
	if _, err := artifacts.Generate(ctx, &bare, artifacts.Options{Agents: map[manifest.Arch]string{"amd64": agent}, Out: out}); err != nil {
		return nil, err
	}
	return loadGeneration(out, false)
}

// loadGeneration reads what a generation is about.
func loadGeneration(dir string, packed bool) (*side, error) {
	g, manifests, err := artifacts.Load(dir)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return nil, err
	}
	var effective map[string]any
	if err := json.Unmarshal(data, &effective); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "config.json"), err)
	}
	delete(effective, "hosts")
	s := &side{Side: config.Side{Config: asNumbers(effective), Hosts: g.Hosts}, packed: packed}
	for _, r := range g.Roles {
		state, err := roleState(dir, g, manifests[r.Name], packed)
		if err != nil {
			return nil, err
		}
		s.Roles = append(s.Roles, state)
	}
	return s, nil
}

// asNumbers gives whole numbers their type back.
func asNumbers(m map[string]any) map[string]any {
	var walk func(v any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case float64:
			if v == float64(int64(v)) {
				return int64(v)
			}
		case map[string]any:
			for key, below := range v {
				v[key] = walk(below)
			}
		case []any:
			for i, below := range v {
				v[i] = walk(below)
			}
		}
		return v
	}
	walk(m)
	return m
}

// roleState fingerprints what a role has. Placeholders have other names in every generation, so what they stand for is
// put in their place.
func roleState(dir string, g *manifest.Generation, m *manifest.Manifest, packed bool) (config.RoleState, error) {
	parts := map[string]map[string]string{"file": {}, "unit": {}, config.KindLate: {}}
	state := config.RoleState{Name: m.Role, Parts: parts}
	files, err := readConfigBlob(dir, m.Config)
	if err != nil {
		return state, err
	}
	plain := placeholders(m.Late)
	for path, f := range files {
		kind, name := "file", path
		if unit, ok := strings.CutPrefix(path, "units/"); ok {
			kind, name = "unit", unit
		}
		parts[kind][name] = fmt.Sprintf("%v %s", f.mode, plain.Replace(f.text))
	}
	if err := manifestParts(m, plain, parts); err != nil {
		return state, err
	}
	for _, slot := range m.Late.Slots {
		parts[config.KindLate][slot.Ref] = lateValue(g, m, slot.Ref)
	}
	if !packed {
		delete(parts, "package")
	}
	return state, nil
}

// lateValue is what a late value will be as far as the generation knows it.
func lateValue(g *manifest.Generation, m *manifest.Manifest, ref string) string {
	if ref == "Endpoint" {
		return g.Endpoint
	}
	for role, members := range m.Roster {
		for i, member := range members {
			if strings.HasPrefix(ref, fmt.Sprintf("Roster.%s[%d].", role, i)) {
				return fmt.Sprint(member)
			}
		}
	}
	return ""
}

// manifestParts takes what the manifest says of each check, step and package. It goes by the manifest's JSON, so that
// what is added to it later is compared as well.
func manifestParts(m *manifest.Manifest, plain *strings.Replacer, parts map[string]map[string]string) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var said map[string]json.RawMessage
	if err := json.Unmarshal(data, &said); err != nil {
		return err
	}
	for list, kind := range map[string]string{"checks": "check", "steps": "step", "packages": "package", "secrets": "secret", "directories": "directory"} {
		var items []map[string]any
		if said[list] == nil || json.Unmarshal(said[list], &items) != nil {
			continue // this manifest has none, or not as a list
		}
		parts[kind] = map[string]string{}
		for i, item := range items {
			name, _ := item["name"].(string)
			if name == "" {
				name, _ = item["path"].(string)
			}
			if name == "" {
				name = fmt.Sprint(i)
			}
			text, err := json.Marshal(item)
			if err != nil {
				return err
			}
			parts[kind][name] = plain.Replace(string(text))
		}
	}
	return nil
}

// placeholders replaces each by its late value and encoders.
func placeholders(t manifest.LateTable) *strings.Replacer {
	var pairs []string
	for i, slot := range t.Slots {
		pairs = append(pairs, fmt.Sprintf("%s%d@", t.Marker, i), "\x00{"+strings.Join(append([]string{slot.Ref}, slot.Encode...), " | ")+"}")
	}
	return strings.NewReplacer(pairs...)
}
