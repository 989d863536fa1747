package push

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"muster/internal/manifest"
)

// agentSource is a source that has the agent, and counts who fetched it.
func agentSource(t *testing.T, agent Binary) (url string, fetched *atomic.Int32) {
	t.Helper()
	fetched = new(atomic.Int32)
	return source(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/"+manifest.BlobPath(agent.Digest) {
			http.NotFound(w, r)
			return
		}
		fetched.Add(1)
		_, _ = io.Copy(w, io.NewSectionReader(agent.Content, 0, agent.Size))
	}), fetched
}

func source(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.URL
}

// hiding is a setup in which the host has of the fetchers only the one.
func hiding(all ...string) string {
	var others []string
	for _, f := range append(slices.Clone(fetchers), "python3.11") {
		if !slices.ContainsFunc(all, func(one string) bool { return strings.HasPrefix(f, one) }) {
			others = append(others, f)
		}
	}
	return hide(others...)
}

func TestANearHostFetchesTheAgent(t *testing.T) {
	proxies := []string{`ForceCommand export http_proxy=http://127.0.0.1:1 all_proxy=http://127.0.0.1:1; eval "$SSH_ORIGINAL_COMMAND"`}
	for name, c := range map[string]struct {
		tool, program string
		lines         []string
	}{
		"with curl":                                 {tool: "curl"},
		"with wget":                                 {tool: "wget"},
		"with busybox's wget":                       {tool: "wget", program: `exec busybox wget "$@"` + "\n"},
		"with python3":                              {tool: "python3"},
		"with curl, whatever is said of proxies":    {tool: "curl", lines: proxies},
		"with wget, whatever is said of proxies":    {tool: "wget", lines: proxies},
		"with python3, whatever is said of proxies": {tool: "python3", lines: proxies},
	} {
		t.Run(name, func(t *testing.T) {
			needs := c.tool
			if c.program != "" {
				needs = "busybox"
			}
			if _, err := exec.LookPath(needs); err != nil {
				t.Skip("SKIPPED: FETCHING " + name + " IS NOT TESTED: install " + needs)
			}
			before := leftovers(t)
			s := startSSHDWith(t, hiding(c.tool), c.lines...)
			if c.program != "" {
				s.program(c.tool, c.program)
			}
			write(t, filepath.Join(s.dir, ".curlrc"), "proxy = http://127.0.0.1:1\n", 0o600)
			record := t.TempDir()
			agent := shellAgent(`cp "$2" `+record+`/seed; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ >`+record+`/processes 2>/dev/null`, 3_000_001)
			url, fetched := agentSource(t, agent)
			opts := s.options(agent)
			opts.Sources = []string{url}
			var total int64
			results, err := Push(context.Background(), opts, []Target{s.target()}, func(e Event) { total = max(total, e.Total) })
			if err != nil {
				t.Fatal(err)
			}
			r := results[0]
			if r.Err != nil || r.Note != "" {
				t.Fatal(r.Err, r.Note)
			}
			nothingLeft(t, before)
			if fetched.Load() != 1 || total > 100_000 {
				t.Errorf("fetched %d times, and %d bytes were sent", fetched.Load(), total)
			}
			if got := read(t, filepath.Join(record, "seed")); got != testSeed {
				t.Errorf("the agent got the seed %q", got)
			}
			if strings.Contains(read(t, filepath.Join(record, "processes")), "s3cr3t") {
				t.Error("the token shows in the arguments or environment of a process")
			}
			if len(r.Steps) != 5 || r.Steps[3].Step != Fetching || r.Steps[4].Step != Starting {
				t.Errorf("steps are %v", r.Steps)
			}
		})
	}
}

// Whatever is wrong with the sources or the tool, the host gets the agent, and the operator learns what is wrong.
func TestAHostThatCannotFetchIsSentTheAgent(t *testing.T) {
	agent := shellAgent("true", 3_000_000)
	good, _ := agentSource(t, agent)
	dead := fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	for name, c := range map[string]struct {
		source   http.HandlerFunc
		sources  []string
		setup    string
		programs map[string]string
		note     string
		fetched  bool
	}{
		"a source that is away":               {sources: []string{dead}, note: "curl ended with 7"},
		"a second source that is there":       {sources: []string{dead, good}, fetched: true},
		"a source that doesn't have it":       {source: http.NotFound, note: "404"},
		"a source that sends elsewhere":       {source: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, good+r.URL.Path, http.StatusFound) }, note: "another SHA-256"},
		"a source that has another":           {source: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("#!/bin/sh\necho bad\n")) }, note: "another SHA-256"},
		"a source that sends without end":     {source: func(w http.ResponseWriter, _ *http.Request) { endless(w, "noise") }, note: "curl ended with"},
		"a source that sends nothing":         {source: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, note: "curl ended with 28"},
		"a tool that is broken":               {sources: []string{good}, programs: map[string]string{"curl": "exit 2\n"}, note: "curl ended with 2"},
		"no tool":                             {sources: []string{good}, setup: hiding(), note: "neither curl nor wget nor python3"},
		"no source":                           {},
		"a source that is away, and no gzip":  {sources: []string{dead}, setup: hide("gzip", "zstd"), note: "curl ended with 7"},
		"a tool that sends terminal commands": {sources: []string{good}, programs: map[string]string{"curl": `printf "\033[2J" >&2; exit 2` + "\n"}, note: `\x1b[2J`},
	} {
		t.Run(name, func(t *testing.T) {
			before := leftovers(t)
			s := startSSHDWith(t, c.setup)
			for name, script := range c.programs {
				s.program(name, script)
			}
			opts := s.options(agent)
			if opts.Sources = c.sources; c.source != nil {
				opts.Sources = []string{source(t, c.source)}
			}
			var said []string
			var sent int64
			results, err := Push(context.Background(), opts, []Target{s.target()}, func(e Event) {
				if e.Note != "" {
					said = append(said, e.Note)
				}
				sent = max(sent, e.Bytes)
			})
			if err != nil {
				t.Fatal(err)
			}
			nothingLeft(t, before)
			r := results[0]
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			if (c.note == "") != (r.Note == "") || !strings.Contains(r.Note, c.note) || len(said) > 1 || len(said) == 1 && said[0] != r.Note {
				t.Errorf("noted %q, told %q, want %q", r.Note, said, c.note)
			}
			if (sent < 100_000) != c.fetched {
				t.Errorf("%d bytes were sent", sent)
			}
		})
	}
}

func TestAFetchThatBreaksOffLeavesNothingOnTheHost(t *testing.T) {
	for _, tool := range fetchers {
		for name, class := range map[string]Class{"an interruption": Interrupted, "the end of the host's time": Timeout} {
			t.Run(tool+", "+name, func(t *testing.T) {
				if _, err := exec.LookPath(tool); err != nil {
					t.Skip("SKIPPED: FETCHING with " + tool + " IS NOT TESTED: install " + tool)
				}
				before := leftovers(t)
				agent := shellAgent("true", 3_000_000)
				s := startSSHDWith(t, hiding(tool))
				s.unprivileged(sudoWorks)
				begun, gone := make(chan struct{}), make(chan struct{})
				opts := s.options(agent)
				opts.Sources = []string{source(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.CopyN(w, io.NewSectionReader(agent.Content, 0, agent.Size), agent.Size/2)
					_ = http.NewResponseController(w).Flush()
					close(begun)
					<-r.Context().Done()
					close(gone)
				})}
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				if class == Timeout {
					opts.HostTimeout = 2 * time.Second
				} else {
					go func() { <-begun; cancel() }()
				}
				results, err := Push(ctx, opts, []Target{s.target()}, nil)
				if err != nil {
					t.Fatal(err)
				}
				wantFailure(t, results[0].Err, class, "", "fetching")
				nothingLeft(t, before)
				select {
				case <-gone:
				case <-time.After(5 * time.Second):
					t.Error("the host goes on fetching")
				}
			})
		}
	}
}

func TestADiskThatFillsDuringTheFetchIsReported(t *testing.T) {
	agent := shellAgent("true", 9<<20)
	s := startSSHDWith(t, "mount -t tmpfs -o size=6m,mode=1777 tmpfs /var/tmp\n")
	s.program("df", "echo Filesystem; echo /dev/x 100 0 99999999 1% /\n")
	opts := s.options(agent)
	url, _ := agentSource(t, agent)
	opts.Sources = []string{url}
	wantFailure(t, s.push(opts).Err, NoSpace, "Free some space", "became full")
	eventually(t, "the host's directory is removed", func() bool {
		found, _ := filepath.Glob(fmt.Sprintf("/proc/%d/root/var/tmp/muster-push-*", s.process.Pid))
		return len(found) == 0
	})
}

// slowConn makes a near host a far one.
type slowConn struct{ net.Conn }

func (c slowConn) Write(p []byte) (int, error) {
	time.Sleep(far + 10*time.Millisecond)
	return c.Conn.Write(p)
}

func TestWhoIsNotToFetchIsSentTheAgent(t *testing.T) {
	const size = 1000
	able := func(c ssh.Channel, with string) {
		say(c, "host Linux x86_64 has= unpacks= fetches="+with)
		if _, err := io.CopyN(io.Discard, c, int64(scriptSize(Seed(testSeed), []string{"http://127.0.0.1:9"})+size)); err != nil {
			return
		}
		say(c, "starting")
		say(c, "done")
	}
	for name, c := range map[string]struct {
		change func(*Options)
		far    bool
		with   string
		asked  bool
	}{
		"a near host is asked to fetch":                        {with: ",wget", asked: true},
		"a far host that can unpack what it fetches is, too":   {with: ",curl,wget", far: true, asked: true},
		"a far host that can't is sent the agent":              {with: ",wget,python3", far: true},
		"under a limit all hosts are sent it":                  {with: ",curl", change: func(o *Options) { o.UploadLimit = 1e9 }},
		"under a limit hosts that are far are sent it as well": {with: ",curl", far: true, change: func(o *Options) { o.UploadLimit = 1e9 }},
	} {
		t.Run(name, func(t *testing.T) {
			h := startFakeHost(t, func(h *fakeHost) {
				h.session = func(channel ssh.Channel) { able(channel, c.with) }
				if c.far {
					h.wrap = func(c net.Conn) net.Conn { return slowConn{c} }
				}
			})
			opts := h.options(binaryOf(make([]byte, size)))
			opts.Sources, opts.ConnectTimeout, opts.HostTimeout = []string{"http://127.0.0.1:9"}, 5*time.Second, 5*time.Second
			if c.asked {
				opts.HostTimeout = 2 * time.Second // it waits for bytes that don't come
			}
			if c.change != nil {
				c.change(&opts)
			}
			results, err := Push(context.Background(), opts, []Target{h.target()}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.asked {
				wantFailure(t, results[0].Err, Timeout, "", "fetching")
			} else if results[0].Err != nil {
				t.Fatal(results[0].Err)
			}
		})
	}
}

// A far host fetches a packed agent, and what arrives is the agent.
func TestAFarHostFetchesTheAgentPacked(t *testing.T) {
	agent := shellAgent("true", 3_000_001)
	var packed atomic.Int32
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/packed/"+string(agent.Digest[:2])+"/"+string(agent.Digest) || r.Header.Get("Accept-Encoding") == "" {
			http.NotFound(w, r)
			return
		}
		packed.Add(1)
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.Copy(z, io.NewSectionReader(agent.Content, 0, agent.Size))
		_ = z.Close()
	}))
	defer source.Close()
	before := leftovers(t)
	s := startSSHD(t)
	s.unprivileged(sudoWorks)
	opts := s.options(agent)
	opts.Sources = []string{source.URL}
	target := s.target()
	behind := farAway(t, target.Port)
	known := read(t, opts.KnownHosts[0])
	write(t, opts.KnownHosts[0], strings.ReplaceAll(known, fmt.Sprintf(":%d ", target.Port), fmt.Sprintf(":%d ", behind)), 0o600)
	target.Port = behind
	results, err := Push(context.Background(), opts, []Target{target}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := results[0]; r.Err != nil || r.Note != "" || packed.Load() != 1 {
		t.Errorf("%v, note %q, fetched %d times", r.Err, r.Note, packed.Load())
	}
	nothingLeft(t, before)
}

// farAway is a port that leads to another one, slowly.
func farAway(t *testing.T, to int) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			distant, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", to))
			if err != nil {
				_ = near.Close()
				return
			}
			go func() { _, _ = io.Copy(slowConn{near}, distant); _ = near.Close() }()
			go func() { _, _ = io.Copy(distant, near); _ = distant.Close() }()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func TestASourceMustBeAURL(t *testing.T) {
	opts := Options{Agents: map[manifest.Arch]Binary{"amd64": shellAgent("true", 0)}, Sources: []string{"http://10.0.0.1:8080/'; reboot"}}
	if _, err := Push(context.Background(), opts, nil, nil); err == nil || !strings.Contains(err.Error(), "no source") {
		t.Errorf("got %v", err)
	}
}

// The script knows no shell but /bin/sh, and that is dash, bash or busybox.
func TestEveryShellServesBothWays(t *testing.T) {
	agent := shellAgent("true", 3_000_001)
	for _, shell := range []string{"bash", "dash", "busybox"} {
		program, err := exec.LookPath(shell)
		if err != nil {
			t.Log("SKIPPED: A HOST WITH " + shell + " AS /bin/sh IS NOT TESTED: install it")
			continue
		}
		for _, there := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, the source is there: %t", shell, there), func(t *testing.T) {
				before := leftovers(t)
				s := startSSHDWith(t, "mount --bind "+program+" $(readlink -f /bin/sh)\n")
				s.unprivileged(sudoWorks)
				opts := s.options(agent)
				opts.Sources = []string{fmt.Sprintf("http://127.0.0.1:%d", freePort(t))}
				url, fetched := agentSource(t, agent)
				if there {
					opts.Sources = append(opts.Sources, url)
				}
				r := s.push(opts)
				if r.Err != nil || (r.Note == "") != there || (fetched.Load() == 1) != there {
					t.Errorf("%v, note %q, fetched %d times", r.Err, r.Note, fetched.Load())
				}
				nothingLeft(t, before)
			})
		}
	}
}
