package checks

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

func parsePath(s string) (any, error) {
	if !path.IsAbs(s) || path.Clean(s) != s || len(s) > 4096 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, fmt.Errorf("%.80q is not an absolute path in its shortest form, such as /var/lib", s)
	}
	return s, nil
}

func parseSize(s string) (any, error) {
	n, err := ParseBytes(s)
	if err == nil && n == 0 {
		err = errors.New("0 bytes are always there; give a number such as 10GiB")
	}
	return n, err
}

func parseCount(s string) (any, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return nil, fmt.Errorf("%.40q is not a number from 1 on", s)
	}
	return n, nil
}

func parseDuration(s string) (any, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return nil, fmt.Errorf("%.40q is not a duration such as 500ms or 2s", s)
	}
	return d, nil
}

func parseVersionArg(s string) (any, error) {
	v, err := parseVersion(s)
	if err == nil && v.String() != s {
		err = fmt.Errorf("%.40q is not a version of numbers only, such as 5.14", s)
	}
	return v, err
}

// parseNames reads names of commands or file system types.
func parseNames(s string) (any, error) {
	names, err := list(s)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		for _, c := range name {
			if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-", c) {
				return nil, fmt.Errorf("%.40q is not a plain name", name)
			}
		}
		if name == "." || name == ".." {
			return nil, fmt.Errorf("%q is not a plain name", name)
		}
	}
	return names, nil
}

func parsePorts(s string) (any, error) {
	texts, err := list(s)
	if err != nil {
		return nil, err
	}
	var ports []uint16
	for _, text := range texts {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("%.40q is not a port between 1 and 65535", text)
		}
		ports = append(ports, uint16(n))
	}
	return ports, nil
}

func parseAddress(s string) (any, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return nil, fmt.Errorf("%.40q is not an IP address", s)
	}
	return a.Unmap(), nil
}

func parseOne(s string) (any, error) {
	if s != "1" {
		return nil, fmt.Errorf("%.40q is not 1, the only value", s)
	}
	return true, nil
}

func parseYes(s string) (any, error) {
	if s != "yes" {
		return nil, fmt.Errorf("%.40q is not yes, the only value", s)
	}
	return true, nil
}

// list reads values that are separated by commas; each may appear once.
func list(s string) ([]string, error) {
	var all []string
	for item := range strings.SplitSeq(s, ",") {
		item = strings.TrimSpace(item)
		switch {
		case item == "":
			return nil, fmt.Errorf("%.80q has an empty item", s)
		case slices.Contains(all, item):
			return nil, fmt.Errorf("%.40q appears twice", item)
		}
		all = append(all, item)
	}
	return all, nil
}
