package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/fault"
	"muster/internal/show"
	operatorv1 "muster/proto/muster/operator/v1"
)

func secretCommand() *cobra.Command {
	var genconf string
	c := group("secret", "Set, generate, list and hand over the secrets that the bundle declares",
		secretSetCommand(&genconf), secretLoadCommand(&genconf), secretGenerateCommand(&genconf), secretListCommand(&genconf),
		secretExportCommand(&genconf), secretRekeyCommand(&genconf), secretResetCommand())
	c.PersistentFlags().StringVar(&genconf, "genconf", "genconf", "the output directory of genconf, where no coordinator runs")
	return c
}

func secretSetCommand(genconf *string) *cobra.Command {
	var from valueFrom
	c := &cobra.Command{
		Use:   "set NAME [--from-file FILE | --from-env VARIABLE]",
		Short: "Give a secret its value, from a file, a variable or the standard input",
		Long: `Gives a secret that the bundle declares its value. Without a flag the value is read from the standard input; on a terminal
it is asked for and not shown. Hosts that wait for it go on at once; one that is installing begins anew with the new value.

A value never stands on the command line: every user of the machine sees it there, and the shell keeps it.`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return errors.New("a value does not stand on the command line, where every user sees it: use the standard input, --from-file or --from-env (and change the value, if that was it)")
			case len(args) < 1:
				return errors.New("say which secret: coordinator secret list shows them")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			value, origin, err := from.read(cmd, args[0])
			if err != nil {
				return err
			}
			return withOperator(cmd, *genconf, func(client operatorv1.OperatorServiceClient) error {
				return setSecret(cmd, client, args[0], value, origin)
			})
		},
	}
	c.Flags().StringVar(&from.file, "from-file", "", "file with the value; only its owner may be able to read it")
	c.Flags().StringVar(&from.env, "from-env", "", "variable of the environment with the value")
	return c
}

func setSecret(cmd *cobra.Command, client operatorv1.OperatorServiceClient, name string, value []byte, origin string) error {
	resp, err := client.SetSecret(cmd.Context(), &operatorv1.SetSecretRequest{Name: name, Value: value, Origin: origin})
	if err != nil {
		return err
	}
	words := "is set"
	if !resp.Changed {
		words = "has this value already"
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "secret %s %s\n", show.Safe(name, 64), words)
	return err
}

func secretGenerateCommand(genconf *string) *cobra.Command {
	return &cobra.Command{
		Use:   "generate NAME",
		Short: "Replace the value of a secret that is generated",
		Long: `Makes a new value of a secret that the coordinator generates. The first one is made by itself. Hosts that are done keep the
old value until they are installed again.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withOperator(cmd, *genconf, func(client operatorv1.OperatorServiceClient) error {
				if _, err := client.GenerateSecret(cmd.Context(), &operatorv1.GenerateSecretRequest{Name: args[0]}); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "secret %s has a new value\n", show.Safe(args[0], 64))
				return err
			})
		},
	}
}

func secretListCommand(genconf *string) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the secrets: who may read them, where their values come from, which are missing",
		Long: `Lists the secrets that the bundle declares, and those that have a value and are no longer declared. No value is shown, nor
anything that is made from one.

-o json writes {"secrets":[...]}, in the notation that coordinator status --help describes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, err := show.ParseFormat(output)
			if err != nil {
				return usageError(err)
			}
			return withOperator(cmd, *genconf, func(client operatorv1.OperatorServiceClient) error {
				resp, err := client.ListSecrets(cmd.Context(), &operatorv1.ListSecretsRequest{})
				if err != nil {
					return err
				}
				return answer(cmd, format, resp, func(now time.Time, width int) string { return show.Secrets(resp.Secrets, now, width) })
			})
		},
	}
	outputFlag(c, &output)
	return c
}

func secretExportCommand(genconf *string) *cobra.Command {
	req := &operatorv1.ExportSecretsRequest{}
	c := &cobra.Command{
		Use:   "export --role ROLE [--host NAME] > FILE",
		Short: "Write the secrets of one role for hosts that install without a coordinator",
		Long: `Writes the values that one role uses, for bootstrap-agent install --secrets FILE or install.sh ROLE --secrets FILE. The
standard output must be a file, which is given the mode 0600, or a pipe. Bring it to the hosts by a way that keeps it
secret, such as scp, and remove it afterwards. That it was exported is an event.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if req.Role == "" {
				return usageError(errors.New("say for which role: --role ROLE"))
			}
			if err := keepPrivate(cmd.OutOrStdout()); err != nil {
				return err
			}
			return withOperator(cmd, *genconf, func(client operatorv1.OperatorServiceClient) error {
				resp, err := client.ExportSecrets(cmd.Context(), req)
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(resp.File)
				return err
			})
		},
	}
	c.Flags().StringVar(&req.Role, "role", "", "the role")
	c.Flags().StringVar(&req.Host, "host", "", "the host's name, when the role has a secret that every host has its own value of")
	return c
}

// keepPrivate refuses to show values, and lets nobody else read the file that they go to: the shell has made it with
// whatever mode it makes files with.
func keepPrivate(out io.Writer) error {
	f, ok := out.(*os.File)
	if !ok {
		return nil
	}
	if show.IsTerminal(f) {
		return fault.New(fault.Invalid, "write it to a file: coordinator secret export --role ROLE > FILE", "the values are not shown on a terminal")
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	if err := f.Chmod(0o600); err != nil {
		return fault.New(fault.Denied, "write to a file of your own", "the file cannot be made private").Because(err)
	}
	return nil
}

func secretRekeyCommand(genconf *string) *cobra.Command {
	return &cobra.Command{
		Use:   "rekey",
		Short: "Make a new key and encrypt every value with it",
		Long: `Makes a new key in place of secrets.key in the state directory and encrypts every value with it. The values stay: where a
key and a store may have been stolen together, change the values too. Interrupted, it is finished by the next start.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withOperator(cmd, *genconf, func(client operatorv1.OperatorServiceClient) error {
				resp, err := client.RekeySecrets(cmd.Context(), &operatorv1.RekeySecretsRequest{})
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d secrets are encrypted with a new key; copy %s in the coordinator's state directory anew\n", resp.Secrets, secretsKey)
				return err
			})
		},
	}
}
