package config

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"muster/internal/manifest"
)

// shownValue is how many characters of a value a table shows.
const shownValue = 60

// valueText writes a value in one safe line.
func (e Explained) valueText(limit int) string {
	switch list, _ := e.Value.([]any); {
	case e.Value == nil && e.Origin == NotSet:
		return "-"
	case e.Secret:
		return Masked
	case e.Key == "hosts" && limit > 0 && len(list) > 0:
		return count(len(list), "host")
	}
	return clip(flow(e.Value), limit)
}

func clip(s string, limit int) string {
	s = printable(s)
	if runes := []rune(s); limit > 0 && len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return s
}

// origin says where the value comes from in a few words.
func (e Explained) origin() string {
	switch {
	case e.Origin == FromFile && e.At != nil:
		return e.At.String()
	case e.At != nil:
		return string(e.Origin) + ", " + e.At.String()
	}
	return string(e.Origin)
}

// RenderKeys prints a table of keys, values and origins.
func RenderKeys(w io.Writer, all []Explained) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tVALUE\tFROM")
	for _, e := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\n", printable(e.Key), e.valueText(shownValue), e.origin())
	}
	return t.Flush()
}

// Render prints all that is known of a key.
func (e Explained) Render(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s = %s\n", printable(e.Key), e.valueText(0))
	row := func(name, text string) {
		for i, line := range fold(text, 90) {
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(&b, "  %-9s %s\n", name, line)
		}
	}
	from := e.origin()
	if e.Why != "" {
		from += ": " + e.Why
	}
	row("from", from)
	row("about", e.Description)
	row("allowed", e.Allowed)
	if e.Default != nil && e.Origin != FromBundle && e.Origin != FromMuster {
		text := flow(e.Default)
		if e.Secret {
			text = Masked
		}
		if e.DefaultAt != nil {
			text += " (" + e.DefaultAt.String() + ")"
		}
		row("default", text)
	}
	e.renderUses(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// renderUses prints one line for each file, unit and check and each template of it.
func (e Explained) renderUses(b *strings.Builder) {
	if len(e.Uses) == 0 {
		fmt.Fprintf(b, "  %-9s %s\n", "used by", "no template")
		return
	}
	type group struct {
		Use
		lines []int
	}
	var groups []group
	for _, u := range e.Uses {
		i := slices.IndexFunc(groups, func(g group) bool { return g.Kind == u.Kind && g.Name == u.Name && g.File == u.File })
		if i < 0 {
			groups = append(groups, group{Use: u})
			i = len(groups) - 1
		}
		if !slices.Contains(groups[i].lines, u.Line) {
			groups[i].lines = append(groups[i].lines, u.Line)
		}
	}
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, g := range groups {
		slices.Sort(g.lines)
		lines := make([]string, len(g.lines))
		for i, n := range g.lines {
			lines[i] = strconv.Itoa(n)
		}
		fmt.Fprintf(t, "%s %s\t%s:%s\t%s\n", g.Kind, printable(g.Name), printable(g.File), strings.Join(lines, ","), roleNamesText(g.Roles))
	}
	_ = t.Flush() // into memory
	name := "used by"
	for line := range strings.Lines(table.String()) {
		fmt.Fprintf(b, "  %-9s %s", name, line)
		name = ""
	}
}

func roleNamesText(roles []manifest.Role) string {
	words := make([]string, len(roles))
	for i, r := range roles {
		words[i] = string(r)
	}
	return strings.Join(words, ", ")
}
