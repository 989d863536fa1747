package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// namedTimeout bounds one try to get a small file.
const namedTimeout = 30 * time.Second

// Named gets a small file that has a name instead of a digest, from each source in turn until judge accepts what one
// sends. Nothing else speaks for its content, so judge must take it for hostile. heard says whether any source sent
// something; the error has what was wrong with all of them.
func (f *Fetcher) Named(ctx context.Context, name string, limit int64, judge func(data []byte) error) (heard bool, err error) {
	var wrong []error
	for _, src := range f.sources.all {
		data, err := f.named(ctx, src.base+"/"+name, limit)
		if err == nil {
			err = judge(data)
			if err == nil {
				return true, nil
			}
		}
		heard = heard || data != nil
		if ctx.Err() != nil {
			return heard, context.Cause(ctx)
		}
		wrong = append(wrong, fmt.Errorf("%s: %w", src.base, err))
	}
	return heard, errors.Join(wrong...)
}

func (f *Fetcher) named(ctx context.Context, url string, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, namedTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	// What a cache has kept may be older than what it should answer.
	req.Header.Set("Cache-Control", "no-cache")
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the source answers with status %d", resp.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		err = fmt.Errorf("the source sends more than %d bytes", limit)
	}
	return data, err
}
