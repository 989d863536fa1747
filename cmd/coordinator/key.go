package main

import (
	"crypto/ed25519"
	"fmt"

	"github.com/spf13/cobra"

	"muster/internal/fault"
	"muster/internal/sign"
)

func keyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "Make keys that sign generations",
		Long: `Signing keys are ed25519. The private one is a file that only its owner may read (PEM, PKCS#8); it need be neither where
genconf runs nor where the coordinator runs. The public one goes into cluster.yaml, under signing.keys.`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(
		&cobra.Command{
			Use:     "generate DIR|FILE",
			Short:   "Make a signing key and print its public key",
			Long:    "Makes a signing key in FILE, or in DIR/" + sign.KeyFile + ", readable by its owner alone, and prints the public key. A key that is there already is never replaced.",
			Example: "  coordinator key generate ~/keys/prod.key",
			Args:    cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				file, public, err := sign.GenerateKey(args[0])
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "the key is in %s; keep it to yourself, and a copy of it offline\n", file); err != nil {
					return err
				}
				return printKey(cmd, public)
			},
		},
		&cobra.Command{
			Use:   "public FILE",
			Short: "Print the public key of a signing key",
			Args:  cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				private, err := sign.ReadPrivate(args[0])
				if err != nil {
					return err
				}
				return printKey(cmd, private.Public().(ed25519.PublicKey))
			},
		},
	)
	return c
}

func printKey(cmd *cobra.Command, key ed25519.PublicKey) error {
	_, err := fmt.Fprintln(cmd.OutOrStdout(), sign.EncodeKey(key))
	return err
}

// readSignKeys reads private keys. The same one twice is no second signature, so it is a mistake.
func readSignKeys(files []string) ([]ed25519.PrivateKey, error) {
	var keys []ed25519.PrivateKey
	for _, file := range files {
		key, err := sign.ReadPrivate(file)
		if err != nil {
			return nil, err
		}
		for i, other := range keys {
			if key.Equal(other) {
				return nil, fault.New(fault.Invalid, "name each key once; a second signature takes a second key", "%s and %s are the same key", files[i], file)
			}
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// readPublicKeys reads public keys as cluster.yaml has them: the key itself or a file.
func readPublicKeys(list []string) ([]string, error) {
	var keys []string
	for _, text := range list {
		key, err := sign.ParseKey(text)
		if err != nil {
			var fileErr error
			if key, fileErr = sign.ReadPublic(text); fileErr != nil {
				return nil, fault.New(fault.Invalid, "give the line that `coordinator key public FILE` prints, or a file with it",
					"--key %.80q is neither a key (%v) nor the file of one (%v)", text, err, fileErr)
			}
		}
		encoded := sign.EncodeKey(key)
		for _, other := range keys {
			if other == encoded {
				return nil, fault.New(fault.Invalid, "name each key once", "--key %s is given twice", encoded)
			}
		}
		keys = append(keys, encoded)
	}
	return keys, nil
}
