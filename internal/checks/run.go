package checks

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Run runs the checks of the environment's stage, many at a time, and returns their results in the order of the
// definitions. Each result is also reported when it is there; report may be nil and is called once at a time.
//
// A postflight check runs again until it is ok or its RetryFor is over; the last run may end up to one Timeout later.
func Run(ctx context.Context, defs []Definition, env Environment, report func(Result)) []Result {
	var chosen []Definition
	for _, d := range defs {
		if env.Stage == "" || d.Stage == env.Stage {
			chosen = append(chosen, d)
		}
	}
	if env.Parallel <= 0 {
		env.Parallel = 8
	}
	if env.RetryEvery <= 0 {
		env.RetryEvery = time.Second
	}
	r := runner{env: env, slots: make(chan struct{}, env.Parallel)}
	results := make([]Result, len(chosen))
	var wg sync.WaitGroup
	for i, d := range chosen {
		wg.Go(func() {
			results[i] = r.check(ctx, d)
			if report != nil {
				r.tell.Lock()
				defer r.tell.Unlock()
				report(results[i])
			}
		})
	}
	wg.Wait()
	return results
}

// runner is one call of Run.
type runner struct {
	env   Environment
	slots chan struct{}
	tell  sync.Mutex
}

// check runs one check as often as it takes.
func (r *runner) check(ctx context.Context, d Definition) Result {
	start := time.Now()
	deadline := start
	if d.Stage == Postflight {
		deadline = start.Add(d.RetryFor)
	}
	for attempt := 1; ; attempt++ {
		result := r.once(ctx, d).result(d)
		result.Took = time.Since(start)
		left := time.Until(deadline)
		if result.Status == OK || left <= 0 || ctx.Err() != nil {
			return result
		}
		if r.env.Waiting != nil {
			r.tell.Lock()
			r.env.Waiting(Waiting{Name: d.Name, Attempt: attempt, Last: result, Left: left})
			r.tell.Unlock()
		}
		wait := r.env.RetryEvery/2 + rand.N(r.env.RetryEvery)
		select {
		case <-time.After(min(wait, left)):
		case <-ctx.Done():
			return result
		}
	}
}

// once runs one check within its time. It holds a slot only while the check is really running, so that waiting checks
// keep nobody else waiting.
func (r *runner) once(ctx context.Context, d Definition) finding {
	interrupted := undecided("run the checks again", "interrupted before there was an answer")
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return interrupted
	}
	defer func() { <-r.slots }()
	run, err := prepare(d)
	if err != nil {
		return undecided("let the publisher correct the check in bundle.yaml", "the check is not valid: %v", err)
	}
	timeout := d.Timeout
	if timeout <= 0 {
		timeout = 30 * time.Second
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	f := run(limited, r.env)
	switch {
	case !f.late:
		return f
	case ctx.Err() != nil:
		return interrupted
	}
	late := undecided("see what it waits for, or give the check a longer timeout", "no answer within %v", timeout)
	late.detail = f.detail
	return late
}
