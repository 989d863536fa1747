package show

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	operatorv1 "muster/proto/muster/operator/v1"
)

// waitingPause is how often a host that stays in its phase may say what it waits for.
const waitingPause = 10 * time.Second

// plainLines tells each change in one line.
type plainLines struct {
	out     io.Writer
	counted map[string]int
	// told is when something was last said of a host, lost whether the last was that it fell silent.
	told map[string]time.Time
	lost map[string]bool
}

func (p *plainLines) line(now time.Time, text string) {
	_, _ = fmt.Fprintf(p.out, "%s %s\n", now.Format(time.TimeOnly), text)
}

func (p *plainLines) say(h *operatorv1.Host, now time.Time, text string) {
	p.told[h.Id] = now
	who := hostWord(h)
	if role := roleWord(h, p.counted[h.Role] > 0); role != "" {
		who += " " + role
	}
	p.line(now, who+" "+text)
}

// change tells what is new of a host; old is nil for one that was not there before.
func (p *plainLines) change(old, h *operatorv1.Host, now time.Time) {
	to := phaseWord(h)
	bad := stand(h, now) <= pushFailed
	switch {
	case old == nil:
	case phaseWord(old) != to:
		to = phaseWord(old) + " → " + to
	case bad && (old.Failure != h.Failure || old.FailedStep != h.FailedStep || old.Attempt != h.Attempt || old.Push != h.Push):
	case !bad && !over(h.Phase) && h.Waiting != "" && old.Waiting != h.Waiting && now.Sub(p.told[h.Id]) >= waitingPause:
	default:
		return
	}
	switch {
	case bad:
		to += ": " + failedStep(h) + ": " + failureWord(h) + "; remedy: " + remedyWord(h)
	case h.Waiting != "" && h.Push == "" && !over(h.Phase):
		to += ": " + stepWord(h)
	}
	p.say(h, now, to)
}

// gone tells of a host that was removed. A push that is gone became a host, which says so itself.
func (p *plainLines) gone(h *operatorv1.Host, now time.Time) {
	if h.Push == "" {
		p.say(h, now, "removed")
	}
	delete(p.told, h.Id)
	delete(p.lost, h.Id)
}

// silences tells of hosts that fell silent or are heard again.
func (p *plainLines) silences(hosts map[string]*operatorv1.Host, now time.Time) {
	for _, id := range slices.Sorted(maps.Keys(hosts)) {
		h := hosts[id]
		isLost := stand(h, now) == lost
		if isLost == p.lost[id] {
			continue
		}
		if isLost {
			p.lost[id] = true
			p.say(h, now, phaseWord(h)+" for "+ageWord(h, now))
			continue
		}
		delete(p.lost, id)
		if h.Push == "" && !over(h.Phase) && h.Phase != 0 {
			p.say(h, now, phaseWord(h)+", heard again")
		}
	}
}
