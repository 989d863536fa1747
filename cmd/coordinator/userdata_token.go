package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	operatorv1 "muster/proto/muster/operator/v1"
)

// tokenFrom says where user-data has a join token from that there is already.
type tokenFrom struct{ text, file string }

func (t *tokenFrom) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.file, "token-file", "", "use the join token in this file, - for the standard input, instead of making one")
	cmd.Flags().StringVar(&t.text, "token", "", "the same, for a token of no value to others: every user of this machine sees arguments")
}

func (t tokenFrom) given() bool { return t.text != "" || t.file != "" }

// maxTokenFile is far more than a token with a line end has.
const maxTokenFile = 256

// read gives the token without blanks around it. What it was bound to when it was made is not said again.
func (t tokenFrom) read(cmd *cobra.Command) (string, error) {
	if t.text != "" && t.file != "" {
		return "", usageError(errors.New("--token and --token-file exclude each other"))
	}
	for _, flag := range []string{"role", "attest", "uses", "ttl", "cidr", "label"} {
		if cmd.Flags().Changed(flag) {
			return "", usageError(fmt.Errorf("--%s is for new tokens; what a token gives was said when it was made: coordinator token list", flag))
		}
	}
	if t.text != "" {
		// The arguments of a program are read by ps, and kept by the shell.
		_, err := fmt.Fprintln(cmd.ErrOrStderr(), "warning: the join token is in the list of processes and in the shell's history; better: --token-file FILE, or --token-file - with the token on the standard input")
		return strings.TrimSpace(t.text), err
	}
	in := cmd.InOrStdin()
	if t.file != "-" {
		f, err := os.Open(t.file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxTokenFile+1))
	if err != nil {
		return "", fmt.Errorf("reading the join token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || len(text) > maxTokenFile || strings.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("%s does not hold a join token and nothing else; coordinator token create makes one", t.name())
	}
	return token, nil
}

// tellToken says until when the hosts can join: the coordinator may come up later than they do, but not later than that.
func tellToken(cmd *cobra.Command, client operatorv1.OperatorServiceClient, id string) error {
	resp, err := client.ListTokens(cmd.Context(), &operatorv1.ListTokensRequest{})
	if err != nil {
		return err
	}
	for _, t := range resp.Tokens {
		if t.Id == id {
			_, err = fmt.Fprintln(cmd.ErrOrStderr(), tokenSentence(t))
		}
	}
	return err
}

func (t tokenFrom) name() string {
	if t.file == "-" {
		return "the standard input"
	}
	return t.file
}
