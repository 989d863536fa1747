package config

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Problem is one thing that is wrong in a file, told to the person who has to correct it.
type Problem struct {
	// File is the path as it was given. Line and Column count from 1, Column in characters; both are 0 when the
	// file as a whole is meant, such as one that does not exist.
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	// Key is the way to the value, such as roles.master.count or hosts[1].address; empty for the whole file.
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
	Remedy  string `json:"remedy"`
	// Source is the offending line as it stands in the file. It may hold anything: Render escapes it.
	Source string `json:"source,omitempty"`
	// Warning marks what deserves a look but does not stop.
	Warning bool `json:"warning,omitempty"`
}

// Problems are what was found in one or several files: file after file, in each from the top down.
type Problems []Problem

// String gives the problem in one line that is safe to print on a terminal.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(printable(p.File))
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Key != "" {
		b.WriteString(printable(p.Key) + ": ")
	}
	b.WriteString(printable(p.Message))
	return b.String()
}

// Err is nil when there are at most warnings, otherwise the problems themselves.
func (ps Problems) Err() error {
	if slices.ContainsFunc(ps, func(p Problem) bool { return !p.Warning }) {
		return ps
	}
	return nil
}

// Error gives every problem, warnings included, in a line of its own.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Render prints every problem with the offending line, a caret below its column, and the remedy.
func (ps Problems) Render(w io.Writer) error {
	for i, p := range ps {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if err := p.render(w); err != nil {
			return err
		}
	}
	return nil
}

// shownColumns is how much of a line Render shows: enough for lines that people write, and a line of a megabyte must
// not bury the message.
const shownColumns = 100

func (p Problem) render(w io.Writer) error {
	var b strings.Builder
	b.WriteString(p.String() + "\n")
	if p.Line > 0 && p.Source != "" {
		before, after := around(p.Source, p.Column)
		// The caret stands below what is printed, where an escaped byte takes several columns.
		indent := strings.Repeat(" ", len([]rune(before)))
		number := fmt.Sprintf("%5d", p.Line)
		fmt.Fprintf(&b, "%s | %s%s\n", number, before, after)
		fmt.Fprintf(&b, "%s | %s^\n", strings.Repeat(" ", len(number)), indent)
	}
	if p.Remedy != "" {
		fmt.Fprintf(&b, "  remedy: %s\n", printable(p.Remedy))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// around splits line at a column and cuts both parts to what is shown, safe to print.
func around(line string, column int) (before, after string) {
	// Runes are decoded only as far as they are shown: the same long line may carry many problems.
	start, at := 0, 0
	for n := 1; n < column && at < len(line); n++ {
		at += runeLen(line[at:])
		if n >= shownColumns {
			start += runeLen(line[start:])
		}
	}
	end := at
	for n := 0; n < shownColumns && end < len(line); n++ {
		end += runeLen(line[end:])
	}
	before, after = printable(strings.ReplaceAll(line[start:at], "\t", " ")), printable(strings.ReplaceAll(line[at:end], "\t", " "))
	if start > 0 {
		before = "…" + before
	}
	if end < len(line) {
		after += "…"
	}
	return before, after
}

// maxProblems is how many problems of one file are kept. A generator gone wrong makes thousands of the same kind, and
// whoever has to correct it reads the first ones.
const maxProblems = 1000

// report collects the problems of one file.
type report struct {
	file      string
	lines     []string
	problems  Problems
	dropped   int
	concealed concealment
}

// add takes a problem over and fills in what the report knows: the file and the offending line.
func (r *report) add(p Problem) {
	if len(r.problems) >= maxProblems && !p.Warning {
		r.dropped++
		return
	}
	p.File = r.file
	if p.Line > 0 && p.Line <= len(r.lines) {
		p.Source = r.lines[p.Line-1]
	}
	r.problems = append(r.problems, p)
}

// failed says whether there is a problem that is not just a warning.
func (r *report) failed() bool { return r.problems.Err() != nil }

// sorted gives the problems in the order of their positions.
func (r *report) sorted() Problems {
	r.hide()
	sortByPlace(r.problems)
	if r.dropped > 0 {
		last := r.problems[len(r.problems)-1]
		last.Key, last.Warning = "", false
		last.Message = fmt.Sprintf("%d more problems are not shown", r.dropped)
		last.Remedy = "correct the problems above first, then check again"
		r.problems, r.dropped = append(r.problems, last), 0
	}
	return r.problems
}

// sortByPlace sorts problems of one file.
func sortByPlace(ps Problems) {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Key, b.Key))
	})
}
