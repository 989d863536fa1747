package fetch

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds how long a source can make a host wait.
const maxRetryAfter = 10 * time.Minute

// sourceError is what a source did wrong, with what to remember for the next time.
type sourceError struct {
	msg     string
	noRange bool
	// wrong says what is the matter with the blob that the source alone has, "truncated" for one: asking again will
	// hardly help. It is empty when the source may yet serve the blob, as after a connection that broke.
	wrong string
	// missing is set when the source says that it does not have the blob. It may be given it later.
	missing    bool
	retryAfter time.Duration
}

func (e *sourceError) Error() string { return e.msg }

func sourceErrorf(format string, args ...any) *sourceError {
	return &sourceError{msg: fmt.Sprintf(format, args...)}
}

// receive takes one response. A nil result means that the part is the blob.
func (d *download) receive(resp *http.Response) error {
	defer resp.Body.Close()
	skip, bad := d.judge(resp)
	if bad != nil {
		return bad
	}
	d.record(d.src).missing = 0 // what it lacked, it has now
	if err := d.copy(resp, skip); err != nil {
		return err
	}
	if d.part.matches() {
		return nil
	}
	// The bytes are wrong, and it can't be known which.
	owner := d.part.owner
	d.whole = true
	if err := d.discard(); err != nil {
		return err
	}
	if owner == nil {
		return sourceErrorf("what came from several sources or an earlier run has the wrong SHA-256; discarded, starting over")
	}
	bad = sourceErrorf("the source serves bytes with the wrong SHA-256 under this digest; discarded")
	bad.wrong = "with another SHA-256"
	return bad
}

// wrongSize is the error of a source whose blob has n bytes and not those of the manifest.
func (d *download) wrongSize(n int64) *sourceError {
	bad := sourceErrorf("the source has %d bytes under this digest, the manifest says %d", n, d.blob.Size)
	kind := "truncated"
	if n > d.blob.Size {
		kind = "too long"
	}
	bad.wrong = fmt.Sprintf("%s (%d bytes instead of %d)", kind, n, d.blob.Size)
	return bad
}

// announced is the length of the body, -1 if it is not known. A file's is in the header only.
func announced(resp *http.Response) int64 {
	if resp.ContentLength >= 0 {
		return resp.ContentLength
	}
	if n, err := strconv.ParseInt(resp.Header.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		return n
	}
	return -1
}

// judge reads status and headers. It returns how many bytes of the body are here already.
func (d *download) judge(resp *http.Response) (skip int64, bad *sourceError) {
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return 0, sourceErrorf("the source encodes blobs as %.40q; switch that off, blobs are compressed already", enc)
	}
	have, size := d.part.have, d.blob.Size
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		// A source that ignores the range sends everything; what is here stays safe meanwhile.
		if n := announced(resp); n >= 0 && n != size {
			return 0, d.wrongSize(n)
		}
		return have, nil
	case code == http.StatusPartialContent:
		if err := d.judgeRange(resp); err != nil {
			err.noRange = true
			return 0, err
		}
		return 0, nil
	case code == http.StatusRequestedRangeNotSatisfiable:
		err := sourceErrorf("the source has no byte %d under this digest, the manifest says %d bytes", have, size)
		err.noRange = true
		// Only a source that names the right size merely dislikes ranges.
		if total, ok := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes */"); !ok || total != strconv.FormatInt(size, 10) {
			err.wrong = fmt.Sprintf("truncated (no byte %d of %d)", have, size)
		}
		return 0, err
	case code == http.StatusNotFound || code == http.StatusGone:
		err := sourceErrorf("the source does not have this blob (status %d)", code)
		err.missing = true
		return 0, err
	case code >= 300 && code < 400:
		return 0, sourceErrorf("the source redirects (status %d) to %.200q, which is refused; name the final address as the source", code, resp.Header.Get("Location"))
	default:
		err := sourceErrorf("the source answers with status %d %s", code, http.StatusText(code))
		err.retryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
		return 0, err
	}
}

func (d *download) judgeRange(resp *http.Response) *sourceError {
	value := resp.Header.Get("Content-Range")
	wrong := sourceErrorf("the source answers the range from byte %d of %d with the wrong one, %.80q", d.part.have, d.blob.Size, value)
	if resp.Request.Header.Get("Range") == "" {
		return wrong
	}
	bounds, total, ok := strings.Cut(strings.TrimPrefix(value, "bytes "), "/")
	if !ok {
		return wrong
	}
	if total != "*" && total != strconv.FormatInt(d.blob.Size, 10) {
		if n, err := strconv.ParseInt(total, 10, 64); err == nil && n >= 0 {
			wrong.wrong = d.wrongSize(n).wrong
		}
		return wrong
	}
	first, last, ok := strings.Cut(bounds, "-")
	if !ok || first != strconv.FormatInt(d.part.have, 10) {
		return wrong
	}
	if n, err := strconv.ParseInt(last, 10, 64); err != nil || n < d.part.have || n >= d.blob.Size {
		return wrong
	}
	return nil
}

// copy appends the body to the part, without its first skip bytes. It reads one byte more than it may write, to
// find a source that sends too much.
func (d *download) copy(resp *http.Response, skip int64) error {
	body := resp.Body
	buf := make([]byte, 64<<10)
	for start := d.part.have; ; {
		room := d.blob.Size - d.part.have + skip
		n, err := body.Read(buf[:min(int64(len(buf)), room+1)])
		if int64(n) > room {
			return d.oversize()
		}
		data := buf[:n]
		drop := min(skip, int64(n))
		skip -= drop
		if data = data[drop:]; len(data) > 0 {
			if err := d.part.write(data, d.src); err != nil {
				return localError(d.dir, d.blob, err)
			}
			d.gain(start)
		}
		switch {
		case err != nil && d.part.complete():
			return nil // all is here, whatever became of the connection
		case err == io.EOF:
			bad := sourceErrorf("the source ended after %d of %d bytes", d.part.have, d.blob.Size)
			// The end of a chunked body is the source's own word, not that of a connection that broke. If it brought
			// something, the rest may be had by asking on; if not, this is all that the source has.
			if len(resp.TransferEncoding) > 0 && d.part.have == start {
				bad.wrong = fmt.Sprintf("truncated (no byte %d of %d)", d.part.have, d.blob.Size)
			}
			return bad
		case err != nil:
			return fmt.Errorf("the connection broke: %w", err)
		}
	}
}

// gain notes that the part has grown in a try that began with start bytes.
func (d *download) gain(start int64) {
	if d.part.have > d.best {
		d.best, d.gained = d.part.have, time.Now()
	}
	if d.part.have-start >= worthwhile && d.part.have >= d.best {
		d.failures = 0
	}
	d.progress(d.part.have, d.blob.Size)
}

func (d *download) oversize() error {
	if err := d.discard(); err != nil {
		return err
	}
	bad := sourceErrorf("the source sends more than the %d bytes of the manifest; discarded", d.blob.Size)
	bad.wrong = fmt.Sprintf("too long (more than %d bytes)", d.blob.Size)
	return bad
}

func (d *download) discard() error {
	if err := d.part.discard(); err != nil {
		return localError(d.dir, d.blob, err)
	}
	d.progress(0, d.blob.Size)
	return nil
}

// retryAfter reads the header of that name: seconds or a date.
func retryAfter(value string, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		wait = time.Duration(min(max(seconds, 0), int64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
