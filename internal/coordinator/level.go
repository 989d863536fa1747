package coordinator

import (
	"slices"

	"muster/internal/fault"
)

// Level is what an operator may do; each level may do all that the one below may.
type Level string

// The levels, from the lowest. A viewer changes nothing. An operator brings hosts in and out. An admin decides over
// secrets and over operators.
const (
	Viewer   Level = "viewer"
	Operator Level = "operator"
	Admin    Level = "admin"
)

// Levels lists them from the lowest.
var Levels = []Level{Viewer, Operator, Admin}

// AtLeast says whether this level may do what want may. What is no level may nothing and is reached by nobody.
func (l Level) AtLeast(want Level) bool {
	have, need := slices.Index(Levels, l), slices.Index(Levels, want)
	return have >= 0 && need >= 0 && have >= need
}

// ParseLevel accepts the name of a level.
func ParseLevel(text string) (Level, error) {
	if !slices.Contains(Levels, Level(text)) {
		return "", fault.New(fault.Invalid, "choose viewer, operator or admin", "%.32q is not a level", text)
	}
	return Level(text), nil
}
