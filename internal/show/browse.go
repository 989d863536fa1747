package show

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	operatorv1 "muster/proto/muster/operator/v1"
)

// Rows is a table for a browser: every text in it is one line that cannot hide or reorder anything.
type Rows struct {
	Titles []string
	Rows   []Row
}

// Row is one line of a table and what is said under it. Kind is a word for how it looks: bad, warn, good or "". ID is set
// on a host's row, and is as the host is known.
type Row struct {
	ID, Kind     string
	Cells, Below []string
}

// Query chooses a part of all hosts. What is "" chooses all.
type Query struct {
	Role string
	// Phase is a phase's name as it is shown, or Lost.
	Phase string
	// Text is part of a name, an address or an identity, in either case.
	Text string
	// After is Next of the page before.
	After string
	// Limit is how many hosts a page has.
	Limit int
}

// Lost chooses the hosts that should talk and do not.
const Lost = "lost"

// Phases are those that can be asked for, in the order in which they are counted.
func Phases() []string { return append(slices.Clone(phaseOrder), Lost) }

// Counts is how many hosts of a role are in each phase.
type Counts struct {
	Role  string
	Want  int32 // of a counted role
	Total int
	In    []int
}

// Page is a part of the hosts, in the order of Table.
type Page struct {
	Hosts Rows
	// Next is "" on the last page.
	Next string
	// Chosen is how many the query chooses, All how many there are, Lost how many of these are lost.
	Chosen, All, Lost int
	// LostRemedy is what to do about those.
	LostRemedy string
	// Phases are those in which there are hosts; Counts follow them.
	Phases []string
	Counts []Counts
}

// Browse makes a page of any number of hosts and keeps but a few of them. A host whose standing changes between two pages
// can be on both or on none.
type Browse struct {
	g      *gather
	query  Query
	after  *place
	all    int
	lost   int
	chosen int
	page   keep
	counts map[string]map[string]int
}

// NewBrowse begins a page.
func NewBrowse(cluster *operatorv1.GetClusterResponse, now time.Time, q Query) (*Browse, error) {
	g := newGather(cluster, now, TableOptions{})
	b := &Browse{g: g, query: q, counts: make(map[string]map[string]int)}
	b.query.Text = strings.ToLower(q.Text)
	b.page = keep{limit: q.Limit + 1, compare: g.compare}
	if q.After != "" {
		b.after = new(place)
		raw, err := base64.RawURLEncoding.DecodeString(q.After)
		if err != nil || json.Unmarshal(raw, b.after) != nil {
			return nil, errors.New("there is no such page")
		}
	}
	return b, nil
}

// Add takes the next host.
func (b *Browse) Add(h *operatorv1.Host) {
	b.all++
	phase := phaseWord(h)
	role := h.Role
	if _, known := b.g.order[role]; !known && role != "" {
		role = "other" // what is asked for by a push may be anything
	}
	if b.counts[role] == nil {
		b.counts[role] = make(map[string]int)
	}
	b.counts[role][phase]++
	_, silent := silence(h, b.g.now)
	if silent {
		b.lost++
	}
	q := b.query
	if q.Role != "" && h.Role != q.Role || q.Phase != "" && q.Phase != phase && !(q.Phase == Lost && silent) || !b.has(h, q.Text) {
		return
	}
	b.chosen++
	if b.after == nil || b.g.place(h).compare(*b.after) > 0 {
		b.page.add(h)
	}
}

func (b *Browse) has(h *operatorv1.Host, text string) bool {
	return text == "" || slices.ContainsFunc([]string{h.Name, h.Address, h.Id}, func(s string) bool { return strings.Contains(strings.ToLower(s), text) })
}

// Page is what came of it.
func (b *Browse) Page() (Page, error) {
	p := Page{Chosen: b.chosen, All: b.all, Lost: b.lost, LostRemedy: lostRemedy, Hosts: Rows{Titles: titles(hostColumns)}}
	hosts := b.page.first()
	if len(hosts) > b.query.Limit {
		hosts = hosts[:b.query.Limit]
		raw, err := json.Marshal(b.g.place(hosts[len(hosts)-1]))
		if err != nil {
			return p, err
		}
		p.Next = base64.RawURLEncoding.EncodeToString(raw)
	}
	for _, h := range hosts {
		s := stand(h, b.g.now)
		r := Row{ID: h.Id, Kind: kindOf(s), Cells: b.g.row(h).cells}
		if s <= pushFailed {
			r.Below = trimmed(b.g.below(h))
		}
		p.Hosts.Rows = append(p.Hosts.Rows, r)
	}
	for _, phase := range phaseOrder {
		for _, in := range b.counts {
			if in[phase] > 0 {
				p.Phases = append(p.Phases, phase)
				break
			}
		}
	}
	count := func(role, shown string, want int32) {
		c := Counts{Role: shown, Want: want}
		for _, phase := range p.Phases {
			n := b.counts[role][phase]
			c.In, c.Total = append(c.In, n), c.Total+n
		}
		if c.Total > 0 || want > 0 {
			p.Counts = append(p.Counts, c)
		}
	}
	for _, r := range b.g.cluster.GetRoles() {
		count(r.Role, Safe(r.Role, maxWord), r.Counted)
	}
	count("", "no role yet", 0)
	count("other", "other", 0)
	return p, nil
}

func kindOf(s standing) string {
	switch s {
	case failed, pushFailed:
		return "bad"
	case lost, waiting:
		return "warn"
	case done:
		return "good"
	}
	return ""
}

func titles(columns []column) []string {
	all := make([]string, len(columns))
	for i, c := range columns {
		all[i] = c.title
	}
	return all
}

// trimmed is without the indent that a terminal needs.
func trimmed(lines []string) []string {
	all := make([]string, len(lines))
	for i, line := range lines {
		all[i] = strings.TrimPrefix(line, underRow)
	}
	return all
}

// HostView is one host for a browser, as HostPage is for a terminal.
type HostView struct {
	Name, Headline, Kind string
	Trouble              []string
	Facts                []Fact
	Steps, Checks        Rows
}

// NewHostView is everything that is known of one host. cluster may be nil.
func NewHostView(cluster *operatorv1.GetClusterResponse, host *operatorv1.GetHostResponse, now time.Time) HostView {
	g := newGather(cluster, now, TableOptions{})
	h := host.GetHost()
	s := stand(h, now)
	v := HostView{Name: hostWord(h), Headline: g.headline(h), Kind: kindOf(s), Facts: g.facts(h)}
	switch s {
	case failed, pushFailed:
		v.Trouble = trimmed(g.below(h))
	case lost:
		v.Trouble = []string{lostRemedy}
	}
	kinds := map[string]string{"failed": "bad", "critical": "bad", "warning": "warn", "unknown": "warn", "ok": "good"}
	table := func(columns []column, rows []row, state int) Rows {
		t := Rows{Titles: titles(columns)}
		for _, r := range rows {
			t.Rows = append(t.Rows, Row{Kind: kinds[r.cells[state]], Cells: r.cells, Below: trimmed(r.below)})
		}
		return t
	}
	v.Steps = table(stepColumns, g.timeline(host.GetReports()), 3)
	v.Checks = table(checkColumns, g.checks(h, host.GetReports()), 0)
	return v
}

// EventRows are events for a browser.
func EventRows(events []*operatorv1.Event, zone *time.Location) Rows {
	t := Rows{Titles: []string{"TIME", "KIND", "HOST", "MESSAGE", "WHO", "FROM"}}
	for _, e := range events {
		t.Rows = append(t.Rows, Row{ID: e.HostId, Cells: []string{
			clock(e.Time, "2006-01-02 15:04:05", zone), Safe(e.Kind, maxWord), Safe(e.HostId, maxWord), Safe(e.Message, maxText), Safe(e.Actor, maxWord),
			Safe(e.From, maxWord),
		}})
	}
	return t
}
