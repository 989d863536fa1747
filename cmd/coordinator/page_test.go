package main

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// servingWith runs coordinator serve with more flags, and answers with the result when it ends.
func servingWith(t *testing.T, state string, flags ...string) <-chan error {
	t.Helper()
	genconf := generated(t)
	ctx, cancel := context.WithCancel(t.Context())
	result, ended := make(chan error, 1), make(chan struct{})
	go func() {
		_, _, err := run(ctx, t, state, "", append([]string{"serve", "--genconf", genconf, "--listen-http", "127.0.0.1:0", "--listen-grpc", "127.0.0.1:0"}, flags...)...)
		result <- err
		close(ended)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline) && len(result) == 0; time.Sleep(10 * time.Millisecond) {
		if _, _, err := run(ctx, t, state, "", "status"); err == nil {
			break
		}
	}
	return result
}

func TestThePagesLinkLogsIn(t *testing.T) {
	state := filepath.Join(shortDir(t), "state")
	servingWith(t, state, "--listen-page", "127.0.0.1:0")
	link, said := mustRun(t, state, "page")
	m := regexp.MustCompile(`^(http://127\.0\.0\.1:[0-9]+)/login#([-_A-Za-z0-9]{43})\n$`).FindStringSubmatch(link)
	if m == nil || !strings.Contains(said, "good once") || strings.Contains(said, m[2]) {
		t.Fatalf("got %q and %q", link, said)
	}
	client := &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.PostForm(m[1]+"/login", url.Values{"code": {m[2]}})
	if err != nil || resp.StatusCode != http.StatusSeeOther || len(resp.Cookies()) != 1 {
		t.Fatalf("%v, %v", resp, err)
	}
	_ = resp.Body.Close()
	if out, _ := mustRun(t, state, "events", "--kind", "page-login"); !strings.Contains(out, "from 127.0.0.1") || !strings.Contains(out, "uid ") {
		t.Errorf("got %q", out)
	}
}

// Two coordinators on one machine both serve; only who asked for a port is told that it is taken.
func TestAPortThatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", defaultPage)
	if err == nil { // else somebody else has it, which is as good
		defer taken.Close()
	}
	state := filepath.Join(shortDir(t), "state")
	servingWith(t, state)
	_, _, err = run(t.Context(), t, state, "", "page")
	var words strings.Builder
	if code := exitCode(&words, err); code != exitFailed || !strings.Contains(words.String(), "does not serve the operator's page") || !strings.Contains(words.String(), "--listen-page") {
		t.Errorf("exit code %d and\n%s", code, words.String())
	}
	mine, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	for address, want := range map[string]struct {
		code int
		says string
	}{
		mine.Addr().String(): {exitFailed, "cannot listen on " + mine.Addr().String() + " for the operator's page"},
		":8081":              {exitInvalid, "is not one address and port"}, "0.0.0.0:8081": {exitInvalid, "is not one address and port"},
		"[::]:8081": {exitInvalid, "is not one address and port"}, "on": {exitInvalid, "is not one address and port"},
	} {
		select {
		case err := <-servingWith(t, filepath.Join(shortDir(t), "state"), "--listen-page", address):
			words.Reset()
			if code := exitCode(&words, err); code != want.code || !strings.Contains(words.String(), want.says) {
				t.Errorf("%s: exit code %d and\n%s", address, code, words.String())
			}
		default:
			t.Errorf("%s: it serves", address)
		}
	}
}

func TestThePageCanBeOff(t *testing.T) {
	state := filepath.Join(shortDir(t), "state")
	servingWith(t, state, "--listen-page", "off")
	if _, _, err := run(t.Context(), t, state, "", "page"); err == nil {
		t.Error("there is a link to a page that is off")
	}
}
