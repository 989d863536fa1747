package show

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"google.golang.org/protobuf/types/known/timestamppb"

	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

const (
	// maxDetail is how many lines of a detail are shown, maxDetailLine how much of each.
	maxDetail     = 60
	maxDetailLine = 400
	// maxLabels bounds a host's own labels.
	maxLabels = 64
	// What the columns before the sentence usually take.
	takenBySteps  = 70
	takenByChecks = 50
)

// HostPage is everything that is known of one host, its failure on top. cluster may be nil.
func HostPage(cluster *operatorv1.GetClusterResponse, host *operatorv1.GetHostResponse, events []*operatorv1.Event, now time.Time, opts TableOptions) string {
	g := newGather(cluster, now, opts)
	h := host.GetHost()
	if h == nil {
		h = &operatorv1.Host{}
	}
	lines := []string{g.headline(h)}
	switch stand(h, now) {
	case failed, pushFailed:
		lines = append(append(lines, ""), g.below(h)...)
	case lost:
		lines = append(append(lines, ""), wrap(underRow, lostRemedy, opts.Width)...)
	}
	lines = append(lines, "")
	for _, f := range g.facts(h) {
		lines = append(lines, clipLine(fmt.Sprintf("%-12s  %s", f.Name, f.Value), g.opts.Width))
	}
	section := func(title string, body []string) {
		if len(body) > 0 {
			lines = append(append(lines, "", title), body...)
		}
	}
	section("Timeline", grid(stepColumns, g.timeline(host.GetReports()), g.opts.Width))
	section("Checks", grid(checkColumns, g.checks(h, host.GetReports()), g.opts.Width))
	var told []string
	for _, e := range events {
		told = append(told, clipLine(EventLine(e, now.Location()), opts.Width))
	}
	section("Events", told)
	return strings.Join(lines, "\n") + "\n"
}

func (g *gather) headline(h *operatorv1.Host) string {
	line := hostWord(h) + gap + paint(g.opts.Colour, phaseColour(stand(h, g.now)), phaseWord(h)) + " for " + ageWord(h, g.now)
	if step := stepWord(h); step != "" && stand(h, g.now) > pushFailed {
		line += ": " + step
	}
	return clipLine(line, g.opts.Width)
}

// Fact is something that is known of a host, safe to show.
type Fact struct{ Name, Value string }

// facts are what is known beside what happened.
func (g *gather) facts(h *operatorv1.Host) []Fact {
	f := h.GetFacts()
	var known []Fact
	add := func(name, value string) {
		if value != "" {
			known = append(known, Fact{name, value})
		}
	}
	words := func(parts ...string) string { return strings.TrimSpace(strings.Join(parts, " ")) }
	add("address", safeWord(h.Address, maxWord))
	add("role", g.role(h))
	add("identity", safeWord(h.Id, maxWord))
	add("joined by", safeWord(h.JoinedBy, maxWord))
	add("enrolled", g.at(h.Enrolled))
	add("last seen", g.at(h.LastSeen))
	add("done", g.at(h.Done))
	if h.Attempt > 1 {
		add("attempt", strconv.Itoa(int(h.Attempt)))
	}
	add("checks", checksWord(h))
	add("system", words(Safe(f.GetOs(), maxWord), Safe(f.GetKernel(), maxWord), Safe(f.GetArchitecture(), maxWord)))
	if f.GetMemoryBytes() > 0 {
		add("hardware", fmt.Sprintf("%s, %s memory", plural(int(f.GetProcessors()), "processor"), bytesWord(f.GetMemoryBytes())))
	}
	add("zone", safeWord(f.GetZone(), maxWord))
	var labels []string
	for key, value := range f.GetLabels() {
		labels = append(labels, safeWord(key, maxWord)+"="+safeWord(value, maxWord))
	}
	slices.Sort(labels)
	add("labels", strings.Join(labels[:min(maxLabels, len(labels))], " "))
	add("agent", safeWord(f.GetAgentVersion(), maxWord))
	return known
}

// at is a time and how long ago it was.
func (g *gather) at(t *timestamppb.Timestamp) string {
	when, ok := moment(t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s (%s ago)", clock(t, "2006-01-02 15:04:05", g.now.Location()), durationWord(g.now.Sub(when)))
}

func clock(t *timestamppb.Timestamp, layout string, zone *time.Location) string {
	when, ok := moment(t)
	if !ok {
		return "-"
	}
	return when.In(zone).Format(layout)
}

var stepColumns = []column{
	{"TIME", 7, 8}, {"PHASE", 6, 10}, {"STEP", 4, 10}, {"RESULT", 8, 6}, {"TOOK", 5, 4}, {"ATTEMPT", 3, 7}, {"MESSAGE", 1, 12},
}

// timeline is each step in its order. What a failed one said stands under it.
func (g *gather) timeline(reports []*syncv1.Report) []row {
	var rows []row
	for _, r := range reports {
		s := r.GetStep()
		if s == nil {
			continue
		}
		result, colour := "ok", green
		line := row{}
		message := Safe(s.Message, maxText)
		if !s.Ok {
			result, colour = "failed", red
			message, line.below = g.trouble(takenBySteps, message, s.Detail, s.Remedy)
		} else {
			line.below = g.detail(s.Detail)
		}
		line.cells = []string{
			clock(r.Time, "01-02 15:04:05", g.now.Location()), phaseName(s.Phase), Safe(s.Name, maxWord),
			paint(g.opts.Colour, colour, result), tookWord(s.Took.AsDuration()), strconv.Itoa(int(r.Attempt)), message,
		}
		rows = append(rows, line)
	}
	return rows
}

// trouble is what stands under a line that did not go well: the sentence when its cell cannot hold it whole beside
// columns that take up to taken, then the detail, then the remedy.
func (g *gather) trouble(taken int, sentence, detail, remedy string) (cell string, below []string) {
	if g.opts.Width > 0 && text.StringWidthWithoutEscSequences(sentence) > g.opts.Width-taken {
		below = wrap(underRow, sentence, g.opts.Width)
		sentence = "see below"
	}
	below = append(below, g.detail(detail)...)
	if remedy != "" {
		below = append(below, wrap(underRow, "remedy: "+Safe(remedy, maxText), g.opts.Width)...)
	}
	return sentence, below
}

// underRow is the indent of what belongs to the line above it.
const underRow = "    "

func (g *gather) detail(said string) []string {
	var lines []string
	for _, line := range safeLines(said, maxDetail, maxDetailLine) {
		lines = append(lines, clipLine(underRow+"| "+line, g.opts.Width))
	}
	return lines
}

func tookWord(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return durationWord(d)
}

var checkColumns = []column{{"STATUS", 6, 8}, {"STAGE", 4, 9}, {"CHECK", 3, 10}, {"TOOK", 5, 4}, {"SUMMARY", 1, 12}}

// checks is the latest outcome of every check, the worst first.
func (g *gather) checks(h *operatorv1.Host, reports []*syncv1.Report) []row {
	type key struct{ stage, name string }
	latest := make(map[key]*syncv1.Report)
	for _, r := range reports {
		if c := r.GetCheck(); c != nil {
			latest[key{c.Stage, c.Name}] = r
		}
	}
	var list []*syncv1.Report
	for _, r := range latest {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *syncv1.Report) int {
		x, y := a.GetCheck(), b.GetCheck()
		return cmp.Or(cmp.Compare(urgency(x.Status), urgency(y.Status)), -strings.Compare(x.Stage, y.Stage), strings.Compare(x.Name, y.Name))
	})
	var rows []row
	for _, r := range list {
		c := r.GetCheck()
		order := checkOrder[urgency(c.Status)]
		line := row{}
		summary := Safe(c.Summary, maxText)
		if r.Attempt != h.Attempt {
			summary = fmt.Sprintf("(of attempt %d) %s", r.Attempt, summary)
		}
		if order.status == syncv1.CheckStatus_CHECK_STATUS_OK {
			line.below = g.detail(c.Detail)
		} else {
			summary, line.below = g.trouble(takenByChecks, summary, c.Detail, c.Remedy)
		}
		line.cells = []string{
			paint(g.opts.Colour, order.colour, order.word), safeWord(c.Stage, maxWord), safeWord(c.Name, maxWord), tookWord(c.Took.AsDuration()), summary,
		}
		rows = append(rows, line)
	}
	return rows
}
