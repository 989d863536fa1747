package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"muster/internal/artifacts"
	"muster/internal/bundle"
	"muster/internal/config"
	"muster/internal/fault"
)

func bundleCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bundle",
		Short: "Make, look through and pack what a publisher ships",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(bundleInitCommand(), bundleLintCommand(), bundleBuildCommand())
	return c
}

func bundleInitCommand() *cobra.Command {
	var address string
	c := &cobra.Command{
		Use:   "init DIR",
		Short: "Write a bundle to start from",
		Long: `Writes a bundle that generates and installs at once, with a cluster.yaml for it: a small service in shell, in one
counted and one open role, with checks, a step and a rule. The directory names it.`,
		Example: "  coordinator bundle init myapp && coordinator bundle lint myapp",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if address == "" {
				address = ownAddress()
			}
			if address == "" {
				address = "127.0.0.1"
			}
			written, err := bundle.Init(args[0], address)
			if err != nil {
				return err
			}
			for _, name := range written {
				fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(args[0], name))
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Next: `coordinator bundle lint %s`, then `coordinator genconf %s`.\n", args[0], filepath.Join(args[0], "cluster.yaml"))
			return err
		},
	}
	c.Flags().StringVar(&address, "address", "", "where hosts reach the coordinator (default: an address of this machine)")
	return c
}

func bundleLintCommand() *cobra.Command {
	var strict bool
	c := &cobra.Command{
		Use:   "lint [DIR]",
		Short: "Find what is wrong with a bundle, or deserves a look",
		Long: `Reads the bundle in DIR (this directory unless another is named; a bundle in one file will do as well), unpacks its
archives, and renders everything for every role with the defaults and an imaginary cluster of each allowed size.
Shells read the scripts without running them. Nothing is written.

The exit code is 2 when something is wrong; with --strict also when something only deserves a look.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := bundleArgument(args)
			found, err := artifacts.Lint(cmd.Context(), dir)
			if err != nil {
				return err
			}
			if err := found.Render(cmd.ErrOrStderr()); err != nil {
				return err
			}
			wrong := 0
			for _, p := range found {
				if !p.Warning {
					wrong++
				}
			}
			switch warnings := len(found) - wrong; {
			case wrong > 0:
				return &exitError{exitInvalid, fmt.Errorf("%s is not valid: %d problems, %d warnings", dir, wrong, warnings)}
			case strict && warnings > 0:
				return &exitError{exitInvalid, fmt.Errorf("%s: %d warnings", dir, warnings)}
			default:
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is valid, %d warnings\n", dir, warnings)
				return err
			}
		},
	}
	c.Flags().BoolVar(&strict, "strict", false, "fail on warnings, too")
	return c
}

func bundleBuildCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Pack a bundle into one file",
		Long: `Packs bundle.yaml and everything that it names into one file, NAME-VERSION.bundle unless another is named. The same
bundle gives the same bytes. The SHA-256 that is printed is for the operator: cluster.yaml can pin it.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := bundleArgument(args)
			b, problems := config.LoadBundle(dir)
			if err := renderProblems(cmd.ErrOrStderr(), problems); err != nil {
				return err
			}
			if b == nil {
				return usageError(fmt.Errorf("the bundle %s is not valid; nothing was written", dir))
			}
			if out == "" {
				out = b.Name + "-" + b.Version + bundle.Ending
			}
			if info, err := os.Stat(out); err == nil && info.IsDir() {
				return usageError(fmt.Errorf("%s is a directory; name the file to write, such as -o %s", out, filepath.Join(out, b.Name+"-"+b.Version+bundle.Ending)))
			}
			if _, err := os.Stat(filepath.Dir(out)); err != nil {
				return usageError(fault.New(fault.NotFound, "make it, or name a file elsewhere with -o", "the directory of %s is not there", out).Because(err))
			}
			built, err := artifacts.BuildBundle(cmd.Context(), b, out)
			var found config.Problems
			if errors.As(err, &found) {
				if err := found.Render(cmd.ErrOrStderr()); err != nil {
					return err
				}
				return usageError(fmt.Errorf("the bundle %s is not valid; nothing was written", dir))
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: %s %s, %d entries, %.1f MiB\n\nbundle: %s\nbundle_sha256: %s\n",
				out, b.Name, b.Version, len(built.Files), float64(built.Size)/(1<<20), filepath.Base(out), built.Digest)
			return err
		},
	}
	c.Flags().StringVarP(&out, "out", "o", "", "file to write (default: NAME-VERSION.bundle in this directory)")
	return c
}

func bundleArgument(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}
