package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"muster/internal/hosts"
)

// cramped is a teller on a disk that the blobs have filled.
type cramped struct {
	Teller
	blobs string
	told  []string
}

func (c *cramped) take(what string) error {
	if exists(c.blobs) {
		return fmt.Errorf("writing the journal: %w", syscall.ENOSPC)
	}
	c.told = append(c.told, what)
	return nil
}

func (c *cramped) Phase(p hosts.Phase) error { return c.take(string(p)) }

func (c *cramped) Step(_ hosts.Phase, name, _ string, _ time.Duration, err error) error {
	return c.take(fmt.Sprint(name, " ", err))
}

func (c *cramped) Progress(string, int64, int64, string) {}

func TestBlobsMakeRoomForWhatIsToBeTold(t *testing.T) {
	fill := func(i *installation, _ context.Context) (string, error) {
		write(t, filepath.Join(i.layout.blobs(), "blob"), "x")
		return "", nil
	}
	failed := errors.New("it failed")
	l := newRoot(t)
	teller := &cramped{blobs: l.blobs()}
	i := &installation{layout: l, tell: teller}
	_, _ = fill(i, t.Context())
	must(t, i.run(t.Context(), []step{
		{hosts.Fetching, "fetch", fill},
		{hosts.Installing, "unpack", func(i *installation, ctx context.Context) (string, error) {
			_, _ = fill(i, ctx)
			return "", failed
		}},
	}, hosts.Done))
	want := []string{"fetching", "fetch <nil>", "installing", "unpack it failed", "failed"}
	if !slices.Equal(teller.told, want) {
		t.Errorf("told %q, want %q", teller.told, want)
	}
}

func TestAReportThatCouldNotBeWrittenIsMadeOnce(t *testing.T) {
	e := offline(t)
	must(t, os.Rename(e.layout.State(), e.layout.State()+".away"))
	if err := e.Step(hosts.Fetching, "fetch", "", 0, nil); err == nil {
		t.Fatal("a report that is not on disk counts as told")
	}
	must(t, os.Rename(e.layout.State()+".away", e.layout.State()))
	must(t, e.Step(hosts.Fetching, "fetch", "", 0, nil))
	if kept := undelivered(t, e.layout); len(kept) != 1 || kept[0].Sequence != 1 {
		t.Errorf("got %v", kept)
	}
}
