package agent

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/checks"
	"muster/internal/fault"
	"muster/internal/late"
	"muster/internal/manifest"
)

func (i *installation) preflight(ctx context.Context) (string, error) {
	bundled, err := i.boundChecks(manifest.Preflight)
	if err != nil {
		return "", err
	}
	blobs, err := i.wanted()
	if err != nil {
		return "", err
	}
	var packed, unpacked int64
	var files int
	for _, b := range blobs {
		packed, unpacked, files = packed+b.Size, unpacked+b.Unpacked, files+b.Entries
	}
	if sameDisk(i.layout.at("opt"), i.layout.State()) {
		unpacked += packed // both have to fit at once
	}
	own := append(checks.Standard(i.cluster), checks.Room(i.cluster, unpacked, files), manifest.Check{
		Name: "host.room-fetch", Stage: manifest.Preflight, Summary: "the artifacts fit while they are fetched", Probe: "disk-space",
		With:     map[string]string{"path": Layout{}.State(), "min": strconv.FormatInt(packed+roomToWork, 10)},
		Severity: "critical", Timeout: 10 * time.Second, Remedy: "free space on the file system of /var/lib",
	})
	for _, c := range own {
		if path, ok := c.With["path"]; ok {
			c.With["path"] = i.layout.at(path)
		}
	}
	own = append(own, accountsCheck(i.manifest)...)
	return i.runChecks(ctx, manifest.Preflight, append(own, bundled...))
}

func sameDisk(a, b string) bool {
	var x, y unix.Stat_t
	return unix.Stat(a, &x) == nil && unix.Stat(b, &y) == nil && x.Dev == y.Dev
}

// roomToWork is for the journal and the check scripts.
const roomToWork = 4 << 20

func (i *installation) postflight(ctx context.Context) (string, error) {
	bundled, err := i.boundChecks(manifest.Postflight)
	if err != nil {
		return "", err
	}
	return i.runChecks(ctx, manifest.Postflight, bundled)
}

// boundChecks are the manifest's checks of a stage with their late values in them.
func (i *installation) boundChecks(stage manifest.Stage) ([]manifest.Check, error) {
	var bound []manifest.Check
	for _, c := range i.manifest.Checks {
		if c.Stage != stage {
			continue
		}
		with := make(map[string]string, len(c.With))
		for k, v := range c.With {
			text, err := late.Bind(i.manifest.Late, i.plan.Late, []byte(v))
			if err != nil {
				return nil, bindFault(c.Name, err)
			}
			with[k] = string(text)
		}
		script, err := late.Bind(i.manifest.Late, i.plan.Late, []byte(c.Script))
		if err != nil {
			return nil, bindFault(c.Name, err)
		}
		c.With, c.Script = with, string(script)
		bound = append(bound, c)
	}
	return bound, nil
}

func bindFault(check string, err error) error {
	return fault.New(fault.Invalid, "ask the publisher to mend the check "+check, "binding the late values of check %s", check).Because(err)
}

// runChecks runs all of them, tells every outcome and fails when one is critical or unknown.
func (i *installation) runChecks(ctx context.Context, stage manifest.Stage, defs []manifest.Check) (string, error) {
	if err := os.MkdirAll(i.layout.scratch(), 0o700); err != nil {
		return "", localFault(err)
	}
	env := checks.Environment{
		Stage:    stage,
		WorkDir:  i.layout.scratch(),
		Resuming: exists(i.layout.began()),
		Waiting: func(w checks.Waiting) {
			i.tell.Progress(string(stage), 0, 0, fmt.Sprintf("%s: %s (try %d, %s left)", w.Name, w.Last.Summary, w.Attempt, w.Left.Round(time.Second)))
		},
		Path:        defaultPath,
		Root:        i.layout.Root,
		ClockOffset: i.offset,
		Env:         i.scriptEnv(),
	}
	if stage == manifest.Postflight {
		env.Path = i.layout.current(i.cluster) + "/bin:" + env.Path
	}
	var tellErr error
	results := checks.Run(ctx, defs, env, func(r checks.Result) {
		if err := i.tell.Check(r); err != nil && tellErr == nil {
			tellErr = err
		}
	})
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if tellErr != nil {
		return "", localFault(tellErr)
	}
	var failed []checks.Result
	for _, r := range results {
		if r.Status == checks.Critical || r.Status == checks.Unknown {
			failed = append(failed, r)
		}
	}
	if len(failed) == 0 {
		return fmt.Sprintf("%d checks", len(results)), nil
	}
	var lines []string
	for _, r := range failed {
		lines = append(lines, r.Name+": "+r.Summary)
	}
	return "", fault.New(fault.Conflict, failed[0].Remedy, "%s", strings.Join(lines, "; "))
}
