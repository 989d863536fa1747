package show

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	operatorv1 "muster/proto/muster/operator/v1"
)

const (
	// The terminal does not break lines while the board is drawn: whatever width it gives to a strange character, one
	// line stays one line and the next drawing begins at the right place.
	wrapOff    = "\x1b[?7l"
	wrapOn     = "\x1b[?7h"
	clearBelow = "\r\x1b[J"
)

// Board is live progress, fed with what WatchHosts sends. On a terminal it is redrawn in place; elsewhere each change is
// one plain line. Its methods may be called from several goroutines.
type Board struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	width    func() int
	height   func() int
	cluster  *operatorv1.GetClusterResponse
	hosts    map[string]*operatorv1.Host
	// pass holds those that were seen since the stream began, nil when its first pass is over.
	pass  map[string]bool
	first bool
	plain plainLines
	// notice is said of the board itself.
	notice string
	drawn  int
}

// NewBoard draws on out. width is asked at each drawing, and only for a terminal.
func NewBoard(out io.Writer, isTerminal bool, width func() int) *Board {
	return &Board{
		out: out, terminal: isTerminal, width: width, height: func() int { return height(out) }, first: true,
		hosts: make(map[string]*operatorv1.Host), pass: make(map[string]bool),
		plain: plainLines{out: out, told: make(map[string]time.Time), lost: make(map[string]bool)},
	}
}

// SetCluster lets the board say what is installed, which roles are counted and which members are missing.
func (b *Board) SetCluster(c *operatorv1.GetClusterResponse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cluster = c
	b.plain.counted = newGather(c, time.Time{}, TableOptions{}).counted
}

// Restart says that a new stream begins: hosts that its first pass does not bring are gone.
func (b *Board) Restart() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pass = make(map[string]bool)
}

// Notice says something of the board itself, such as that it is not up to date; "" takes it back.
func (b *Board) Notice(notice string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notice = notice
	if !b.terminal && notice != "" {
		b.plain.line(now, notice)
	}
}

// Apply takes a message of the stream.
func (b *Board) Apply(resp *operatorv1.WatchHostsResponse, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	tell := !b.terminal && !b.first
	for _, id := range resp.Removed {
		b.drop(id, tell, now)
	}
	for _, h := range resp.Hosts {
		old := b.hosts[h.Id]
		b.hosts[h.Id] = h
		if b.pass != nil {
			b.pass[h.Id] = true
		}
		if tell {
			b.plain.change(old, h, now)
		}
	}
	if !resp.Complete || b.pass == nil {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(b.hosts)) {
		if !b.pass[id] {
			b.drop(id, tell, now)
		}
	}
	b.pass = nil
	if b.first && !b.terminal {
		b.begin(now)
	}
	b.first = false
}

func (b *Board) drop(id string, tell bool, now time.Time) {
	h, ok := b.hosts[id]
	if !ok {
		return
	}
	delete(b.hosts, id)
	if tell {
		b.plain.gone(h, now)
	}
}

// begin says once where everything stands.
func (b *Board) begin(now time.Time) {
	g := b.gather(now, 0)
	shown := g.failures.first()
	if len(b.hosts) <= DefaultLimit {
		shown = slices.Concat(shown, g.lost.first(), g.rest.first())
	}
	for _, h := range shown {
		b.plain.change(nil, h, now)
	}
	for _, line := range g.summary() {
		b.plain.line(now, line)
	}
}

// Hosts are all that are known, in the order of their identities.
func (b *Board) Hosts() []*operatorv1.Host {
	b.mu.Lock()
	defer b.mu.Unlock()
	hosts := slices.Collect(maps.Values(b.hosts))
	slices.SortFunc(hosts, func(x, y *operatorv1.Host) int { return strings.Compare(x.Id, y.Id) })
	return hosts
}

// Draw shows how things are: the table, cut to the terminal's height, or elsewhere a line for each host that fell silent.
func (b *Board) Draw(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.terminal {
		if !b.first {
			b.plain.silences(b.hosts, now)
		}
		return
	}
	width := max(1, b.width())
	g := b.gather(now, width)
	summary := g.summary()
	if b.notice != "" {
		summary = append(summary, clipLine(b.notice, width))
	}
	lines := b.cut(g.body(), summary, width)
	b.write(b.erase() + wrapOff + strings.Join(lines, "\n") + "\n" + wrapOn)
	b.drawn = len(lines)
}

// Clear takes the board off the terminal, for something else to be said in its place.
func (b *Board) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.write(b.erase())
	b.drawn = 0
}

func (b *Board) gather(now time.Time, width int) *gather {
	g := newGather(b.cluster, now, TableOptions{Width: width, Colour: Colour(b.terminal), brief: true})
	for _, h := range b.hosts {
		g.add(h)
	}
	return g
}

// erase goes back to where the last drawing began: it fitted the terminal, so it is all still there.
func (b *Board) erase() string {
	if b.drawn == 0 {
		return ""
	}
	return text.CursorUp.Sprintn(b.drawn) + clearBelow
}

// cut fits the lines to the terminal: what needs a person stands first, the summary stays.
func (b *Board) cut(body, summary []string, width int) []string {
	rows := b.height()
	if rows <= 0 {
		rows = 24
	}
	// The cursor's own line comes after the last one.
	room := rows - 1 - len(summary)
	if room < len(body) {
		room = max(0, room-1)
		note := fmt.Sprintf("… %s more; coordinator status shows them", plural(len(body)-room, "line"))
		body = append(slices.Clone(body[:room]), clipLine(note, width))
	}
	lines := slices.Concat(body, summary)
	return lines[max(0, len(lines)-max(1, rows-1)):]
}

func (b *Board) write(s string) {
	// A terminal that is gone ends the program by a signal; there is nobody else to tell.
	_, _ = io.WriteString(b.out, s)
}
