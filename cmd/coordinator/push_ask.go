package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"muster/internal/fault"
	"muster/internal/push"
)

// maxSecret bounds what is read of a file descriptor that somebody named by mistake.
const maxSecret = 4096

// secretFrom reads a password from a file descriptor, or asks for it on the terminal; nil if neither is wanted.
func secretFrom(ctx context.Context, flag string, fd int, ask bool, prompt string) (push.Secret, error) {
	if fd >= 0 {
		secret, err := readSecret(fd)
		if err != nil {
			return nil, usageError(fault.New(fault.Invalid, "open it for the coordinator: "+flag+" 3 3< FILE", "no password on file descriptor %d (%s)", fd, flag).Because(err))
		}
		return secret, nil
	}
	if !ask {
		return nil, nil
	}
	secret, err := askTerminal(ctx, prompt)
	if errors.Is(err, errInterrupted) {
		return nil, err
	}
	if err != nil {
		return nil, usageError(fault.New(fault.Invalid, "run it on a terminal, or give the password with "+flag, "the password can't be asked for").Because(err))
	}
	return secret, nil
}

func readSecret(fd int) (push.Secret, error) {
	f := os.NewFile(uintptr(fd), "file descriptor "+strconv.Itoa(fd))
	if f == nil {
		return nil, errors.New("it is not open")
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, err
	}
	line, rest, _ := strings.Cut(string(content), "\n")
	line = strings.TrimSuffix(line, "\r")
	switch {
	case len(content) > maxSecret:
		return nil, fmt.Errorf("more than %d bytes are no password", maxSecret)
	case line == "":
		return nil, errors.New("it is empty")
	case strings.TrimSpace(rest) != "":
		return nil, errors.New("it has more than one line")
	}
	return push.Secret(line), nil
}

// parseRate reads 500K, 10M or 1G bytes a second, with or without a B; 0 is no limit.
func parseRate(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	number := strings.TrimSuffix(strings.TrimSuffix(text, "/s"), "B")
	unit := int64(1)
	switch {
	case strings.HasSuffix(number, "K"), strings.HasSuffix(number, "k"):
		unit = 1e3
	case strings.HasSuffix(number, "M"):
		unit = 1e6
	case strings.HasSuffix(number, "G"):
		unit = 1e9
	}
	if unit > 1 {
		number = number[:len(number)-1]
	}
	n, err := strconv.ParseInt(number, 10, 64)
	const least, most = 1_000, 1_000_000_000_000
	if err != nil || n < 1 || n > most/unit || n*unit < least {
		return 0, fault.New(fault.Invalid, "write bytes a second from 1K up, such as 500K or 10M", "%q is not a rate", text)
	}
	return n * unit, nil
}
