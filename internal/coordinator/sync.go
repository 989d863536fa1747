package coordinator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"muster/internal/hosts"
	"muster/internal/store"
	syncv1 "muster/proto/muster/sync/v1"
)

const (
	// maxHold is the longest that an answer is held back; less than the idle time of common middleboxes.
	maxHold = 30 * time.Second
	// maxReports bounds one message, keptReports what is kept of one host.
	maxReports  = 256
	keptReports = 512
)

// Sync takes a host's observation and reports and answers with its directive. What it acknowledges is on disk.
func (s *Service) Sync(ctx context.Context, who Caller, req *syncv1.SyncRequest) (*syncv1.SyncResponse, error) {
	id := who.Host
	if err := s.observe(ctx, who, req); err != nil {
		return nil, err
	}
	hold := time.NewTimer(min(req.GetHold().AsDuration(), maxHold))
	defer hold.Stop()
	for over := req.GetHold().AsDuration() <= 0; ; {
		own, all := s.bell.listen(id)
		resp, moveOn, err := s.answer(ctx, who)
		if err != nil {
			return nil, err
		}
		if moveOn != nil {
			if err := moveOn(ctx, id); err != nil {
				return nil, err
			}
			continue
		}
		if over || resp.Directive.Id != req.Following {
			return resp, errors.Join(s.planGiven(ctx, id, resp), s.letGo(ctx, id, resp))
		}
		select {
		case <-own:
		case <-all:
		case <-hold.C:
			over = true
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// answer is what the state says to a host, or else what moves it on first: there is a place free that it waits for, or it
// is its turn to follow a change.
func (s *Service) answer(ctx context.Context, who Caller) (resp *syncv1.SyncResponse, moveOn func(context.Context, hosts.ID) error, err error) {
	resp = &syncv1.SyncResponse{}
	err = s.store.View(ctx, func(r store.Reader) error {
		h, err := getHost(r, who.Host)
		if err != nil {
			return err
		}
		if err := who.mayCall(h); err != nil {
			return err
		}
		resp.Acknowledged = h.Acknowledged
		moveOn = nil
		behind := ""
		switch h.Phase {
		case hosts.Enrolled:
			if _, err := s.place(r, h, ""); err == nil {
				moveOn = s.settle
			}
		case hosts.Done:
			yes, why, err := s.behind(r, h)
			if err != nil {
				return err
			}
			if yes && why == "" {
				moveOn = s.turn
			}
			behind = why
		}
		s.tellTrust(resp, h, who)
		resp.Directive, err = s.direct(r, h, behind)
		return err
	})
	resp.Now = timestamppb.New(s.clock())
	return resp, moveOn, err
}

// observe writes down what is new. A message without news costs no disk write.
func (s *Service) observe(ctx context.Context, who Caller, req *syncv1.SyncRequest) error {
	id := who.Host
	if len(req.Reports) > maxReports {
		req.Reports = req.Reports[:maxReports]
	}
	before, err := s.record(ctx, id)
	if err != nil {
		return err
	}
	var ended bool
	var odd []Event
	if news(before, req) {
		err := s.change(ctx, id, func(w store.Writer, h *hosts.Host) error {
			if err := who.mayCall(*h); err != nil {
				return err
			}
			odd = takeFacts(h, req.Facts)
			if roots := rootsOf(req); roots != nil {
				h.Roots = roots
			}
			for _, r := range req.Reports {
				if err := takeReport(w, h, r); err != nil {
					return err
				}
			}
			was := h.Phase
			impossible, err := s.takePhase(w, h, req.Observed)
			odd = append(odd, impossible...)
			ended = was != h.Phase && h.Phase == hosts.Done
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, e := range odd {
		if err := s.note(ctx, e); err != nil {
			return err
		}
	}
	s.directory.heard(id, s.clock(), observedSafe(req.Observed))
	if ended {
		s.release(before.Role)
		s.wake(before.Role)
	}
	return nil
}

func news(h hosts.Host, req *syncv1.SyncRequest) bool {
	for _, r := range req.Reports {
		if r.Sequence > h.Acknowledged {
			return true
		}
	}
	if roots := rootsOf(req); roots != nil && !slices.Equal(roots, h.Roots) {
		return true
	}
	o := req.Observed
	return req.Facts != nil || o.GetAttempt() == h.Attempt && hosts.Numbered(int(o.GetPhase())) != h.Phase
}

func observedSafe(o *syncv1.Observed) *syncv1.Observed {
	if o == nil {
		return nil
	}
	return &syncv1.Observed{
		Phase: o.Phase, PlanId: clip(o.PlanId, 64), Step: clip(o.Step, 128), Waiting: clip(o.Waiting, 512),
		DoneBytes: max(0, o.DoneBytes), TotalBytes: max(0, o.TotalBytes), Attempt: o.Attempt,
	}
}

// takePhase follows the host where the table of phases allows it, and answers what is odd about what it says. What a
// host says of an older attempt is history.
func (s *Service) takePhase(w store.Writer, h *hosts.Host, o *syncv1.Observed) (odd []Event, err error) {
	to := hosts.Numbered(int(o.GetPhase()))
	if to == "" || o.GetAttempt() != h.Attempt || to == h.Phase {
		return nil, nil
	}
	phase, err := hosts.Observe(h.Phase, to)
	var impossible *hosts.ErrTransition
	if errors.As(err, &impossible) {
		// The first observations of a host still say enrolled while it has been assigned; that is no lie.
		if to == hosts.Enrolled || to == hosts.Assigned {
			return nil, nil
		}
		return []Event{{Kind: "impossible-phase", Host: h.ID, Message: impossible.Error()}}, nil
	}
	now := s.clock()
	h.Phase, h.PhaseSince, h.PlanID = phase, now, clip(o.GetPlanId(), 64)
	switch phase {
	case hosts.Done:
		h.Done, h.Resident = now, s.gen.g.Resident
		if h.Resident && !slices.Contains(h.Given, h.PlanID) {
			// Else whoever says another plan each time would follow for ever.
			odd = []Event{{Kind: "impossible-plan", Host: h.ID,
				Message: fmt.Sprintf("%s says that it is done with the plan %q, which it was not given", h.Facts.Name, h.PlanID)}}
			h.PlanID = ""
			if n := len(h.Given); n > 0 {
				h.PlanID = h.Given[n-1]
			}
		}
		return odd, s.event(w, Event{Kind: "done", Host: h.ID, Message: fmt.Sprintf("%s is installed as %s", h.Facts.Name, h.Role)})
	case hosts.Removed:
		return nil, errors.Join(dropReports(w, h.ID, h.Acknowledged),
			s.event(w, Event{Kind: "removed", Host: h.ID, Message: h.Facts.Name + " has uninstalled what it had"}))
	case hosts.Failed:
		message := "failed without saying why"
		if h.Failed != nil {
			message = h.Failed.Step + ": " + h.Failed.Message
		}
		return nil, s.event(w, Event{Kind: "failed", Host: h.ID, Message: h.Facts.Name + ": " + message})
	}
	return nil, nil
}

func takeFacts(h *hosts.Host, f *syncv1.Facts) (odd []Event) {
	if f == nil {
		return nil
	}
	if address := clip(f.Address, 64); address != "" && address != h.Facts.Address {
		odd = []Event{{Kind: "address-changed", Host: h.ID,
			Message: fmt.Sprintf("%s joined with the address %s and now says %q", h.Facts.Name, h.Facts.Address, address)}}
	}
	h.Facts.Architecture = clip(f.Architecture, 32)
	h.Facts.OS = clip(f.Os, 128)
	h.Facts.Kernel = clip(f.Kernel, 128)
	h.Facts.MemoryBytes, h.Facts.Processors = f.MemoryBytes, f.Processors
	h.Facts.AgentVersion = clip(f.AgentVersion, 64)
	return odd
}

// takeReport keeps a report once, whatever is sent again.
func takeReport(w store.Writer, h *hosts.Host, r *syncv1.Report) error {
	if r.Sequence <= h.Acknowledged {
		return nil
	}
	h.Acknowledged = r.Sequence
	r = reportSafe(r)
	raw, err := proto.Marshal(r)
	if err != nil {
		return err
	}
	if err := w.Put(reportKey(h.ID, r.Sequence), raw); err != nil {
		return err
	}
	if r.Sequence > keptReports {
		if err := dropReports(w, h.ID, r.Sequence-keptReports); err != nil {
			return err
		}
	}
	if r.Attempt != h.Attempt {
		return nil
	}
	switch kind := r.Kind.(type) {
	case *syncv1.Report_Check:
		checks := maps.Clone(h.Checks)
		if checks == nil {
			checks = make(map[string]hosts.CheckStatus)
		}
		name := kind.Check.Stage + "/" + kind.Check.Name
		if _, known := checks[name]; known || len(checks) < maxReports {
			checks[name] = hosts.CheckStatus(kind.Check.Status) - 1
		}
		h.Checks = checks
	case *syncv1.Report_Step:
		if !kind.Step.Ok {
			h.Failed = &hosts.Failure{
				Phase: hosts.Numbered(int(kind.Step.Phase)), Step: kind.Step.Name,
				Message: kind.Step.Message, Remedy: kind.Step.Remedy,
			}
		}
	}
	return nil
}

// dropReports deletes a host's reports up to a sequence number. The numbers are the host's and may have gaps.
func dropReports(w store.Writer, id hosts.ID, upTo uint64) error {
	last := reportKey(id, upTo)
	return store.DeleteWhere(w, keyReports+string(id)+"/", func(key string, _ []byte) (store.Verdict, error) {
		if key > last {
			return store.Stop, nil
		}
		return store.Drop, nil
	})
}

func reportKey(id hosts.ID, sequence uint64) string {
	return fmt.Sprintf("%s%s/%020d", keyReports, id, sequence)
}

// reportSafe caps every text; what a host says is never trusted to be short.
func reportSafe(r *syncv1.Report) *syncv1.Report {
	safe := &syncv1.Report{Sequence: r.Sequence, Time: r.Time, PlanId: clip(r.PlanId, 64), Attempt: r.Attempt}
	switch kind := r.Kind.(type) {
	case *syncv1.Report_Check:
		c := kind.Check
		safe.Kind = &syncv1.Report_Check{Check: &syncv1.CheckResult{
			Name: clip(c.GetName(), 128), Stage: clip(c.GetStage(), 16), Status: c.GetStatus(), Summary: clip(c.GetSummary(), 512),
			Detail: clip(c.GetDetail(), 8192), Remedy: clip(c.GetRemedy(), 1024), Took: c.GetTook(),
		}}
	case *syncv1.Report_Step:
		p := kind.Step
		safe.Kind = &syncv1.Report_Step{Step: &syncv1.StepResult{
			Phase: p.GetPhase(), Name: clip(p.GetName(), 128), Ok: p.GetOk(), Took: p.GetTook(), Message: clip(p.GetMessage(), 1024),
			Detail: clip(p.GetDetail(), 8192), Remedy: clip(p.GetRemedy(), 1024),
		}}
	}
	return safe
}
