package config

import (
	"fmt"
	"regexp"
	"strconv"
)

// trail is the way from the top of a file to a value. Its text is made only when a problem is told: with 50,000 hosts
// that is the difference between nothing and most of the work.
type trail struct {
	up    *trail
	name  string
	index int
}

// A nil path is the top.
func (p *trail) key(name string) *trail { return &trail{up: p, name: name, index: -1} }
func (p *trail) item(index int) *trail  { return &trail{up: p, index: index} }

// plainKey is a key that needs no quotes in a path.
var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func (p *trail) String() string {
	switch {
	case p == nil:
		return ""
	case p.index >= 0:
		return fmt.Sprintf("%s[%d]", p.up, p.index)
	case !plainKey.MatchString(p.name):
		return fmt.Sprintf("%s[%s]", p.up, quote(p.name))
	case p.up == nil:
		return p.name
	default:
		return p.up.String() + "." + p.name
	}
}

// down follows a JSON Schema instance location.
func (p *trail) down(tokens []string, below any) *trail {
	for _, token := range tokens {
		switch v := below.(type) {
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i >= len(v) {
				return p
			}
			p, below = p.item(i), v[i]
		case map[string]any:
			p, below = p.key(token), v[token]
		default:
			return p
		}
	}
	return p
}
