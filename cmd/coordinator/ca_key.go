package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"muster/internal/durable"
	"muster/internal/fault"
	"muster/internal/identity"
)

// maxKeyCopy is far above what a copy of the root's key takes.
const maxKeyCopy = 64 << 10

// passphrase is how a copy of the root's key is encrypted, if it is.
type passphrase struct {
	ask  bool
	file string
}

func (p *passphrase) flags(c *cobra.Command) {
	c.Flags().BoolVar(&p.ask, "passphrase", false, "encrypt the copy with a passphrase (age), which is asked for")
	c.Flags().StringVar(&p.file, "passphrase-file", "", "encrypt the copy with the passphrase in this file's first line")
}

func caExportCommand() *cobra.Command {
	var out string
	var remove bool
	var secret passphrase
	c := &cobra.Command{
		Use:   "export --out FILE [--remove]",
		Short: "Copy the root's key out, to keep it offline; --remove takes it off this machine",
		Long: `Writes the key of the CA's root to a file that only its owner can read, and reads it back. A copy that was made before is
only read. With --remove it is then taken off
this machine: whoever steals the coordinator's disk cannot make another CA that hosts trust. Hosts need it for nothing; it is
needed again to renew the intermediates, every second year, and to rotate: coordinator ca import FILE.

While the root is being rotated it is the key of the new one, and --remove also deletes that of the old one, which nothing needs
any more.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return usageError(errors.New("say where to: --out FILE"))
			}
			dir := statePath(cmd, "ca")
			key, err := identity.RootKey(dir)
			if err != nil {
				return err
			}
			if err := writeKeyCopy(cmd, out, key, secret); err != nil {
				return err
			}
			words := "the root's key is in " + out
			if remove {
				if err := identity.RemoveRootKey(dir); err != nil {
					return err
				}
				words += " and no more on this machine; keep it where nobody reaches it over a network"
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), words)
			return err
		},
	}
	c.Flags().StringVar(&out, "out", "", "the file to make; one that is there is never replaced: it must be a copy of the same key")
	c.Flags().BoolVar(&remove, "remove", false, "take the key off this machine when the copy is on disk and was read back")
	secret.flags(c)
	return c
}

// writeKeyCopy returns when the copy is on disk and was read back whole. One from an earlier time is only read.
func writeKeyCopy(cmd *cobra.Command, path string, key []byte, secret passphrase) error {
	if _, err := os.Lstat(path); err == nil {
		before, err := readKeyCopy(cmd, path, secret)
		if err != nil {
			return err
		}
		if !bytes.Equal(before, key) {
			return fault.New(fault.Conflict, "name another file, or move it away", "%s is there already and is no copy of this key", path)
		}
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	word, err := secret.read(cmd, true)
	if err != nil {
		return err
	}
	text := key
	if word != "" {
		if text, err = sealed(key, word); err != nil {
			return err
		}
	}
	if err := durable.WriteFile(path, text, 0o600); err != nil {
		return err
	}
	again, err := os.ReadFile(path)
	if err == nil && word != "" {
		again, err = unsealed(again, word)
	}
	if err == nil && !bytes.Equal(again, key) {
		err = errors.New("other bytes came back")
	}
	if err != nil {
		return fault.New(fault.Unavailable, "use another disk; the key stays where it was", "the copy %s cannot be read back", path).Because(err)
	}
	return nil
}

func caImportCommand() *cobra.Command {
	var secret passphrase
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Bring the root's key back, and renew what is due",
		Long: `Puts the key that coordinator ca export wrote back to where the coordinator looks for it, and renews the intermediates that are
due. A coordinator that runs takes them over within the hour, one that does not at its start.

Take it away again with coordinator ca export --remove.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readKeyCopy(cmd, args[0], secret)
			if err != nil {
				return err
			}
			dir := statePath(cmd, "ca")
			if err := identity.PutRootKey(dir, text); err != nil {
				return err
			}
			renewed, err := identity.TendDir(dir, time.Now())
			if err != nil {
				return err
			}
			words := "the root's key is back; no intermediate was due for renewal"
			if renewed {
				words = "the root's key is back and the intermediates are renewed"
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), words)
			return err
		},
	}
	secret.flags(c)
	return c
}

func readKeyCopy(cmd *cobra.Command, path string, secret passphrase) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.New(fault.NotFound, "name the file that coordinator ca export wrote", "the copy of the root's key cannot be read").Because(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyCopy))
	if err != nil || !bytes.HasPrefix(text, []byte(armor.Header)) {
		return text, err
	}
	if !secret.ask && secret.file == "" {
		secret.ask = true
	}
	word, err := secret.read(cmd, false)
	if err != nil {
		return nil, err
	}
	key, err := unsealed(text, word)
	if err != nil {
		return nil, fault.New(fault.Denied, "give the passphrase that it was exported with", "%s cannot be decrypted", path).Because(err)
	}
	return key, nil
}

// read is the passphrase, "" if none is wanted. On a terminal it is not shown; where it is chosen, it is asked for twice.
func (p passphrase) read(cmd *cobra.Command, chosen bool) (string, error) {
	switch {
	case p.ask && p.file != "":
		return "", usageError(errors.New("--passphrase and --passphrase-file exclude each other"))
	case p.file != "":
		text, err := os.ReadFile(p.file)
		if err != nil {
			return "", fault.New(fault.NotFound, "name a file with the passphrase in its first line", "the passphrase cannot be read").Because(err)
		}
		line, _, _ := bytes.Cut(text, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			return "", fault.New(fault.Invalid, "put a passphrase into its first line", "the first line of %s is empty", filepath.Base(p.file))
		}
		return string(line), nil
	case !p.ask:
		return "", nil
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", usageError(errors.New("a passphrase is asked for on a terminal; where there is none use --passphrase-file"))
	}
	asked := []string{"passphrase (it is not shown): "}
	if chosen {
		asked = append(asked, "passphrase, again: ")
	}
	var words []string
	for _, question := range asked {
		word, err := askHidden(cmd.Context(), in, cmd.ErrOrStderr(), question)
		if err != nil {
			return "", err
		}
		words = append(words, string(word))
	}
	if words[0] == "" || words[0] != words[len(words)-1] {
		return "", fault.New(fault.Invalid, "type it again", "it is empty, or the two are not the same")
	}
	return words[0], nil
}

func sealed(key []byte, word string) ([]byte, error) {
	recipient, err := age.NewScryptRecipient(word)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	text := armor.NewWriter(&out)
	w, err := age.Encrypt(text, recipient)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(key); err != nil {
		return nil, err
	}
	if err := errors.Join(w.Close(), text.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func unsealed(text []byte, word string) ([]byte, error) {
	id, err := age.NewScryptIdentity(word)
	if err != nil {
		return nil, err
	}
	plain, err := age.Decrypt(armor.NewReader(bytes.NewReader(text)), id)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(plain, maxKeyCopy))
}
