//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"muster/internal/manifest"
)

// One deployment in which much is wrong: every fault is told with a remedy, and the other hosts do not suffer.
func TestHostsWithFaultsFailWithARemedyAndTheOthersAreDone(t *testing.T) {
	l, c := newSite(t, exampleCluster(t, 3))
	l.up(7, "--no-systemd", "6", "--disk", "4=64M")
	l.mustSh(5, "systemd-run --quiet --unit=squatter python3 -m http.server 2379")
	eventually(t, time.Minute, "the port on host5 is busy", func() error {
		_, err := l.sh(5, "ss -ltn | grep -q :2379")
		return err
	})

	c.want(3, c.ssh("deploy", "--timeout", "3m", "master="+strings.Join(addresses(1, 2, 3), ","), "agent="+strings.Join(addresses(4, 5, 6, 7), ","))...)
	for _, number := range []int{1, 2, 3, 7} {
		if h, _ := c.status().at(number); h.Phase != "done" {
			t.Errorf("host%d should have been done: %v", number, h)
		}
	}
	wantEtcd(t, l, 1, 2, 3)
	wantFailure(t, c, 4, "preflight", "program-space", "200 MiB are needed")
	wantFailure(t, c, 5, "preflight", "client-port-free", "2379", "python3")
	wantFailure(t, c, 6, "preflight", "host.systemd")
	if _, err := os.Stat(filepath.Join(l.root(5), "opt/demo")); err == nil {
		t.Error("something is installed on host5, whose preflight failed")
	}

	// What is mended is tried again, on the operator's word only.
	l.mustSh(5, "systemctl stop squatter")
	c.must("hosts", "retry", address(5))
	if h := c.until(5, 2*time.Minute, "is done or has failed", ended); h.Phase != "done" || h.Attempt != 2 || h.Failure != "" {
		t.Errorf("after the port was free and the host was retried: %v, attempt %d", h, h.Attempt)
	}
	l.mustSh(5, "/opt/demo/current/bin/etcdctl put mended yes")
	l.wantNoAgent(5)

	// A retry without a change fails in the same way, in an attempt of its own.
	c.must("hosts", "retry", address(6))
	c.until(6, time.Minute, "has failed again", func(h host) bool { return h.Attempt == 2 && ended(h) })
	wantFailure(t, c, 6, "preflight", "host.systemd")
}

// A corrupt, a truncated and a deleted blob on the coordinator's disk, and a disk that fills up while blobs arrive: all
// after preflight.
func TestAFetchThatCannotSucceedFailsWithARemedyAndIsRetried(t *testing.T) {
	l, c := newSite(t, exampleCluster(t, 1))
	l.up(3, "--disk", "3=400M")
	c.push("master", 1)
	c.wait(1)

	blob := c.packageBlob()
	good := readFile(t, blob)
	spoilt := []byte(good)
	spoilt[len(spoilt)/2] ^= 1
	if err := os.WriteFile(blob, spoilt, 0o644); err != nil {
		t.Fatal(err)
	}
	c.want(3, c.ssh("deploy", "--timeout", "2m", "agent="+address(2))...)
	wantFailure(t, c, 2, "fetch", filepath.Base(blob), "SHA-256")
	for i, spoil := range []struct {
		how  func() error
		word string
	}{
		{func() error { return os.Truncate(blob, int64(len(good)/2)) }, "truncated"},
		{func() error { return os.Remove(blob) }, "missing"},
	} {
		if err := spoil.how(); err != nil {
			t.Fatal(err)
		}
		c.must("hosts", "retry", "host2")
		// A blob that is missing may yet come, so that this is found out only after a while.
		c.until(2, 3*time.Minute, "has failed again", func(h host) bool { return h.Attempt == i+2 && ended(h) })
		wantFailure(t, c, 2, "fetch", filepath.Base(blob), spoil.word)
	}
	writeFile(t, blob, good)
	c.must("hosts", "retry", "--failed")
	if h := c.until(2, 2*time.Minute, "is done or has failed", ended); h.Phase != "done" {
		t.Fatalf("the blob was restored and the host retried: %v", h)
	}

	l.throttle(3, "40mbit")
	c.push("agent", 3)
	c.until(3, time.Minute, "fetches", func(h host) bool { return h.Phase == "fetching" && h.DoneBytes > 0 })
	l.mustSh(3, "cat /dev/zero 2>&1 >/opt/filled | grep -q 'No space left'")
	c.until(3, 2*time.Minute, "is done or has failed", ended)
	wantFailure(t, c, 3, "", "no space")
	l.mustSh(3, "rm /opt/filled")
	l.unthrottle(3)
	c.must("hosts", "retry", "host3")
	if h := c.until(3, 2*time.Minute, "is done or has failed", ended); h.Phase != "done" {
		t.Fatalf("there is room again and the host was retried: %v", h)
	}
	l.wantNoAgent(3)
}

func ended(h host) bool { return h.Phase == "done" || h.Phase == "failed" }

// wantFailure wants the step, every word of what happened, and a remedy, in the table and as JSON.
func wantFailure(t *testing.T, c *coordinator, number int, step string, words ...string) {
	t.Helper()
	h, _ := c.status().at(number)
	if h.Phase != "failed" || h.Remedy == "" || step != "" && h.FailedStep != step {
		t.Errorf("host%d should have failed at %s with a remedy: %+v", number, step, h)
		return
	}
	text := c.must("status")
	page := c.must("status", address(number))
	for _, word := range words {
		if !strings.Contains(h.Failure, word) {
			t.Errorf("the failure of host%d does not speak of %q: %s", number, word, h.Failure)
		}
		if !strings.Contains(text, word) || !strings.Contains(page, word) {
			t.Errorf("status does not speak of %q:\n%s\n%s", word, text, page)
		}
	}
	for _, shown := range []string{text, page} {
		if !strings.Contains(oneLine(shown), oneLine(h.Remedy)) {
			t.Errorf("the remedy of host%d, %q, is not in\n%s", number, h.Remedy, shown)
		}
	}
}

// oneLine puts single blanks between words, so that it does not matter where lines are broken.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// packageBlob is the package for this machine, as the coordinator serves it.
func (c *coordinator) packageBlob() string {
	c.t.Helper()
	page := decode[struct{ Roles []manifest.RoleEntry }](c.t, readFile(c.t, filepath.Join(c.dir, "genconf/generation.json")))
	m, err := manifest.DecodeManifest([]byte(readFile(c.t, c.blob(string(page.Roles[0].Manifest.Digest)))))
	if err != nil {
		c.t.Fatal(err)
	}
	if len(m.Packages) != 1 {
		c.t.Fatalf("the example has %d packages, one was expected", len(m.Packages))
	}
	return c.blob(string(m.Packages[0].Blobs[manifest.Arch(runtime.GOARCH)].Digest))
}
