package late

import (
	"net/netip"
	"strconv"
	"strings"

	"muster/internal/manifest"
)

// Values are what late values turn out to be on one host, by ref.
type Values map[string]string

// SetHost puts in what is known of the host itself. What is empty stays out, so that Missing tells of it.
func (v Values) SetHost(m manifest.Member) { v.set(hostRef, m) }

// SetRoster puts in the members of a counted role, each at its index. A free place, without name and address, stays out.
func (v Values) SetRoster(role manifest.Role, members []manifest.Member) {
	for _, m := range members {
		v.set(func(f field) string { return memberRef(role, m.Index, f) }, m)
	}
}

// SetEndpoint puts in the endpoint, a host or host:port.
func (v Values) SetEndpoint(endpoint string) { v[refEndpoint] = endpoint }

func (v Values) set(ref func(field) string, m manifest.Member) {
	if m.Name == "" && m.Address == "" {
		return
	}
	v[ref(fieldIndex)] = strconv.Itoa(m.Index)
	for f, value := range map[field]string{fieldName: m.Name, fieldAddress: m.Address, fieldZone: m.Zone} {
		if value != "" {
			v[ref(f)] = value
		}
	}
}

// maxLabel is the longest label of a name in DNS, maxName the longest name.
const (
	maxLabel = 63
	maxName  = 253
)

// rules say what a value looks like. None lets a byte through that starts a placeholder.
var rules = map[field]struct {
	valid func(string) bool
	want  string
}{
	fieldName:     {validHostName, "a host name: labels of letters, digits and hyphens, separated by dots"},
	fieldAddress:  {validAddress, "one IP address, without a port or zone"},
	fieldIndex:    {validIndex, "a small number, 0 or above"},
	fieldZone:     {validZone, "1 to 63 letters, digits, dots, underscores and hyphens"},
	fieldEndpoint: {validEndpoint, "host or host:port"},
	fieldSecret:   {validSecret, "1 byte to 32 KiB, in base64"},
}

// Validate checks that each value is what its ref promises. Values come from hosts, which may be hostile.
func Validate(v Values) error {
	for _, ref := range sortedKeys(v) {
		f, ok := parseRef(ref)
		if !ok {
			return unknownRef(ref)
		}
		if rule := rules[f]; !rule.valid(v[ref]) {
			shown := quote(v[ref])
			if f == fieldSecret {
				shown = "damaged" // never repeated, not even a part of it
			}
			return &Error{
				Message: "late value ." + ref + " is " + shown + ", which is not valid",
				Remedy:  "it must be " + rule.want,
			}
		}
	}
	return nil
}

func unknownRef(ref string) error {
	return &Error{
		Message: "unknown late value " + quote(ref),
		Remedy:  "late values are Host.Name, Host.Address, Host.Index, Host.Zone, Roster.ROLE[N].Name and so on, Endpoint and Secret.NAME",
	}
}

func validHostName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if !letterOrDigit(label[i]) && label[i] != '-' {
				return false
			}
		}
	}
	return true
}

func validAddress(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast()
}

func validIndex(s string) bool {
	n, length, ok := slotNumber(s + string(placeholdEnd))
	return ok && length == len(s)+1 && n < maxSlots
}

func validZone(s string) bool {
	if s == "" || len(s) > maxLabel {
		return false
	}
	for i := range len(s) {
		if !letterOrDigit(s[i]) && s[i] != '.' && s[i] != '_' && s[i] != '-' {
			return false
		}
	}
	return true
}

func validEndpoint(s string) bool {
	if validHostName(s) || validAddress(s) {
		return true
	}
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return false
	}
	host, port := s[:colon], s[colon+1:]
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return false
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && strings.Contains(inner, ":") && validAddress(inner)
	}
	return validHostName(host)
}

func letterOrDigit(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
