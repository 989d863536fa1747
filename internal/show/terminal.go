package show

import (
	"io"
	"os"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// IsTerminal says whether w is a terminal that understands cursor movements.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// Width is the number of columns of w, 0 when it is no terminal: then nothing is cut.
func Width(w io.Writer) int {
	width, _ := size(w)
	return width
}

func height(w io.Writer) int {
	_, height := size(w)
	return height
}

func size(w io.Writer) (width, height int) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, 0
	}
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, 0
	}
	return width, height
}

// Colour says whether colours are wanted: on a terminal, unless NO_COLOR is set.
func Colour(isTerminal bool) bool { return isTerminal && os.Getenv("NO_COLOR") == "" }

// The colours and what they mean.
var (
	red    = text.Colors{text.FgRed}
	yellow = text.Colors{text.FgYellow}
	green  = text.Colors{text.FgGreen}
)

// paint colours a word. It asks nothing of the environment: that is the caller's decision.
func paint(on bool, c text.Colors, s string) string {
	if !on || c == nil || s == "" {
		return s
	}
	return text.Escape(s, c.EscapeSeq())
}
