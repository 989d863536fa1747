package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"muster/internal/durable"
	"muster/internal/fault"
	"muster/internal/fetch"
	"muster/internal/hosts"
	"muster/internal/manifest"
)

// installation carries one plan out on this host. Every step may be run again at any time: what is done already is
// recognised by its content and not done twice.
type installation struct {
	layout  Layout
	cluster string
	plan    Plan
	systemd systemd
	tell    Teller
	// offset is the coordinator's clock minus this host's, if it is known.
	offset func() (time.Duration, bool)
	// static is set when there is no coordinator.
	static bool
	// signing is whose word on a generation counts; nil if generations are not signed.
	signing *manifest.Signing
	// askWait is for tests.
	askWait time.Duration

	// before is the generation that ran until this one was started.
	before   string
	manifest *manifest.Manifest
	fetcher  *fetch.Fetcher
}

// step is one part of the way; its error has a remedy.
type step struct {
	phase hosts.Phase
	name  string
	do    func(*installation, context.Context) (string, error)
}

// preflightSteps change nothing on a host that was never installed.
var preflightSteps = []step{
	{hosts.Preflight, "stop", (*installation).stopOwn},
	{hosts.Preflight, "manifest", (*installation).getManifest},
	{hosts.Preflight, "preflight", (*installation).preflight},
}

// installSteps are the story of an installation.
var installSteps = []step{
	{hosts.Fetching, "manifest", (*installation).getManifest},
	{hosts.Fetching, "fetch", (*installation).fetchBlobs},
	{hosts.Installing, "unpack", (*installation).unpackPackages},
	{hosts.Installing, "bind", (*installation).bindConfig},
	{hosts.Installing, "activate", (*installation).activate},
	{hosts.Starting, "start", (*installation).start},
	{hosts.Postflight, "postflight", (*installation).postflight},
}

// run does the steps in order and then stands at end. A step's failure is told and ends the run with the host failed; an
// error that is returned is not the step's: the context ended or nothing can be told any more.
func (i *installation) run(ctx context.Context, steps []step, end hosts.Phase) error {
	for s := range i.way(steps) {
		if err := i.say(func() error { return i.tell.Phase(s.phase) }); err != nil {
			return err
		}
		i.tell.Progress(s.name, 0, 0, "")
		start := time.Now()
		message, err := s.do(i, ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if full(err) {
			err = errors.Join(err, os.RemoveAll(i.layout.blobs())) // what made it full would stay so
		}
		took := time.Since(start)
		if tellErr := i.say(func() error { return i.tell.Step(s.phase, s.name, message, took, err) }); tellErr != nil {
			return tellErr
		}
		if err != nil {
			if s.phase == hosts.Starting {
				if err := i.afterFailedStart(ctx); err != nil {
					return err
				}
			}
			return i.say(func() error { return i.tell.Phase(hosts.Failed) })
		}
	}
	if end == hosts.Done {
		i.tidy()
	}
	return i.say(func() error { return i.tell.Phase(end) })
}

// say tells something. What a full disk does not take is told again without the blobs, which can be fetched once more:
// nobody would hear of its being full.
func (i *installation) say(tell func() error) error {
	err := tell()
	if full(err) && os.RemoveAll(i.layout.blobs()) == nil {
		err = tell()
	}
	return err
}

// staticPatience is how long an installation without a coordinator goes on while no byte comes.
const staticPatience = 2 * time.Minute

func (i *installation) prepareFetcher() error {
	if i.fetcher != nil {
		return nil
	}
	if err := durable.MkdirAll(i.layout.blobs(), 0o700); err != nil {
		return localFault(err)
	}
	opt := fetch.Options{
		Sources: i.plan.Sources, Directories: i.static,
		Log: func(e fetch.Event) {
			waiting := e.String()
			i.tell.Progress("fetch", e.Have, e.Size, waiting)
		},
	}
	if i.static {
		// Somebody waits for install.sh and can run it again. With a coordinator nobody does, and one that is away for
		// a night is to find its hosts as it left them: there status shows what a host waits for.
		opt.GiveUpAfter = staticPatience
	}
	f, err := fetch.New(opt)
	if err != nil {
		return fault.New(fault.Invalid, "check the addresses of the coordinator in cluster.yaml", "the plan's sources").Because(err)
	}
	i.fetcher = f
	return nil
}

func (i *installation) getManifest(ctx context.Context) (string, error) {
	if err := i.prepareFetcher(); err != nil {
		return "", err
	}
	if err := i.believe(ctx); err != nil {
		return "", err
	}
	path, err := i.fetcher.Fetch(ctx, i.plan.Manifest, i.layout.blobs(), nil)
	if err != nil {
		return "", localFault(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", localFault(err)
	}
	m, err := manifest.DecodeManifest(raw)
	if err != nil {
		return "", fault.New(fault.Invalid, "let genconf and the bootstrap agent be of the same version", "the manifest").Because(err)
	}
	if err := i.plan.check(m, i.cluster); err != nil {
		return "", err
	}
	i.manifest = m
	return "", nil
}

// wanted are the blobs of this architecture that are not unpacked here already, the config last.
func (i *installation) wanted() ([]manifest.Blob, error) {
	arch := manifest.Arch(runtime.GOARCH)
	var blobs []manifest.Blob
	for _, p := range i.manifest.Packages {
		blob, ok := p.Blobs[arch]
		if !ok {
			return nil, fault.New(fault.Invalid, "ask the publisher for it, or use hosts of another architecture",
				"the bundle has no %s for %s", p.Name, arch)
		}
		if !exists(i.layout.pack(i.cluster, p.Name, blob.Digest)) {
			blobs = append(blobs, blob)
		}
	}
	return append(blobs, i.manifest.Config), nil
}

func (i *installation) fetchBlobs(ctx context.Context) (string, error) {
	blobs, err := i.wanted()
	if err != nil {
		return "", err
	}
	var total, before int64
	for _, b := range blobs {
		total += b.Size
	}
	for _, b := range blobs {
		_, err := i.fetcher.Fetch(ctx, b, i.layout.blobs(), func(done, _ int64) {
			i.tell.Progress("fetch", before+done, total, "")
		})
		if err != nil {
			return "", localFault(err)
		}
		before += b.Size
	}
	return fmt.Sprintf("%d blobs, %.1f MB", len(blobs), float64(total)/1e6), nil
}

func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// localFault gives an error of this host's file systems a remedy when it has none.
func localFault(err error) error {
	var own *fetch.Error
	if errors.As(err, &own) {
		return fault.New(fault.Unavailable, own.Remedy, "%s", own.What).Because(own.Err)
	}
	if fault.Remedy(err) != "" {
		return err
	}
	return fault.New(fault.Unavailable, "look at the disk of this host (df -h, dmesg), then: coordinator hosts retry", "this host").Because(err)
}
