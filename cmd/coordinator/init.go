package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"muster/internal/config"
	"muster/internal/durable"
	"muster/internal/fault"
)

func initCommand() *cobra.Command {
	var out, address string
	var force bool
	c := &cobra.Command{
		Use:   "init [BUNDLE]",
		Short: "Write a cluster.yaml to start from",
		Long: `Writes a cluster.yaml for a bundle (the one in this directory unless another is named): what is required stands
there, every other setting as a comment that says what it is for, what may be written and what holds already. Lines
with FILL IN have to be completed; without one, the file is valid as it is.`,
		Example: "  coordinator init ../etcd --out prod/cluster.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			bundle := "."
			if len(args) == 1 {
				bundle = args[0]
			}
			if !cmd.Flags().Changed("address") {
				address = ownAddress()
			}
			return initialise(cmd, bundle, out, address, force)
		},
	}
	c.Flags().StringVar(&out, "out", "cluster.yaml", "file to write, - for the standard output")
	c.Flags().StringVar(&address, "address", "", "where hosts reach the coordinator (default: an address of this machine)")
	c.Flags().BoolVar(&force, "force", false, "replace a file that is there already")
	return c
}

func initialise(cmd *cobra.Command, path, out, address string, force bool) error {
	bundle, err := readBundle(cmd, path)
	if err != nil {
		return err
	}
	way, err := wayTo(bundle, out)
	if err != nil {
		return err
	}
	text := config.Initial(bundle, config.InitialOptions{Bundle: way, Address: address})
	if out == "-" {
		_, err := cmd.OutOrStdout().Write(text)
		return err
	}
	if err := writeNew(out, text, 0o644, force); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s\nNext: look through it, then `coordinator genconf %s`.\n", out, out)
	return err
}

// readBundle reads a bundle's text and shows what is wrong with it.
func readBundle(cmd *cobra.Command, path string) (*config.BundleText, error) {
	bundle, problems := config.ReadBundle(path)
	if err := renderProblems(cmd.ErrOrStderr(), problems); err != nil {
		return nil, err
	}
	if bundle == nil {
		return nil, usageError(fmt.Errorf("the bundle %s is not valid", path))
	}
	return bundle, nil
}

func renderProblems(w io.Writer, problems config.Problems) error {
	if len(problems) == 0 {
		return nil
	}
	return problems.Render(w)
}

// wayTo gives the bundle's path relative to the directory of a file: a cluster config has no absolute one.
func wayTo(bundle *config.BundleText, file string) (string, error) {
	from := "."
	if file != "-" && file != "" {
		from = filepath.Dir(file)
	}
	to := bundle.Dir
	switch {
	case bundle.Packed != "":
		to = bundle.Packed
	case filepath.Base(bundle.File) != "bundle.yaml":
		to = bundle.File
	}
	from, err := filepath.Abs(from)
	if err != nil {
		return "", err
	}
	if to, err = filepath.Abs(to); err != nil {
		return "", err
	}
	return filepath.Rel(from, to)
}

// writeNew writes a file whole or not at all, and replaces none unless that is wanted.
func writeNew(path string, text []byte, mode fs.FileMode, force bool) error {
	switch _, err := os.Lstat(path); {
	case err == nil && !force:
		return usageError(fault.New(fault.Conflict, "name another file, or add --force to replace it", "%s is there already", path))
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return durable.WriteFile(path, text, mode)
}

// ownAddress gives an address of this machine that others can reach: the first that is neither loopback nor link-local.
// IPv4 goes first.
func ownAddress() string {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "" // then the operator says it
	}
	other := ""
	for _, a := range addresses {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil || !prefix.Addr().IsGlobalUnicast() {
			continue
		}
		if prefix.Addr().Is4() {
			return prefix.Addr().String()
		}
		if other == "" {
			other = prefix.Addr().String()
		}
	}
	return other
}
