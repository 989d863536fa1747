package agent

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"muster/internal/checks"
	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/late"
)

const (
	// minMasked is the shortest form that is masked: shorter ones are found in any text by accident.
	minMasked = 4
	// minLine is the shortest line of a secret of several lines that is masked by itself.
	minLine = 12
)

// mask takes secrets out of what an installation tells. What checks and services print is not Muster's, and some of
// them print their configuration when they fail.
type mask struct {
	// forms has the longest ones first: at one place, that is the one that was meant.
	forms []form
}

// form is one way in which a secret can be written.
type form struct{ text, shown string }

func newMask(values late.Values) mask {
	var m mask
	for name, value := range values.Secrets() {
		for _, text := range formsOf(value) {
			if len(text) >= minMasked {
				m.add(form{text, "[secret " + name + "]"})
			}
		}
	}
	return m
}

// add keeps the order. Sorting and replacing by the standard library's means would cost the small binary 20 KB.
func (m *mask) add(f form) {
	m.forms = append(m.forms, f)
	for i := len(m.forms) - 1; i > 0 && len(m.forms[i-1].text) < len(f.text); i-- {
		m.forms[i-1], m.forms[i] = m.forms[i], m.forms[i-1]
	}
}

// formsOf gives a secret as programs print it.
func formsOf(value string) []string {
	digits := hex.EncodeToString([]byte(value))
	forms := []string{value, digits, strings.ToUpper(digits)}
	for _, encoder := range []string{"json", "yaml", "shell", "systemd", "url"} {
		if text, err := late.Encode(value, []string{encoder}); err == nil {
			forms = append(forms, text, strings.Trim(text, `"'`))
		}
	}
	// In the middle of what is encoded, as in user:password, base64 has three forms.
	for skip := range 3 {
		padded := append(make([]byte, skip), value...)
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := encoding.EncodeToString(padded)
			if from, to := (skip*8+5)/6, len(padded)*8/6; from+2*minMasked <= to {
				forms = append(forms, text[from:to])
			}
			if skip == 0 {
				forms = append(forms, text)
			}
		}
	}
	for line := range strings.Lines(value) {
		if line = strings.TrimRight(line, "\r\n"); len(line) >= minLine {
			forms = append(forms, line)
		}
	}
	return forms
}

func (m mask) text(s string) string {
	if len(m.forms) == 0 || s == "" {
		return s
	}
	return m.cuts(m.replace(s))
}

func (m mask) replace(s string) string {
	var out []byte
	for at := 0; at < len(s); {
		found := false
		for _, f := range m.forms {
			if s[at] == f.text[0] && strings.HasPrefix(s[at:], f.text) {
				out, at, found = append(out, f.shown...), at+len(f.text), true
				break
			}
		}
		if !found {
			out, at = append(out, s[at]), at+1
		}
	}
	return string(out)
}

// cuts takes out what is left of a secret where an output was cut, which is marked by an ellipsis.
func (m mask) cuts(s string) string {
	const ellipsis = "…"
	parts := strings.Split(s, ellipsis)
	for i := range parts {
		if i+1 < len(parts) {
			parts[i] = m.end(parts[i])
		}
		if i > 0 {
			parts[i] = m.beginning(parts[i])
		}
	}
	return strings.Join(parts, ellipsis)
}

func (m mask) end(s string) string {
	trimmed := strings.TrimRight(s, "\n")
	for _, f := range m.forms {
		for n := min(len(f.text), len(trimmed)); n >= minMasked; n-- {
			if strings.HasSuffix(trimmed, f.text[:n]) {
				return trimmed[:len(trimmed)-n] + f.shown + s[len(trimmed):]
			}
		}
	}
	return s
}

func (m mask) beginning(s string) string {
	trimmed := strings.TrimLeft(s, "\n")
	for _, f := range m.forms {
		for n := min(len(f.text), len(trimmed)); n >= minMasked; n-- {
			if strings.HasPrefix(trimmed, f.text[len(f.text)-n:]) {
				return s[:len(s)-len(trimmed)] + f.shown + trimmed[n:]
			}
		}
	}
	return s
}

// error gives an error with the same remedy and detail, all of them masked.
func (m mask) error(err error) error {
	if err == nil || len(m.forms) == 0 {
		return err
	}
	return &detailed{
		fault:  fault.New(fault.Unavailable, m.text(fault.Remedy(err)), "%s", m.text(err.Error())),
		detail: m.text(detailOf(err)),
	}
}

// masked tells what it is told without the plan's secrets.
type masked struct {
	Teller
	mask mask
}

func maskedTeller(t Teller, p Plan) Teller { return masked{t, newMask(p.Late)} }

func (m masked) Step(p hosts.Phase, name, message string, took time.Duration, err error) error {
	return m.Teller.Step(p, name, m.mask.text(message), took, m.mask.error(err))
}

func (m masked) Check(r checks.Result) error {
	r.Summary, r.Detail, r.Remedy = m.mask.text(r.Summary), m.mask.text(r.Detail), m.mask.text(r.Remedy)
	return m.Teller.Check(r)
}

func (m masked) Progress(step string, done, total int64, waiting string) {
	m.Teller.Progress(step, done, total, m.mask.text(waiting))
}
