package fetch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/sys/unix"

	"muster/internal/manifest"
)

// worthwhile is how much a try must bring to count as a success of sorts, after which waits begin small again.
const worthwhile = 64 << 10

// maxWrong is how often a source may serve another blob under the digest: a wrong one, a longer or a shorter one. A bit
// that flips on the way is not there the next time, a corrupt file on a source's disk is.
const maxWrong = 3

// maxMissing is how often a source may say that it lacks the blob, and that over Options.MissingAfter at least: a mirror
// may be filling, a file that was deleted does not come back. What a connection or a busy server does is not counted at
// all, since a coordinator that crashed is to be waited for.
const maxMissing = 10

// download is the life of one Fetch over many tries. Its methods are the callbacks of one retryablehttp request; they
// run one after the other.
type download struct {
	*Fetcher
	blob     manifest.Blob
	dir      string
	part     *part
	progress func(done, total int64)

	src     *source
	attempt int
	// failures counts the tries since the last worthwhile one, last is the newest failure.
	failures int
	last     error
	// best is the most that was ever here, gained when that last grew. Bytes that are fetched again gain nothing.
	best   int64
	gained time.Time
	// whole is set after a wrong digest: from then on no source continues what another began, so that a hostile
	// one cannot spoil what an honest one sends.
	whole   bool
	records map[*source]*record
}

// record is what one source has done with this blob that no patience mends.
type record struct {
	// wrong counts how often it had another blob, and how is what was the matter with the last.
	wrong int
	how   string
	// missing counts how often it had none, from first to last.
	missing     int
	first, last time.Time
}

// record is that of the source.
func (d *download) record(s *source) *record {
	r := d.records[s]
	if r == nil {
		r = new(record)
		d.records[s] = r
	}
	return r
}

// note adds what the source did wrong, and says whether that was of the kind that counts.
func (r *record) note(reason *sourceError) bool {
	switch {
	case reason.wrong != "":
		r.wrong++
		r.how = reason.wrong
	case reason.missing:
		r.last = time.Now()
		if r.missing++; r.missing == 1 {
			r.first = r.last
		}
	default:
		return false
	}
	return true
}

func (r *record) isWrong() bool { return r.wrong >= maxWrong }

func (r *record) isMissing(after time.Duration) bool {
	return r.missing >= maxMissing && r.last.Sub(r.first) >= after
}

// download completes the part from the sources.
func (f *Fetcher) download(ctx context.Context, blob manifest.Blob, dir string, part *part, progress func(done, total int64)) error {
	d := &download{Fetcher: f, blob: blob, dir: dir, part: part, progress: progress, best: part.have, gained: time.Now(),
		records: make(map[*source]*record)}
	if part.complete() {
		if part.matches() {
			progress(part.have, blob.Size)
			return nil
		}
		// An earlier run was interrupted before it looked.
		if err := part.discard(); err != nil {
			return localError(dir, blob, err)
		}
	}
	if err := d.roomLeft(); err != nil {
		return err
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, f.sources.all[0].base, nil)
	if err != nil {
		return &Error{Class: ErrInvalid, What: "cannot make a request", Err: err}
	}
	req.SetResponseHandler(d.receive)
	d.src, _ = f.sources.pick(time.Now())
	if err := d.prepare(req.Request); err != nil {
		return err
	}
	client := &retryablehttp.Client{
		HTTPClient:   f.client,
		RetryMax:     math.MaxInt,
		CheckRetry:   d.check,
		Backoff:      d.backoff,
		PrepareRetry: d.prepare,
	}
	if _, err := client.Do(req); err != nil {
		return d.failure(ctx, err)
	}
	return nil
}

// roomLeft finds out before the first byte that a blob cannot fit.
func (d *download) roomLeft() error {
	var fs unix.Statfs_t
	if err := unix.Statfs(d.dir, &fs); err != nil {
		return localError(d.dir, d.blob, err)
	}
	free := fs.Bavail * uint64(fs.Bsize)
	if need := uint64(d.blob.Size - d.part.have); need > free {
		return localError(d.dir, d.blob, fmt.Errorf("%d more bytes are needed and %d are free: %w", need, free, unix.ENOSPC))
	}
	return nil
}

// prepare points the request at the source of this try and at the first missing byte.
func (d *download) prepare(req *http.Request) error {
	d.attempt++
	if d.whole && d.part.have > 0 && d.part.owner != d.src {
		if err := d.part.discard(); err != nil {
			return localError(d.dir, d.blob, err)
		}
	}
	u, err := url.Parse(d.src.base + "/" + Path(d.blob.Digest))
	if err != nil {
		return &Error{Class: ErrInvalid, What: "cannot make a request", Err: err}
	}
	req.URL, req.Host = u, ""
	req.Header = http.Header{"Accept-Encoding": {"identity"}, "User-Agent": {"muster-bootstrap-agent"}}
	if d.part.have > 0 && d.sources.ranges(d.src) {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.part.have))
	}
	return nil
}

// check decides whether there is another try. It is called before receive with a nil error, and after it.
func (d *download) check(ctx context.Context, _ *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err == nil {
		return false, nil
	}
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err // the event names the source already
	}
	d.last = err
	d.failures++
	var reason *sourceError
	if errors.As(err, &reason) && d.record(d.src).note(reason) && d.hopeless() {
		err = d.hopelessError()
	}
	var final *Error
	if errors.As(err, &final) || d.expired() {
		d.log("", 0)
		return false, err
	}
	return true, nil
}

// hopeless says whether no source is left that could have the blob. One that is busy or away could.
func (d *download) hopeless() bool {
	for _, s := range d.sources.all {
		if r := d.record(s); !r.isWrong() && !r.isMissing(d.opt.MissingAfter) {
			return false
		}
	}
	return true
}

func (d *download) expired() bool {
	return d.opt.GiveUpAfter > 0 && time.Since(d.gained) >= d.opt.GiveUpAfter
}

// backoff chooses the next source and the time until it is asked: full jitter under a ceiling that doubles each time
// that all sources have failed, and never before the source wants to be asked.
func (d *download) backoff(_, _ time.Duration, _ int, _ *http.Response) time.Duration {
	now := time.Now()
	var reason *sourceError
	errors.As(d.last, &reason)
	d.sources.fail(d.src, now, reason)
	next, hold := d.sources.pick(now)

	rounds := (d.failures - 1) / len(d.sources.all)
	ceiling := d.opt.MinWait << min(rounds, 16)
	if ceiling > d.opt.MaxWait || ceiling <= 0 {
		ceiling = d.opt.MaxWait
	}
	wait := rand.N(ceiling + 1)
	if hold > wait {
		// Thousands of hosts were told the same time: spread them after it.
		wait = hold + rand.N(hold/4+1)
	}
	if d.opt.GiveUpAfter > 0 {
		wait = min(wait, max(0, d.opt.GiveUpAfter-now.Sub(d.gained)))
	}
	d.log(next.base, wait)
	d.src = next
	return wait
}

func (d *download) log(next string, wait time.Duration) {
	d.opt.Log(Event{
		Digest: d.blob.Digest, Source: d.src.base, Attempt: d.attempt, Err: d.last,
		Have: d.part.have, Size: d.blob.Size, Next: next, Wait: wait,
	})
}

// failure turns the end without a blob into an Error.
func (d *download) failure(ctx context.Context, err error) error {
	var final *Error
	switch {
	case errors.As(err, &final):
		return final
	case ctx.Err() != nil:
		return stopped(ctx, d.blob, d.last)
	}
	return &Error{
		Class: ErrGaveUp,
		What: fmt.Sprintf("gave up on blob %.12s with %d of %d bytes after %d tries, nothing gained for %v", string(d.blob.Digest),
			d.part.have, d.blob.Size, d.attempt, time.Since(d.gained).Round(time.Second)),
		Remedy: "check from this host that a source serves " + Path(d.blob.Digest) + ": " + d.sources.list(),
		Err:    d.last,
	}
}
