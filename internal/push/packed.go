package push

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"muster/internal/manifest"
)

// packing is a program that unpacks on hosts that have it, the better one first.
type packing string

var packings = []packing{"zstd", "gzip"}

// packs holds the packed forms of the agents, each made once, when the first host wants it, and shared by all.
type packs struct {
	mu  sync.Mutex
	all map[packKey]*pack
}

type packKey struct {
	digest string
	how    packing
}

type pack struct {
	once sync.Once
	data []byte
	err  error
}

// choose returns the packing for a host that has these programs, or "" if none is of use.
func choosePacking(has []string) packing {
	for _, p := range packings {
		if slices.Contains(has, string(p)) {
			return p
		}
	}
	return ""
}

func (p *packs) of(b Binary, how packing) ([]byte, error) {
	p.mu.Lock()
	key := packKey{string(b.Digest), how}
	one, ok := p.all[key]
	if !ok {
		one = &pack{}
		p.all[key] = one
	}
	p.mu.Unlock()
	one.once.Do(func() { one.data, one.err = squeeze(b, how) })
	return one.data, one.err
}

// packEarly packs what the next host most likely wants, so that it needn't wait for it.
func (r *run) packEarly() {
	if agent, ok := r.opts.Agents[manifest.Arch(runtime.GOARCH)]; ok {
		go func() { _, _ = r.packs.of(agent, "gzip") }() // whoever wants it is told what is wrong
	}
}

func squeeze(b Binary, how packing) ([]byte, error) {
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch how {
	case "zstd":
		w, err = zstd.NewWriter(&out, zstd.WithEncoderLevel(zstd.SpeedDefault))
	case "gzip":
		w, err = gzip.NewWriterLevel(&out, 3)
	default:
		err = fmt.Errorf("no packing %q", how)
	}
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(w, io.NewSectionReader(b.Content, 0, b.Size)); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
