package checks

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func probeRoot(context.Context, Environment, values) finding {
	if uid := os.Geteuid(); uid != 0 {
		return failed("run it as root: with sudo, or by a user who may sudo without a password", "it runs as user %d, not as root", uid)
	}
	return fine("it runs as root")
}

func probeMemory(_ context.Context, env Environment, v values) finding {
	least := value[int64](v, "min")
	text, err := os.ReadFile(env.Root + "/proc/meminfo")
	total, available := meminfo(string(text), "MemTotal"), meminfo(string(text), "MemAvailable")
	if err != nil || total == 0 {
		return undecided("check that /proc is mounted", "cannot read /proc/meminfo: %v", err)
	}
	f := fine("%s of memory, %s are needed", FormatBytes(total), FormatBytes(least))
	if total < least {
		f = failed("give the host more memory; what firmware and kernel reserve does not count", "%s", f.summary)
	}
	f.detail = "available now: " + FormatBytes(available)
	return f
}

// meminfo is a line such as "MemTotal:  16374508 kB", in bytes.
func meminfo(text, key string) int64 {
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == key+":" {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

func probeClock(_ context.Context, env Environment, v values) finding {
	most := value[time.Duration](v, "max_offset")
	if env.ClockOffset == nil {
		return fine("there is no other clock to compare with")
	}
	offset, known := env.ClockOffset()
	if !known {
		return undecided("check that the host reaches the coordinator", "the coordinator's time is not known yet")
	}
	what := "ahead of"
	if offset > 0 {
		what = "behind"
	}
	f := fine("the clock is %v %s the coordinator's, %v are allowed", offset.Abs().Round(time.Millisecond), what, most)
	if offset.Abs() > most {
		f = failed("let chronyd or systemd-timesyncd set the clock: chronyc makestep, timedatectl set-ntp true", "%s", f.summary)
	}
	return f
}

func probeCommands(_ context.Context, env Environment, v values) finding {
	names := value[[]string](v, "names")
	var missing []string
	var found strings.Builder
	for _, name := range names {
		if where := env.find(name); where != "" {
			fmt.Fprintln(&found, where)
		} else {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return finding{status: OK, summary: fmt.Sprintf("all %d commands are installed", len(names)), detail: found.String()}
	}
	return failed("install the packages that bring them", "not found in %s: %s", env.path(), strings.Join(missing, ", "))
}

// find looks for a program as a shell does.
func (e Environment) find(name string) string {
	for _, dir := range filepath.SplitList(e.path()) {
		where := filepath.Join(dir, name)
		if info, err := os.Stat(where); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 && filepath.IsAbs(where) {
			return where
		}
	}
	return ""
}

func probeSystemd(ctx context.Context, env Environment, v values) finding {
	// What sd_booted(3) looks at.
	if info, err := os.Stat(env.Root + "/run/systemd/system"); err != nil || !info.IsDir() {
		return failed("use a host that boots systemd", "systemd does not run this host: there is no /run/systemd/system")
	}
	least := value[version](v, "min_version")
	if least == nil {
		return fine("systemd runs this host")
	}
	out, _, err := env.shell(ctx, "exec systemctl --version")
	if err != nil {
		return undecided("check that systemctl is in the PATH", "systemctl cannot be run: %v", err)
	}
	// systemd 252 (252.22-1~deb12u1)
	fields := strings.Fields(out)
	if len(fields) < 2 || fields[0] != "systemd" {
		return undecided("check what systemctl --version prints", "systemctl does not say its version: %.80q", out)
	}
	return atLeast("systemd", fields[1], least)
}

func probeKernel(_ context.Context, env Environment, v values) finding {
	release, err := os.ReadFile(env.Root + "/proc/sys/kernel/osrelease")
	if err != nil {
		return undecided("check that /proc is mounted", "the kernel's version cannot be read: %v", err)
	}
	return atLeast("the kernel", strings.TrimSpace(string(release)), value[version](v, "min_version"))
}

func atLeast(what, text string, least version) finding {
	have, err := parseVersion(text)
	switch {
	case err != nil:
		return undecided("report the version text", "%s: %v", what, err)
	case have.less(least):
		return failed("update the operating system", "%s is version %s, at least %v is needed", what, text, least)
	default:
		return fine("%s is version %s, at least %v is needed", what, text, least)
	}
}

func probeHostName(_ context.Context, env Environment, _ values) finding {
	const remedy = "hostnamectl set-hostname NAME, with a name that no other host has"
	text, err := os.ReadFile(env.Root + "/proc/sys/kernel/hostname")
	if err != nil {
		return undecided("check that /proc is mounted", "the host's name cannot be read: %v", err)
	}
	name := strings.TrimSpace(string(text))
	label, _, _ := strings.Cut(strings.ToLower(name), ".")
	switch {
	case name == "" || name == "(none)":
		return failed(remedy, "the host has no name")
	case label == "localhost" || label == "localhost4" || label == "localhost6":
		return failed(remedy, "the host's name is %s, which every host has", name)
	case len(name) > 253 || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" || strings.HasPrefix(name, "-"):
		return failed(remedy, "the host's name %q is not a DNS name", name)
	}
	return fine("the host's name is %s", name)
}
