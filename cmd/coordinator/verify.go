package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/artifacts"
	"muster/internal/show"
)

func verifyCommand() *cobra.Command {
	var keys []string
	var threshold int
	var output string
	c := &cobra.Command{
		Use:   "verify DIR",
		Short: "Audit a generation: signatures, digests, contents, and that nothing else is there",
		Long: `Reads everything in the directory of a generation, such as genconf's output or a mirror's copy, and needs nothing else: the
signatures, every manifest, each blob's digest and length, what is packed in it by the rules of the hosts, the
placeholders, install.sh and user-data, old generations, and files that have no place there. All problems are named.

Give the public keys with --key: without them, those count that the directory names itself, which shows that it is whole but
not whose it is. With --key, all of them must have signed unless --threshold says otherwise.

Exit codes: 0 all is well, 1 something is wrong.`,
		Example: "  coordinator verify /srv/mirror --key alice.pub --key bob.pub --key carol.pub --threshold 2",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := show.ParseFormat(output)
			if err != nil {
				return usageError(err)
			}
			public, err := readPublicKeys(keys)
			if err != nil {
				return usageError(err)
			}
			if threshold < 0 || threshold > len(public) {
				return usageError(errors.New("--threshold is a number from 1 to that of the keys given with --key"))
			}
			began := time.Now()
			found, err := artifacts.Audit(cmd.Context(), args[0], artifacts.AuditOptions{Keys: public, Threshold: threshold, Now: began})
			if err != nil {
				return err
			}
			if format != show.FormatTable {
				err = show.Document(cmd.OutOrStdout(), format, found)
			} else {
				err = showAudit(cmd.OutOrStdout(), found, len(public) > 0, time.Since(began))
			}
			if err == nil && len(found.Problems) > 0 {
				err = &exitError{code: exitFailed}
			}
			return err
		},
	}
	c.Flags().StringArrayVar(&keys, "key", nil, "public key whose signature counts, in base64 or a file with it; may be repeated")
	c.Flags().IntVar(&threshold, "threshold", 0, "how many of the keys must have signed (default: all)")
	outputFlag(c, &output)
	return c
}

func showAudit(out io.Writer, a *artifacts.Audited, given bool, took time.Duration) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s%s\n", name, show.Safe(fmt.Sprintf(format, args...), 4096))
	}
	if a.Cluster != "" {
		line("cluster", "%s, with %s %s", a.Cluster, a.Bundle.Name, a.Bundle.Version)
		line("config id", "%s", a.ConfigID)
	}
	switch {
	case a.Version > 0:
		line("signed", "version %d, good until %s, %d of these keys must have signed:", a.Version, a.Expires.Format(time.RFC3339), a.Threshold)
		for _, k := range a.Signatures {
			word := "not signed"
			if k.Signed {
				word = "signed"
			}
			line("", "%s  %s", k.Key, word)
		}
		if !given {
			line("", "(the keys that the directory names itself; give yours with --key)")
		}
	case a.Cluster != "":
		line("signed", "no")
	}
	for _, r := range a.Roles {
		line("role", "%s: manifest %.12s, %d packages, %.1f MiB", r.Name, r.Manifest, r.Packages, float64(r.Bytes)/(1<<20))
	}
	line("read", "%d blobs, %.1f MiB, %d old generations, in %.1f s", a.Blobs, float64(a.Bytes)/(1<<20), a.Old, took.Seconds())
	for _, p := range a.Problems {
		line("problem", "%s: %s", p.Path, p.Problem)
		line("  remedy", "%s", p.Remedy)
	}
	if n := len(a.Problems); n > 0 {
		line("result", "%d problems", n)
	} else {
		line("result", "all is well")
	}
	_, err := io.WriteString(out, b.String())
	return err
}
