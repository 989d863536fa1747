package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"muster/internal/durable"
	"muster/internal/manifest"
)

// Options say where blobs come from and how patient a Fetcher is. The zero value of everything but Sources is usable.
type Options struct {
	// Sources are base URLs in order of preference; a blob is at <base>/<Path(digest)>.
	Sources []string
	// Directories allows file:///directory as a source, for a host that installs from a disk it was handed.
	Directories bool
	// Log is told of every failed try.
	Log func(Event)
	// GiveUpAfter ends a fetch that has gained nothing for so long; 0 means never.
	GiveUpAfter time.Duration
	// MissingAfter is for how long at least all sources must lack a blob before the fetch fails; 30 s if 0.
	MissingAfter time.Duration
	// StallAfter ends a try that brings less than 4 KiB in this time; 30 s if 0.
	StallAfter time.Duration
	// MinWait and MaxWait bound the ceiling of the jittered wait between tries; 500 ms and 30 s if 0.
	MinWait, MaxWait time.Duration
	// Transport replaces the default one, for sources over TLS with a private CA.
	Transport *http.Transport
}

// Event is one failed try.
type Event struct {
	Digest  manifest.Digest
	Source  string
	Attempt int
	Err     error
	// Have and Size are how much of the blob is on disk, and its full length.
	Have, Size int64
	// Next is the source of the next try and Wait the time until then. An empty Next means that there is none.
	Next string
	Wait time.Duration
}

// String is one line for a log.
func (e Event) String() string {
	s := fmt.Sprintf("blob %.12s: try %d from %s failed with %d of %d bytes here: %v", string(e.Digest), e.Attempt, e.Source, e.Have, e.Size, e.Err)
	if e.Next == "" {
		return s + "; no further try"
	}
	return fmt.Sprintf("%s; next try from %s in %v", s, e.Next, e.Wait.Round(time.Millisecond))
}

// Fetcher fetches blobs. Its methods may be called concurrently.
type Fetcher struct {
	opt     Options
	client  *http.Client
	sources *sources

	mu   sync.Mutex
	busy map[string]chan struct{}
}

// New checks the options and returns a Fetcher.
func New(opt Options) (*Fetcher, error) {
	sources, err := newSources(opt.Sources, opt.Directories)
	if err != nil {
		return nil, err
	}
	defaults := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	defaults(&opt.MissingAfter, 30*time.Second)
	defaults(&opt.StallAfter, 30*time.Second)
	defaults(&opt.MinWait, 500*time.Millisecond)
	defaults(&opt.MaxWait, 30*time.Second)
	if opt.Log == nil {
		opt.Log = func(Event) {}
	}
	transport := opt.Transport
	if transport != nil {
		transport = transport.Clone()
	} else {
		transport = &http.Transport{
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		}
	}
	transport.DisableCompression, transport.Proxy = true, nil
	if opt.Directories {
		transport.RegisterProtocol("file", http.NewFileTransport(http.Dir("/")))
	}
	return &Fetcher{
		opt: opt,
		client: &http.Client{
			Transport:     stallGuard{base: transport, after: opt.StallAfter},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		sources: sources,
		busy:    make(map[string]chan struct{}),
	}, nil
}

// Path is where a source serves the blob, relative to its base URL. It is empty if the digest is not a SHA-256 in
// lower-case hexadecimal.
func Path(digest manifest.Digest) string {
	if !digest.Valid() {
		return ""
	}
	return manifest.BlobPath(digest)
}

// Fetch puts the blob at <dir>/<digest> and returns that path; the file is verified and on disk. A file that is there
// already is verified and used. Fetch tries all sources again and again until it has the blob, ctx ends, nothing has
// been gained for Options.GiveUpAfter, all sources have proven to have another blob or none, or this host is at fault;
// see the error classes. The callback progress may be nil; it is called from the caller's goroutine.
//
// Two processes must not fetch into the same directory.
func (f *Fetcher) Fetch(ctx context.Context, blob manifest.Blob, dir string, progress func(done, total int64)) (string, error) {
	// A digest that is really a path must not reach the file system.
	if !blob.Digest.Valid() || blob.Size < 0 {
		return "", &Error{
			Class:  ErrInvalid,
			What:   fmt.Sprintf("blob %.80q with size %d cannot be fetched", blob.Digest, blob.Size),
			Remedy: "the manifest is damaged; generate and publish it again",
		}
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	final := filepath.Join(dir, string(blob.Digest))
	unlock, err := f.lock(ctx, final)
	if err != nil {
		return "", stopped(ctx, blob, nil)
	}
	defer unlock()

	switch ok, err := verified(ctx, final, blob); {
	case ctx.Err() != nil:
		return "", stopped(ctx, blob, nil)
	case err != nil:
		return "", localError(dir, blob, err)
	case ok:
		progress(blob.Size, blob.Size)
		return final, nil
	}
	part, err := openPart(ctx, final+".part", blob)
	if ctx.Err() != nil {
		return "", stopped(ctx, blob, nil)
	}
	if err != nil {
		return "", localError(dir, blob, err)
	}
	defer part.close()

	if err := f.download(ctx, blob, dir, part, progress); err != nil {
		return "", err
	}
	if err := part.sync(); err != nil {
		return "", localError(dir, blob, err)
	}
	if err := durable.Rename(final+".part", final); err != nil {
		return "", localError(dir, blob, err)
	}
	return final, nil
}

// verified says whether the blob is at path already. A file with other content is removed.
func verified(ctx context.Context, path string, blob manifest.Blob) (bool, error) {
	part, err := openExisting(ctx, path, blob)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer part.close()
	if part.matches() {
		return true, nil
	}
	return false, durable.RemoveAll(path)
}

// lock makes a second fetch to the same path wait for the first.
func (f *Fetcher) lock(ctx context.Context, path string) (unlock func(), err error) {
	for {
		f.mu.Lock()
		done, taken := f.busy[path]
		if !taken {
			done = make(chan struct{})
			f.busy[path] = done
			f.mu.Unlock()
			return func() {
				f.mu.Lock()
				delete(f.busy, path)
				f.mu.Unlock()
				close(done)
			}, nil
		}
		f.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
