package push

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"muster/internal/manifest"
)

const (
	defaultConcurrency    = 100
	defaultConnectTimeout = 20 * time.Second
	defaultHostTimeout    = 3 * time.Minute
	// maxSeed bounds what is read byte by byte on the host.
	maxSeed = 64 << 10
)

// Push pushes to all targets and returns their results in the same order. It never returns early because one fails;
// when ctx ends, so do all, with class Interrupted or Timeout. The error is about the options; then no host was contacted.
//
// Events are reported one at a time; report must return quickly, for it holds up everything. It may be nil.
func Push(ctx context.Context, opts Options, targets []Target, report func(Event)) ([]Result, error) {
	opts, err := opts.complete()
	if err != nil {
		return nil, err
	}
	keys, err := loadHostKeys(opts.KnownHosts, opts.AcceptNewHostKeys)
	if err != nil {
		return nil, failure(Invalid, "%w", err).remedy("Correct or replace the known hosts file.")
	}
	var reporting sync.Mutex
	serially := func(e Event) {
		if report == nil {
			return
		}
		reporting.Lock()
		defer reporting.Unlock()
		report(e)
	}

	results := make([]Result, len(targets))
	work := make(chan int)
	var workers sync.WaitGroup
	for range min(opts.Concurrency, len(targets)) {
		workers.Go(func() {
			for i := range work {
				h := &host{opts: &opts, keys: keys, target: targets[i], report: serially}
				results[i] = h.push(ctx)
			}
		})
	}
	for i := range targets {
		work <- i // after the end of ctx every host ends at once, with an event and a result as any other
	}
	close(work)
	workers.Wait()
	return results, nil
}

// complete fills in defaults and refuses options that no host can be pushed to with.
func (o Options) complete() (Options, error) {
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = defaultConnectTimeout
	}
	if o.HostTimeout <= 0 {
		o.HostTimeout = defaultHostTimeout
	}
	if o.Auth == nil || len(o.Auth.signers) == 0 {
		return o, failure(Invalid, "there is no key to log in with").
			remedy("Name a private key with --identity, or load one with ssh-add.")
	}
	if len(o.Agents) == 0 {
		return o, failure(Invalid, "there is no bootstrap agent to push").remedy("Provide the bootstrap agent for at least one architecture.")
	}
	for arch, b := range o.Agents {
		if err := b.valid(); err != nil {
			return o, failure(Invalid, "bootstrap agent for %s: %w", arch, err).remedy("Provide the bootstrap agent as it was released.")
		}
	}
	return o, nil
}

// host is the push to one host.
type host struct {
	opts   *Options
	keys   *hostKeys
	target Target
	report func(Event)

	mu         sync.Mutex // guards what follows: the upload reports from its own goroutine
	begun      time.Time
	step       Step
	stepBegun  time.Time
	steps      []StepTime
	newHostKey string
}

var (
	errHostTimeout    = errors.New("host timeout")
	errConnectTimeout = errors.New("connect timeout")
	errSilent         = errors.New("no answer to keepalive")
)

func (h *host) push(parent context.Context) Result {
	h.begun = time.Now()
	ctx, cancel := context.WithTimeoutCause(parent, h.opts.HostTimeout, errHostTimeout)
	defer cancel()
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)

	err := h.valid()
	if err == nil {
		err = h.connectAndRun(ctx, abort)
	}
	if err != nil {
		err.Where = h.target.where()
		h.enter(Failed, err)
	} else {
		h.enter(Pushed, nil)
	}
	return Result{Target: h.target, Err: err, NewHostKey: h.newHostKey, Took: time.Since(h.begun), Steps: h.steps}
}

func (h *host) connectAndRun(ctx context.Context, abort context.CancelCauseFunc) *Error {
	client, err := h.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	// Closing is what unblocks reads and writes, whatever the other side does or doesn't.
	defer context.AfterFunc(ctx, func() { _ = client.Close() })()
	defer keepAlive(ctx, client, abort)()
	return h.converse(ctx, client)
}

func (h *host) valid() *Error {
	t := h.target
	switch {
	case t.Address == "" || strings.ContainsAny(t.Address, " \t\r\n,[]"):
		return failure(Invalid, "%q is not a host's address", t.Address)
	case t.User == "":
		return failure(Invalid, "there is no user name to log in with")
	case t.Port < 0 || t.Port > 65535:
		return failure(Invalid, "%d is not a port", t.Port)
	case len(t.Seed) == 0 || len(t.Seed) > maxSeed:
		return failure(Invalid, "the seed has %d bytes; it must have between 1 and %d", len(t.Seed), maxSeed)
	}
	return nil
}

// enter begins a step and reports it.
func (h *host) enter(s Step, err *Error) {
	h.mu.Lock()
	now := time.Now()
	if h.step != "" {
		h.steps = append(h.steps, StepTime{h.step, now.Sub(h.stepBegun)})
	}
	h.step, h.stepBegun = s, now
	h.mu.Unlock()
	h.tell(Event{Err: err})
}

// tell reports an event of the current step. Reporting is inside the lock, so that a host's events keep their order.
func (h *host) tell(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Total > 0 && h.step != Uploading {
		return // the last progress may be told late
	}
	e.Target, e.Step, e.NewHostKey, e.Took = h.target, h.step, h.newHostKey, time.Since(h.begun)
	h.report(e)
}

// current is the step in words of a sentence.
func (h *host) current() Step {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.step
}

// ended explains a failure by the end of ctx, if that is its cause: then everything else is only a consequence.
func (h *host) ended(ctx context.Context) *Error {
	switch cause := context.Cause(ctx); {
	case cause == nil:
		return nil
	case errors.Is(cause, errHostTimeout):
		return failure(Timeout, "not done within %s; it was %s", h.opts.HostTimeout, h.current())
	case errors.Is(cause, errConnectTimeout):
		return failure(Timeout, "no login within %s; it was %s", h.opts.ConnectTimeout, h.current())
	case errors.Is(cause, errSilent):
		return failure(Timeout, "the host stopped answering; it was %s", h.current())
	case errors.Is(cause, context.DeadlineExceeded):
		return failure(Timeout, "the time for the whole push was over; it was %s", h.current())
	default:
		return failure(Interrupted, "interrupted; it was %s", h.current())
	}
}

func (t Target) address() string {
	port := t.Port
	if port == 0 {
		port = 22
	}
	return net.JoinHostPort(t.Address, strconv.Itoa(port))
}

// where names the host in messages.
func (t Target) where() string {
	if t.Name == "" || t.Name == t.Address {
		return t.address()
	}
	return fmt.Sprintf("%s (%s)", t.Name, t.address())
}

// supported lists the architectures that there is an agent for.
func (o *Options) supported() string {
	var names []string
	for _, a := range []manifest.Arch{"amd64", "arm64"} {
		if _, ok := o.Agents[a]; ok {
			names = append(names, string(a))
		}
	}
	return strings.Join(names, ", ")
}
