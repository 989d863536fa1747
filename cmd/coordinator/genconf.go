package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/artifacts"
	"muster/internal/config"
	"muster/internal/fault"
	"muster/internal/manifest"
	"muster/internal/show"
)

func genconfCommand() *cobra.Command {
	var out, agents, output string
	var check bool
	var signing signingFlags
	c := &cobra.Command{
		Use:   "genconf [CLUSTER_YAML]",
		Short: "Generate what the hosts install, from cluster.yaml and its bundle",
		Long: `Validates the cluster config (cluster.yaml in this directory unless another is named) and its bundle, renders
and packs everything, and writes a directory that the coordinator or any static web server can serve. An
earlier generation there is replaced in one step, and kept below generations/. The same input gives the same bytes.

With signing in cluster.yaml the generation gets a statement to be signed, here (--sign-key) or where the key is
(coordinator sign). It alone depends on time and history: its version follows the one in --out, and it expires.

When something is wrong, all of it is said at once, nothing is written, and the exit code is 2. With -o json or yaml the
problems are one document on the standard output, for editors and pipelines.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := "cluster.yaml"
			if len(args) == 1 {
				file = args[0]
			}
			format, err := show.ParseFormat(output)
			if err != nil {
				return usageError(err)
			}
			return genconf(cmd, file, out, agents, check, format, signing)
		},
	}
	outputFlag(c, &output)
	c.Flags().StringVar(&out, "out", "genconf", "directory to write")
	c.Flags().StringVar(&agents, "agents", "", "directory with the bootstrap agents (default: that of this program)")
	c.Flags().BoolVar(&check, "check", false, "only validate, write nothing")
	c.Flags().StringArrayVar(&signing.keys, "sign-key", nil, "file of a signing key to sign with; may be repeated")
	c.Flags().Uint64Var(&signing.version, "version", 0, "version of the signed statement (default: the one after that in --out)")
	c.Flags().IntVar(&signing.keep, "keep", defaultKeep, "how many earlier generations stay in --out")
	return c
}

// signingFlags are what genconf is told of signing and of the generations before.
type signingFlags struct {
	keys    []string
	version uint64
	keep    int
}

// checked is what genconf says of its input to programs.
type checked struct {
	Valid    bool            `json:"valid"`
	Problems config.Problems `json:"problems"`
	// ConfigID and Out are those of what was generated.
	ConfigID manifest.ConfigID `json:"config_id,omitempty"`
	Out      string            `json:"out,omitempty"`
}

// say tells people the problems, and programs all of it.
func (d checked) say(cmd *cobra.Command, format show.Format) error {
	if format == show.FormatTable {
		return renderProblems(cmd.ErrOrStderr(), d.Problems)
	}
	if d.Problems == nil {
		d.Problems = config.Problems{}
	}
	return document(cmd.OutOrStdout(), format, d)
}

func genconf(cmd *cobra.Command, file, out, agents string, check bool, format show.Format, signing signingFlags) error {
	if signing.keep < 0 {
		return usageError(fmt.Errorf("--keep %d: cannot be less than 0", signing.keep))
	}
	began := time.Now()
	cluster, problems := config.LoadClusterAnd(file, artifacts.BrokenRules)
	valid := problems.Err() == nil
	if !valid || format == show.FormatTable {
		if err := (checked{Valid: valid, Problems: problems}).say(cmd, format); err != nil {
			return err
		}
	}
	if !valid {
		return &exitError{exitInvalid, fmt.Errorf("%s is not valid; nothing was written", file)}
	}
	if check {
		if err := artifacts.Check(cmd.Context(), cluster, artifacts.Options{}); err != nil {
			return invalid(cmd, file, format, problems, err)
		}
		if format != show.FormatTable {
			return checked{Valid: true, Problems: problems}.say(cmd, format)
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s and its bundle are valid\n", file)
		return err
	}
	binaries, err := findAgents(agents)
	if err != nil {
		return &exitError{exitInvalid, err}
	}
	keys, err := readSignKeys(signing.keys)
	if err != nil {
		return &exitError{exitInvalid, err}
	}
	g, err := artifacts.Generate(cmd.Context(), cluster, artifacts.Options{
		Agents: binaries, Out: out, SignKeys: keys, Version: signing.version, Keep: signing.keep,
		Progress: func(s string) { _, _ = fmt.Fprintln(cmd.ErrOrStderr(), s) },
	})
	if err != nil {
		return invalid(cmd, file, format, problems, err)
	}
	if format != show.FormatTable {
		return checked{Valid: true, Problems: problems, ConfigID: g.ConfigID, Out: out}.say(cmd, format)
	}
	return summarise(cmd.OutOrStdout(), g, out, time.Since(began))
}

// invalid tells what is wrong with the input; other errors pass. People have read the warnings already.
func invalid(cmd *cobra.Command, file string, format show.Format, warnings config.Problems, err error) error {
	var problems config.Problems
	if !errors.As(err, &problems) {
		return err
	}
	if format != show.FormatTable {
		problems = slices.Concat(warnings, problems)
	}
	if err := (checked{Problems: problems}).say(cmd, format); err != nil {
		return err
	}
	return &exitError{exitInvalid, fmt.Errorf("%s or its bundle is not valid; nothing was written", file)}
}

// machines are the architectures that hosts may have.
var machines = []struct {
	arch manifest.Arch
	elf  elf.Machine
}{{"amd64", elf.EM_X86_64}, {"arm64", elf.EM_AARCH64}}

// findAgents looks for the binaries of the bootstrap agent, and at their kind: on a host, a wrong one fails late.
func findAgents(dir string) (map[manifest.Arch]string, error) {
	if dir == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		dir = filepath.Dir(self)
	}
	found := map[manifest.Arch]string{}
	var wrong []string
	for _, m := range machines {
		path := filepath.Join(dir, "bootstrap-agent-linux-"+string(m.arch))
		found[m.arch] = path
		f, err := elf.Open(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
			wrong = append(wrong, path+" does not exist")
		case err != nil:
			wrong = append(wrong, fmt.Sprintf("%s is not a program: %v", path, err))
		default:
			if f.Machine != m.elf {
				wrong = append(wrong, fmt.Sprintf("%s is for %v, not for linux/%s", path, f.Machine, m.arch))
			}
			_ = f.Close() // it was only read
		}
	}
	if len(wrong) > 0 {
		return nil, fault.New(fault.Invalid, "build both with scripts/build, or name their directory with --agents",
			"the bootstrap agent is missing: %s", strings.Join(wrong, "; "))
	}
	return found, nil
}

func summarise(w io.Writer, g *manifest.Generation, out string, took time.Duration) error {
	counted := "not counted: another genconf has written there since"
	if blobs, bytes, err := artifacts.Count(out); err == nil {
		counted = fmt.Sprintf("%d, %.1f MiB", blobs, float64(bytes)/(1<<20))
	}
	var roles []string
	for _, r := range g.Roles {
		if r.Count > 0 {
			roles = append(roles, fmt.Sprintf("%d %s", r.Count, r.Name))
		} else {
			roles = append(roles, "any number of "+string(r.Name))
		}
	}
	_, err := fmt.Fprintf(w, `cluster     %s, with %s %s
config id   %s
roles       %s
blobs       %s
written to  %s in %.1f s

Next: `+"`coordinator serve`"+`, then bring hosts in with `+"`coordinator push`"+` or `+"`coordinator user-data`"+`. Or
without a coordinator: serve %s by any web server and run install.sh on each host.
`, g.Cluster, g.Bundle.Name, g.Bundle.Version, g.ConfigID, strings.Join(roles, ", "),
		counted, out, took.Seconds(), out)
	return err
}
