package sshconfig

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// block is what stands behind one Host or Match, or before the first. The parser answers for one keyword at a time; here the
// order of different keywords counts, and what an earlier HostName does to a later Match.
type block struct {
	match    bool
	patterns []string
	lines    []line
}

// line is a setting, or what an Include brings in.
type line struct {
	keyword, value string
	included       []block
}

// blocksOf parses a file and what it includes. inspect has seen them all.
func blocksOf(file, home string) ([]block, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	parsed, err := ssh_config.DecodeBytes(content)
	if err != nil {
		return nil, malformed(file, err)
	}
	var blocks []block
	for _, host := range parsed.Hosts {
		b := block{match: strings.HasPrefix(strings.TrimSpace(host.String()), "Match")}
		for _, p := range host.Patterns {
			b.patterns = append(b.patterns, p.String())
		}
		for _, node := range host.Nodes {
			switch n := node.(type) {
			case *ssh_config.KV:
				b.lines = append(b.lines, line{keyword: strings.ToLower(n.Key), value: strings.TrimSpace(n.Value)})
			case *ssh_config.Include:
				_, patterns := cutKeyword(n.String())
				for _, pattern := range strings.Fields(patterns) {
					files, err := filepath.Glob(includePath(pattern, file, home))
					if err != nil {
						return nil, err
					}
					for _, f := range files {
						included, err := blocksOf(f, home)
						if err != nil {
							return nil, err
						}
						b.lines = append(b.lines, line{included: included})
					}
				}
			}
		}
		blocks = append(blocks, b)
	}
	return blocks, nil
}

// said is what holds for one host: the values of each keyword in the order of the files.
type said struct {
	name     string
	hostName string // with its tokens replaced: Match host looks at it
	values   map[string][]string
	// proxy is whichever of ProxyJump and ProxyCommand stands first: OpenSSH passes the other over.
	proxy string
}

func (c *Config) ask(name string) *said {
	s := &said{name: name, hostName: name, values: make(map[string][]string)}
	s.walk(c.blocks)
	return s
}

func (s *said) walk(blocks []block) {
	for _, b := range blocks {
		// Match host is case-insensitive, Host is not.
		name := s.name
		if b.match {
			name = strings.ToLower(s.hostName)
		}
		if !b.matches(name) {
			continue
		}
		for _, l := range b.lines {
			s.walk(l.included)
			if l.keyword == "" || l.value == "" {
				continue
			}
			if s.proxy == "" && (l.keyword == "proxyjump" || l.keyword == "proxycommand") {
				s.proxy = l.keyword
			}
			if l.keyword == "hostname" && s.values[l.keyword] == nil {
				if expanded, err := expand(l.value, map[byte]string{'h': s.name}); err == nil { // Host says what is wrong with it
					s.hostName = expanded
				}
			}
			s.values[l.keyword] = append(s.values[l.keyword], l.value)
		}
	}
}

// first is the first value of a keyword, the one that counts; empty if there is none.
func (s *said) first(keyword string) string {
	if values := s.all(keyword); len(values) > 0 {
		return values[0]
	}
	return ""
}

func (s *said) all(keyword string) []string { return s.values[strings.ToLower(keyword)] }

func (b block) matches(name string) bool {
	found := false
	for _, p := range b.patterns {
		p, negated := strings.CutPrefix(p, "!")
		if len(p) > 1 && p[0] == '"' && p[len(p)-1] == '"' {
			p = p[1 : len(p)-1]
		}
		if b.match {
			p = strings.ToLower(p)
		}
		if !matches(p, name) {
			continue
		}
		if negated {
			return false
		}
		found = true
	}
	return found
}

// matches knows * and ?, as OpenSSH does: nothing else has a meaning.
func matches(pattern, name string) bool {
	star, from := -1, 0 // the last *, and what of the name comes behind what it stands for
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p, n = p+1, n+1
		case star >= 0:
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
