// Command tally reads the JSON of one or more runs of go test on its standard input, shows packages as they end with the
// output of what failed or was skipped, and closes with one line of counts. It exits with 1 if anything failed.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// event is one line of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

func main() {
	var passed, failed, skipped int
	output := make(map[string][]string)
	ended := make(map[string]bool)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text()) // the go command itself
			continue
		}
		key := e.Package + e.ImportPath + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			output[key] = append(output[key], e.Output)
		case "pass", "fail", "skip":
			ended[key] = true
			if e.Test == "" {
				show(e, output[key])
				if e.Action == "fail" && !anyTest(ended, e.Package) {
					failed++ // it did not build, or died outside of a test
				}
				break
			}
			switch e.Action {
			case "pass":
				passed++
			case "fail":
				failed++
			case "skip":
				skipped++
			}
			if e.Action != "pass" {
				fmt.Printf("--- %s %s %s\n%s", strings.ToUpper(e.Action), e.Package, e.Test, strings.Join(output[key], ""))
			}
			delete(output, key)
		case "build-fail":
			fmt.Print(strings.Join(output[key], ""))
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Println("tally:", err)
		failed++
	}
	if passed == 0 {
		failed = max(failed, 1) // a run without tests is no success
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	if failed > 0 {
		os.Exit(1)
	}
}

func show(e event, output []string) {
	if e.Action == "skip" {
		return // no test files
	}
	fmt.Printf("%-4s %s (%.1fs)\n", e.Action, e.Package, e.Elapsed)
	if e.Action == "fail" {
		output = slices.DeleteFunc(output, func(s string) bool { return s == "FAIL\n" })
		fmt.Print(strings.Join(output, ""))
	}
}

func anyTest(ended map[string]bool, pkg string) bool {
	for key := range ended {
		if strings.HasPrefix(key, pkg+" ") && key != pkg+" " {
			return true
		}
	}
	return false
}
