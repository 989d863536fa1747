package show

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

const (
	// maxWord bounds names, addresses and the like, maxText a sentence.
	maxWord = 64
	maxText = 1200
)

// hostWord is what the host is called.
func hostWord(h *operatorv1.Host) string {
	for _, name := range []string{h.Name, h.Address, h.Id} {
		if name != "" {
			return safeWord(name, maxWord)
		}
	}
	return "-"
}

// phaseWord is the phase, or that the host is in quarantine, or how the push ended.
func phaseWord(h *operatorv1.Host) string {
	if h.Quarantine != nil {
		return "quarantined"
	}
	switch h.Push {
	case "":
		return phaseName(h.Phase)
	case pushed:
		return "pushed"
	}
	return "push failed"
}

func phaseName(p syncv1.Phase) string {
	if p == syncv1.Phase_PHASE_UNSPECIFIED {
		return "unknown"
	}
	return strings.ToLower(strings.TrimPrefix(p.String(), "PHASE_"))
}

// roleWord is the role, with the place in it when the role is counted.
func roleWord(h *operatorv1.Host, counted bool) string {
	if counted && h.Push == "" && h.Role != "" {
		return safeWord(h.Role, maxWord) + "/" + strconv.Itoa(int(h.Index))
	}
	return safeWord(h.Role, maxWord)
}

// stepWord is what the host does, or why it does nothing.
func stepWord(h *operatorv1.Host) string {
	switch {
	case h.Push == pushed:
		return "waiting for the host to join"
	case h.Push != "":
		return Safe(h.Push, maxWord)
	case h.Phase == syncv1.Phase_PHASE_FAILED:
		return Safe(h.FailedStep, maxWord)
	case over(h.Phase), h.Quarantine != nil:
		return ""
	}
	step := progress(h)
	switch {
	case h.Waiting == "":
		return step
	case h.Step == "" || h.Step == "wait":
		return Safe(h.Waiting, maxText)
	}
	return step + ": " + Safe(h.Waiting, maxText)
}

// progress is the step and how far it is. Only fetching counts in bytes, the other steps in pieces.
func progress(h *operatorv1.Host) string {
	step := Safe(h.Step, maxWord)
	switch {
	case h.TotalBytes <= 0:
		return step
	case h.Step == "fetch":
		percent := min(100, max(0, 100*float64(h.DoneBytes)/float64(h.TotalBytes)))
		return fmt.Sprintf("%s %d%% of %s", step, int(percent), bytesWord(h.TotalBytes))
	}
	return fmt.Sprintf("%s %d/%d", step, h.DoneBytes, h.TotalBytes)
}

// checksWord counts the checks; next to a critical one those that are well are no news.
func checksWord(h *operatorv1.Host) string {
	var parts []string
	count := func(n int32, word string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, word))
		}
	}
	if h.ChecksCritical == 0 {
		count(h.ChecksOk, "ok")
	}
	count(h.ChecksCritical, "critical")
	count(h.ChecksWarning, "warning")
	count(h.ChecksUnknown, "unknown")
	return strings.Join(parts, ", ")
}

// ageWord is the time in this phase, and for how long nothing was heard when that is too long.
func ageWord(h *operatorv1.Host, now time.Time) string {
	age := "-"
	since, ok := moment(h.PhaseSince)
	if h.Quarantine != nil {
		since, ok = moment(h.Quarantine.Since)
	}
	if ok {
		age = durationWord(now.Sub(since))
	}
	quiet, silent := silence(h, now)
	_, heard := moment(h.LastSeen)
	switch {
	case !silent:
		return age
	case h.Push != "":
		return age + ", not joined"
	case !heard:
		return age + ", lost since the coordinator's start"
	}
	return age + ", lost " + durationWord(quiet)
}

func durationWord(d time.Duration) string {
	d = max(0, d)
	minutes, hours := int(d.Minutes()), int(d.Hours())
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 10*time.Minute:
		return fmt.Sprintf("%dm%02ds", minutes, int(d.Seconds())%60)
	case d < time.Hour:
		return fmt.Sprintf("%dm", minutes)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", hours, minutes%60)
	}
	return fmt.Sprintf("%dd%dh", hours/24, hours%24)
}

func bytesWord(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, prefix := float64(n)/unit, 0
	for value >= 999.5 && prefix < len("kMGTPE")-1 {
		value /= unit
		prefix++
	}
	digits := 0
	if value < 9.95 {
		digits = 1
	}
	return strconv.FormatFloat(value, 'f', digits, 64) + " " + "kMGTPE"[prefix:prefix+1] + "B"
}

// plural counts things in words.
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}
