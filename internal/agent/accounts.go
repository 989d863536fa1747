package agent

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/internal/fault"
	"muster/internal/manifest"
)

// accounts finds the numbers of users and groups on this host.
type accounts struct{ layout Layout }

func (a accounts) ids(ctx context.Context, o manifest.Owner) (uid, gid int, err error) {
	if uid, err = a.find(ctx, "passwd", o.User); err == nil {
		gid, err = a.find(ctx, "group", o.Group)
	}
	return uid, gid, err
}

// databases are the files of passwd(5) and group(5), what they list and how one makes it.
var databases = map[string]struct{ what, command string }{
	"passwd": {"user", "useradd --system "}, "group": {"group", "groupadd --system "},
}

func (a accounts) find(ctx context.Context, database, name string) (int, error) {
	if name == "" {
		return 0, nil
	}
	if n, err := strconv.Atoi(name); err == nil {
		return n, nil
	}
	if n, ok := inFile(a.layout.at("etc", database), name); ok {
		return n, nil
	}
	// Users may come from elsewhere (nsswitch.conf).
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if line, err := exec.CommandContext(ctx, a.layout.command("getent"), database, name).Output(); err == nil {
		if n, ok := number(string(line), name); ok {
			return n, nil
		}
	}
	d := databases[database]
	return 0, fault.New(fault.Conflict, "make it on this host ("+d.command+name+"), or use hosts that have it, then: coordinator hosts retry",
		"the %s %s, to whom the bundle gives files, does not exist on this host", d.what, name)
}

func inFile(path, name string) (int, bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if n, ok := number(lines.Text(), name); ok {
			return n, true
		}
	}
	return 0, false
}

// number reads name:x:number:…
func number(line, name string) (int, bool) {
	fields := strings.SplitN(strings.TrimSpace(line), ":", 4)
	if len(fields) < 3 || fields[0] != name {
		return 0, false
	}
	n, err := strconv.Atoi(fields[2])
	return n, err == nil && n >= 0
}

// accountsCheck finds before anything is installed that a user or group is missing.
func accountsCheck(m *manifest.Manifest) []manifest.Check {
	var users, groups []string
	note := func(list *[]string, name string) {
		if _, err := strconv.Atoi(name); name != "" && err != nil && !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	for _, f := range m.Owners {
		note(&users, f.User)
		note(&groups, f.Group)
	}
	for _, d := range m.Directories {
		note(&users, d.User)
		note(&groups, d.Group)
	}
	if len(users)+len(groups) == 0 {
		return nil
	}
	// The names are such that a shell takes them as they are.
	script := "missing=\nfor u in " + strings.Join(users, " ") + "; do id -u $u >/dev/null 2>&1 || missing=\"$missing user $u,\"; done\n" +
		"for g in " + strings.Join(groups, " ") + "; do getent group $g >/dev/null 2>&1 || missing=\"$missing group $g,\"; done\n" +
		"[ -z \"$missing\" ] && { echo they exist; exit 0; }\necho \"missing:${missing%,}\"\nexit 2\n"
	return []manifest.Check{{
		Name: "host.accounts", Stage: manifest.Preflight, Summary: "the users and groups exist to whom the bundle gives files", Script: script,
		Severity: "critical", Timeout: 30 * time.Second, Remedy: "make them on the host (useradd --system NAME, groupadd --system NAME), or use hosts that have them",
	}}
}
