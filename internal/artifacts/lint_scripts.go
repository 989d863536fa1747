package artifacts

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/internal/config"
)

// shellScript is a shell script as it comes out for a role.
type shellScript struct{ template, shell, text string }

// scripts has a shell read, not run, every script.
func (l *linter) scripts() {
	var all []shellScript
	add := func(template, shell, text string) {
		s := shellScript{template, shell, text}
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	for _, r := range l.rendered {
		for _, c := range r.checks {
			if template := l.checkScript(c.Name); c.Script != "" {
				add(template, "sh", c.Script)
			}
		}
		for _, s := range r.steps {
			for _, of := range l.bundle.Steps {
				if of.Name == s.Name {
					add(of.Script, "sh", s.Script)
				}
			}
		}
		for _, f := range r.files {
			if shell := shellOf(string(f.content)); shell != "" {
				for _, of := range l.bundle.Files {
					if of.Path == f.path {
						add(of.Template, shell, string(f.content))
					}
				}
			}
		}
	}
	for _, s := range all {
		l.parse(s)
	}
}

func (l *linter) checkScript(name string) string {
	for _, c := range l.bundle.Checks {
		if c.Name == name {
			return c.Script
		}
	}
	return ""
}

// shellOf names the shell that the first line of a program asks for, if it is one.
func shellOf(text string) string {
	first, _, _ := strings.Cut(text, "\n")
	interpreter, ok := strings.CutPrefix(first, "#!")
	if !ok {
		return ""
	}
	words := strings.Fields(interpreter)
	if len(words) > 1 && path.Base(words[0]) == "env" {
		words = words[1:]
	}
	if len(words) > 0 && slices.Contains([]string{"sh", "bash", "dash"}, path.Base(words[0])) {
		return path.Base(words[0])
	}
	return ""
}

// shellSays is what shells write before a syntax error.
var shellSays = regexp.MustCompile(`(?:line )?([0-9]+): (.*)`)

func (l *linter) parse(s shellScript) {
	ctx, cancel := context.WithTimeout(l.ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.shell, "-n")
	cmd.Stdin = strings.NewReader(s.text)
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C"}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrNotFound) || l.ctx.Err() != nil {
		return // a shell that is not on this machine cannot be asked
	}
	problem := config.Problem{File: bundlePath(l.bundle, s.template), Message: "the script is not one that " + s.shell + " can read", Remedy: "correct it; try it with " + s.shell + " -n"}
	if m := shellSays.FindStringSubmatch(stderr.String()); m != nil {
		n, _ := strconv.Atoi(m[1])
		problem.Message += ": " + m[2]
		template := l.sources.texts[s.template]
		if problem.Line = templateLine(template, s.text, n); problem.Line > 0 {
			problem.Column, problem.Source = 1, line(template, problem.Line)
		} else {
			problem.Message += " (as rendered: " + strings.TrimSpace(line(s.text, n)) + ")"
		}
	}
	l.problems.add(problem)
}
