package render

import (
	"fmt"
	"strings"
)

// Error is one mistake in a template, told to the publisher who has to correct it.
type Error struct {
	// File is the name that Render was given.
	File string
	// Line and Column count from 1, Column in characters; both are 0 when the file as a whole is meant.
	Line, Column int
	Message      string
	Remedy       string
	// Always says that it is wrong whatever the parameters are, not only with those at hand.
	Always bool
}

// Error gives everything in one line, as in "etcd.conf:3:12: message; remedy".
func (e *Error) Error() string {
	text := e.File
	if e.Line > 0 {
		text += fmt.Sprintf(":%d:%d", e.Line, e.Column)
	}
	text += ": " + e.Message
	switch {
	case e.Remedy == "":
		return text
	case strings.HasSuffix(text, "?"):
		return text + " " + e.Remedy
	}
	return text + "; " + e.Remedy
}
