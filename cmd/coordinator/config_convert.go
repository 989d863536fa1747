package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"muster/internal/config"
	"muster/internal/fault"
)

func convertCommand() *cobra.Command {
	var bundle, out string
	var force bool
	c := &cobra.Command{
		Use:   "convert LEGACY",
		Short: "Turn a DC/OS config.json or config.yaml into a cluster.yaml",
		Long: `Reads the config of the DC/OS installer, its JSON in which every value is a string or its later YAML, and prints the
cluster.yaml that says the same: lists of masters and agents become hosts with roles, strings that hold JSON, numbers
and truth values become what the bundle's schema wants. Whatever has no place is named with the reason, as a warning
and in comments at the end of the result; the exit code is 0 all the same.

Without --bundle the parameters are not known, so none is converted. Secret values are written with -o only; what is
printed has a comment in their place.`,
		Example: "  coordinator config convert genconf/config.json --bundle ../dcos -o cluster.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return convert(cmd, args[0], bundle, out, force)
		},
	}
	c.Flags().StringVar(&bundle, "bundle", "", "the bundle of the new cluster")
	c.Flags().StringVarP(&out, "output", "o", "", "file to write (default: the standard output)")
	c.Flags().BoolVar(&force, "force", false, "replace a file that is there already")
	return c
}

// maxLegacy is far above what people wrote; config refuses what is larger than it reads anyway.
const maxLegacy = 32 << 20

func convert(cmd *cobra.Command, legacy, path, out string, force bool) error {
	data, err := readLegacy(legacy)
	if err != nil {
		return err
	}
	var options config.ConvertOptions
	if path != "" {
		if options.Bundle, err = readBundle(cmd, path); err != nil {
			return err
		}
		if options.Path, err = wayTo(options.Bundle, out); err != nil {
			return err
		}
	}
	made, problems := config.Convert(legacy, data, options)
	if made == nil {
		if err := renderProblems(cmd.ErrOrStderr(), problems); err != nil {
			return err
		}
		return usageError(fmt.Errorf("%s cannot be read; nothing was written", legacy))
	}
	if err := renderProblems(cmd.ErrOrStderr(), made.Warnings); err != nil {
		return err
	}
	if out == "" {
		if made.Secrets {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning: secret values are not printed; write the file with -o")
		}
		_, err := cmd.OutOrStdout().Write(made.HidingYAML)
		return err
	}
	mode := os.FileMode(0o644)
	if made.Secrets {
		mode = 0o600
	}
	if err := writeNew(out, made.YAML, mode, force); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s, with %d to look at\nNext: `coordinator genconf --check %s`.\n", out, len(made.Warnings), out)
	return err
}

func readLegacy(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, usageError(fault.New(fault.NotFound, "name the config.json or config.yaml of the former installation", "%s cannot be read", path).Because(err))
	}
	if !info.Mode().IsRegular() || info.Size() > maxLegacy {
		return nil, usageError(fault.New(fault.Invalid, "name the config.json or config.yaml of the former installation", "%s is not a regular file, or far too large for a config", path))
	}
	return os.ReadFile(path)
}
