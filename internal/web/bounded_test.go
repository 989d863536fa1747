package web

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/gate"
	"muster/internal/manifest"
)

// startBounded serves a blob to at most so many at once.
func startBounded(t *testing.T, size, open int) (address, path string) {
	t.Helper()
	dir, digest := t.TempDir(), manifest.Digest(strings.Repeat("ab", 32))
	blob := filepath.Join(dir, manifest.BlobPath(digest))
	if err := errors.Join(os.MkdirAll(filepath.Dir(blob), 0o700), os.WriteFile(blob, make([]byte, size), 0o600)); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(Artifacts(dir))
	go func() { _ = Serve(server, Bounded(l, open)) }()
	t.Cleanup(func() { _ = server.Close() })
	return l.Addr().String(), "/" + manifest.BlobPath(digest)
}

// ask sends a request over a connection of its own and answers with the connection.
func ask(t *testing.T, address, request string) (net.Conn, error) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, err = io.WriteString(c, request)
	return c, err
}

func fetch(t *testing.T, address, path string, size int) error {
	t.Helper()
	c, err := ask(t, address, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path))
	if err != nil {
		return err
	}
	defer c.Close()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && int(n) != size {
		err = fmt.Errorf("%d bytes of %d", n, size)
	}
	return err
}

// Half-open requests take all places; a host that fetches takes one back as soon as they have had their second.
func TestThoseWhoSayNothingKeepNobodyFromFetching(t *testing.T) {
	t.Parallel()
	const size = 3 << 20
	address, path := startBounded(t, size, 8)
	for range 8 {
		if _, err := ask(t, address, "GET / HTTP/1.1\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for fetch(t, address, path, size) != nil {
		if time.Now().After(deadline) {
			t.Fatal("nobody can fetch")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Connections that are kept open after an answer go before any that works.
func TestAnIdleConnectionGoesForANewcomerAndADownloadStays(t *testing.T) {
	t.Parallel()
	const size = 32 << 20 // more than the buffers of both ends
	address, path := startBounded(t, size, 2)
	download, err := ask(t, address, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path))
	if err != nil {
		t.Fatal(err)
	}
	idle, err := ask(t, address, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := http.ReadResponse(bufio.NewReader(idle), nil); err != nil {
		t.Fatal(err)
	}
	time.Sleep(patience + 100*time.Millisecond)
	if err := fetch(t, address, path, size); err != nil {
		t.Errorf("a newcomer: %v", err)
	}
	if n, err := io.Copy(io.Discard, download); err != nil || n < size {
		t.Errorf("the download under way: %d bytes, %v", n, err)
	}
}

// slow takes what is written to it at a pace.
type slow struct {
	net.Conn
	deadline time.Time
	taken    int
}

func (s *slow) SetWriteDeadline(t time.Time) error { s.deadline = t; return nil }

func (s *slow) Write(b []byte) (int, error) {
	if len(b) > stepBytes {
		return 0, errors.New("more than a step at once")
	}
	if left := time.Until(s.deadline); left > stepTime || left < stepTime-5*time.Second {
		return 0, fmt.Errorf("%v for a step", left)
	}
	s.taken += len(b)
	return len(b), nil
}

func TestEachStepOfAnAnswerHasItsTime(t *testing.T) {
	t.Parallel()
	to := &slow{}
	p := &paced{Conn: &gate.Conn{Conn: to}}
	if err := p.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		t.Fatal(err)
	}
	const size = 3*stepBytes + 1
	if n, err := p.Write(make([]byte, size)); n != size || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := p.ReadFrom(io.LimitReader(zeros{}, size)); n != size || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if to.taken != 2*size {
		t.Errorf("%d bytes", to.taken)
	}
	// The deadline of the whole answer stays one.
	if err := p.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write(make([]byte, 1)); err == nil {
		t.Error("a step may take longer than the answer")
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
