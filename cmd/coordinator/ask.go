package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// errInterrupted is what Ctrl-C at a question comes to.
var errInterrupted = &exitError{exitFailed, errors.New("interrupted")}

// askTerminal asks on the terminal, which standard input may not be.
func askTerminal(ctx context.Context, prompt string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, errors.New("there is no terminal")
	}
	defer tty.Close()
	return askHidden(ctx, tty, tty, prompt)
}

// askHidden prints the question to w and reads a line of the terminal that is not shown. The end of ctx, which Ctrl-C is, ends
// it with errInterrupted, and the terminal echoes again.
func askHidden(ctx context.Context, tty *os.File, w io.Writer, question string) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, errInterrupted
	}
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	defer func() { _ = term.Restore(fd, before) }()
	if _, err := fmt.Fprint(w, question); err != nil {
		return nil, err
	}
	defer fmt.Fprintln(w)
	type answer struct {
		secret []byte
		err    error
	}
	answers := make(chan answer, 1)
	// A read of a terminal can't be broken off: it ends with the program, on a descriptor of its own that nothing else gets meanwhile.
	own, err := unix.Dup(fd)
	if err != nil {
		return nil, err
	}
	go func() {
		secret, err := term.ReadPassword(own)
		_ = unix.Close(own)
		answers <- answer{secret, err}
	}()
	select {
	case a := <-answers:
		return a.secret, a.err
	case <-ctx.Done():
		return nil, errInterrupted
	}
}
