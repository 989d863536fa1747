package agent

import (
	"context"
	"iter"
	"os"
	"strings"

	"muster/internal/checks"
	"muster/internal/durable"
	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/late"
	"muster/internal/manifest"
)

// way gives the steps with the publisher's among them. Those become known on the way, with the manifest.
func (i *installation) way(steps []step) iter.Seq[step] {
	return func(yield func(step) bool) {
		for _, s := range steps {
			for _, s := range i.around(s) {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// around puts the publisher's steps before and after one of ours.
func (i *installation) around(s step) []step {
	switch s.name {
	case "activate":
		var all []step
		if len(i.manifest.Owners)+len(i.manifest.Directories) > 0 {
			all = append(all, step{s.phase, "own", (*installation).own})
		}
		all = append(append(all, i.publishers(s.phase, manifest.BeforeActivate)...), s)
		return append(all, i.publishers(s.phase, manifest.AfterActivate)...)
	case "start":
		all := append(i.publishers(s.phase, manifest.BeforeStart), s)
		return append(all, i.publishers(s.phase, manifest.AfterStart)...)
	}
	return []step{s}
}

func (i *installation) publishers(phase hosts.Phase, when manifest.Moment) []step {
	var all []step
	for _, p := range i.manifest.Steps {
		if p.When == when {
			all = append(all, step{phase, "step " + p.Name, func(i *installation, ctx context.Context) (string, error) {
				return i.publisher(ctx, p)
			}})
		}
	}
	return all
}

// publisher runs one step of the publisher. After a crash it is run again, so its script must bear that; the mark of one
// that is to run once is made only when it went well.
func (i *installation) publisher(ctx context.Context, p manifest.Step) (string, error) {
	if p.Once && exists(i.layout.once(i.cluster, p.Name)) {
		return "done before on this host", nil
	}
	script, err := late.Bind(i.manifest.Late, i.plan.Late, []byte(p.Script))
	if err != nil {
		return "", fault.New(fault.Invalid, "ask the publisher to mend the step "+p.Name, "binding the late values of step %s", p.Name).Because(err)
	}
	if err := os.MkdirAll(i.layout.scratch(), 0o700); err != nil {
		return "", localFault(err)
	}
	generation := i.layout.generation(i.cluster, i.plan.generationID(i.manifest))
	env := checks.Environment{
		WorkDir: i.layout.scratch(),
		Path:    generation + "/bin:" + defaultPath,
		Env: append(i.scriptEnv(),
			"MUSTER_GENERATION="+generation, "MUSTER_DATA="+i.layout.data(i.cluster)),
	}
	output, trouble, err := env.Shell(ctx, p.Timeout, string(script))
	if err != nil {
		return "", localFault(err)
	}
	if trouble != "" {
		return "", &detailed{fault: fault.New(fault.Conflict, p.Remedy, "step %s %s", p.Name, trouble), detail: output}
	}
	if p.Once {
		if err := durable.MkdirAll(i.layout.once(i.cluster), 0o755); err != nil {
			return "", localFault(err)
		}
		if err := durable.WriteFile(i.layout.once(i.cluster, p.Name), nil, 0o644); err != nil {
			return "", localFault(err)
		}
	}
	return saidLast(output), nil
}

// saidLast puts the last line of an output, which says what came out, before all of it.
func saidLast(output string) string {
	output = strings.TrimSpace(output)
	at := strings.LastIndexByte(output, '\n')
	if at < 0 {
		return output
	}
	return output[at+1:] + "\n" + output
}

// scriptEnv tells a script which host this is.
func (i *installation) scriptEnv() []string {
	return []string{
		"MUSTER_CLUSTER=" + i.cluster,
		"MUSTER_ROLE=" + string(i.plan.Role),
		"MUSTER_HOST_NAME=" + i.plan.Late["Host.Name"],
		"MUSTER_HOST_ADDRESS=" + i.plan.Late["Host.Address"],
	}
}
