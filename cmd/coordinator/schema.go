package main

import (
	"github.com/spf13/cobra"

	"muster/internal/config"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema [BUNDLE]",
		Short: "Print the JSON Schema of a bundle's cluster.yaml, for editors",
		Long: `Prints a JSON Schema 2020-12 of the whole cluster.yaml for a bundle (the one in this directory unless another is
named). An editor that uses yaml-language-server completes and checks the file with it when its first line is

  # yaml-language-server: $schema=cluster.schema.json`,
		Example: "  coordinator schema ../etcd > cluster.schema.json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "."
			if len(args) == 1 {
				path = args[0]
			}
			bundle, err := readBundle(cmd, path)
			if err != nil {
				return err
			}
			text, err := config.ClusterSchema(bundle)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
}
