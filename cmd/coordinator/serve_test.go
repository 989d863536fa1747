package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// generated is the output of genconf for a small cluster.
func generated(t *testing.T) string {
	t.Helper()
	dir := genconfSite(t)
	if _, stderr, err := runGenconf(t, dir); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	return filepath.Join(dir, "genconf")
}

// serving runs coordinator serve on free ports until stop is called.
func serving(t *testing.T, genconf, state string) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, _, err := run(ctx, t, state, "", "serve", "--genconf", genconf, "--listen-http", "127.0.0.1:0", "--listen-grpc", "127.0.0.1:0")
		result <- err
	}()
	stopped := false
	stop = func() error { cancel(); stopped = true; return <-result }
	t.Cleanup(func() {
		if !stopped {
			_ = stop()
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, _, err := run(ctx, t, state, "", "status"); err == nil {
			return stop
		}
		select {
		case err := <-result:
			stopped = true
			t.Fatalf("serve ended: %v", err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("the coordinator does not answer")
		}
	}
}

// brokenStore cannot be pruned.
type brokenStore struct{ tries chan struct{} }

func (b brokenStore) Prune(context.Context) error {
	b.tries <- struct{}{}
	return errors.New("the disk is full")
}

func TestAStoreThatCannotBePrunedStopsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var log bytes.Buffer
	store, artifacts, ended := brokenStore{make(chan struct{})}, 0, make(chan error, 1)
	go func() {
		ended <- prune(ctx, slog.New(slog.NewTextHandler(&log, nil)), store, time.Millisecond, func() { artifacts++ })
	}()
	for range 3 {
		<-store.tries
	}
	cancel()
	for {
		select {
		case <-store.tries:
			continue
		case err := <-ended:
			if err != nil || artifacts < 3 || !strings.Contains(log.String(), "the disk is full") {
				t.Errorf("%v; the artifacts were pruned %d times; the log:\n%s", err, artifacts, log.String())
			}
			return
		}
	}
}

// shortDir is a directory in which a Unix socket may be made.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestServeTokenAndStatusOverTheSocket(t *testing.T) {
	genconf, state := generated(t), filepath.Join(shortDir(t), "state")
	stop := serving(t, genconf, state)
	token, said := mustRun(t, state, "token", "create", "--role", "worker", "--uses", "3")
	if !strings.HasPrefix(token, "mt1.") || strings.Count(token, "\n") != 1 || !strings.Contains(said, "3 of 3 uses left") {
		t.Errorf("got %q and %q", token, said)
	}
	secret := strings.TrimSpace(token[strings.LastIndexByte(token, '.')+1:])
	list, _ := mustRun(t, state, "token", "list", "-o", "json")
	if !strings.Contains(list, `"worker"`) || strings.Contains(list, secret) {
		t.Errorf("got %s", list)
	}
	if out, _ := mustRun(t, state, "status"); !strings.Contains(out, "no hosts yet") || !strings.Contains(out, "demo 1.2.3") {
		t.Errorf("got\n%s", out)
	}
	_, _, err := run(t.Context(), t, state, "", "token", "create", "--role", "nonsense")
	var words strings.Builder
	if code := exitCode(&words, err); code != exitFailed || !strings.Contains(words.String(), "nonsense") || !strings.Contains(words.String(), "remedy: ") {
		t.Errorf("exit code %d and\n%s", code, words.String())
	}
	for name, want := range map[string]os.FileMode{"": 0o700, socketName: 0o600} {
		if info, err := os.Stat(filepath.Join(state, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", filepath.Join(state, name), info.Mode(), err)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("stopping it is an error: %v", err)
	}
	// All of it is there again, also over the socket that the first one left.
	again := serving(t, genconf, state)
	if after, _ := mustRun(t, state, "token", "list", "-o", "json"); after != list {
		t.Errorf("the tokens were %s and are %s", list, after)
	}
	if err := again(); err != nil {
		t.Error(err)
	}
}

// wantEnd wants serve to end with these words and a remedy.
func wantEnd(t *testing.T, state string, words, remedy string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, _, err := run(ctx, t, state, "", append([]string{"serve"}, args...)...)
	var said strings.Builder
	if code := exitCode(&said, err); code == 0 || !strings.Contains(said.String(), words) || !strings.Contains(said.String(), remedy) {
		t.Errorf("exit code %d and\n%swant %q and %q", code, said.String(), words, remedy)
	}
}

func TestServeSaysWhyItCannot(t *testing.T) {
	genconf := generated(t)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	const free = "127.0.0.1:0"
	for name, test := range map[string]struct {
		state         string
		words, remedy string
		args          []string
	}{
		"the port for artifacts is taken": {"state", "cannot listen on " + busy.Addr().String(),
			"remedy: free the port, or choose another (coordinator.http_port in cluster.yaml, or --listen-http)", []string{"--listen-http", busy.Addr().String(), "--listen-grpc", free}},
		"the port for hosts is taken": {"state", "cannot listen on " + busy.Addr().String(),
			"remedy: free the port, or choose another (coordinator.grpc_port in cluster.yaml, or --listen-grpc)", []string{"--listen-http", free, "--listen-grpc", busy.Addr().String()}},
		"there is no output of genconf": {"state", "the generation in " + filepath.Join(genconf, "nowhere"),
			"remedy: run coordinator genconf first, or name its output with --genconf", []string{"--genconf", filepath.Join(genconf, "nowhere")}},
		"the socket's path is too long": {strings.Repeat("s", 110), "too long for a Unix socket",
			"choose a shorter --state", []string{"--listen-http", free, "--listen-grpc", free}},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"--genconf", genconf}, test.args...)
			wantEnd(t, filepath.Join(shortDir(t), test.state), test.words, test.remedy, args...)
		})
	}
	t.Run("another coordinator runs on the state", func(t *testing.T) {
		state := shortDir(t)
		serving(t, genconf, state)
		wantEnd(t, state, "a coordinator already runs on this state", "remedy: stop the other coordinator, or use another --state",
			"--genconf", genconf, "--listen-http", free, "--listen-grpc", free)
		mustRun(t, state, "status") // the first one is not disturbed
	})
	t.Run("the state is another cluster's", func(t *testing.T) {
		state := shortDir(t)
		if err := serving(t, genconf, state)(); err != nil {
			t.Fatal(err)
		}
		dir := genconfSite(t)
		path := filepath.Join(dir, "demo/cluster.yaml")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), "cluster: test", "cluster: other", 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, stderr, err := runGenconf(t, dir); err != nil {
			t.Fatalf("%v\n%s", err, stderr)
		}
		wantEnd(t, state, "is of cluster", "remedy: give each cluster a state directory of its own", "--genconf", filepath.Join(dir, "genconf"), "--listen-http", free, "--listen-grpc", free)
	})
}
