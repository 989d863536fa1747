package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"muster/internal/config"
	"muster/internal/fault"
	"muster/internal/late"
	"muster/internal/secrets"
	"muster/internal/show"
	operatorv1 "muster/proto/muster/operator/v1"
)

// valueFrom says where secret set reads a value.
type valueFrom struct{ file, env string }

func (v valueFrom) read(cmd *cobra.Command, name string) (value []byte, origin string, err error) {
	switch {
	case v.file != "" && v.env != "":
		return nil, "", usageError(errors.New("--from-file and --from-env exclude each other"))
	case v.file != "":
		value, err = secrets.ReadFile(name, v.file)
		return value, string(secrets.File), err
	case v.env != "":
		value, err = secrets.ReadEnv(name, v.env)
		return value, string(secrets.Env), err
	}
	if in, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		value, err = ask(cmd.Context(), cmd.ErrOrStderr(), in, name)
	} else {
		// One byte more than a value with a line end has; what is too long is refused with the right words.
		value, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), late.MaxSecret+3))
	}
	return value, string(secrets.Set), err
}

// ask reads a value that is not shown, twice: nobody sees a slip of the finger.
func ask(ctx context.Context, w io.Writer, in *os.File, name string) ([]byte, error) {
	var typed [2][]byte
	for i, again := range []string{"", ", again"} {
		value, err := askHidden(ctx, in, w, fmt.Sprintf("value of secret %s%s (it is not shown): ", show.Safe(name, 64), again))
		if err != nil {
			return nil, err
		}
		typed[i] = value
	}
	if !bytes.Equal(typed[0], typed[1]) {
		return nil, fault.New(fault.Invalid, "type it again, or use --from-file", "the two are not the same")
	}
	return typed[0], nil
}

func secretLoadCommand(genconf *string) *cobra.Command {
	return &cobra.Command{
		Use:   "load [CLUSTER_YAML]",
		Short: "Set the secrets from the files and variables that cluster.yaml names",
		Long: `Reads the values of the secrets from where cluster.yaml (in this directory unless another is named) says they are, and sets
them: all of them, or none when one cannot be read. What has this value already stays as it is, so that it can run before
every start of the coordinator. genconf never reads a value.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := "cluster.yaml"
			if len(args) == 1 {
				file = args[0]
			}
			values, err := sourcedValues(cmd, file)
			if err != nil {
				return err
			}
			return withOperator(cmd, *genconf, func(client operatorv1.OperatorServiceClient) error {
				for _, v := range values {
					if err := setSecret(cmd, client, v.name, v.value, v.origin); err != nil {
						return err
					}
				}
				if len(values) == 0 {
					_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s names no file and no variable for a secret\n", file)
					return err
				}
				return nil
			})
		},
	}
}

type sourcedValue struct {
	name, origin string
	value        []byte
}

func sourcedValues(cmd *cobra.Command, file string) ([]sourcedValue, error) {
	cluster, problems := config.LoadCluster(file)
	if err := problems.Err(); err != nil {
		return nil, errors.Join(problems.Render(cmd.ErrOrStderr()), &exitError{exitInvalid, fmt.Errorf("%s is not valid; nothing was set", file)})
	}
	var values []sourcedValue
	for _, name := range slices.Sorted(maps.Keys(cluster.Secrets)) {
		v := sourcedValue{name: name}
		var err error
		switch source := cluster.Secrets[name]; {
		case source.File != "":
			v.origin = string(secrets.File)
			v.value, err = secrets.ReadFile(name, secrets.Beside(file, source.File))
		case source.Env != "":
			v.origin = string(secrets.Env)
			v.value, err = secrets.ReadEnv(name, source.Env)
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}
