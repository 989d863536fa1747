package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"muster/internal/artifacts"
	"muster/internal/show"
)

// defaultKeep is how many old generations stay, in genconf's output and with the coordinator.
const defaultKeep = 3

func generationsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "generations",
		Short: "List and prune the generations in a directory",
		Args:  cobra.NoArgs,
	}
	c.AddCommand(generationsListCommand(), generationsPruneCommand())
	return c
}

func generationsListCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "list DIR",
		Short: "List the generations in a directory, the current one first",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := show.ParseFormat(output)
			if err != nil {
				return usageError(err)
			}
			list, err := artifacts.Generations(args[0])
			if err != nil {
				return err
			}
			if format != show.FormatTable {
				return show.Document(cmd.OutOrStdout(), format, map[string]any{"generations": list})
			}
			var b strings.Builder
			fmt.Fprintf(&b, "%-14s %-8s %-8s %-24s %6s %10s\n", "CONFIG ID", "", "VERSION", "BUNDLE", "BLOBS", "MIB")
			for _, k := range list {
				kind, version := "old", "-"
				if k.Current {
					kind = "current"
				}
				if k.Version > 0 {
					version = fmt.Sprint(k.Version)
				}
				if k.Problem != "" {
					fmt.Fprintf(&b, "%-14.12s %-8s %s\n", k.ConfigID, kind, show.Safe(k.Problem, 500))
					continue
				}
				fmt.Fprintf(&b, "%-14.12s %-8s %-8s %-24s %6d %10.1f\n", k.ConfigID, kind, version,
					show.Safe(k.Bundle.Name+" "+k.Bundle.Version, 100), k.Blobs, float64(k.Bytes)/(1<<20))
			}
			_, err = io.WriteString(cmd.OutOrStdout(), b.String())
			return err
		},
	}
	outputFlag(c, &output)
	return c
}

func generationsPruneCommand() *cobra.Command {
	var keep int
	c := &cobra.Command{
		Use:   "prune DIR",
		Short: "Remove old generations and every blob that none of the others has",
		Long: `Keeps the current generation and the newest old ones. It may be interrupted at any time and repeated; the current generation is
never touched. Do not run it on a directory that genconf or a coordinator writes to at the same time.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if keep < 0 {
				return usageError(fmt.Errorf("--keep %d: cannot be less than 0", keep))
			}
			freed, err := artifacts.Prune(args[0], keep)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "removed %.1f MiB of blobs that no generation needs\n", float64(freed)/(1<<20))
			return err
		},
	}
	c.Flags().IntVar(&keep, "keep", defaultKeep, "how many old generations stay")
	return c
}
