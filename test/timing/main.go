// Command timing reads what coordinator status HOST -o json says of each host of a deployment, and tells where the time
// went: what each host spent on each step, and the median and the longest of every step.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// page is one host's, as far as times are concerned.
type page struct {
	Host struct {
		Name, Role, Address string
		Enrolled, Done      time.Time
	}
	Reports []struct {
		Time time.Time
		Step *struct {
			Phase, Name string
			Took        string
		}
	}
}

// columns are what a host's time is divided into, in the order in which it passes.
var columns = []string{"push", "enrol", "preflight", "for roster", "fetch", "unpack", "bind", "activate", "start", "postflight", "other", "all"}

func main() {
	began := flag.Float64("began", 0, "when the push began, in seconds since 1970")
	ended := flag.Float64("ended", 0, "when the last host was known to be done")
	log := flag.String("log", "", "what the push said, with the time of each host")
	flag.Parse()
	said, err := os.ReadFile(*log)
	if err == nil {
		err = run(os.Stdin, os.Stdout, pushes(string(said)), moment(*began), moment(*ended))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func moment(seconds float64) time.Time { return time.UnixMicro(int64(seconds * 1e6)) }

var pushed = regexp.MustCompile(`(?m)^(\S+): pushed in (\S+)$`)

// pushes are the times of the SSH sessions, by address.
func pushes(said string) map[string]time.Duration {
	took := make(map[string]time.Duration)
	for _, match := range pushed.FindAllStringSubmatch(said, -1) {
		took[match[1]], _ = time.ParseDuration(match[2])
	}
	return took
}

func run(in io.Reader, out io.Writer, pushes map[string]time.Duration, began, ended time.Time) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name, role string, cells []string) {
		fmt.Fprintf(table, "%s\t%s\t%s\t\n", name, role, strings.Join(cells, "\t"))
	}
	row("HOST", "ROLE", columns)
	all := make([][]time.Duration, len(columns))
	for decoder := json.NewDecoder(in); ; {
		var p page
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		push, ok := pushes[p.Host.Address]
		if !ok {
			return fmt.Errorf("the log does not say how long the push to %s took", p.Host.Address)
		}
		spent := p.spent(began, push)
		cells := make([]string, len(columns))
		for i, name := range columns {
			all[i] = append(all[i], spent[name])
			cells[i] = words(spent[name])
		}
		row(p.Host.Name, p.Host.Role, cells)
	}
	if len(all[0]) == 0 {
		return errors.New("there is no host on the standard input")
	}
	median, longest := make([]string, len(columns)), make([]string, len(columns))
	for i, durations := range all {
		slices.Sort(durations)
		median[i], longest[i] = words(durations[len(durations)/2]), words(durations[len(durations)-1])
	}
	row("median", "", median)
	row("longest", "", longest)
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d hosts, from coordinator deploy to the last one done: %.1f s\n", len(all[0]), ended.Sub(began).Seconds())
	return err
}

// spent divides the time from the push until the host was done. What is between two steps is the wait for the roster
// where preflight ends, and else what it takes to write down and to hear what comes next.
func (p page) spent(began time.Time, push time.Duration) map[string]time.Duration {
	enrolled := p.Host.Enrolled.Sub(began)
	// A quick host has enrolled before the SSH session that started it is over.
	push = min(push, enrolled)
	spent := map[string]time.Duration{"push": push, "enrol": enrolled - push, "all": p.Host.Done.Sub(began)}
	var checked, fetching time.Time
	for _, r := range p.Reports {
		if r.Step == nil {
			continue
		}
		took, _ := time.ParseDuration(r.Step.Took)
		switch name := r.Step.Name; {
		case r.Step.Phase == "preflight":
			spent["preflight"] += took
			checked = r.Time
		case r.Step.Phase == "fetching":
			spent["fetch"] += took
			if fetching.IsZero() {
				fetching = r.Time.Add(-took)
			}
		default:
			spent[name] += took
		}
	}
	if !checked.IsZero() && fetching.After(checked) {
		spent["for roster"] = fetching.Sub(checked)
	}
	spent["other"] = spent["all"]
	for _, name := range columns[:len(columns)-2] {
		spent["other"] -= spent[name]
	}
	return spent
}

func words(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) }
