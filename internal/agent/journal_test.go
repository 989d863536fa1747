package agent

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/hosts"
	syncv1 "muster/proto/muster/sync/v1"
)

func removeAll(path string) error { return os.RemoveAll(path) }

func mustMkdir(t testing.TB, path string) {
	t.Helper()
	must(t, os.MkdirAll(path, 0o700))
}

func TestAJournalComesBackAsItWas(t *testing.T) {
	l := newRoot(t)
	mustMkdir(t, l.State())
	j := newJournal("h-1")
	j.Phase, j.Attempt, j.Sequence, j.Reports = hosts.Starting, 3, 9, [][]byte{{1, 2}, {3}}
	j.Plan = &Plan{ID: "p", Role: "master", Late: map[string]string{"Host.Name": "a"}, Sources: []string{"http://a"}}
	must(t, j.save(l))
	back, err := loadJournal(l, "h-1", new(notes).logger())
	if err != nil || back.Phase != j.Phase || back.Attempt != 3 || back.Sequence != 9 || len(back.Reports) != 2 || back.Plan.Late["Host.Name"] != "a" {
		t.Errorf("got %+v, %v", back, err)
	}
	if info, err := os.Stat(l.journal()); err != nil || info.Mode() != 0o600 {
		t.Errorf("the journal holds late values; its mode is %v (%v)", info.Mode(), err)
	}
}

func TestAJournalThatCannotBeReadIsBegunAnewAndSaysSo(t *testing.T) {
	for name, text := range map[string]string{
		"empty":             "",
		"zeros":             strings.Repeat("\x00", 512),
		"cut off":           `{"host_id":"h-1","phase":"starting","attempt":2,"seq`,
		"not an object":     `[1]`,
		"another program's": `{"host_id":17}`,
		"another host's":    `{"host_id":"h-2","phase":"done","attempt":4,"sequence":50,"reports":["AAAA"],"leaving":true,"plan":{"id":"x"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			l, log := newRoot(t), new(notes)
			write(t, l.journal(), text)
			j, err := loadJournal(l, "h-1", log.logger())
			if err != nil || j.HostID != "h-1" || j.Phase != hosts.Enrolled || j.Attempt != 1 || j.Plan != nil || j.Leaving || j.Sequence != 0 || len(j.Reports) != 0 {
				t.Errorf("got %+v, %v", j, err)
			}
			if !strings.Contains(log.String(), "begun anew") || !strings.Contains(log.String(), l.journal()) {
				t.Errorf("the log says %q", log)
			}
		})
	}
}

func TestAJournalThatMayNotBeReadIsAnError(t *testing.T) {
	l := newRoot(t)
	mustMkdir(t, l.journal())
	if _, err := loadJournal(l, "h-1", new(notes).logger()); err == nil {
		t.Error("a directory is read as a journal")
	}
}

func TestAHostWhoseJournalIsLostInTheMiddleGoesOnToTheEnd(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"empty": func(path string) error { return os.Truncate(path, 0) },
		"gone":  os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newSite(t).host("loner")
			start := tell(t, h.layout, "slow", "demo-app.service")
			stop, _ := h.begin()
			h.awaitPhase(syncv1.Phase_PHASE_STARTING)
			await(t, "all is said", func() bool { return len(undelivered(t, h.layout)) == 0 })
			stop()
			before := len(h.reports())
			must(t, spoil(h.layout.journal()))
			start()
			h.finish()
			h.installed("etc/app.conf")
			if after := h.steps(); len(h.reports()) <= before || after[len(after)-1] != "1 postflight" {
				t.Errorf("after %d reports came %d; the steps were %q", before, len(h.reports()), after)
			}
		})
	}
}

func TestAFullDiskHoldsAHostUpUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.host("worker")
	state := h.layout.State()
	seed := read(t, h.layout.seed())
	must(t, os.Remove(h.layout.seed())) // below the mount
	if err := exec.Command("mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "muster-test", state).Run(); err != nil {
		t.Skip("a small file system cannot be mounted here")
	}
	mounted := true
	unmount := func() {
		if mounted {
			must(t, exec.Command("umount", state).Run())
			mounted = false
		}
	}
	write(t, h.layout.seed(), seed)
	stop, ended := h.begin()
	t.Cleanup(func() { stop(); unmount() })
	h.awaitPhase(syncv1.Phase_PHASE_READY)

	filler := filepath.Join(state, "filler")
	f, err := os.Create(filler)
	must(t, err)
	for size := 1 << 16; size > 0; size /= 2 {
		for piece := make([]byte, size); err == nil; {
			_, err = f.Write(piece)
		}
		err = nil
	}
	must(t, f.Close())
	s.master()
	await(t, "the coordinator hears of the full disk", func() bool { return strings.Contains(h.described().Waiting, "no space left") })
	if d := h.described(); d.Phase != syncv1.Phase_PHASE_READY {
		t.Errorf("the coordinator says %v", d.Phase)
	}
	must(t, os.Remove(filler))
	// It cannot remove a directory that a file system is mounted on, but all that is in it.
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), state) {
			t.Errorf("got %v", err)
		}
	case <-t.Context().Done():
		t.Fatal(h.log)
	}
	unmount()
	h.finish()
	h.installed("etc/worker.conf")
	h.reports()
}
