package web_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"muster/internal/web"
)

// start runs the real server; change may make its patience fit for a test.
func start(t testing.TB, h http.Handler, change func(*http.Server)) (*http.Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := web.NewServer(h)
	if change != nil {
		change(server)
	}
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(server, web.Bounded(l, 64)) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return server, l.Addr().String()
}

func dial(t testing.TB, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryWaitOfTheServerHasAnEnd(t *testing.T) {
	s := web.NewServer(http.NotFoundHandler())
	for name, d := range map[string]time.Duration{
		"ReadHeaderTimeout": s.ReadHeaderTimeout, "ReadTimeout": s.ReadTimeout, "WriteTimeout": s.WriteTimeout, "IdleTimeout": s.IdleTimeout,
	} {
		if d <= 0 || d > time.Hour {
			t.Errorf("%s is %v", name, d)
		}
	}
	if s.ReadHeaderTimeout > 30*time.Second {
		t.Errorf("a header may take %v: 20,000 slow clients hold all file descriptors that long", s.ReadHeaderTimeout)
	}
	if s.WriteTimeout < 10*time.Minute {
		t.Errorf("a blob may take only %v: a slow line never gets a large one", s.WriteTimeout)
	}
}

func TestAClientThatNeverEndsItsHeaderIsCutOff(t *testing.T) {
	s := newServed(t, 10)
	_, address := start(t, s.handler, func(s *http.Server) { s.ReadHeaderTimeout = 200 * time.Millisecond })
	c := dial(t, address)
	began := time.Now()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		// One line after the other, each in time: it is the header as a whole that must come in time.
		if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n"); err != nil {
			return
		}
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			if _, err := fmt.Fprintf(c, "X-%d: y\r\n", i); err != nil {
				return
			}
		}
	}()
	got, err := io.ReadAll(c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatal("the connection is still open")
	}
	if took := time.Since(began); took > 5*time.Second || bytes.Contains(got, []byte("200 OK")) {
		t.Errorf("after %v: %q", took, got)
	}
}

func TestAnIdleConnectionIsClosed(t *testing.T) {
	s := newServed(t, 10)
	_, address := start(t, s.handler, func(s *http.Server) { s.IdleTimeout = 100 * time.Millisecond })
	c := dial(t, address)
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Contains(got, []byte("200 OK")) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	s := newServed(t, 64<<20) // more than the buffers of both ends
	_, address := start(t, s.handler, func(s *http.Server) { s.WriteTimeout = 300 * time.Millisecond })
	c := dial(t, address)
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", s.path()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	n, err := io.Copy(io.Discard, c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the connection is still open")
	}
	if n >= 64<<20 {
		t.Error("it got everything all the same")
	}
}

func TestAHugeHeaderIsRefused(t *testing.T) {
	s := newServed(t, 10)
	_, address := start(t, s.handler, nil)
	for _, c := range []struct {
		size int
		want string
	}{{8 << 10, "200 OK"}, {64 << 10, "431 Request Header Fields Too Large"}} {
		conn := dial(t, address)
		go fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Large: %s\r\n\r\n", strings.Repeat("a", c.size))
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.Contains(line, c.want) {
			t.Errorf("%d bytes: %q, %v", c.size, line, err)
		}
	}
}

func TestServeReturnsWhyItCannotServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := web.Serve(web.NewServer(http.NotFoundHandler()), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestAShutdownIsNoErrorAndLetsDownloadsEnd(t *testing.T) {
	s := newServed(t, 8<<20)
	server, address := start(t, s.handler, nil)
	c := dial(t, address)
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", s.path()); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Shutdown(context.Background()) }()
	if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, s.blob) {
		t.Errorf("%d bytes of %d, %v", len(got), len(s.blob), err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

const downloadURL = "MUSTER_TEST_DOWNLOAD"

// TestMain makes the test binary a client of its own for the benchmark, so that server and client do not share one
// runtime; as a server it is what is measured.
func TestMain(m *testing.M) {
	if url := os.Getenv(downloadURL); url != "" {
		var n int
		if _, err := fmt.Sscan(os.Getenv(downloadURL+"_TIMES"), &n); err != nil {
			panic(err)
		}
		for range n {
			resp, err := http.Get(url)
			if err != nil {
				panic(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
				panic(fmt.Sprint(resp.Status, err))
			}
			resp.Body.Close()
		}
		return
	}
	os.Exit(m.Run())
}

// BenchmarkServeBlob serves 10 MB over the loopback, beside http.FileServer as a peer.
func BenchmarkServeBlob(b *testing.B) {
	s := newServed(b, 10_000_000)
	for _, c := range []struct {
		name    string
		handler http.Handler
	}{{"muster", s.handler}, {"FileServer", http.FileServer(http.Dir(s.dir))}} {
		b.Run(c.name, func(b *testing.B) {
			_, address := start(b, c.handler, nil)
			client := exec.Command(os.Args[0])
			client.Env = append(os.Environ(), downloadURL+"=http://"+address+s.path(), fmt.Sprintf("%s_TIMES=%d", downloadURL, b.N))
			client.Stderr = os.Stderr
			b.SetBytes(int64(len(s.blob)))
			b.ResetTimer()
			if err := client.Run(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkHandleSmall is what the handler itself costs, with next to no bytes to send.
func BenchmarkHandleSmall(b *testing.B) {
	s := newServed(b, 10)
	for _, c := range []struct {
		name    string
		handler http.Handler
	}{{"muster", s.handler}, {"FileServer", http.FileServer(http.Dir(s.dir))}} {
		b.Run(c.name, func(b *testing.B) {
			r := httptest.NewRequest("GET", s.path(), nil)
			for b.Loop() {
				c.handler.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
