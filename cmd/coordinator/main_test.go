package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"muster/internal/fault"
)

func remote(t *testing.T, code codes.Code, message, remedy string) error {
	t.Helper()
	st, err := status.New(code, message).WithDetails(&errdetails.Help{Links: []*errdetails.Help_Link{{Description: remedy}}})
	if err != nil {
		t.Fatal(err)
	}
	return st.Err()
}

func TestHowTheProgramEnds(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		code int
		want string
	}{
		"well":                       {nil, 0, ""},
		"with an error":              {errors.New("no luck"), 1, "error: no luck\n"},
		"with a remedy":              {fault.New(fault.Conflict, "stop it", "it runs").Because(errors.New("locked")), 1, "error: it runs: locked\nremedy: stop it\n"},
		"with a remedy below":        {fmt.Errorf("host a: %w", fault.New(fault.Conflict, "stop it", "it runs")), 1, "error: host a: it runs\nremedy: stop it\n"},
		"with the coordinator's":     {remote(t, codes.NotFound, "there is no host", "list them"), 1, "error: there is no host\nremedy: list them\n"},
		"with one without a remedy":  {status.Error(codes.Internal, "it failed inside"), 1, "error: it failed inside\n"},
		"by an interrupt":            {status.Error(codes.Canceled, "context canceled"), 1, "error: interrupted\n"},
		"with wrong usage":           {usageError(errors.New("what?")), 2, "error: what?\n"},
		"with wrong usage, remedied": {usageError(fault.New(fault.Invalid, "say it", "what?")), 2, "error: what?\nremedy: say it\n"},
		"with failed hosts":          {&exitError{code: exitFailedHosts}, 3, ""},
		"with failed hosts, named":   {&exitError{exitFailedHosts, errors.New("2 of 3 hosts failed")}, 3, "error: 2 of 3 hosts failed\n"},
		"with a hostile message":     {remote(t, codes.NotFound, "\x1b[2Jgone\nerror: all is well", "\x07beep"), 1, "error: \\x1b[2Jgone\\nerror: all is well\nremedy: \\abeep\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var said strings.Builder
			if code := exitCode(&said, test.err); code != test.code || said.String() != test.want {
				t.Errorf("exit code %d and\n%swant %d and\n%s", code, said.String(), test.code, test.want)
			}
		})
	}
}

func TestWrongUsageExitsWithTwo(t *testing.T) {
	state := t.TempDir()
	refused(t, state, "unknown flag", "serve", "--nonsense")
	refused(t, state, "see coordinator push --help", "push", "--port", "ssh")
	refused(t, state, "--hosts N", "wait")
	refused(t, state, "--hosts N", "wait", "--hosts", "0")
}

func TestWithoutACoordinatorEveryCommandSaysHowToStartIt(t *testing.T) {
	for _, args := range [][]string{{"push", "agent=a"}, {"deploy", "agent=a"}, {"wait", "--hosts", "1"}, {"status"}, {"token", "list"}} {
		_, _, err := run(context.Background(), t, t.TempDir(), "", args...)
		var said strings.Builder
		if code := exitCode(&said, err); code != exitFailed || !strings.Contains(said.String(), "remedy: start it with: coordinator serve") {
			t.Errorf("%q: exit code %d and\n%s", args, code, said.String())
		}
	}
}

func TestAnUnknownCommandIsToldInOneLine(t *testing.T) {
	for _, args := range [][]string{{"secrets"}, {"zzzzzz"}} {
		c := rootCommand()
		c.SetArgs(args)
		err := unknownCommand(c.Execute())
		if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "see coordinator --help") {
			t.Errorf("said %q", err)
		}
		if near := strings.Contains(err.Error(), "did you mean secret?"); near != (args[0] == "secrets") {
			t.Errorf("said %q", err)
		}
	}
}
