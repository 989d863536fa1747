package config

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// fewHosts is how many hosts a line names. All of them are in the JSON.
const fewHosts = 8

// marks stand before what was added, removed and changed, as in other diffs.
var marks = map[Change]string{Added: "+", Removed: "-", Changed: "~"}

// Render prints the differences for people.
func (d Diff) Render(w io.Writer) error {
	var b strings.Builder
	if d.Same() {
		fmt.Fprintf(&b, "%s and %s say the same\n", printable(d.Old), printable(d.New))
	}
	d.renderKeys(&b)
	if len(d.Roles) > 0 {
		b.WriteString("Roles\n")
		for _, r := range d.Roles {
			r.render(&b)
		}
	}
	d.renderHosts(&b)
	for _, what := range d.NotCompared {
		fmt.Fprintf(&b, "Not compared: %s\n", printable(what))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (d Diff) renderKeys(b *strings.Builder) {
	if len(d.Keys) == 0 {
		return
	}
	b.WriteString("Keys\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, k := range d.Keys {
		old, now := clip(flow(k.Old), shownValue), clip(flow(k.New), shownValue)
		switch k.Change {
		case Added:
			old = "-"
		case Removed:
			now = "-"
		}
		if k.Old == Masked {
			old = Masked
		}
		if k.New == Masked {
			now = Masked
		}
		fmt.Fprintf(t, "  %s %s\t%s\t→ %s\n", marks[k.Change], printable(k.Key), old, now)
	}
	_ = t.Flush() // into memory
}

func (r RoleChange) render(b *strings.Builder) {
	fmt.Fprintf(b, "  %s %s", marks[r.Change], r.Role)
	if r.Change == Changed {
		b.WriteString(": every host with the role")
	}
	if n := len(r.Hosts); n > 0 {
		names := slices.Clone(r.Hosts[:min(n, fewHosts)])
		if n > fewHosts {
			names = append(names, fmt.Sprintf("%d more", n-fewHosts))
		}
		fmt.Fprintf(b, "; listed: %s", printable(strings.Join(names, ", ")))
	}
	b.WriteString("\n")
	for _, p := range r.Parts {
		fmt.Fprintf(b, "      %s %s %s\n", marks[p.Change], p.Kind, printable(p.Name))
	}
}

func (d Diff) renderHosts(b *strings.Builder) {
	if len(d.Hosts) == 0 {
		return
	}
	b.WriteString("Listed hosts\n")
	// Enough to see what kind of change it is; a site may list 50,000.
	const shown = 50
	for _, h := range d.Hosts[:min(shown, len(d.Hosts))] {
		what := string(h.New)
		switch {
		case h.Change == Removed:
			what = string(h.Old)
		case h.Change == Changed && h.Old != h.New:
			what = string(h.Old) + " → " + string(h.New)
		}
		if h.Labels {
			what += ", other labels"
		}
		fmt.Fprintf(b, "  %s %s: %s\n", marks[h.Change], printable(h.Host), what)
	}
	if n := len(d.Hosts) - shown; n > 0 {
		fmt.Fprintf(b, "  and %d more; -o json has all\n", n)
	}
}
