// Command tally reads the JSON of one or more runs of go test on its standard input, shows packages as they end with the
// output of what failed or was skipped, and closes with one line of counts. It exits with 1 if anything failed.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// event is one line of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

type tally struct {
	out                     io.Writer
	passed, failed, skipped int
	// output is what a test, or a package by itself, has printed; running are tests that have not ended.
	output  map[string][]string
	running map[string]map[string]bool
	// failures counts the tests of a package that failed.
	failures map[string]int
}

func main() {
	t := newTally(os.Stdout)
	if err := t.read(os.Stdin); err != nil {
		fmt.Println("tally:", err)
		t.failed++
	}
	if !t.end() {
		os.Exit(1)
	}
}

func newTally(out io.Writer) *tally {
	return &tally{out: out, output: make(map[string][]string), running: make(map[string]map[string]bool), failures: make(map[string]int)}
}

func (t *tally) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(t.out, lines.Text()) // the go command or the script itself
			continue
		}
		t.take(e)
	}
	return lines.Err()
}

func (t *tally) take(e event) {
	key := e.Package + e.ImportPath + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		t.output[key] = append(t.output[key], e.Output)
	case "build-fail":
		fmt.Fprint(t.out, strings.Join(t.output[key], ""))
	case "run":
		if t.running[e.Package] == nil {
			t.running[e.Package] = make(map[string]bool)
		}
		t.running[e.Package][e.Test] = true
	case "pass", "fail", "skip":
		if e.Test == "" {
			t.takePackage(e, t.output[key])
		} else {
			t.takeTest(e, t.output[key])
		}
		delete(t.output, key)
	}
}

func (t *tally) takeTest(e event, output []string) {
	delete(t.running[e.Package], e.Test)
	switch e.Action {
	case "pass":
		t.passed++
		return
	case "fail":
		t.failed++
		t.failures[e.Package]++
	case "skip":
		t.skipped++
	}
	fmt.Fprintf(t.out, "--- %s %s %s\n%s", strings.ToUpper(e.Action), e.Package, e.Test, strings.Join(output, ""))
}

// takePackage counts a failure of the package itself: it did not build, ran out of time, exited, or its TestMain failed.
func (t *tally) takePackage(e event, output []string) {
	if e.Action == "skip" {
		return // no test files
	}
	fmt.Fprintf(t.out, "%-4s %s (%.1fs)\n", e.Action, e.Package, e.Elapsed)
	if e.Action != "fail" {
		return
	}
	for test := range t.running[e.Package] {
		t.failed++
		t.failures[e.Package]++
		fmt.Fprintf(t.out, "--- FAIL %s %s did not end\n%s", e.Package, test, strings.Join(t.output[e.Package+" "+test], ""))
	}
	delete(t.running, e.Package)
	if t.failures[e.Package] == 0 {
		t.failed++
	}
	fmt.Fprint(t.out, strings.Join(output, ""))
}

// end prints the counts and says whether all is well. A run without tests is not.
func (t *tally) end() bool {
	if t.passed+t.failed+t.skipped == 0 {
		t.failed = 1
		fmt.Fprintln(t.out, "no test was run")
	}
	fmt.Fprintf(t.out, "%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
	return t.failed == 0
}
