package config

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"
)

// format is a kind of text that a bundle's schema can ask for with the keyword of that name, and that cluster.yaml uses
// itself.
type format struct {
	// what names the kind with its article, example is one.
	what, example string
	valid         func(string) bool
}

// formats are Muster's own; duration is Go's, not the ISO 8601 one of JSON Schema, because it is what people know.
var formats = map[string]format{
	"ip":            {"an IP address", "10.0.0.1", isIP},
	"cidr":          {"a network in CIDR notation", "10.0.0.0/24", isCIDR},
	"host":          {"a host name or an IP address", "db1.example.com", isHost},
	"host-port":     {"a host and a port", "db1.example.com:5432", isHostPort},
	"port":          {"a port (1 to 65535)", "8080", isPort},
	"url":           {"a URL", "https://example.com/path", isURL},
	"duration":      {"a duration", "1h30m", isDuration},
	"bytes":         {"a number of bytes", "512MiB", isBytes},
	"absolute-path": {"an absolute path", "/var/lib/data", isAbsolutePath},
	"ssh-key":       {"an SSH public key", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAGnsmFIf3Xg5Iwtpq/iXlKkYQaSGbRI5C94T0RSrzIB ops@example.com", isSSHKey},
	"zk-path":       {"the path of a znode", "/mesos/prod", isZKPath},
}

// pathBelow begins the name of a format of its own for each directory, such as path-below:/srv.
const pathBelow = "path-below:"

// formatNamed gives a format by its name.
func formatNamed(name string) (format, bool) {
	if f, ok := formats[name]; ok {
		return f, true
	}
	if f, ok := standardFormats[name]; ok {
		return f, true
	}
	dir, ok := strings.CutPrefix(name, pathBelow)
	if !ok || !isAbsolutePath(dir) || dir == "/" {
		return format{}, false
	}
	below := func(s string) bool { return isAbsolutePath(s) && strings.HasPrefix(s, dir+"/") }
	return format{"an absolute path below " + dir, dir + "/data", below}, true
}

// namedFormats gives those of a schema that have a name of their own.
func namedFormats(v any) map[string]format {
	found := map[string]format{}
	switch v := v.(type) {
	case map[string]any:
		for key, below := range v {
			if name, ok := below.(string); ok && key == "format" && strings.HasPrefix(name, pathBelow) {
				if f, ok := formatNamed(name); ok {
					found[name] = f
				}
				continue
			}
			maps.Copy(found, namedFormats(below))
		}
	case []any:
		for _, below := range v {
			maps.Copy(found, namedFormats(below))
		}
	}
	return found
}

// standardFormats are those of JSON Schema that are asserted as well, checked by the schema library.
var standardFormats = map[string]format{
	"ipv4":      {what: "an IPv4 address", example: "10.0.0.1"},
	"ipv6":      {what: "an IPv6 address", example: "fd00::1"},
	"hostname":  {what: "a host name", example: "db1.example.com"},
	"uri":       {what: "a URI", example: "https://example.com"},
	"email":     {what: "an e-mail address", example: "ops@example.com"},
	"date":      {what: "a date", example: "2024-01-31"},
	"time":      {what: "a time of day with its zone", example: "23:59:59Z"},
	"date-time": {what: "a date with a time and its zone", example: "2024-01-31T23:59:59Z"},
	"uuid":      {what: "a UUID", example: "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
	"regex":     {what: "a regular expression", example: "^a.*$"},
	"semver":    {what: "a semantic version", example: "1.2.3"},
}

var formatNames = slices.Sorted(maps.Keys(allFormats()))

func allFormats() map[string]format {
	all := maps.Clone(standardFormats)
	maps.Copy(all, formats)
	all[pathBelow+"DIRECTORY"] = format{}
	return all
}

func isIP(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Zone() == ""
}

func isCIDR(s string) bool {
	p, err := netip.ParsePrefix(s)
	return err == nil && p == p.Masked()
}

var (
	label = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	// dnsLabel is a label in its canonical form, for the names that Muster makes paths and units of.
	dnsLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	digits   = regexp.MustCompile(`^[0-9]+$`)
	size     = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]+)? ?([KMGTPE]i?)?B?$`)
)

// isHostName says whether s is a DNS name. One that ends in a number is a mistyped address.
func isHostName(s string) bool {
	labels := strings.Split(s, ".")
	if len(s) > 253 || digits.MatchString(labels[len(labels)-1]) {
		return false
	}
	for _, l := range labels {
		if !label.MatchString(l) {
			return false
		}
	}
	return true
}

func isHost(s string) bool { return isIP(s) || isHostName(s) }

// isHostPort wants an IPv6 address in brackets, as it has colons of its own.
func isHostPort(s string) bool {
	at := strings.LastIndexByte(s, ':')
	if at < 0 {
		return false
	}
	host, port := s[:at], s[at+1:]
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && strings.Contains(inner, ":") && isIP(inner) && isPort(port)
	}
	return isHost(host) && !strings.Contains(host, ":") && isPort(port)
}

func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && digits.MatchString(s) && n >= 1 && n <= 65535
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != "" && !strings.ContainsAny(s, " \t\n")
}

func isDuration(s string) bool {
	d, err := time.ParseDuration(s)
	return err == nil && d >= 0
}

func isBytes(s string) bool { return size.MatchString(s) }

// isSSHKey takes one line of authorized_keys(5) without options, which would let a key do more or less than is seen.
func isSSHKey(s string) bool {
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(s))
	return err == nil && len(options) == 0 && len(rest) == 0 && strings.HasPrefix(s, key.Type()+" ") && !strings.ContainsAny(s, "\r\n\x00")
}

// isZKPath follows ZooKeeper's own rules on paths.
func isZKPath(s string) bool {
	return isAbsolutePath(s) && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= 0x1f || r >= 0x7f && r <= 0x9f || r >= 0xd800 && r <= 0xf8ff || r >= 0xfff0 && r <= 0xffff
	})
}

func isAbsolutePath(s string) bool {
	return strings.HasPrefix(s, "/") && path.Clean(s) == s && !strings.ContainsAny(s, "\x00\n")
}

// validate adapts a format to the schema library: numbers count as they print, so that a port may be one.
func (f format) validate(v any) error {
	var s string
	switch v := v.(type) {
	case string:
		s = v
	case int64, float64:
		s = fmt.Sprint(v)
	default:
		return nil
	}
	if !f.valid(s) {
		return fmt.Errorf("is not %s", f.what)
	}
	return nil
}
