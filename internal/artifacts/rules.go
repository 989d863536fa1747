package artifacts

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"muster/internal/config"
	"muster/internal/render"
)

// checkRules asks the bundle's rules. One that does not hold is the operator's to mend, so it is told where its
// parameters stand in cluster.yaml; one that cannot be evaluated is the publisher's.
func checkRules(c *config.Cluster, place locator, p *problems) {
	askRules(c, place, p, func(config.Rule) bool { return true })
}

// BrokenRules gives the rules that a cluster.yaml breaks beside what else is wrong with it: those whose parameters are
// right by themselves. It is for config.LoadClusterAnd.
func BrokenRules(c *config.Cluster, wrong config.Problems) config.Problems {
	// For positions only: config has read it.
	text, _ := os.ReadFile(bundlePath(c.Bundle, definitionFile))
	place := newLocator(bundlePath(c.Bundle, definitionFile), string(text))
	var p problems
	askRules(c, place, &p, func(rule config.Rule) bool {
		return !slices.ContainsFunc(wrong, func(w config.Problem) bool { return !w.Warning && concerns(w.Key, rule) })
	})
	// A rule that could not be asked may have read a wrong value, and the defaults are not the operator's.
	return slices.DeleteFunc(p.list, func(found config.Problem) bool { return found.File != c.File })
}

// concerns says whether what is wrong with a key of cluster.yaml can matter to a rule.
func concerns(key string, rule config.Rule) bool {
	if rule.Discovery && slices.Contains([]string{"discovery", "endpoint", "hosts"}, key) {
		return true
	}
	name, ok := strings.CutPrefix(key, "parameters.")
	if !ok {
		return key == "" || key == "parameters"
	}
	within := func(inner, outer string) bool {
		rest, ok := strings.CutPrefix(inner, outer)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	}
	return slices.ContainsFunc(rule.Keys, func(k string) bool { return within(name, k) || within(k, name) })
}

func askRules(c *config.Cluster, place locator, p *problems, ask func(config.Rule) bool) {
	if len(c.Bundle.Rules) == 0 {
		return
	}
	// For positions only: config has read it. There is none when a bundle is tried without a cluster.
	text, _ := os.ReadFile(c.File)
	said := newLocator(c.File, string(text))
	shown := *c
	shown.Parameters = c.Bundle.Conceal(c.Parameters, func(string) any { return config.Masked })
	for i, rule := range c.Bundle.Rules {
		if !ask(rule) || !applies(rule, c.Parameters) {
			continue
		}
		holds, err := render.Assert(place.file, rule.Assert, c.Parameters, clusterInfo(c))
		switch {
		case err != nil:
			problem := place.find("rules", strconv.Itoa(i), "assert")
			problem.Message, problem.Remedy = err.Error(), "correct the rule"
			var e *render.Error
			if errors.As(err, &e) {
				problem.Message, problem.Remedy = e.Message, e.Remedy
			}
			// Functions repeat what they are given: without the secrets the message has to be the same.
			if _, again := render.Assert(place.file, rule.Assert, shown.Parameters, clusterInfo(c)); again == nil || again.Error() != err.Error() {
				problem.Message = "the rule cannot be evaluated; why is not shown because it may repeat a value that the bundle marks as writeOnly"
				problem.Remedy = "correct the rule, or what cluster.yaml says of " + strings.Join(rule.Keys, " and ")
			}
			p.add(problem)
		case !holds:
			problem := violation(i, rule, &shown, said, place)
			problem.Source = c.Bundle.HideSecrets(text, config.Problems{problem})[0].Source
			p.add(problem)
		}
	}
}

// applies says whether all of a rule's parameters have a value.
func applies(rule config.Rule, params map[string]any) bool {
	for _, key := range rule.Keys {
		if valueOf(params, key) == nil {
			return false
		}
	}
	return true
}

// violation is a rule that does not hold, with every parameter that it is about: its value, and where that stands.
func violation(i int, rule config.Rule, c *config.Cluster, said, place locator) config.Problem {
	var at *config.Problem
	var values []string
	show := func(key string, value any, way ...string) {
		found := said.find(way...)
		where := "the default"
		if found.Line > 0 {
			where = fmt.Sprintf("line %d, column %d", found.Line, found.Column)
			if at == nil {
				at = &found
			}
		}
		values = append(values, fmt.Sprintf("%s is %s (%s)", key, brief(value), where))
	}
	for _, key := range rule.Keys {
		show(key, valueOf(c.Parameters, key), append([]string{"parameters"}, strings.Split(key, ".")...)...)
	}
	if rule.Discovery {
		show("discovery", string(c.Discovery), "discovery")
	}
	if at == nil {
		// Nobody said any of them: the bundle's own defaults are in conflict.
		found := place.find("rules", strconv.Itoa(i))
		at = &found
	}
	at.Message = strings.TrimSuffix(rule.Message, ".") + ": " + strings.Join(values, ", ")
	at.Remedy = rule.Remedy
	return *at
}

// brief shows a value in few characters.
func brief(v any) string {
	switch v := v.(type) {
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	case map[string]any:
		return "a mapping"
	case string:
		if v == config.Masked {
			return v
		}
		if len(v) > 60 {
			return "a long text"
		}
		return strconv.Quote(v)
	}
	return fmt.Sprint(v)
}

// valueOf follows a key such as cache.size; nil when there is no value.
func valueOf(params map[string]any, key string) any {
	var v any = params
	for part := range strings.SplitSeq(key, ".") {
		m, _ := v.(map[string]any)
		v = m[part]
	}
	return v
}

func clusterInfo(c *config.Cluster) render.ClusterInfo {
	return render.ClusterInfo{Name: c.Name, Root: "/opt/" + c.Name, Data: "/var/lib/" + c.Name, Discovery: string(c.Discovery)}
}
