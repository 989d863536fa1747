package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/artifacts"
	"muster/internal/fault"
	"muster/internal/show"
)

func signCommand() *cobra.Command {
	var files, oldFiles []string
	o := artifacts.SignOptions{}
	c := &cobra.Command{
		Use:   "sign DIR --key FILE",
		Short: "Sign a generation with a key of one's own",
		Long: `Adds a signature to the generation in DIR, after an audit of all of it (see verify). The keys that count, and how many of
them have to sign, are those of cluster.yaml when the generation was made. Neither cluster.yaml nor the bundle is needed
here: copy the directory to where the key is, sign, and copy generation.dsse.json back.

--renew states the same generation again, with a later expiry, a higher version and no signatures but those made now: for
one that is about to expire, or an old one that hosts are to go back to. The first of those who sign gives it, the others
sign what the first has renewed.`,
		Example: "  coordinator sign genconf --key ~/keys/alice.key",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(files)+len(oldFiles) == 0 {
				return usageError(errors.New("say what to sign with: --key FILE"))
			}
			if o.Version > 0 && !o.Renew {
				return usageError(errors.New("--version goes with --renew: what others have signed has its version"))
			}
			keys, err := readSignKeys(files)
			if err != nil {
				return err
			}
			if o.OldKeys, err = readSignKeys(oldFiles); err != nil {
				return err
			}
			o.Keys, o.Now = keys, time.Now()
			return signDirectory(cmd, args[0], o)
		},
	}
	c.Flags().StringArrayVar(&files, "key", nil, "file of a signing key; may be repeated")
	c.Flags().StringArrayVar(&oldFiles, "old-key", nil, "file of a signing key that cluster.yaml no longer has, so that the coordinator takes its successors over")
	c.Flags().BoolVar(&o.Renew, "renew", false, "state the generation again, with a later expiry and a higher version")
	c.Flags().Uint64Var(&o.Version, "version", 0, "with --renew: the version (default: the next one)")
	return c
}

func signDirectory(cmd *cobra.Command, dir string, o artifacts.SignOptions) error {
	// Nobody is to sign what would be refused, or what nobody meant to be there.
	found, err := artifacts.Audit(cmd.Context(), dir, artifacts.AuditOptions{Now: o.Now, Unsigned: true})
	if err != nil {
		return err
	}
	if n := len(found.Problems); n > 0 {
		return fault.New(fault.Invalid, "coordinator verify "+dir+" shows all of it", "%s is not signed, because of %d problems; the first: %s: %s",
			dir, n, found.Problems[0].Path, found.Problems[0].Problem)
	}
	s, signers, err := artifacts.Sign(dir, o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "cluster %s, config id %.12s, version %d, good until %s: signed by %d of %d keys, %d are needed\n",
		show.Safe(s.Cluster, 64), s.ConfigID, s.Version, s.Expires.Format(time.RFC3339), len(signers), len(s.Keys), s.Threshold)
	return err
}
