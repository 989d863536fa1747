package fetch

import (
	"fmt"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"
)

// coolDown is how long a source that failed stands behind the others.
const coolDown = time.Minute

// source is one place that serves blobs, and how it has behaved.
type source struct {
	base string
	// failed is when it last failed, notBefore when it wants to be asked again.
	failed, notBefore time.Time
	// noRange is set once it has answered a range wrongly.
	noRange bool
}

// sources are all places, in order of preference, for all fetches of one Fetcher: what one fetch learns of a source
// serves the next.
type sources struct {
	mu  sync.Mutex
	all []*source
}

func newSources(bases []string, directories bool) (*sources, error) {
	s := &sources{}
	seen := make(map[string]bool)
	for _, base := range bases {
		u, err := url.Parse(base)
		web := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
		local := directories && err == nil && u.Scheme == "file" && u.Host == "" && path.IsAbs(u.Path)
		if !web && !local || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			return nil, &Error{
				Class:  ErrInvalid,
				What:   fmt.Sprintf("source %q is not a base URL", base),
				Remedy: "write it as http://host:port/path, without user, query or fragment",
			}
		}
		base = strings.TrimRight(base, "/")
		if !seen[base] {
			seen[base] = true
			s.all = append(s.all, &source{base: base})
		}
	}
	if len(s.all) == 0 {
		return nil, &Error{Class: ErrInvalid, What: "there is no source to fetch from", Remedy: "name a mirror or a coordinator"}
	}
	return s, nil
}

// pick returns the source to ask next and how long to hold back for its sake: the first in order that has not failed
// lately, else the one whose failure is the longest ago.
func (s *sources) pick(now time.Time) (*source, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	best := s.all[0]
	for _, c := range s.all[1:] {
		if c.before(best, now) {
			best = c
		}
	}
	return best, max(0, best.notBefore.Sub(now))
}

// before says whether s is to be asked rather than o, which stands earlier in the list.
func (s *source) before(o *source, now time.Time) bool {
	if sWaits, oWaits := s.notBefore.After(now), o.notBefore.After(now); sWaits || oWaits {
		return !sWaits || oWaits && s.notBefore.Before(o.notBefore)
	}
	lately := now.Add(-coolDown)
	sFailed, oFailed := s.failed.After(lately), o.failed.After(lately)
	return oFailed && (!sFailed || s.failed.Before(o.failed))
}

// fail remembers a failed try and what the source asked for.
func (s *sources) fail(src *source, now time.Time, f *sourceError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	src.failed = now
	if f == nil {
		return
	}
	src.noRange = src.noRange || f.noRange
	if f.retryAfter > 0 {
		src.notBefore = now.Add(f.retryAfter)
	}
}

// list names all of them.
func (s *sources) list() string {
	bases := make([]string, len(s.all))
	for i, src := range s.all {
		bases[i] = src.base
	}
	return strings.Join(bases, ", ")
}

func (s *sources) ranges(src *source) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !src.noRange
}
