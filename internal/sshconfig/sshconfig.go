// Package sshconfig answers what an OpenSSH client configuration says of a host. It honours the keywords of Settings and
// passes over all others; what it cannot follow exactly it refuses instead of guessing. It connects to nothing and reads
// no key.
package sshconfig

import (
	"fmt"
	"os"
	"os/user"
	"regexp"
	"strings"

	"muster/internal/fault"
)

// Config is one configuration file with what it includes. A nil Config says nothing of any host.
type Config struct {
	file   string
	blocks []block
	self   self
}

// self is who asks, for the tokens of file names.
type self struct{ home, user, hostname string }

// Load reads the file. One that does not exist is an fs.ErrNotExist; every other error is a fault that names file and line.
func Load(file string) (*Config, error) {
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	c := &Config{file: file, self: self{home: me.HomeDir, user: me.Username}}
	if home, err := os.UserHomeDir(); err == nil {
		c.self.home = home
	}
	if c.self.hostname, err = os.Hostname(); err != nil {
		return nil, err
	}
	if err := inspect(file, c.self.home, 0); err != nil {
		return nil, err
	}
	c.blocks, err = blocksOf(file, c.self.home)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// position is how the parser begins its errors.
var position = regexp.MustCompile(`^\((\d+), (\d+)\): (?:ssh_config: )?`)

func malformed(file string, err error) error {
	text := err.Error()
	if m := position.FindStringSubmatch(text); m != nil {
		text = fmt.Sprintf("%s:%s:%s: %s", file, m[1], m[2], strings.TrimSpace(text[len(m[0]):]))
	} else {
		text = file + ": " + text
	}
	return fault.New(fault.Invalid, refusalRemedy, "%s", text)
}

const refusalRemedy = "correct the file, name another with --ssh-config FILE, or use none: --ssh-config none"

// refuse is a fault about one host's settings.
func (c *Config) refuse(host, keyword, value, why string) error {
	return fault.New(fault.Invalid, refusalRemedy, "%s: %s %s, which holds for %s, %s", c.file, keyword, value, host, why)
}
