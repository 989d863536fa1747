package show

import (
	"os"
	"strings"
	"testing"
)

func TestColourIsForTerminalsAndOnlyUnlessForbidden(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	if !Colour(true) || Colour(false) {
		t.Error("colour belongs on a terminal and nowhere else")
	}
	t.Setenv("NO_COLOR", "1")
	if Colour(true) {
		t.Error("NO_COLOR is not obeyed")
	}
}

func TestAPipeIsNoTerminal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if IsTerminal(w) || Width(w) != 0 || IsTerminal(new(strings.Builder)) || Width(new(strings.Builder)) != 0 {
		t.Error("a pipe or a buffer is taken for a terminal")
	}
}
