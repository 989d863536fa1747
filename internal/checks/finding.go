package checks

import "fmt"

// finding is what one run of a check says, before its definition is applied to it.
type finding struct {
	status  Status
	summary string
	detail  string
	// remedy serves if the definition has none.
	remedy string
	// late says that the run was cut off because its time was over.
	late bool
}

func fine(format string, args ...any) finding {
	return finding{status: OK, summary: fmt.Sprintf(format, args...)}
}

func failed(remedy, format string, args ...any) finding {
	return finding{status: Critical, summary: fmt.Sprintf(format, args...), remedy: remedy}
}

func undecided(remedy, format string, args ...any) finding {
	return finding{status: Unknown, summary: fmt.Sprintf(format, args...), remedy: remedy}
}

const defaultRemedy = "correct on the host what the check found, then retry the host"

// result applies the definition: its severity is the worst that counts, its remedy goes before any other.
func (f finding) result(d Definition) Result {
	r := Result{Name: d.Name, Stage: d.Stage, Status: f.status, Summary: summarize(f.summary), Detail: clean(f.detail)}
	if d.Severity == "warning" && (r.Status == Critical || r.Status == Unknown) {
		if r.Status == Unknown {
			r.Summary = summarize("could not be determined: " + f.summary)
		}
		r.Status = Warning
	}
	if r.Status == OK {
		return r
	}
	for _, remedy := range []string{d.Remedy, f.remedy, defaultRemedy} {
		if remedy != "" {
			r.Remedy = clean(remedy)
			break
		}
	}
	return r
}
