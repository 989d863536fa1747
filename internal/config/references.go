package config

import (
	"path/filepath"
	"slices"
	"sort"
	"strings"
	template "text/template/parse"

	"gopkg.in/yaml.v3"

	"muster/internal/manifest"
)

// Use is a place where a template of the bundle reads a value.
type Use struct {
	// Kind is file, unit, check, step or rule; Name is what bundle.yaml calls it.
	Kind string `json:"kind"`
	Name string `json:"name"`
	Place
	Roles []manifest.Role `json:"roles"`

	// path is what is read, as in Param client_port. A path that is cut short reads all that is below it.
	path []string
}

// Uses finds every place where the bundle's templates read a value. read gives the text of a file of the bundle; a file
// that cannot be read or is no template is left out, and named in the problems.
func (b *BundleText) Uses(read func(path string) ([]byte, error)) ([]Use, Problems) {
	f := &useFinder{bundle: b, read: read, missing: map[string]bool{}}
	for _, file := range b.Files {
		f.file(Use{Kind: "file", Name: file.Path, Roles: file.Roles}, file.Template)
	}
	for _, u := range b.Units {
		f.file(Use{Kind: "unit", Name: u.Name, Roles: u.Roles}, u.Template)
	}
	for _, c := range b.Checks {
		use := Use{Kind: "check", Name: c.Name, Roles: c.Roles}
		if c.Script != "" {
			f.file(use, c.Script)
		}
		for _, key := range sortedKeys(c.With) {
			f.inline(use, c.With[key], "checks", c.Name, "with", key)
		}
		f.inline(use, c.Summary, "checks", c.Name, "summary")
		f.inline(use, c.Remedy, "checks", c.Name, "remedy")
	}
	for _, s := range b.Steps {
		f.file(Use{Kind: "step", Name: s.Name, Roles: s.Roles}, s.Script)
	}
	f.rules()
	return f.uses, f.problems
}

// rules looks through what must hold between parameters. A rule is for the cluster as a whole.
func (f *useFinder) rules() {
	var roles []manifest.Role
	for _, r := range f.bundle.Roles {
		roles = append(roles, r.Name)
	}
	_, list := childNode(f.bundle.top, "rules")
	for i, r := range f.bundle.Rules {
		line := 0
		if list != nil && i < len(list.Content) {
			line = list.Content[i].Line
		}
		_ = f.scan(r.Assert, func(reference []string, _ int) {
			f.add(Use{Kind: "rule", Name: strings.Join(r.Keys, ", "), Place: Place{f.bundle.File, line}, Roles: roles, path: reference})
		})
	}
}

type useFinder struct {
	bundle   *BundleText
	read     func(path string) ([]byte, error)
	missing  map[string]bool
	uses     []Use
	problems Problems
}

// file looks through a template file.
func (f *useFinder) file(use Use, path string) {
	text, err := f.read(path)
	if err == nil {
		err = f.scan(string(text), func(reference []string, line int) {
			use.path, use.Place = reference, Place{filepath.Join(f.bundle.Dir, path), line}
			f.add(use)
		})
	}
	if err != nil && !f.missing[path] {
		f.missing[path] = true
		f.problems = append(f.problems, Problem{File: filepath.Join(f.bundle.Dir, path), Message: "what it uses is not known: " + strings.TrimPrefix(cause(err).Error(), "template: this file:"), Remedy: "correct the template; `coordinator genconf --check` says more", Warning: true})
	}
}

// inline looks through a template in bundle.yaml. The place is that of the value: a folded text has other lines.
func (f *useFinder) inline(use Use, text string, keys ...string) {
	line := 0
	if key, value := descend(f.bundle.top, keys...); value != nil {
		line = value.Line
		if value.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			line = key.Line
		}
	}
	// genconf tells what is wrong with it; here it only uses nothing.
	_ = f.scan(text, func(reference []string, _ int) {
		use.path, use.Place = reference, Place{f.bundle.File, line}
		f.add(use)
	})
}

// add takes a use once a line.
func (f *useFinder) add(use Use) {
	if !slices.ContainsFunc(f.uses, func(u Use) bool {
		return u.Kind == use.Kind && u.Name == use.Name && u.Place == use.Place && slices.Equal(u.path, use.path)
	}) {
		f.uses = append(f.uses, use)
	}
}

// scan parses a template and finds what it reads.
func (f *useFinder) scan(text string, found func(reference []string, line int)) error {
	const name = "this file"
	tree := template.New(name)
	tree.Mode = template.SkipFuncCheck
	trees := map[string]*template.Tree{}
	if _, err := tree.Parse(text, "", "", trees); err != nil {
		return err
	}
	var starts []int
	for i := range len(text) {
		if text[i] == '\n' {
			starts = append(starts, i)
		}
	}
	r := &references{trees: trees, found: func(reference []string, at template.Pos) {
		found(reference, 1+sort.SearchInts(starts, int(at)))
	}}
	if tree.Root != nil {
		r.list(tree.Root, scope{dot: root, vars: map[string]value{"$": root}})
	}
	return nil
}

// value is what is known of a value in a template: the way to it from the root, if it has one.
type value struct {
	known bool
	path  []string
}

var root = value{known: true}

func (v value) field(names ...string) value {
	if !v.known {
		return value{}
	}
	return value{true, append(slices.Clip(v.path), names...)}
}

// scope is what the dot and the variables stand for.
type scope struct {
	dot   value
	vars  map[string]value
	depth int
}

func (s scope) with(name string, v value) scope {
	vars := make(map[string]value, len(s.vars)+1)
	for n, v := range s.vars {
		vars[n] = v
	}
	vars[name] = v
	s.vars = vars
	return s
}

// maxIncluded is how deep included templates are followed.
const maxIncluded = 8

// references walks a parsed template and says what is read from the root.
type references struct {
	trees map[string]*template.Tree
	found func(reference []string, at template.Pos)
}

func (r *references) list(list *template.ListNode, s scope) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *template.ActionNode:
			_, s = r.pipe(n.Pipe, s, true)
		case *template.IfNode:
			_, inner := r.pipe(n.Pipe, s, true)
			r.list(n.List, inner)
			r.list(n.ElseList, inner)
		case *template.WithNode:
			v, inner := r.pipe(n.Pipe, s, false)
			r.list(n.ElseList, inner)
			inner.dot = v
			r.list(n.List, inner)
		case *template.RangeNode:
			r.ranged(n, s)
		case *template.TemplateNode:
			v, _ := r.pipe(n.Pipe, s, false)
			if t := r.trees[n.Name]; t != nil && t.Root != nil && s.depth < maxIncluded {
				r.list(t.Root, scope{dot: v, vars: map[string]value{"$": v}, depth: s.depth + 1})
			}
		case *template.ListNode:
			r.list(n, s)
		}
	}
}

// ranged walks a range. Its items are parts of a value that was read as a whole.
func (r *references) ranged(n *template.RangeNode, s scope) {
	r.pipe(&template.PipeNode{NodeType: template.NodePipe, Pos: n.Pipe.Pos, Cmds: n.Pipe.Cmds}, s, true)
	inner := s
	for _, d := range n.Pipe.Decl {
		inner = inner.with(d.Ident[0], value{})
	}
	r.list(n.ElseList, inner)
	inner.dot = value{}
	r.list(n.List, inner)
}

// pipe reads a pipeline and gives its value. What is a plain way into the root counts as read only if it is used for
// more than to go on from there.
func (r *references) pipe(p *template.PipeNode, s scope, used bool) (value, scope) {
	if p == nil {
		return value{}, s
	}
	var v value
	plain := len(p.Cmds) == 1 && len(p.Cmds[0].Args) == 1
	for _, cmd := range p.Cmds {
		v = r.command(cmd, s, plain && (!used || len(p.Decl) > 0))
	}
	if len(p.Cmds) > 1 {
		v = value{}
	}
	if len(p.Decl) == 1 {
		s = s.with(p.Decl[0].Ident[0], v)
	}
	return v, s
}

// command reads the arguments of a function, or a single value.
func (r *references) command(cmd *template.CommandNode, s scope, passed bool) value {
	if len(cmd.Args) == 1 {
		return r.operand(cmd.Args[0], s, passed)
	}
	if v, at, ok := r.indexed(cmd, s); ok {
		r.read(v, at, passed)
		return v
	}
	for _, arg := range cmd.Args {
		r.operand(arg, s, false)
	}
	return value{}
}

// indexed knows {{ index .Param "a-name" }}.
func (r *references) indexed(cmd *template.CommandNode, s scope) (value, template.Pos, bool) {
	id, ok := cmd.Args[0].(*template.IdentifierNode)
	if !ok || id.Ident != "index" {
		return value{}, 0, false
	}
	v := r.operand(cmd.Args[1], s, true)
	for _, arg := range cmd.Args[2:] {
		text, ok := arg.(*template.StringNode)
		if !ok {
			return value{}, 0, false
		}
		v = v.field(text.Text)
	}
	return v, cmd.Pos, v.known
}

// operand gives the value of an argument, and reads it unless it is only passed on.
func (r *references) operand(node template.Node, s scope, passed bool) value {
	var v value
	switch n := node.(type) {
	case *template.DotNode:
		v = s.dot
	case *template.FieldNode:
		v = s.dot.field(n.Ident...)
	case *template.VariableNode:
		v = s.vars[n.Ident[0]].field(n.Ident[1:]...)
	case *template.PipeNode:
		v, _ = r.pipe(n, s, false)
	case *template.ChainNode:
		v = r.operand(n.Node, s, true).field(n.Field...)
	default:
		return value{}
	}
	r.read(v, node.Position(), passed)
	return v
}

func (r *references) read(v value, at template.Pos, passed bool) {
	if v.known && len(v.path) > 0 && (!passed || len(v.path) > 1) {
		r.found(v.path, at)
	}
}
