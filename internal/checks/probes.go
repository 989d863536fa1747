package checks

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// probe is a built-in check. It changes nothing on the host.
type probe struct {
	name    string
	summary string
	args    []arg
	run     func(context.Context, Environment, values) finding
}

// arg is one argument of a probe.
type arg struct {
	name     string
	required bool
	summary  string
	parse    func(string) (any, error)
}

// values are parsed arguments; one that was not given is absent.
type values map[string]any

// value is the parsed argument, or the zero value if it was not given.
func value[T any](v values, name string) T {
	t, _ := v[name].(T)
	return t
}

// probes is the table of all probes.
var probes = []probe{
	{"absent", "the path does not exist, or is an empty directory", []arg{
		{"path", true, "an absolute path", parsePath},
	}, probeAbsent},
	{"clock", "the clock agrees with the coordinator's", []arg{
		{"max_offset", true, "a duration such as 500ms", parseDuration},
	}, probeClock},
	{"commands", "the commands are installed", []arg{
		{"names", true, "names, separated by commas", parseNames},
	}, probeCommands},
	{"disk-space", "the file system of the path has room", []arg{
		{"path", true, "an absolute path; it need not exist yet", parsePath},
		{"min", true, "free bytes such as 10GiB", parseSize},
		{"inodes", false, "free inodes", parseCount},
	}, probeDiskSpace},
	{"file-system", "the path is on a file system of one of the types", []arg{
		{"path", true, "an absolute path; it need not exist yet", parsePath},
		{"types", true, "types such as xfs,ext4, separated by commas", parseNames},
		{"ftype", false, "1: directories must hold the types of their entries, as overlay needs", parseOne},
	}, probeFileSystem},
	{"host-name", "the host has a name of its own", nil, probeHostName},
	{"kernel", "the kernel is not too old", []arg{
		{"min_version", true, "a version such as 5.14", parseVersionArg},
	}, probeKernel},
	{"memory", "the host has enough memory", []arg{
		{"min", true, "bytes such as 8GiB, as the kernel counts them after its own reserve", parseSize},
	}, probeMemory},
	{"port-free", "nothing holds the TCP ports", []arg{
		{"port", true, "one port or several, separated by commas", parsePorts},
		{"address", false, "the IP address that will be listened on; all if not given", parseAddress},
	}, probePortFree},
	{"root", "the checks run as root", nil, probeRoot},
	{"systemd", "systemd runs the host and is not too old", []arg{
		{"min_version", false, "a version such as 239", parseVersionArg},
	}, probeSystemd},
	{"writable", "files can be made below the path", []arg{
		{"path", true, "an absolute path; it need not exist yet", parsePath},
		{"exec", false, "yes: programs there can be run, too", parseYes},
	}, probeWritable},
}

// Probe describes a built-in probe, for documentation.
type Probe struct {
	Name    string
	Summary string
	Args    []Arg
}

// Arg describes an argument of a Probe.
type Arg struct {
	Name     string
	Required bool
	Summary  string
}

// Probes lists the built-in probes in the order of their names.
func Probes() []Probe {
	var all []Probe
	for _, p := range probes {
		d := Probe{Name: p.name, Summary: p.summary}
		for _, a := range p.args {
			d.Args = append(d.Args, Arg{a.name, a.required, a.summary})
		}
		all = append(all, d)
	}
	return all
}

// ValidateArgs says in one line all that is wrong with the arguments of a probe.
func ValidateArgs(probe string, with map[string]string) error {
	_, _, err := parseArgs(probe, with)
	return err
}

func parseArgs(name string, with map[string]string) (probe, values, error) {
	i := slices.IndexFunc(probes, func(p probe) bool { return p.name == name })
	if i < 0 {
		var known []string
		for _, p := range probes {
			known = append(known, p.name)
		}
		return probe{}, nil, fmt.Errorf("there is no probe %.40q; there are %s", name, strings.Join(known, ", "))
	}
	p := probes[i]
	var problems, known []string
	v := values{}
	for _, a := range p.args {
		known = append(known, a.name)
		text, given := with[a.name]
		switch {
		case given && strings.TrimSpace(text) != "":
			parsed, err := a.parse(strings.TrimSpace(text))
			if err != nil {
				problems = append(problems, fmt.Sprintf("%s: %v", a.name, err))
			}
			v[a.name] = parsed
		case a.required:
			problems = append(problems, fmt.Sprintf("%s is missing: %s", a.name, a.summary))
		case given:
			problems = append(problems, fmt.Sprintf("%s is empty: %s", a.name, a.summary))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(with)) {
		if !slices.Contains(known, key) {
			problem := fmt.Sprintf("%.40q is not an argument", key)
			if len(known) == 0 {
				problem += "; there are none"
			} else {
				problem += "; there are " + strings.Join(known, ", ")
			}
			problems = append(problems, problem)
		}
	}
	if len(problems) > 0 {
		return probe{}, nil, fmt.Errorf("probe %s: %s", p.name, strings.Join(problems, "; "))
	}
	return p, v, nil
}
