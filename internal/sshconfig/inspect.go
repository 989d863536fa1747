package sshconfig

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"muster/internal/fault"
)

// maxDepth is how deep OpenSSH and the parser follow Include.
const maxDepth = 5

// maxSize bounds a file that somebody named by mistake.
const maxSize = 4 << 20

// inspect refuses what the parser would take for something else than OpenSSH does: conditions of Match that it reads as
// host names, and tabs between the patterns of Host. It follows Include as the parser does. It also refuses a file that
// others may write, as OpenSSH does: it decides who is logged in to, and with which key.
func inspect(file, home string, depth int) error {
	if depth > maxDepth {
		return fault.New(fault.Invalid, refusalRemedy, "%s: Include goes deeper than %d files", file, maxDepth)
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.Size() > maxSize {
		return fault.New(fault.Invalid, refusalRemedy, "%s has %d bytes; an SSH configuration has less than %d", file, info.Size(), maxSize)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && (owner.Uid != 0 && int(owner.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0) {
		return fault.New(fault.Denied, "chmod go-w "+file+", and let it belong to you", "%s can be written by others", file)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return fault.New(fault.Denied, refusalRemedy, "%s can't be read", file).Because(err)
	}
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		keyword, value := cutKeyword(line)
		refuse := func(why string) error {
			return fault.New(fault.Invalid, refusalRemedy, "%s:%d: %s", file, number, why)
		}
		switch strings.ToLower(keyword) {
		case "match":
			words := strings.Fields(value)
			switch {
			case len(words) == 1 && strings.EqualFold(words[0], "all"):
			case len(words) == 2 && strings.EqualFold(words[0], "host") && !strings.Contains(words[1], ","):
			default:
				return refuse(fmt.Sprintf("Match %s is not supported: only Match all and Match host with one pattern are", value))
			}
		case "host":
			if strings.Contains(value, "\t") {
				return refuse("the patterns of Host are to be separated by spaces, not by tabs")
			}
		case "include":
			for _, pattern := range strings.Fields(value) {
				included, err := filepath.Glob(includePath(pattern, file, home))
				if err != nil {
					return refuse(fmt.Sprintf("Include %s: %v", pattern, err))
				}
				for _, f := range included {
					if err := inspect(f, home, depth+1); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// cutKeyword splits a line like "Keyword value" or "Keyword=value", without its comment.
func cutKeyword(line string) (keyword, value string) {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "#") {
		return "", ""
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return line, ""
	}
	value = strings.TrimLeft(line[end:], " \t")
	value = strings.TrimLeft(strings.TrimPrefix(value, "="), " \t")
	if comment := strings.Index(value, " #"); comment >= 0 {
		value = value[:comment]
	}
	return line[:end], strings.TrimSpace(value)
}

// includePath is where the parser looks for a relative name.
func includePath(pattern, file, home string) string {
	switch {
	case filepath.IsAbs(pattern):
		return pattern
	case strings.HasPrefix(filepath.Clean(file), "/etc/ssh"):
		return filepath.Join("/etc/ssh", pattern)
	case strings.HasPrefix(pattern, "~/"):
		return filepath.Join(home, pattern[2:])
	}
	return filepath.Join(home, ".ssh", pattern)
}
