package show

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	operatorv1 "muster/proto/muster/operator/v1"
)

var hostColumns = []column{
	{"HOST", 2, 12}, {"ADDRESS", 4, 7}, {"ROLE", 6, 8}, {"PHASE", 7, 11}, {"STEP", 1, 9}, {"CHECKS", 3, 6}, {"AGE", 5, 6},
}

// Table shows hosts, those first that need a person, each failure with its remedy, and a summary. cluster may be nil.
func Table(cluster *operatorv1.GetClusterResponse, hosts []*operatorv1.Host, now time.Time, opts TableOptions) string {
	g := newGather(cluster, now, opts)
	for _, h := range hosts {
		g.add(h)
	}
	return g.String()
}

func (g *gather) String() string {
	return strings.Join(append(g.body(), g.summary()...), "\n") + "\n"
}

// lostRemedy is said once: it is the same for all of them.
const lostRemedy = "remedy: see that the host is up and reaches the coordinator; journalctl -u bootstrap-agent on it says more"

// body is all but the summary.
func (g *gather) body() []string {
	var rows []row
	failures := g.failures.first()
	for _, h := range failures {
		r := g.row(h)
		r.below = g.below(h)
		rows = append(rows, r)
	}
	if n := g.failures.left(); n > 0 {
		last := &rows[len(rows)-1]
		last.below = append(last.below, wrap("  ", fmt.Sprintf("and %d more failed; of all %d: %s", n, g.failures.total, g.failedSteps()), g.opts.Width)...)
	}
	for _, h := range g.lost.first() {
		rows = append(rows, g.row(h))
	}
	if g.lost.total > 0 {
		last := &rows[len(rows)-1]
		if n := g.lost.left(); n > 0 {
			last.below = wrap("  ", fmt.Sprintf("and %d more lost", n), g.opts.Width)
		}
		last.below = append(last.below, wrap(underRow, lostRemedy, g.opts.Width)...)
	}
	for _, h := range g.rest.first() {
		rows = append(rows, g.row(h))
	}
	lines := grid(hostColumns, rows, g.opts.Width)
	if g.rest.left() > 0 {
		if len(lines) > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, g.counts()...)
	}
	if len(lines) > 0 {
		lines = append(lines, "")
	}
	return lines
}

func (g *gather) row(h *operatorv1.Host) row {
	return row{cells: []string{
		hostWord(h), safeWord(h.Address, maxWord), g.role(h),
		paint(g.opts.Colour, phaseColour(stand(h, g.now)), phaseWord(h)), stepWord(h),
		paint(g.opts.Colour, checksColour(h), checksWord(h)), ageWord(h, g.now),
	}}
}

func phaseColour(s standing) text.Colors {
	switch s {
	case failed, pushFailed:
		return red
	case lost, waiting:
		return yellow
	case done:
		return green
	}
	return nil
}

func checksColour(h *operatorv1.Host) text.Colors {
	switch {
	case h.ChecksCritical > 0:
		return red
	case h.ChecksWarning > 0 || h.ChecksUnknown > 0:
		return yellow
	}
	return nil
}

// below is what failed and what to do.
func (g *gather) below(h *operatorv1.Host) []string {
	var lines []string
	for _, sentence := range []string{failedStep(h) + ": " + failureWord(h), "remedy: " + remedyWord(h)} {
		if g.opts.brief {
			lines = append(lines, clipLine(underRow+sentence, g.opts.Width))
			continue
		}
		lines = append(lines, wrap(underRow, sentence, g.opts.Width)...)
	}
	return lines
}

func failedStep(h *operatorv1.Host) string {
	if h.FailedStep == "" || h.Quarantine != nil {
		return phaseWord(h)
	}
	return Safe(h.FailedStep, maxWord)
}

func failureWord(h *operatorv1.Host) string {
	switch {
	case h.Quarantine != nil:
		return Safe(h.Quarantine.Reason, maxText)
	case h.Failure != "":
		return Safe(h.Failure, maxText)
	case h.Push != "":
		return Safe(h.Push, maxWord)
	}
	return "failed without a reason"
}

// remedyWord never leaves a person without one. It does not spell out the host's name in a command: somebody may paste it.
func remedyWord(h *operatorv1.Host) string {
	switch {
	case h.Quarantine != nil:
		return Safe(h.Quarantine.Remedy, maxText)
	case h.Remedy != "":
		return Safe(h.Remedy, maxText)
	case h.Push != "":
		return "try the same by hand with ssh, then push again"
	}
	return "coordinator status HOST shows its steps and checks; coordinator hosts retry HOST tries again"
}

func (g *gather) failedSteps() string {
	var parts []string
	for _, step := range g.steps.most() {
		parts = append(parts, strconv.Itoa(g.steps[step])+" at "+step)
	}
	return strings.Join(parts, ", ")
}

var countColumns = []column{{"PHASE", 3, 11}, {"HOSTS", 4, 5}, {"LOST", 5, 4}, {"MOST ARE", 1, 12}}

// counts stands for hosts that are too many to be shown.
func (g *gather) counts() []string {
	var rows []row
	for _, phase := range phaseOrder {
		n := g.phases[phase]
		if n == 0 {
			continue
		}
		reason := ""
		if words := g.reasons[phase].most(); len(words) > 0 {
			reason = fmt.Sprintf("%d: %s", g.reasons[phase][words[0]], words[0])
		}
		silent := ""
		if g.silent[phase] > 0 {
			silent = strconv.Itoa(g.silent[phase])
		}
		rows = append(rows, row{cells: []string{phase, strconv.Itoa(n), silent, reason}})
	}
	return grid(countColumns, rows, g.opts.Width)
}
