package main

import (
	"strings"
	"testing"
)

func TestTheClosingLineTellsTheTruth(t *testing.T) {
	const (
		run  = `{"Action":"run","Package":"p","Test":"A"}` + "\n"
		pass = `{"Action":"pass","Package":"p","Test":"A"}` + "\n"
		fail = `{"Action":"fail","Package":"p","Test":"A"}` + "\n"
		skip = `{"Action":"skip","Package":"p","Test":"A"}` + "\n"
		good = `{"Action":"pass","Package":"p"}` + "\n"
		bad  = `{"Action":"fail","Package":"p"}` + "\n"
	)
	for _, c := range []struct{ name, in, want string }{
		{"a package whose test passes", run + pass + good, "1 passed, 0 failed, 0 skipped"},
		{"a package whose test fails is one failure", run + fail + bad, "0 passed, 1 failed, 0 skipped"},
		{"a package that fails although its tests pass", run + pass + bad, "1 passed, 1 failed, 0 skipped"},
		{"a test that never ends", run + pass + strings.ReplaceAll(run, `"A"`, `"B"`) + bad, "1 passed, 1 failed, 0 skipped"},
		{"a package that does not build", bad, "0 passed, 1 failed, 0 skipped"},
		{"a skipped test", run + skip + good, "0 passed, 0 failed, 1 skipped"},
		{"nothing at all", "", "0 passed, 1 failed, 0 skipped"},
		{"a package without tests", `{"Action":"skip","Package":"p"}` + "\n", "0 passed, 1 failed, 0 skipped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			tally := newTally(&out)
			if err := tally.read(strings.NewReader(c.in)); err != nil {
				t.Fatal(err)
			}
			well := tally.end()
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if got := lines[len(lines)-1]; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if well != strings.Contains(lines[len(lines)-1], " 0 failed") {
				t.Errorf("well is %v after %q", well, lines[len(lines)-1])
			}
		})
	}
}
