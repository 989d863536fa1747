package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"muster/internal/hosts"
	"muster/internal/seed"
	syncv1 "muster/proto/muster/sync/v1"
)

const (
	// hold is how long an idle host asks to be held back; a busy one asks for no hold and calls when it has news, at
	// most every pause, at least every heartbeat.
	hold      = 25 * time.Second
	pause     = 250 * time.Millisecond
	heartbeat = 5 * time.Second
	// countingPause is how often progress within a step is worth a call: thousands of hosts fetch at once.
	countingPause = 2 * time.Second
	// minWait and maxWait bound the ceiling of the jittered wait after a failed call.
	minWait = 500 * time.Millisecond
	maxWait = 20 * time.Second
	// callTimeout is beyond what an answer may be held back.
	callTimeout = 15 * time.Second
)

// Engine is the bootstrap agent of one host. Run may be called once.
type Engine struct {
	layout Layout
	log    *slog.Logger
	seed   *seed.Seed
	id     *identity

	mu       sync.Mutex
	journal  journal
	progress syncv1.Observed // step, bytes and waiting; the phase is the journal's
	// progressed is when progress was news last.
	progressed time.Time
	// At heard, the coordinator's clock showed theirs, with an error of up to half the round trip heardIn. Of heard the
	// monotonic reading counts: this host's clock may be set meanwhile.
	heard, theirs time.Time
	heardIn       time.Duration
	// news is signalled when there is something to say.
	news chan struct{}

	work *work
	// trouble is why the last try to uninstall failed.
	trouble string

	// copyOf is the instance whose agent this is, if an image brought it here.
	copyOf string

	// clock is this host's, metadata its cloud's word on it.
	clock    func() time.Time
	metadata metadata
	// cloud is what the metadata service told, nil before it was asked.
	cloud map[string]string
	// kept, if set, is called after each write of the journal: tests end the agent there.
	kept func()
}

// work is the installation under way.
type work struct {
	key    string // what it is: attempt, stage and plan
	cancel context.CancelFunc
	done   chan struct{}
	// told is set before done is closed when the outcome, good or bad, is in the journal.
	told bool
}

// NewEngine reads what an earlier run left. Without a seed there is nothing to do on this host but to leave.
func NewEngine(l Layout, log *slog.Logger) (*Engine, error) {
	text, err := os.ReadFile(l.seed())
	if errors.Is(err, fs.ErrNotExist) {
		return &Engine{layout: l, log: log, journal: journal{Leaving: true}}, nil
	}
	if err != nil {
		return nil, err
	}
	if was, yes := l.copied(l.State()); yes {
		return &Engine{layout: l, log: log, copyOf: was}, nil
	}
	s, err := seed.Parse(text)
	if err != nil {
		return nil, err
	}
	id, err := loadIdentity(l)
	if errors.Is(err, errDamaged) {
		log.Error("joining anew with a fresh key", "error", err)
		id = &identity{}
		err = id.renewKey(l)
	}
	if err != nil {
		return nil, err
	}
	j, err := loadJournal(l, id.HostID, log)
	if err != nil {
		return nil, err
	}
	return &Engine{layout: l, log: log, seed: s, id: id, journal: j, news: make(chan struct{}, 1), clock: time.Now,
		metadata: metadata{metadataService, metadataTimeout}}, nil
}

// Run works until nothing more is wanted of this host or ctx ends. It returns nil after the agent has removed itself.
func (e *Engine) Run(ctx context.Context) error {
	if e.copyOf != "" {
		// Neither its key nor its token is this host's, and whoever launches a new agent here may do so at this moment.
		e.log.Warn("this host was made from an image of another, and that host's identity is not used; let it join by user-data or coordinator push", "image of", e.copyOf)
		return nil
	}
	if e.journal.Leaving {
		return leave(ctx, e.layout, e.log)
	}
	if e.journal.Plan != nil && e.journal.Phase != hosts.Done && e.journal.Phase != hosts.Failed {
		// The plan is whole: go on with it before the coordinator is reached, or without it.
		e.begin(ctx, e.journal.Attempt, "install", *e.journal.Plan)
	}
	defer e.halt()
	wait := minWait
	for at := 0; ; at++ {
		coordinator := e.seed.Coordinators[at%len(e.seed.Coordinators)]
		spoke, err := e.converse(ctx, coordinator)
		switch {
		case errors.Is(err, errLeave):
			e.halt()
			return leave(ctx, e.layout, e.log)
		case ctx.Err() != nil:
			return ctx.Err()
		}
		if spoke {
			wait = minWait
			at = max(at-1, -1) // it was well until now: the same one again
		}
		pauseFor := rand.N(wait) + time.Millisecond
		e.log.Warn("the coordinator does not answer as it should; trying again", "coordinator", coordinator, "error", err, "in", pauseFor)
		wait = min(2*wait, maxWait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pauseFor):
		}
	}
}

var errLeave = errors.New("nothing more is wanted")

// converse enrols if need be and then syncs with one coordinator until something goes wrong. It says whether the two
// ever understood each other.
func (e *Engine) converse(ctx context.Context, coordinator string) (spoke bool, err error) {
	f, err := facts(e.layout, e.seed.Coordinators, e.seed.Address, e.withCloud(ctx, e.seed.Labels))
	if err != nil {
		return false, err
	}
	if now, _ := e.now(); e.id.refused || !e.id.valid(now) {
		e.id.refused = false // if there is nothing better, it is tried again
		document, err := e.document(ctx)
		if err != nil {
			return false, err
		}
		if err := e.id.enrol(ctx, e.layout, e.seed, coordinator, f, document, e.trustClock()); err != nil {
			if status.Code(err) == codes.PermissionDenied && e.id.HostID != "" && e.id.leaf == nil {
				// It was launched again. The key of a host that is known lets it in by itself: this one was removed by
				// an operator since and joins as another.
				err = errors.Join(err, e.id.renewKey(e.layout))
			}
			return false, fmt.Errorf("enrolling: %w", err)
		}
		e.log.Info("enrolled", "host", e.id.HostID)
		if err := e.become(e.id.HostID); err != nil {
			return false, err
		}
	}
	conn, err := e.id.dial(e.seed, coordinator, e.id.certificate(), e.trustClock())
	if err != nil {
		return false, err
	}
	defer conn.Close()
	client := syncv1.NewSyncServiceClient(conn)
	following := ""
	for {
		if now, heard := e.now(); heard && e.id.renewalDue(now) {
			renewCtx, cancel := context.WithTimeout(ctx, callTimeout)
			err := e.id.renew(renewCtx, e.layout, e.seed, client)
			cancel()
			if err != nil {
				return spoke, fmt.Errorf("renewing the certificate: %w", e.refused(err))
			}
			return true, errors.New("connecting anew with the renewed certificate")
		}
		req, idle := e.request(following, f)
		req.Roots = e.id.Told.sums(e.seed)
		if req.Hold != nil {
			req.Hold = durationpb.New(e.id.holdUntilEarly(hold))
		}
		resp, took, err := call(ctx, client, req)
		if err != nil {
			return spoke, e.refused(err)
		}
		spoke, f = true, nil
		if err := e.id.accept(e.layout); err != nil {
			e.log.Error("the identity cannot be written", "error", err)
		}
		if req.Hold.AsDuration() == 0 {
			e.measure(resp, took)
		}
		if len(resp.Roots) > 0 {
			if err := e.id.trust(e.layout, e.seed, resp.Roots); err != nil {
				e.log.Error("the CA certificates that the coordinator tells of are not taken", "error", err)
			}
		}
		e.id.renewWithin(resp.RenewWithin.AsDuration())
		if err := e.acknowledge(resp.Acknowledged); err != nil {
			return spoke, err
		}
		following = resp.Directive.GetId()
		comeBack, err := e.follow(ctx, resp.Directive)
		if err != nil {
			return spoke, err
		}
		if err := e.breathe(ctx, idle, comeBack); err != nil {
			return spoke, err
		}
	}
}

// document is what the cloud says of this host, if the seed wants it to join by that. A host that has joined before is
// known by its key, so it comes without when it has to.
func (e *Engine) document(ctx context.Context) ([]byte, error) {
	if e.seed.AWSPolicy == "" {
		return nil, nil
	}
	document, err := e.metadata.document(ctx)
	if err != nil && e.id.HostID != "" {
		e.log.Warn("joining again by the key alone", "error", err)
		return nil, nil
	}
	return document, err
}

// become starts a new journal when the host joined as another than before. Work of its earlier life ends.
func (e *Engine) become(id hosts.ID) error {
	if e.journal.HostID == id { // written here only
		return nil
	}
	e.halt()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.journal.HostID != "" {
		e.log.Info("this host joined anew; what it had to say as another is dropped", "was", e.journal.HostID)
	}
	e.journal = newJournal(id)
	return e.keep()
}

// breathe waits until there is something to say, within bounds. An idle host is paced by the coordinator's hold.
func (e *Engine) breathe(ctx context.Context, idle bool, comeBack time.Duration) error {
	if !e.busy() && idle {
		return ctx.Err()
	}
	most := heartbeat
	if comeBack > 0 && comeBack < most {
		most = comeBack
	}
	var done <-chan struct{}
	if w := e.work; w != nil {
		done = w.done
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-e.news:
	case <-done:
		return nil
	case <-time.After(most):
		return nil
	}
	// News comes in bursts: a moment's patience sends it together.
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-done:
	case <-time.After(pause):
	}
	return nil
}

func call(ctx context.Context, client syncv1.SyncServiceClient, req *syncv1.SyncRequest) (*syncv1.SyncResponse, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, req.Hold.AsDuration()+callTimeout)
	defer cancel()
	start := time.Now()
	resp, err := client.Sync(ctx, req, grpc.WaitForReady(false))
	return resp, time.Since(start), err
}

// refused is what follows from a call that failed. Only the coordinator's word to leave ends the asking.
func (e *Engine) refused(err error) error {
	st := status.Convert(err)
	for _, detail := range st.Details() {
		if word, ok := detail.(*syncv1.Leave); ok && st.Code() == codes.PermissionDenied {
			e.log.Warn("leaving what is installed as it is", "reason", word.Reason)
			e.halt()
			e.mu.Lock()
			defer e.mu.Unlock()
			return e.leaves()
		}
	}
	// One that was never taken is not the newest: two enrolments have overtaken each other. One that TLS refuses has
	// expired, which a host cannot know whose clock is behind.
	if st.Code() == codes.PermissionDenied && !e.id.Accepted || strings.Contains(st.Message(), "remote error: tls:") {
		e.id.refused = true
	}
	return explain(err)
}

// explain adds to the coordinator's refusal what it says should be done. Whatever the refusal is, the host keeps asking.
func explain(err error) error {
	st := status.Convert(err)
	if st.Code() == codes.Unavailable || st.Code() == codes.DeadlineExceeded {
		return fmt.Errorf("the coordinator cannot be reached: %s", st.Message())
	}
	return fmt.Errorf("the coordinator refuses: %s (%s)", st.Message(), st.Code())
}

// request says where the host stands. An idle host is one that only waits.
func (e *Engine) request(following string, f *syncv1.Facts) (*syncv1.SyncRequest, bool) {
	idle := !e.busy()
	e.mu.Lock()
	defer e.mu.Unlock()
	req := &syncv1.SyncRequest{
		Observed: &syncv1.Observed{
			Phase: syncv1.Phase(e.journal.Phase.Number()), Attempt: e.journal.Attempt, Step: e.progress.Step,
			DoneBytes: e.progress.DoneBytes, TotalBytes: e.progress.TotalBytes, Waiting: e.progress.Waiting,
		},
		Following: following,
		Facts:     f,
	}
	readable(req.ProtoReflect())
	if e.journal.Plan != nil {
		req.Observed.PlanId = e.journal.Plan.ID
	}
	size := 0
	for _, raw := range e.journal.Reports {
		if size += len(raw); len(req.Reports) == maxReports || len(req.Reports) > 0 && size > maxReportBytes {
			break
		}
		r := new(syncv1.Report)
		if proto.Unmarshal(raw, r) == nil {
			req.Reports = append(req.Reports, r)
		}
	}
	if idle && len(req.Reports) == 0 && following != "" {
		req.Hold = durationpb.New(hold)
	}
	return req, idle
}

// maxReports and maxReportBytes bound one message, of which the coordinator takes 1 MiB. The rest comes with the next.
const (
	maxReports     = 200
	maxReportBytes = 512 << 10
)

// measure keeps the coordinator's clock as the quickest exchange told it, until another cannot agree with that.
func (e *Engine) measure(resp *syncv1.SyncResponse, took time.Duration) {
	known, heard := e.now()
	now, theirs := e.clock(), resp.Now.AsTime().Add(took/2)
	if heard && took >= e.heardIn && theirs.Sub(known).Abs() <= (took+e.heardIn)/2 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard, e.theirs, e.heardIn = now, theirs, took
}

// now is the coordinator's time, or while that was not heard of, this host's.
func (e *Engine) now() (now time.Time, heard bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.heard.IsZero() {
		return e.clock(), false
	}
	return e.theirs.Add(e.clock().Sub(e.heard)), true
}

// trustClock is what the coordinator's certificate is judged by. The token and the host's own certificate let it in until
// they end by the coordinator's clock: a host that comes with them takes no later time for the true one.
func (e *Engine) trustClock() func() time.Time {
	until := e.seed.Expires
	if leaf := e.id.leaf; leaf != nil && leaf.NotAfter.After(until) {
		until = leaf.NotAfter
	}
	return func() time.Time {
		now, heard := e.now()
		if !heard && !until.IsZero() && now.After(until) {
			return until
		}
		return now
	}
}

func (e *Engine) clockOffset() (time.Duration, bool) {
	now, heard := e.now()
	return now.Sub(e.clock().Round(0)), heard // not by the monotonic reading, which no set clock moves
}

func hostOf(hostPort string) string {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return hostPort
	}
	return host
}
