package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"muster/internal/checks"
	"muster/internal/fault"
	"muster/internal/hosts"
	syncv1 "muster/proto/muster/sync/v1"
)

// follow does what the directive says. It decides nothing: what is under way already is left alone, anything else ends
// it first.
func (e *Engine) follow(ctx context.Context, d *syncv1.Directive) (time.Duration, error) {
	switch action := d.GetAction().(type) {
	case *syncv1.Directive_Preflight:
		e.begin(ctx, d.Attempt, "preflight", planOf(action.Preflight))
	case *syncv1.Directive_Install:
		e.begin(ctx, d.Attempt, "install", planOf(action.Install))
	case *syncv1.Directive_Wait:
		e.Progress("wait", 0, 0, action.Wait.Reason)
		return action.Wait.ComeBack.AsDuration(), nil
	case *syncv1.Directive_Leave:
		e.halt()
		e.mu.Lock()
		defer e.mu.Unlock()
		if len(e.journal.Reports) > 0 {
			return 0, nil // they did not fit into one message; what there is to say comes first
		}
		return 0, e.leaves()
	case *syncv1.Directive_ReEnrol:
		e.halt()
		if err := e.id.renewKey(e.layout); err != nil {
			return 0, err
		}
		return 0, fmt.Errorf("the coordinator wants this host to join again: %s", action.ReEnrol.Reason)
	case *syncv1.Directive_Uninstall:
		return 0, e.uninstall(ctx, d.Attempt, action.Uninstall.Purge)
	}
	return 0, nil
}

// uninstall takes away what is installed. Whoever is removed is told to leave, so the end of it is said before the agent goes.
func (e *Engine) uninstall(ctx context.Context, attempt uint32, purge bool) error {
	if e.journal.Phase == hosts.Removed {
		return nil
	}
	e.halt()
	// Nothing of it is to go on after a crash, before the coordinator is asked.
	if err := e.stands(e.journal.Phase, attempt); err != nil {
		return err
	}
	e.Progress("uninstall", 0, 0, "")
	start := time.Now()
	err := uninstall(ctx, e.layout, e.seed.Cluster, purge)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		return e.stands(hosts.Removed, attempt)
	}
	// It is tried again with the next answer, and told when it is another trouble.
	if e.trouble != err.Error() {
		e.trouble = err.Error()
		return e.Step(hosts.Uninstalling, "uninstall", "", time.Since(start), err)
	}
	return nil
}

// stands writes down where the host stands, with nothing to install.
func (e *Engine) stands(p hosts.Phase, attempt uint32) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.journal.Phase, e.journal.Attempt, e.journal.Plan = p, attempt, nil
	return e.keep()
}

// begin starts the work unless it is under way or was finished in this attempt.
func (e *Engine) begin(ctx context.Context, attempt uint32, stage string, plan Plan) {
	key := fmt.Sprintf("%d %s %s", attempt, stage, plan.ID)
	if e.work != nil && e.work.key == key && (e.busy() || e.work.told) {
		return
	}
	e.halt()
	e.mu.Lock()
	e.journal.Attempt = attempt
	e.journal.Plan = nil
	if stage == "install" {
		e.journal.Plan = &plan
	}
	switch {
	case e.journal.Phase == hosts.Failed && attempt > 0:
		e.journal.Phase = hosts.Assigned
	case e.journal.Phase == hosts.Done && stage == "install":
		e.journal.Phase = hosts.Ready // of this attempt nothing is done yet
	}
	err := e.keep()
	e.mu.Unlock()
	if err != nil {
		// The next answer brings the directive again.
		e.log.Error("the journal cannot be written", "error", err)
		e.Progress("journal", 0, 0, err.Error())
		return
	}
	workCtx, cancel := context.WithCancel(ctx)
	w := &work{key: key, cancel: cancel, done: make(chan struct{})}
	e.work = w
	steps, end := preflightSteps, hosts.Ready
	if stage == "install" {
		steps, end = installSteps, hosts.Done
	}
	i := &installation{
		layout: e.layout, cluster: e.seed.Cluster, plan: plan, systemd: systemd{e.layout}, tell: maskedTeller(e, plan), offset: e.clockOffset,
		signing: e.seed.Signing,
	}
	go func() {
		defer close(w.done)
		err := i.run(workCtx, steps, end)
		w.told = err == nil
		if err != nil && workCtx.Err() == nil {
			// Nothing could be written down: the directive comes again, and with it the next try.
			e.log.Error("the work stopped", "stage", stage, "error", err)
			e.Progress(stage, 0, 0, err.Error())
		}
	}()
}

// leaves writes down that nothing more is wanted; e.mu is held.
func (e *Engine) leaves() error {
	e.journal.Leaving = true
	if err := e.keep(); err != nil {
		return err
	}
	return errLeave
}

// halt ends the work under way and waits for it.
func (e *Engine) halt() {
	if e.work == nil {
		return
	}
	e.work.cancel()
	<-e.work.done
	e.work = nil
}

// busy says whether work is under way.
func (e *Engine) busy() bool {
	if e.work == nil {
		return false
	}
	select {
	case <-e.work.done:
		return false
	default:
		return true
	}
}

// Phase implements Teller.
func (e *Engine) Phase(p hosts.Phase) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.journal.Phase = p
	if p == hosts.Failed || p == hosts.Ready || p == hosts.Done {
		e.progress.Reset()
	}
	if p == hosts.Failed {
		e.journal.Plan = nil
	}
	err := e.keep()
	e.signal()
	return err
}

// Step implements Teller.
func (e *Engine) Step(p hosts.Phase, name, message string, took time.Duration, err error) error {
	message, detail, _ := strings.Cut(message, "\n")
	result := &syncv1.StepResult{Phase: syncv1.Phase(p.Number()), Name: name, Ok: err == nil, Message: message, Detail: detail, Took: durationpb.New(took)}
	if err != nil {
		result.Message, result.Remedy, result.Detail = err.Error(), fault.Remedy(err), detailOf(err)
		e.log.Error("step failed", "step", name, "error", err)
	} else {
		e.log.Info("step done", "step", name, "result", message, "took", took.Round(time.Millisecond))
	}
	return e.report(&syncv1.Report{Kind: &syncv1.Report_Step{Step: result}})
}

// Check implements Teller.
func (e *Engine) Check(r checks.Result) error {
	return e.report(&syncv1.Report{Kind: &syncv1.Report_Check{Check: &syncv1.CheckResult{
		Name: r.Name, Stage: string(r.Stage), Status: syncv1.CheckStatus(r.Status + 1), Summary: r.Summary, Detail: r.Detail,
		Remedy: r.Remedy, Took: durationpb.New(r.Took),
	}}})
}

// Progress implements Teller.
func (e *Engine) Progress(step string, done, total int64, waiting string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := &e.progress
	counting := p.Step == step && p.Waiting == waiting
	if counting && p.DoneBytes == done && p.TotalBytes == total {
		return // a step that polls has no news each time
	}
	p.Step, p.DoneBytes, p.TotalBytes, p.Waiting = step, done, total, waiting
	if counting && time.Since(e.progressed) < countingPause {
		return // the next call tells it
	}
	e.progressed = time.Now()
	e.signal()
}

// report puts a report into the journal; it stays there until the coordinator has it on disk.
func (e *Engine) report(r *syncv1.Report) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.journal.Sequence++
	r.Sequence, r.Time, r.Attempt = e.journal.Sequence, timestamppb.Now(), e.journal.Attempt
	readable(r.ProtoReflect())
	raw, err := proto.Marshal(r)
	if err != nil {
		return err
	}
	e.journal.Reports = append(e.journal.Reports, raw)
	if err := e.keep(); err != nil {
		// It was not made: whoever wanted to tell it may try again.
		e.journal.Sequence--
		e.journal.Reports = e.journal.Reports[:len(e.journal.Reports)-1]
		return err
	}
	e.signal()
	return nil
}

// acknowledge drops the reports that the coordinator has on disk.
func (e *Engine) acknowledge(upTo uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := e.journal.Reports[:0:0]
	for _, raw := range e.journal.Reports {
		r := new(syncv1.Report)
		if proto.Unmarshal(raw, r) == nil && r.Sequence > upTo {
			kept = append(kept, raw)
		}
	}
	// A host that came back with an older journal goes on counting where the coordinator stands.
	ahead := upTo > e.journal.Sequence
	if ahead {
		e.journal.Sequence = upTo
	}
	if len(kept) == len(e.journal.Reports) && !ahead {
		return nil
	}
	e.journal.Reports = kept
	return e.keep()
}

// readable makes every text in a message valid UTF-8, as the protocol wants it: what hosts and their programs say need
// not be.
func readable(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsList() || f.IsMap(): // they come from elsewhere as messages or JSON
		case f.Message() != nil:
			readable(v.Message())
		case f.Kind() == protoreflect.StringKind:
			m.Set(f, protoreflect.ValueOfString(strings.ToValidUTF8(v.String(), "\uFFFD")))
		}
		return true
	})
}

// keep writes the journal; e.mu is held.
func (e *Engine) keep() error {
	err := e.journal.save(e.layout)
	if e.kept != nil {
		e.kept()
	}
	return err
}

// signal wakes the conversation; e.mu is held.
func (e *Engine) signal() {
	select {
	case e.news <- struct{}{}:
	default:
	}
}

func detailOf(err error) string {
	var d *detailed
	if errors.As(err, &d) {
		return d.detail
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
