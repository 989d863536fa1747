package sshconfig

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings are what the configuration says of one host. What it leaves open has the zero value.
type Settings struct {
	// HostName is what to connect to; the name that was asked for if the configuration says nothing.
	HostName string
	User     string
	Port     int
	// IdentityFiles and CertificateFiles need not exist.
	IdentityFiles, CertificateFiles []string
	IdentitiesOnly                  bool
	// IdentityAgent is the socket of an SSH agent, or NoAgent.
	IdentityAgent string
	// Jumps are the SSH servers to go through, in order, each as it was written.
	Jumps        []Jump
	HostKeyAlias string
	// KnownHosts is UserKnownHostsFile; nil if nothing is said, empty if there is to be none.
	KnownHosts     []string
	ConnectTimeout time.Duration
}

// NoAgent is the IdentityAgent that means none.
const NoAgent = "none"

// Jump is one SSH server on the way. User and Port are empty where the configuration's own word on Host counts.
type Jump struct {
	User, Host string
	Port       int
}

// Host is what holds for a host by the name that the operator uses. userName and port, if they are given, count instead
// of the configuration's in the tokens of file names.
func (c *Config) Host(name, userName string, port int) (Settings, error) {
	s := Settings{HostName: name}
	if c == nil {
		return s, nil
	}
	said := c.ask(name)
	var err error
	s.User = said.first("User")
	if port := said.first("Port"); port != "" {
		if s.Port, err = strconv.Atoi(port); err != nil || s.Port < 1 || s.Port > 65535 {
			return s, c.refuse(name, "Port", port, "is not a port")
		}
	}
	if hostName := said.first("HostName"); hostName != "" {
		if s.HostName, err = expand(hostName, map[byte]string{'h': name}); err != nil {
			return s, c.refuse(name, "HostName", hostName, err.Error())
		}
	}
	s.HostKeyAlias = said.first("HostKeyAlias")
	if timeout := said.first("ConnectTimeout"); timeout != "" && timeout != "none" {
		seconds, err := strconv.Atoi(timeout)
		if err != nil || seconds < 1 || seconds > 86400 {
			return s, c.refuse(name, "ConnectTimeout", timeout, "is no number of seconds")
		}
		s.ConnectTimeout = time.Duration(seconds) * time.Second
	}
	switch only := said.first("IdentitiesOnly"); strings.ToLower(only) {
	case "yes", "true":
		s.IdentitiesOnly = true
	case "", "no", "false":
	default:
		return s, c.refuse(name, "IdentitiesOnly", only, "is neither yes nor no")
	}
	if err := c.proxy(said, &s); err != nil {
		return s, err
	}
	return s, c.files(said, userName, port, &s)
}

func (c *Config) proxy(said *said, s *Settings) (err error) {
	switch value := said.first(said.proxy); said.proxy {
	case "proxyjump":
		if s.Jumps, err = ParseJumps(value); err != nil {
			return c.refuse(said.name, "ProxyJump", value, err.Error())
		}
	case "proxycommand":
		if !strings.EqualFold(value, "none") {
			return c.refuse(said.name, "ProxyCommand", value, "is not supported: use ProxyJump, or --jump")
		}
	}
	return nil
}

// files are the settings that name files, in which tokens, the home directory and variables are replaced.
func (c *Config) files(said *said, userName string, port int, s *Settings) (err error) {
	name := said.name
	if userName == "" {
		userName = s.User
	}
	if port == 0 {
		port = max(s.Port, 0)
	}
	if port == 0 {
		port = 22
	}
	short, _, _ := strings.Cut(c.self.hostname, ".")
	alias := s.HostKeyAlias
	if alias == "" {
		alias = s.HostName
	}
	tokens := map[byte]string{
		'd': c.self.home, 'u': c.self.user, 'i': strconv.Itoa(os.Getuid()), 'l': c.self.hostname, 'L': short,
		'h': s.HostName, 'n': name, 'p': strconv.Itoa(port), 'r': userName, 'k': alias,
	}
	path := func(keyword, value string) (string, error) {
		expanded, err := expand(value, tokens)
		if err == nil {
			expanded, err = variables(expanded)
		}
		if err != nil {
			return "", c.refuse(name, keyword, value, err.Error())
		}
		if rest, ok := strings.CutPrefix(expanded, "~/"); ok {
			expanded = c.self.home + "/" + rest
		}
		return expanded, nil
	}
	list := func(keyword string) (paths []string, err error) {
		for _, v := range said.all(keyword) {
			p, err := path(keyword, v)
			if err != nil {
				return nil, err
			}
			if p != "none" && !slices.Contains(paths, p) {
				paths = append(paths, p)
			}
		}
		return paths, nil
	}
	if s.IdentityFiles, err = list("IdentityFile"); err != nil {
		return err
	}
	if s.CertificateFiles, err = list("CertificateFile"); err != nil {
		return err
	}
	if known := said.first("UserKnownHostsFile"); known != "" {
		if strings.Contains(known, `"`) {
			return c.refuse(name, "UserKnownHostsFile", known, "has quotes around one of several names, which is not supported")
		}
		s.KnownHosts = []string{}
		for _, file := range strings.Fields(known) {
			if file == "none" {
				continue
			}
			if file, err = path("UserKnownHostsFile", file); err != nil {
				return err
			}
			s.KnownHosts = append(s.KnownHosts, file)
		}
	}
	agent := said.first("IdentityAgent")
	if agent == "" || agent == NoAgent {
		s.IdentityAgent = agent
		return nil
	}
	if agent == "SSH_AUTH_SOCK" {
		return nil // the default
	}
	if variable, ok := strings.CutPrefix(agent, "$"); ok && !strings.HasPrefix(variable, "{") {
		agent = "${" + variable + "}"
	}
	s.IdentityAgent, err = path("IdentityAgent", agent)
	return err
}

// ParseJumps reads what ProxyJump takes: [USER@]HOST[:PORT], separated by commas, each also as ssh://…; or none.
func ParseJumps(text string) ([]Jump, error) {
	if strings.EqualFold(text, "none") {
		return nil, nil
	}
	var jumps []Jump
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		var j Jump
		rest := strings.TrimSuffix(strings.TrimPrefix(item, "ssh://"), "/")
		if at := strings.LastIndex(rest, "@"); at >= 0 {
			j.User, rest = rest[:at], rest[at+1:]
		}
		j.Host = rest
		portText := ""
		if inside, behind, ok := strings.Cut(strings.TrimPrefix(rest, "["), "]"); ok && strings.HasPrefix(rest, "[") {
			j.Host, portText = inside, strings.TrimPrefix(behind, ":")
		} else if strings.Count(rest, ":") == 1 {
			j.Host, portText, _ = strings.Cut(rest, ":")
		}
		if portText != "" {
			port, err := strconv.Atoi(portText)
			if err != nil || port < 1 || port > 65535 {
				return nil, fmt.Errorf("%s is not a port", portText)
			}
			j.Port = port
		}
		if j.Host == "" || strings.HasPrefix(j.Host, "-") || strings.ContainsAny(j.Host, " \t\"'%/$") {
			return nil, fmt.Errorf("%q is not a jump host: write [USER@]HOST[:PORT]", item)
		}
		jumps = append(jumps, j)
	}
	return jumps, nil
}

// expand replaces the tokens of a value.
func expand(value string, tokens map[byte]string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] != '%' {
			b.WriteByte(value[i])
			continue
		}
		i++
		switch {
		case i == len(value):
			return "", fmt.Errorf("ends with a lone %%")
		case value[i] == '%':
			b.WriteByte('%')
		default:
			replacement, ok := tokens[value[i]]
			if !ok {
				return "", fmt.Errorf("has the token %%%c, which is not supported here", value[i])
			}
			b.WriteString(replacement)
		}
	}
	return b.String(), nil
}

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

func variables(value string) (string, error) {
	var missing string
	out := variable.ReplaceAllStringFunc(value, func(m string) string {
		name := m[2 : len(m)-1]
		content, ok := os.LookupEnv(name)
		if !ok {
			missing = name
		}
		return content
	})
	if missing != "" {
		return "", fmt.Errorf("uses the variable %s, which is not set", missing)
	}
	return out, nil
}
