package main

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/internal/push"
	"muster/internal/show"
)

// pushProgress shows one redrawn line on a terminal and a line an outcome elsewhere.
type pushProgress struct {
	out      io.Writer
	total    int
	terminal bool
	began    time.Time
	ended    int
	failed   int
	sent     int64
	hosts    map[string]*hostProgress
	drawn    time.Time
}

// hostProgress is a host that is being pushed to.
type hostProgress struct {
	step  push.Step
	began time.Time
	sent  int64
	// keyTold is whether its new host key was mentioned.
	keyTold bool
}

func newPushProgress(out io.Writer, total int, terminal bool) *pushProgress {
	return &pushProgress{out: out, total: total, terminal: terminal, began: time.Now(), hosts: make(map[string]*hostProgress)}
}

// label is what the operator calls the host.
func label(t push.Target) string { return cmp.Or(t.Name, t.Address) }

func (p *pushProgress) event(e push.Event) {
	name := label(e.Target)
	h := p.hosts[name]
	if h == nil {
		h = &hostProgress{began: time.Now().Add(-e.Took)}
		p.hosts[name] = h
	}
	if e.NewHostKey != "" && !h.keyTold {
		h.keyTold = true
		p.line("%s: host key %s recorded", name, e.NewHostKey)
	}
	if e.Note != "" {
		p.line("%s: %s", name, show.Safe(e.Note, 500))
	}
	h.step = e.Step
	if e.Bytes > h.sent {
		p.sent += e.Bytes - h.sent
		h.sent = e.Bytes
	}
	if e.Ended() {
		delete(p.hosts, name)
		p.ended++
	}
	switch e.Step {
	case push.Pushed:
		p.line("%s: pushed in %s", name, e.Took.Round(time.Millisecond))
	case push.Failed:
		p.failed++
		p.line("%s: failed (%s): %s", name, string(e.Err.Class), show.Safe(e.Err.Message, 300))
	default:
		p.draw()
	}
}

func (p *pushProgress) line(format string, args ...any) {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	fmt.Fprintf(p.out, format+"\n", args...)
	p.drawn = time.Time{}
	p.draw()
}

// draw redraws the line, at most ten times a second.
func (p *pushProgress) draw() {
	if !p.terminal || time.Since(p.drawn) < 100*time.Millisecond {
		return
	}
	p.drawn = time.Now()
	fmt.Fprint(p.out, "\r\x1b[K"+p.status(p.drawn, show.Width(p.out)))
}

// status is the counts, the rate and who takes longest, as far as the width allows.
func (p *pushProgress) status(now time.Time, width int) string {
	counts := make(map[push.Step]int)
	names := make([]string, 0, len(p.hosts))
	for name, h := range p.hosts {
		counts[h.step]++
		names = append(names, name)
	}
	parts := []string{strconv.Itoa(p.ended) + "/" + strconv.Itoa(p.total) + " hosts"}
	if p.failed > 0 {
		parts = append(parts, strconv.Itoa(p.failed)+" failed")
	}
	for _, s := range []push.Step{push.Connecting, push.Authenticating, push.Uploading, push.Fetching, push.Starting} {
		if counts[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	if took := now.Sub(p.began).Seconds(); took > 1 && p.sent > 0 {
		parts = append(parts, fmt.Sprintf("%.1f MB/s", float64(p.sent)/1e6/took))
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(p.hosts[a].began.Compare(p.hosts[b].began), strings.Compare(a, b))
	})
	var slow []string
	for _, name := range names[:min(len(names), 3)] {
		if age := now.Sub(p.hosts[name].began); age >= 2*time.Second {
			slow = append(slow, fmt.Sprintf("%s %s", name, age.Round(time.Second)))
		}
	}
	if len(slow) > 0 {
		parts = append(parts, "slowest: "+strings.Join(slow, " "))
	}
	text := show.Safe(strings.Join(parts, ", "), 4096)
	if runes := []rune(text); width > 1 && len(runes) >= width {
		text = string(runes[:width-1])
	}
	return text
}

func (p *pushProgress) end() {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

func (p *pushProgress) summary(results []push.Result) {
	var slowest push.Result
	classes := make(map[push.Class]int)
	for _, r := range results {
		if r.Err != nil {
			classes[r.Err.Class]++
			fmt.Fprintf(p.out, "%s: %s\n  remedy: %s\n", net.JoinHostPort(label(r.Target), strconv.Itoa(cmp.Or(r.Target.Port, 22))),
				show.Safe(r.Err.Message, 500), show.Safe(r.Err.Remedy, 500))
		}
		if r.Took > slowest.Took {
			slowest = r
		}
	}
	fmt.Fprintf(p.out, "pushed to %d of %d hosts; slowest %s in %s\n", p.total-p.failed, p.total, label(slowest.Target),
		slowest.Took.Round(time.Millisecond))
	if len(classes) > 0 {
		var words []string
		for _, info := range push.Classes() {
			if n := classes[info.Class]; n > 0 {
				words = append(words, fmt.Sprintf("%d %s", n, string(info.Class)))
			}
		}
		fmt.Fprintf(p.out, "failed: %s; when the causes are removed: coordinator push --retry-failed\n", strings.Join(words, ", "))
	}
}

// pushReport is the shape of push -o json; its names stay.
type pushReport struct {
	Pushed int              `json:"pushed"`
	Failed int              `json:"failed"`
	Hosts  []pushHostReport `json:"hosts"`
}

type pushHostReport struct {
	Host    string `json:"host"`
	Address string `json:"address"`
	Port    int    `json:"port"`
	Role    string `json:"role"`
	// Result is "pushed" or "failed"; the next four are of a failure.
	Result  string `json:"result"`
	Class   string `json:"class"`
	Message string `json:"message"`
	Remedy  string `json:"remedy"`
	// Retry says that the same push may succeed later without anybody changing anything.
	Retry bool `json:"retry"`
	// NewHostKey was not known before, and is trusted from now on.
	NewHostKey string `json:"new_host_key"`
	// Note is what to know of a host that was pushed to all the same, such as that it can't fetch from the coordinator.
	Note    string             `json:"note"`
	Seconds float64            `json:"seconds"`
	Steps   map[string]float64 `json:"steps"`
}

func (p *pushed) write(out io.Writer, format show.Format) error {
	report := pushReport{Hosts: []pushHostReport{}}
	for i, r := range p.results {
		h := pushHostReport{
			Host: p.targets[i].Host, Address: r.Target.Address, Port: cmp.Or(r.Target.Port, 22), Role: string(p.targets[i].Role),
			Result: string(push.Pushed), NewHostKey: r.NewHostKey, Note: r.Note, Seconds: r.Took.Seconds(), Steps: make(map[string]float64),
		}
		for _, s := range r.Steps {
			h.Steps[string(s.Step)] = s.Took.Seconds()
		}
		if r.Err == nil {
			report.Pushed++
		} else {
			report.Failed++
			h.Result, h.Class, h.Message, h.Remedy, h.Retry = string(push.Failed), string(r.Err.Class), r.Err.Message, r.Err.Remedy, r.Err.Class.Info().Retry
		}
		report.Hosts = append(report.Hosts, h)
	}
	encode := show.JSON
	if format == show.FormatYAML {
		encode = show.YAML
	}
	text, err := encode(report)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, strings.TrimSuffix(text, "\n"))
	return err
}
