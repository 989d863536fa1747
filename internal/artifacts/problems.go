package artifacts

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"muster/internal/config"
	"muster/internal/render"
)

// problems collects what is wrong, so that all of it is said at once. The same template is rendered for several roles;
// what is wrong with it is said once.
type problems struct {
	list config.Problems
	seen map[config.Problem]bool
	// always are those of the list that are there whatever the parameters are.
	always map[config.Problem]bool
}

func (p *problems) add(problem config.Problem) {
	if p.seen == nil {
		p.seen = map[config.Problem]bool{}
	}
	if !p.seen[problem] {
		p.seen[problem] = true
		p.list = append(p.list, problem)
	}
}

// rendering adds a problem that is an error of rendering.
func (p *problems) rendering(problem config.Problem, err *render.Error) {
	problem.Message, problem.Remedy = err.Message, err.Remedy
	p.add(problem)
	if err.Always {
		if p.always == nil {
			p.always = map[config.Problem]bool{}
		}
		p.always[problem] = true
	}
}

// file adds a problem with a file or directory as a whole.
func (p *problems) file(path, message, remedy string) {
	p.add(config.Problem{File: path, Message: message, Remedy: remedy})
}

// failed adds an error of the file system.
func (p *problems) failed(path string, err error) {
	var inner *fs.PathError
	if errors.As(err, &inner) {
		err = inner.Err
	}
	p.file(path, "cannot be read: "+err.Error(), "check that it exists and its permissions")
}

// template adds an error of rendering. The text is that of the template.
func (p *problems) template(file string, text string, err error) {
	var e *render.Error
	if !errors.As(err, &e) {
		p.file(file, err.Error(), "correct the template")
		return
	}
	p.rendering(config.Problem{File: file, Line: e.Line, Column: e.Column, Source: line(text, e.Line)}, e)
}

// line gives the n-th line of a text, counted from 1.
func line(text string, n int) string {
	lines := strings.Split(text, "\n")
	if n < 1 || n > len(lines) {
		return ""
	}
	return strings.TrimSuffix(lines[n-1], "\r")
}

func bundlePath(b *config.Bundle, path string) string {
	return filepath.Join(b.Dir, filepath.FromSlash(path))
}
