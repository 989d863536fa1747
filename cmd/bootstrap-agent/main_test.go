package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/agent"
)

// asProgram makes the test program the bootstrap agent.
const asProgram = "MUSTER_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// program runs the bootstrap agent with these arguments.
func program(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestTheVersionIsPrinted(t *testing.T) {
	if out, errs, code := program(t, "version"); out != agent.Version+"\n" || errs != "" || code != 0 {
		t.Errorf("%q, %q, exit code %d", out, errs, code)
	}
}

// None of these may do anything: they are run against this machine.
func TestWrongUsageExitsWithTwoAndSaysHow(t *testing.T) {
	for _, args := range [][]string{
		{}, {"nonsense"}, {"--help"}, {"launch"}, {"launch", "a", "b"}, {"run", "now"},
		{"uninstall"}, {"uninstall", "demo"}, {"uninstall", "--cluster", ""}, {"uninstall", "--cluster", "demo", "more"}, {"uninstall", "--nonsense"},
		{"install"}, {"install", "--role", "master"}, {"install", "--source", "x"}, {"install", "--role", "master", "--source", "x", "more"},
		{"install", "--role", "master", "--source", "x", "--size", "big"},
		{"install", "--role", "master", "--source", "x", "--preflight-only", "--skip-preflight"},
	} {
		if out, errs, code := program(t, args...); out != "" || errs != usage || code != 2 {
			t.Errorf("%q: %q, exit code %d and\n%s", args, out, code, errs)
		}
	}
}

func TestAnErrorExitsWithOneAndItsRemedyInOneLineEach(t *testing.T) {
	seed := filepath.Join(t.TempDir(), "seed")
	if err := os.WriteFile(seed, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(t.TempDir(), "long")
	if err := os.WriteFile(long, []byte(strings.Repeat("x", 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args   []string
		words  string
		remedy string
	}{
		"a cluster of no name":  {[]string{"uninstall", "--cluster", "../etc"}, `"../etc" is not the name of a cluster`, "remedy: give the name as it is in cluster.yaml\n"},
		"a seed that is none":   {[]string{"launch", seed}, "the seed cannot be used", "remedy: push again; "},
		"a seed that is a disk": {[]string{"launch", long}, "this is not a seed", "remedy: push again; "},
		"a seed that is away":   {[]string{"launch", seed + "x"}, "no such file", ""},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, code := program(t, test.args...)
			if out != "" || code != 1 || !strings.HasPrefix(errs, "error: ") || !strings.Contains(errs, test.words) || !strings.Contains(errs, test.remedy) {
				t.Errorf("%q, exit code %d and\n%s", out, code, errs)
			}
			want := 1
			if test.remedy != "" {
				want = 2
			}
			if strings.Count(errs, "\n") != want {
				t.Errorf("%d lines are wanted, not\n%s", want, errs)
			}
		})
	}
}

func TestOneLineIsOneLine(t *testing.T) {
	if got := oneLine(" a\n b\t\tc \n"); got != "a b c" {
		t.Errorf("got %q", got)
	}
}
