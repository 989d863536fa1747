package show

import (
	"fmt"
	"io"
	"strings"
	"time"

	operatorv1 "muster/proto/muster/operator/v1"
)

// Format is how output is written.
type Format string

// The formats. A table is for people and may change, the others are for programs and stay.
const (
	FormatTable Format = "table"
	FormatJSON  Format = "json"
	FormatYAML  Format = "yaml"
)

// ParseFormat reads the value of -o.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case FormatTable, FormatJSON, FormatYAML:
		return f, nil
	}
	return "", fmt.Errorf("%q is no format: choose table, json or yaml", s)
}

// Document writes one value in a format for programs.
func Document(w io.Writer, format Format, v any) error {
	encode := JSON
	if format == FormatYAML {
		encode = YAML
	}
	s, err := encode(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, strings.TrimSuffix(s, "\n"))
	return err
}

// Listing shows a cluster's hosts as they come, page by page. A table keeps only those that it will show; JSON is
// {"cluster":{...},"hosts":[...]} with one host a line and keeps none, nor does YAML.
type Listing struct {
	out    io.Writer
	format Format
	table  *gather
	hosts  int
	err    error
}

// NewListing begins a listing on out. End ends it.
func NewListing(out io.Writer, format Format, cluster *operatorv1.GetClusterResponse, now time.Time, opts TableOptions) *Listing {
	l := &Listing{out: out, format: format}
	switch format {
	case FormatJSON:
		l.encode(JSON, `{"cluster":`, Fields(cluster), `,"hosts":[`)
	case FormatYAML:
		l.encode(YAML, "", map[string]any{"cluster": Fields(cluster)}, "hosts:")
	default:
		l.table = newGather(cluster, now, opts)
	}
	return l
}

// Add takes the next host.
func (l *Listing) Add(h *operatorv1.Host) {
	switch {
	case l.table != nil:
		l.table.add(h)
	case l.format == FormatYAML:
		l.encode(YAML, l.between("\n", ""), []any{Fields(h)}, "")
	default:
		l.encode(JSON, l.between("\n", ",\n"), Fields(h), "")
	}
	l.hosts++
}

// End writes the rest, and says if anything could not be written.
func (l *Listing) End() error {
	switch {
	case l.table != nil:
		l.write(l.table.String())
	case l.format == FormatYAML:
		l.write(l.between(" []\n", ""))
	default:
		l.write(l.between("", "\n") + "]}\n")
	}
	return l.err
}

func (l *Listing) between(first, others string) string {
	if l.hosts == 0 {
		return first
	}
	return others
}

func (l *Listing) encode(how func(any) (string, error), before string, v any, after string) {
	s, err := how(v)
	if err != nil && l.err == nil {
		l.err = err
	}
	l.write(before + s + after)
}

func (l *Listing) write(s string) {
	if l.err == nil {
		_, l.err = io.WriteString(l.out, s)
	}
}
