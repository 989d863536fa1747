package artifacts_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

func TestSameInputSameBytes(t *testing.T) {
	first := newSite(t)
	first.generate()
	want := list(t, first.out())

	changes := map[string]func(t *testing.T, s site){
		"in another directory":                func(*testing.T, site) {},
		"again over the previous generation":  func(_ *testing.T, s site) { s.generate() },
		"with another previous generation":    func(_ *testing.T, s site) { other(s) },
		"with a strict umask":                 func(t *testing.T, s site) { umask(t, 0o077) },
		"with no umask":                       func(t *testing.T, s site) { umask(t, 0) },
		"with other modification times":       func(_ *testing.T, s site) { age(s) },
		"with other permissions of the files": func(_ *testing.T, s site) { loosen(s) },
		"on one core":                         func(t *testing.T, s site) { cores(t, 1) },
		"on many cores":                       func(t *testing.T, s site) { cores(t, 16) },
		"with the keys of cluster.yaml in another order": func(_ *testing.T, s site) {
			s.edit("demo/cluster.yaml", "cluster: test\nbundle: .\n", "# a comment\nbundle: ./\ncluster: test\n")
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			change(t, s)
			s.generate()
			if got := list(t, s.out()); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

func TestOtherInputOtherConfigID(t *testing.T) {
	want := newSite(t).generate().ConfigID
	changes := map[string]func(s site){
		"a parameter": func(s site) { s.edit("demo/cluster.yaml", "roles:", "parameters: {port: 4001}\nroles:") },
		"a template":  func(s site) { s.edit("demo/templates/app.conf.tmpl", "name=", "# x\nname=") },
		"a script":    func(s site) { s.edit("demo/checks/answers.sh", "answers on", "answers at") },
		"a package":   func(s site) { s.write("demo/packages/app/arm64/share/words", "other") },
		"the x bit of a package's file": func(s site) {
			s.must(os.Chmod(s.path("demo/packages/app/arm64/share/words"), 0o755))
		},
		"an agent":   func(s site) { s.write("agents/arm64", "other") },
		"the bundle": func(s site) { s.edit("demo/bundle.yaml", "timeout: 10s", "timeout: 11s") },
		"a host":     func(s site) { s.edit("demo/cluster.yaml", "10.77.0.11", "10.77.0.12") },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			change(s)
			if s.generate().ConfigID == want {
				t.Error("the config id is the same")
			}
		})
	}
}

func other(s site) {
	s.edit("demo/cluster.yaml", "10.77.0.1]", "10.77.0.2]")
	s.generate()
	s.edit("demo/cluster.yaml", "10.77.0.2]", "10.77.0.1]")
}

func umask(t *testing.T, mask int) {
	old := syscall.Umask(mask)
	t.Cleanup(func() { syscall.Umask(old) })
}

func cores(t *testing.T, n int) {
	old := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(old) })
}

func age(s site) {
	s.must(filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0))
	}))
}

func loosen(s site) {
	s.must(filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type() == fs.ModeSymlink {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		// The owner's bits stay, everybody else's are gone.
		return os.Chmod(path, info.Mode()&0o700)
	}))
}
