package show

import (
	"cmp"
	"slices"
	"strings"
	"time"

	operatorv1 "muster/proto/muster/operator/v1"
)

const (
	// DefaultLimit is how many hosts that have not failed are shown one by one.
	DefaultLimit = 50
	// maxFailures is how many failed ones are.
	maxFailures = 100
	// maxReasons bounds the different words of hosts that are counted.
	maxReasons = 64
)

// TableOptions say how a table is shown.
type TableOptions struct {
	// Width is that of the terminal; 0 cuts nothing.
	Width  int
	Colour bool
	// Limit is how many hosts that have not failed are shown one by one, 0 for DefaultLimit. Beyond it they are counted.
	Limit int
	// All shows every host, however many.
	All bool
	// brief keeps what is said of a failure to one line each.
	brief bool
}

// gather counts any number of hosts and keeps those that will be shown.
type gather struct {
	now     time.Time
	opts    TableOptions
	cluster *operatorv1.GetClusterResponse
	counted map[string]int
	order   map[string]int

	total    int
	phases   map[string]int
	silent   map[string]int
	roles    map[string]*roleCount
	steps    reasons
	reasons  map[string]reasons
	failures keep
	lost     keep
	rest     keep
}

type roleCount struct{ hosts, done int }

func newGather(cluster *operatorv1.GetClusterResponse, now time.Time, opts TableOptions) *gather {
	if opts.Limit <= 0 {
		opts.Limit = DefaultLimit
	}
	g := &gather{
		now: now, opts: opts, cluster: cluster,
		counted: make(map[string]int), order: make(map[string]int),
		phases: make(map[string]int), silent: make(map[string]int), roles: make(map[string]*roleCount),
		steps: make(reasons), reasons: make(map[string]reasons),
	}
	for i, r := range cluster.GetRoles() {
		g.order[r.Role] = i + 1
		if r.Counted > 0 {
			g.counted[r.Role] = int(r.Counted)
		}
	}
	g.failures = keep{limit: maxFailures, compare: g.compare}
	g.lost = keep{limit: opts.Limit, compare: g.compare}
	g.rest = keep{limit: opts.Limit, compare: g.compare, allOrNone: true}
	if opts.All {
		g.failures.limit, g.lost.limit, g.rest.limit = 0, 0, 0
	}
	return g
}

func (g *gather) add(h *operatorv1.Host) {
	g.total++
	phase := phaseWord(h)
	g.phases[phase]++
	if h.Push == "" && h.Role != "" {
		r := g.roles[h.Role]
		if r == nil {
			r = &roleCount{}
			g.roles[h.Role] = r
		}
		r.hosts++
		if over(h.Phase) {
			r.done++
		}
	}
	if _, silent := silence(h, g.now); silent {
		g.silent[phase]++
	}
	switch stand(h, g.now) {
	case failed, pushFailed:
		g.steps.add(failedStep(h))
		g.failures.add(h)
	case lost:
		g.lost.add(h)
	default:
		if g.reasons[phase] == nil {
			g.reasons[phase] = make(reasons)
		}
		if h.Waiting != "" && !over(h.Phase) {
			g.reasons[phase].add(Safe(h.Waiting, maxText))
		}
		g.rest.add(h)
	}
}

// place is where a host stands in a table: first what needs a person, then by role.
type place struct {
	Stand standing
	Order int
	Role  string
	Index int32
	Name  string
	ID    string
}

func (g *gather) place(h *operatorv1.Host) place {
	return place{stand(h, g.now), g.order[h.Role], h.Role, h.Index, h.Name, h.Id}
}

func (p place) compare(q place) int {
	return cmp.Or(
		cmp.Compare(p.Stand, q.Stand), cmp.Compare(p.Order, q.Order), strings.Compare(p.Role, q.Role),
		cmp.Compare(p.Index, q.Index), strings.Compare(p.Name, q.Name), strings.Compare(p.ID, q.ID),
	)
}

func (g *gather) compare(a, b *operatorv1.Host) int { return g.place(a).compare(g.place(b)) }

func (g *gather) role(h *operatorv1.Host) string { return roleWord(h, g.counted[h.Role] > 0) }

// keep holds the first of many hosts, in order.
type keep struct {
	// limit 0 keeps all.
	limit   int
	compare func(a, b *operatorv1.Host) int
	// allOrNone drops them all when there are more than the limit.
	allOrNone bool
	total     int
	hosts     []*operatorv1.Host
}

func (k *keep) add(h *operatorv1.Host) {
	k.total++
	if k.limit > 0 && k.allOrNone && k.total > k.limit {
		k.hosts = nil
		return
	}
	k.hosts = append(k.hosts, h)
	if k.limit > 0 && len(k.hosts) >= 4*k.limit {
		k.hosts = k.first()
	}
}

func (k *keep) first() []*operatorv1.Host {
	slices.SortFunc(k.hosts, k.compare)
	if k.limit > 0 && len(k.hosts) > k.limit {
		return k.hosts[:k.limit]
	}
	return k.hosts
}

// left is how many are not shown.
func (k *keep) left() int { return k.total - len(k.first()) }

// reasons counts what hosts say. What they say has no bound, so only so many different words are told apart.
type reasons map[string]int

func (r reasons) add(word string) {
	if _, ok := r[word]; ok || len(r) < maxReasons {
		r[word]++
	}
}

// most are the words in the order of how often they were said.
func (r reasons) most() []string {
	words := make([]string, 0, len(r))
	for word := range r {
		words = append(words, word)
	}
	slices.SortFunc(words, func(a, b string) int { return cmp.Or(cmp.Compare(r[b], r[a]), strings.Compare(a, b)) })
	return words
}
