package config

import (
	"net/netip"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// mistake says what people most often get wrong about a format, when that is it; it follows the sentence that says what
// the value is not.
func mistake(k *kind.Format) string {
	s, ok := k.Got.(string)
	if !ok {
		return ""
	}
	switch k.Want {
	case "cidr":
		if p, err := netip.ParsePrefix(s); err == nil {
			return ": it is an address inside of " + p.Masked().String()
		}
		if isIP(s) {
			return ": the length of the prefix is missing"
		}
	case "ip":
		if isCIDR(s) {
			return ", but a network"
		}
	case "host", "host-port":
		switch {
		case strings.Contains(s, "://"):
			return ", but a URL: write it without the scheme"
		case k.Want == "host" && isHostPort(s):
			return ": it has a port"
		case k.Want == "host-port" && isIP(s) && strings.Contains(s, ":"):
			return ": an IPv6 address stands in brackets, with the port after them"
		case k.Want == "host-port" && isHost(s):
			return ": the port is missing"
		case k.Want == "host-port":
			return portMistake(s)
		}
	case "url":
		if !strings.Contains(s, "://") {
			return ": the scheme is missing"
		}
	case "duration":
		if digits.MatchString(s) {
			return ": the unit is missing"
		}
		if strings.HasSuffix(s, "d") && digits.MatchString(s[:len(s)-1]) {
			return ": there is no unit for days, write hours"
		}
	case "ssh-key":
		if strings.Contains(s, "PRIVATE KEY") {
			return ", but a private one; it must not be written here"
		}
	case "zk-path", "absolute-path":
		return pathMistake(s)
	}
	if strings.HasPrefix(k.Want, pathBelow) {
		return pathMistake(s)
	}
	return ""
}

// portMistake says what is wrong with the port of what else would be a host and a port.
func portMistake(s string) string {
	at := strings.LastIndexByte(s, ':')
	if at < 0 || !isHostPort(s[:at]+":1") || isHostPort(s) {
		return ""
	}
	switch port := s[at+1:]; {
	case port == "":
		return ": the port is missing"
	case digits.MatchString(port) && len(port) <= 10:
		return ": port " + port + " is out of range 1–65535"
	case digits.MatchString(port):
		return ": the port is out of range 1–65535"
	default:
		return ": the port " + quote(port) + " is no number"
	}
}

func pathMistake(s string) string {
	switch {
	case !strings.HasPrefix(s, "/"):
		return ": it does not begin with a slash"
	case len(s) > 1 && strings.HasSuffix(s, "/"):
		return ": it ends in a slash"
	}
	return ""
}
