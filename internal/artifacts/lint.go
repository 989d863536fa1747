package artifacts

import (
	"context"
	"fmt"
	"io"
	"strings"

	"muster/internal/config"
	"muster/internal/late"
	"muster/internal/manifest"
)

// Lint finds what is wrong with a bundle, or deserves a look, without a cluster: it renders everything for every role
// with the defaults, and an imaginary cluster of each allowed size. path is a bundle.yaml or where one is. An error is
// one of this machine.
func Lint(ctx context.Context, path string) (config.Problems, error) {
	b, found := config.LoadBundle(path)
	if b == nil {
		return found, nil
	}
	var p problems
	s, err := read(ctx, &config.Cluster{Bundle: b}, nil, &p)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return append(found, p.list...), nil
	}
	defer s.close()
	l := &linter{ctx: ctx, bundle: b, sources: s, problems: &p}
	l.renderAll()
	l.policies()
	if p.list.Err() == nil {
		l.scripts()
		l.units()
		l.files()
		if err := l.parameters(path); err != nil {
			return nil, err
		}
	}
	return append(found, p.list...), nil
}

// linter looks at one bundle.
type linter struct {
	ctx      context.Context
	bundle   *config.Bundle
	sources  *sources
	problems *problems
	// rendered are the roles as they come out with the defaults alone and the smallest cluster.
	rendered []rendered
}

func (l *linter) warn(at config.Problem, message, remedy string) {
	at.Message, at.Remedy, at.Warning = message, remedy, true
	l.problems.add(at)
}

// renderAll renders for each count that a role may have and each way of discovery, first with what is required alone, then
// with everything.
func (l *linter) renderAll() {
	sizes := 1
	for _, r := range l.bundle.Roles {
		sizes = max(sizes, len(r.Counts))
	}
	for _, all := range []bool{false, true} {
		params, err := l.bundle.Sample(all)
		if err != nil {
			if !all {
				l.warn(l.sources.place.find("parameters"), "the templates were not rendered: "+err.Error(),
					"write examples for the parameters that have no default, so that others see what to write, too")
			}
			continue
		}
		for _, discovery := range config.Discoveries {
			for n := range sizes {
				var p problems
				c := l.cluster(n, discovery, params)
				if !all && discovery == config.DiscoveryCoordinator {
					// Values and ways that nobody chose may break the rules between them.
					checkRules(c, l.sources.place, &p)
				}
				var roles []rendered
				for _, role := range l.bundle.Roles {
					roles = append(roles, renderRole(c, l.sources, late.Marker([32]byte{}), role, l.sources.place, &p))
				}
				if n == 0 && discovery == config.DiscoveryCoordinator && !all {
					l.rendered = roles
				}
				l.take(p, all)
			}
		}
	}
}

// take adds what rendering has found. With values that were imagined it may be their fault.
func (l *linter) take(found problems, imagined bool) {
	for _, problem := range found.list {
		if l.problems.seen[problem] {
			continue
		}
		if imagined && !found.always[problem] {
			problem.Warning = true
			problem.Message += " (with imagined values for the parameters that have no default)"
		}
		l.problems.add(problem)
	}
}

// cluster is an imaginary one of the n-th size.
func (l *linter) cluster(n int, discovery config.Discovery, params map[string]any) *config.Cluster {
	c := &config.Cluster{
		Name: "lint", Bundle: l.bundle, Parameters: params, Discovery: discovery, Endpoint: "endpoint.example.com",
		Coordinator: config.Coordinator{Addresses: []string{"coordinator.example.com"}, HTTPPort: 8080, GRPCPort: 8443},
		Roles:       map[manifest.Role]config.ClusterRole{},
	}
	for _, r := range l.bundle.Roles {
		if r.Counted() {
			c.Roles[r.Name] = config.ClusterRole{Count: r.Counts[min(n, len(r.Counts)-1)]}
		}
	}
	return c
}

// policies compares how roles are spread with how many members they have.
func (l *linter) policies() {
	for _, r := range l.bundle.Roles {
		if r.Spread != nil && r.Spread.Max > 0 {
			zones := (r.Counts[len(r.Counts)-1] + r.Spread.Max - 1) / r.Spread.Max
			if zones > 5 {
				l.warn(l.sources.place.find("roles", string(r.Name), "spread"), fmt.Sprintf("%d members need %d zones, and few sites have so many", r.Counts[len(r.Counts)-1], zones), "raise max, or leave it out to spread evenly over the zones that there are")
			}
		}
	}
}

// parameters finds those that nothing reads.
func (l *linter) parameters(path string) error {
	text, found := config.ReadBundle(path)
	if text == nil {
		return found.Err()
	}
	for _, problem := range text.UnusedParameters(func(name string) ([]byte, error) {
		f, err := l.sources.root.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, maxText))
	}) {
		problem.Source = line(l.sources.definition, problem.Line)
		l.problems.add(problem)
	}
	return nil
}

// templateLine says in which line of a template a line of its output was made. Where actions take lines of their own it is
// not known, and 0.
func templateLine(template, output string, n int) int {
	if strings.Count(template, "\n") == strings.Count(output, "\n") {
		return n
	}
	return 0
}
