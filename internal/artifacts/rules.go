package artifacts

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"muster/internal/config"
	"muster/internal/render"
)

// checkRules asks the bundle's rules. One that does not hold is the operator's to mend, so it is told where its
// parameters stand in cluster.yaml; one that cannot be evaluated is the publisher's.
func checkRules(c *config.Cluster, place locator, p *problems) {
	if len(c.Bundle.Rules) == 0 {
		return
	}
	// For positions only: config has read it. There is none when a bundle is tried without a cluster.
	text, _ := os.ReadFile(c.File)
	said := newLocator(c.File, string(text))
	for i, rule := range c.Bundle.Rules {
		if !applies(rule, c.Parameters) {
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
			p.add(problem)
		case !holds:
			p.add(violation(i, rule, c, said, place))
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
	for _, key := range rule.Keys {
		found := said.find(append([]string{"parameters"}, strings.Split(key, ".")...)...)
		where := "the default"
		if found.Line > 0 {
			where = fmt.Sprintf("line %d, column %d", found.Line, found.Column)
			if at == nil {
				at = &found
			}
		}
		values = append(values, fmt.Sprintf("%s is %s (%s)", key, brief(valueOf(c.Parameters, key)), where))
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
	return render.ClusterInfo{Name: c.Name, Root: "/opt/" + c.Name, Data: "/var/lib/" + c.Name}
}
