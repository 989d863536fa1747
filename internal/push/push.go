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

	"golang.org/x/time/rate"

	"muster/internal/manifest"
	"muster/internal/seed"
)

const (
	defaultConcurrency    = 100
	defaultConnectTimeout = 20 * time.Second
	defaultHostTimeout    = 3 * time.Minute
	defaultIdleTimeout    = 30 * time.Second
	// maxSources is how many a host tries before it is sent the agent: each may take it some seconds.
	maxSources = 3
	// maxSeed bounds what a shell on the host holds in memory.
	maxSeed = 64 << 10
)

// Push pushes to all targets and returns their results in the same order. It never returns early because one fails;
// when ctx ends, so do all, with class Interrupted or Timeout. The error is about the options; then no host was contacted.
//
// Events are reported one at a time; report must return quickly, for it holds up everything. It may be nil.
func Push(ctx context.Context, opts Options, targets []Target, report func(Event)) ([]Result, error) {
	opts, err := opts.complete(len(targets))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &run{ctx: ctx, opts: &opts, packs: &packs{all: map[packKey]*pack{}}, known: map[string]*hostKeys{}, toReport: report}
	r.jumps = &jumps{run: r, all: map[string]*jump{}}
	if opts.UploadLimit > 0 {
		r.limit = rate.NewLimiter(rate.Limit(opts.UploadLimit), limitBurst)
	}
	if _, err := r.hostKeys(Server{}); err != nil {
		return nil, err
	}

	results := make([]Result, len(targets))
	work := make(chan int)
	var workers sync.WaitGroup
	for range min(opts.Concurrency, len(targets)) {
		workers.Go(func() {
			for i := range work {
				h := &host{run: r, opts: &opts, target: targets[i]}
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

// run is what the hosts of one push share.
type run struct {
	ctx   context.Context
	opts  *Options
	jumps *jumps
	packs *packs
	// limit is nil if uploads are not limited.
	limit *rate.Limiter

	mu    sync.Mutex
	known map[string]*hostKeys

	reporting sync.Mutex
	toReport  func(Event)
}

func (r *run) report(e Event) {
	if r.toReport == nil {
		return
	}
	r.reporting.Lock()
	defer r.reporting.Unlock()
	r.toReport(e)
}

// hostKeys returns what is known of the keys of hosts like this one; each set of files is read once.
func (r *run) hostKeys(s Server) (*hostKeys, *Error) {
	files := s.KnownHosts
	if files == nil {
		files = r.opts.KnownHosts
	}
	key := strings.Join(files, "\x00")
	r.mu.Lock()
	defer r.mu.Unlock()
	if k, ok := r.known[key]; ok {
		return k, nil
	}
	k, err := loadHostKeys(files, r.opts.AcceptNewHostKeys)
	if err != nil {
		return nil, failure(Invalid, "%w", err).remedy("Correct or replace the known hosts file.")
	}
	r.known[key] = k
	return k, nil
}

// complete fills in defaults and refuses options that no host can be pushed to with.
func (o Options) complete(hosts int) (Options, error) {
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = defaultConnectTimeout
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = defaultIdleTimeout
	}
	if strings.ContainsAny(string(o.SudoPassword), "\n\x00") {
		return o, failure(Invalid, "the password for sudo is more than one line").remedy("Give one line.")
	}
	for _, s := range o.Sources {
		if err := seed.ValidSource(s); err != nil {
			return o, failure(Invalid, "%q is no source of the bootstrap agent: %w", s, err).remedy("Correct the coordinator's addresses.")
		}
	}
	o.Sources = o.Sources[:min(len(o.Sources), maxSources)]
	if len(o.Agents) == 0 {
		return o, failure(Invalid, "there is no bootstrap agent to push").remedy("Provide the bootstrap agent for at least one architecture.")
	}
	largest := int64(0)
	for arch, b := range o.Agents {
		if err := b.valid(); err != nil {
			return o, failure(Invalid, "bootstrap agent for %s: %w", arch, err).remedy("Provide the bootstrap agent as it was released.")
		}
		largest = max(largest, b.Size)
	}
	if o.HostTimeout <= 0 {
		o.HostTimeout = defaultHostTimeout
		if o.UploadLimit > 0 {
			// All that share the limit at one moment may have to wait for one another.
			o.HostTimeout += time.Duration(float64(largest) * float64(min(o.Concurrency, hosts)) / float64(o.UploadLimit) * float64(time.Second))
		}
	}
	return o, nil
}

// host is the push to one host.
type host struct {
	run    *run
	opts   *Options
	target Target

	mu         sync.Mutex // guards what follows: the upload reports from its own goroutine
	begun      time.Time
	step       Step
	stepBegun  time.Time
	steps      []StepTime
	newHostKey string
	notes      string
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
	return Result{Target: h.target, Err: err, NewHostKey: h.newHostKey, Note: h.notes, Took: time.Since(h.begun), Steps: h.steps}
}

func (h *host) connectAndRun(ctx context.Context, abort context.CancelCauseFunc) *Error {
	conn, err := h.connect(ctx)
	if err != nil {
		if ended := h.ended(ctx); ended != nil && (err.Class == Interrupted || err.Class == Timeout) {
			return ended
		}
		return err
	}
	defer func() { _ = conn.Close() }()
	// Closing is what unblocks reads and writes, whatever the other side does or doesn't.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.keepAlive(ctx, h.opts.IdleTimeout, func() { abort(errSilent) })()
	return h.converse(ctx, conn)
}

func (h *host) connect(ctx context.Context) (*connection, *Error) {
	h.enter(Connecting, nil)
	through, err := h.run.jumps.to(ctx, h.target.Jumps)
	if err != nil {
		return nil, err
	}
	r := &reach{run: h.run, server: h.target.Server, through: through, step: h.begin, accepted: func(fingerprint string) {
		h.mu.Lock()
		h.newHostKey = fingerprint
		h.mu.Unlock()
		h.tell(Event{})
	}}
	return r.open(ctx)
}

// begin enters a step that the host may be in already.
func (h *host) begin(s Step) {
	if h.current() != s {
		h.enter(s, nil)
	}
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

// note tells what the operator should know although it keeps nothing from going on.
func (h *host) note(text string) {
	h.mu.Lock()
	h.notes = text
	h.mu.Unlock()
	h.tell(Event{Note: text})
}

// tell reports an event of the current step. Reporting is inside the lock, so that a host's events keep their order.
func (h *host) tell(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Total > 0 && h.step != Uploading {
		return // the last progress may be told late
	}
	e.Target, e.Step, e.NewHostKey, e.Took = h.target, h.step, h.newHostKey, time.Since(h.begun)
	h.run.report(e)
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
	case errors.Is(cause, errSilent):
		return failure(Timeout, "the host sent nothing for %s; it was %s", h.opts.IdleTimeout, h.current())
	case errors.Is(cause, context.DeadlineExceeded):
		return failure(Timeout, "the time for the whole push was over; it was %s", h.current())
	default:
		return failure(Interrupted, "interrupted; it was %s", h.current())
	}
}

func (t Server) address() string {
	port := t.Port
	if port == 0 {
		port = 22
	}
	return net.JoinHostPort(t.Address, strconv.Itoa(port))
}

// where names the host in messages.
func (t Server) where() string {
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
