package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"muster/internal/config"
	"muster/internal/fault"
	"muster/internal/show"
)

func configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Explain, convert and compare cluster configs", Args: cobra.NoArgs}
	c.AddCommand(explainCommand(), convertCommand(), diffCommand())
	return c
}

func explainCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "explain [KEY] [CLUSTER_YAML]",
		Short: "Say what a key's value is, where it comes from and what uses it",
		Long: `Says the value of a key of the cluster config (cluster.yaml in this directory unless another is named), in which
file and line it stands, what may be written, and which templates, units, checks, steps and rules of the bundle read it.
A parameter may be named with or without "parameters." before it. Without a key: a table of all of them.

Values that the bundle marks as secret are never shown.`,
		Example: "  coordinator config explain\n  coordinator config explain client_port prod/cluster.yaml",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := show.ParseFormat(output)
			if err != nil {
				return usageError(err)
			}
			key, file := explainArgs(args)
			return explain(cmd, key, file, format)
		},
	}
	outputFlag(c, &output)
	return c
}

// explainArgs tells the key from the file: a single argument that is a file, or looks like one, is no key.
func explainArgs(args []string) (key, file string) {
	file = "cluster.yaml"
	switch len(args) {
	case 2:
		return args[0], args[1]
	case 1:
		ext := filepath.Ext(args[0])
		info, err := os.Stat(args[0])
		if ext == ".yaml" || ext == ".yml" || err == nil && info.Mode().IsRegular() {
			return "", args[0]
		}
		return args[0], file
	}
	return "", file
}

func explain(cmd *cobra.Command, key, file string, format show.Format) error {
	site, err := readSite(cmd, file)
	if err != nil {
		return err
	}
	if key == "" {
		keys := site.Keys()
		if format != show.FormatTable {
			return document(cmd.OutOrStdout(), format, keys)
		}
		return config.RenderKeys(cmd.OutOrStdout(), keys)
	}
	uses, problems, err := bundleUses(site.Source)
	if err != nil {
		return err
	}
	if err := renderProblems(cmd.ErrOrStderr(), problems); err != nil {
		return err
	}
	found, near := site.Explain(key, uses)
	if len(found) == 0 {
		message := fmt.Sprintf("%s has no key %q", file, key)
		if near != "" {
			message += fmt.Sprintf("; did you mean %q?", near)
		}
		return usageError(fault.New(fault.NotFound, "`coordinator config explain` without a key lists all of them", "%s", message))
	}
	if format != show.FormatTable {
		return document(cmd.OutOrStdout(), format, found)
	}
	for i, e := range found {
		if i > 0 {
			fmt.Fprintln(cmd.OutOrStdout())
		}
		if err := e.Render(cmd.OutOrStdout()); err != nil {
			return err
		}
	}
	return nil
}

// readSite reads a cluster config with its bundle's text and shows what is wrong.
func readSite(cmd *cobra.Command, file string) (*config.Site, error) {
	site, problems := config.ReadSite(file)
	if err := renderProblems(cmd.ErrOrStderr(), problems); err != nil {
		return nil, err
	}
	if site == nil {
		return nil, usageError(fmt.Errorf("%s or its bundle is not valid", file))
	}
	return site, nil
}

// bundleUses reads the bundle's templates. A link cannot lead out of the bundle.
func bundleUses(b *config.BundleText) ([]config.Use, config.Problems, error) {
	root, err := os.OpenRoot(b.Dir)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	const longest = 16 << 20
	uses, problems := b.Uses(func(path string) ([]byte, error) {
		f, err := root.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			return nil, errors.Join(err, errors.New("it is not a regular file"))
		}
		return io.ReadAll(io.LimitReader(f, longest))
	})
	return uses, problems, nil
}

// document writes any value in the notation of the other commands.
func document(w io.Writer, format show.Format, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	// Numbers stay as they are: a large one must not become 1e+06.
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var plain any
	if err := decoder.Decode(&plain); err != nil {
		return err
	}
	return show.Document(w, format, numbers(plain))
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64() // it was one before
		return f
	case map[string]any:
		for key, below := range v {
			v[key] = numbers(below)
		}
	case []any:
		for i, below := range v {
			v[i] = numbers(below)
		}
	}
	return v
}
