package show

import (
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// gap is what stands between two columns.
const gap = "  "

// column says how a column gives way when the terminal is narrow. Those of a lower order give way first.
type column struct {
	title string
	order int
	least int
}

// row is one line of a grid and what is said under it.
type row struct {
	cells []string
	below []string
}

// grid aligns rows into lines, one a row and no borders, so that they can be grepped. No line is wider than width unless
// it is 0. Cells must be safe; what is under a row is left as it is.
func grid(columns []column, rows []row, width int) []string {
	if len(rows) == 0 {
		return nil
	}
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.Options{}
	style.Box.PaddingLeft, style.Box.PaddingRight = "", gap
	style.Format.Header = text.FormatDefault
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	titles := make(table.Row, len(columns))
	for i, c := range columns {
		titles[i] = c.title
	}
	t.AppendHeader(titles)
	configs := make([]table.ColumnConfig, len(columns))
	for i, w := range fit(columns, rows, width) {
		configs[i] = table.ColumnConfig{Number: i + 1, WidthMax: w, WidthMaxEnforcer: snip}
	}
	t.SetColumnConfigs(configs)
	for _, r := range rows {
		cells := make(table.Row, len(r.cells))
		for i, cell := range r.cells {
			if cell == "" {
				cell = "-"
			}
			cells[i] = cell
		}
		t.AppendRow(cells)
	}
	lines := strings.Split(t.Render(), "\n")
	all := []string{clipLine(lines[0], width)}
	for i, r := range rows {
		all = append(append(all, clipLine(lines[i+1], width)), r.below...)
	}
	return all
}

func snip(cell string, width int) string { return text.Snip(cell, width, ellipsis) }

func clipLine(line string, width int) string {
	if width <= 0 {
		return line
	}
	return snip(line, width)
}

// fit is the width of every column: what it needs, less what has to go.
func fit(columns []column, rows []row, width int) []int {
	widths := make([]int, len(columns))
	total := len(gap) * (len(columns) - 1)
	for i, c := range columns {
		widths[i] = len(c.title)
		for _, r := range rows {
			widths[i] = max(widths[i], text.StringWidthWithoutEscSequences(r.cells[i]))
		}
		total += widths[i]
	}
	if width <= 0 || total <= width {
		return widths
	}
	byOrder := make([]int, len(columns))
	for i := range byOrder {
		byOrder[i] = i
	}
	slices.SortStableFunc(byOrder, func(a, b int) int { return columns[a].order - columns[b].order })
	for _, i := range byOrder {
		give := min(total-width, widths[i]-max(columns[i].least, len(columns[i].title)))
		if give > 0 {
			widths[i] -= give
			total -= give
		}
	}
	return widths
}

// wrap breaks a sentence into lines of at most width columns, the first after indent, the others two deeper.
func wrap(indent, sentence string, width int) []string {
	// A wide character at the end of a line may stick out by one.
	room := width - len(indent) - 3
	if width <= 0 || room < 10 {
		return []string{clipLine(indent+sentence, width)}
	}
	var lines []string
	for i, line := range strings.Split(text.WrapSoft(sentence, room), "\n") {
		if i > 0 {
			line = "  " + line
		}
		lines = append(lines, strings.TrimRight(indent+line, " "))
	}
	return lines
}
