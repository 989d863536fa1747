package artifacts

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"muster/internal/fault"
)

func TestADirectoryThatCannotBeWrittenHasARemedy(t *testing.T) {
	for err, want := range map[error]string{
		unix.ENOSPC: "make room in /srv,", unix.EDQUOT: "make room in /srv,",
		unix.EACCES: "may write to /srv", unix.EPERM: "may write to /srv", unix.EROFS: "may write to /srv",
		unix.EIO: "", errors.New("other"): "",
	} {
		got := unwritable("/srv/genconf", fmt.Errorf("role x: %w", &fs.PathError{Op: "write", Path: "/srv/.genconf-1/f", Err: err}))
		if remedy := fault.Remedy(got); !strings.Contains(remedy, want) || want == "" && remedy != "" {
			t.Errorf("%v: the remedy is %q, want %q", err, remedy, want)
		}
		if !errors.Is(got, err) {
			t.Errorf("%v: the cause is lost in %v", err, got)
		}
	}
}
