package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/internal/fault"
	"muster/internal/store"
)

const canary = "canary-value"

type fixture struct {
	testing.TB
	dir   string
	store store.Store
	vault *Vault
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{TB: t, dir: t.TempDir()}
	var err error
	if f.store, err = store.OpenBolt(filepath.Join(f.dir, "store.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.store.Close() })
	f.open()
	return f
}

func (f *fixture) key() string { return filepath.Join(f.dir, "secrets.key") }

func (f *fixture) open() {
	f.Helper()
	var err error
	if f.vault, err = Open(context.Background(), f.key(), f.store); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) put(name, value string) {
	f.Helper()
	if err := f.store.Update(context.Background(), func(w store.Writer) error {
		return f.vault.Put(w, Record{Name: name, Origin: Set, Created: time.Unix(0, 0)}, []byte(value))
	}); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) get(name string) (value string, err error) {
	err = f.store.View(context.Background(), func(r store.Reader) error {
		_, v, err := f.vault.Get(r, name)
		value = string(v)
		return err
	})
	return value, err
}

func (f *fixture) want(name, want string) {
	f.Helper()
	if got, err := f.get(name); err != nil || got != want {
		f.Fatalf("secret %s is %q, %v, want %q", name, got, err, want)
	}
}

func wantFault(t testing.TB, err error, class fault.Class, want string) {
	t.Helper()
	if !errors.Is(err, class) || !strings.Contains(err.Error(), want) || fault.Remedy(err) == "" || strings.Contains(err.Error(), canary) {
		t.Fatalf("error %v (remedy %q), want one of class %s with %q", err, fault.Remedy(err), class, want)
	}
}

func TestAValueOutlivesARestart(t *testing.T) {
	f := newFixture(t)
	f.put("a", canary)
	f.want("a", canary)
	naming := f.vault.Naming()
	f.open()
	f.want("a", canary)
	f.want("b", "")
	if !bytes.Equal(naming, f.vault.Naming()) || len(naming) != 32 {
		t.Fatal("the naming key is another one")
	}
	f.put("a", "other")
	f.want("a", "other")
}

func TestNothingOnDiskHasAValue(t *testing.T) {
	f := newFixture(t)
	f.put("a", canary)
	for _, name := range []string{"store.db", "secrets.key"} {
		text, err := os.ReadFile(filepath.Join(f.dir, name))
		if err != nil || bytes.Contains(text, []byte(canary)) {
			t.Fatalf("%s has the value (%v)", name, err)
		}
	}
	if info, err := os.Stat(f.key()); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the key has mode %v", info.Mode())
	}
}

func TestRekeyMakesTheOldKeyUseless(t *testing.T) {
	f := newFixture(t)
	f.put("a", canary)
	f.put("b", "two")
	old, err := os.ReadFile(f.key())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.vault.Rekey(context.Background()); err != nil || n != 2 {
		t.Fatalf("%d secrets, %v", n, err)
	}
	f.want("a", canary)
	f.open()
	f.want("b", "two")
	now, _ := os.ReadFile(f.key())
	if bytes.Equal(old, now) || bytes.Count(now, []byte("AGE-SECRET-KEY-")) != 1 {
		t.Fatal("the old key is still there")
	}
	if err := os.WriteFile(f.key(), old, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(context.Background(), f.key(), f.store)
	wantFault(t, err, fault.Unavailable, "the key does not open the record secrets/")
}

func TestAnInterruptedRekeyIsFinished(t *testing.T) {
	f := newFixture(t)
	f.put("a", canary)
	// What is on disk after the first step: both keys, and records of the old one.
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := append(ring{key}, *f.vault.keys.Load()...).save(f.key()); err != nil {
		t.Fatal(err)
	}
	f.open()
	f.want("a", canary)
	keys, err := loadRing(f.key())
	if err != nil || len(keys) != 1 || keys[0].String() != key.String() {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
}

func TestWritersAndRekeysDoNotLoseAValue(t *testing.T) {
	f := newFixture(t)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 10 {
				name := fmt.Sprintf("s%d", i)
				f.put(name, fmt.Sprint(n))
				if got, err := f.get(name); err != nil || got != fmt.Sprint(n) {
					t.Errorf("%s is %q, %v", name, got, err)
				}
			}
		})
	}
	for range 5 {
		if _, err := f.vault.Rekey(context.Background()); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	f.open()
	for i := range 4 {
		f.want(fmt.Sprintf("s%d", i), "9")
	}
}

func TestWhatIsWrongWithTheKey(t *testing.T) {
	for _, c := range []struct {
		name  string
		harm  func(path string) error
		class fault.Class
		want  string
	}{
		{"it is gone", os.Remove, fault.Unavailable, "is missing, and the store has secrets"},
		{"others can read it", func(p string) error { return os.Chmod(p, 0o640) }, fault.Denied, "can be read by others than its owner (mode 0640)"},
		{"it is empty", func(p string) error { return os.Truncate(p, 0) }, fault.Invalid, "is damaged"},
		{"it is cut off", func(p string) error { return os.Truncate(p, int64(len(keyHeader)+30)) }, fault.Invalid, "is damaged"},
		{"it is a directory", func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, fault.Unavailable, "not a regular file"},
		{"it is another one", func(p string) error {
			key, err := newKey()
			return errors.Join(err, ring{key}.save(p))
		}, fault.Unavailable, "the key does not open the record"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.put("a", canary)
			if err := c.harm(f.key()); err != nil {
				t.Fatal(err)
			}
			_, err := Open(context.Background(), f.key(), f.store)
			wantFault(t, err, c.class, c.want)
			if strings.Contains(err.Error(), "AGE-SECRET") {
				t.Fatal("the error repeats the key")
			}
			if err := os.RemoveAll(f.key()); err != nil {
				t.Fatal(err)
			}
			if n, err := Reset(context.Background(), f.key(), f.store); err != nil || n != 1 {
				t.Fatalf("%d, %v", n, err)
			}
			f.open()
			f.want("a", "")
		})
	}
}

func TestAValueCannotBeGivenToAnotherSecret(t *testing.T) {
	f := newFixture(t)
	f.put("public", "known")
	f.put("a", canary)
	if err := f.store.Update(context.Background(), func(w store.Writer) error {
		raw, err := w.Get("secrets/a")
		if err != nil {
			return err
		}
		return w.Put("secrets/public", bytes.Replace(raw, []byte(`"name":"a"`), []byte(`"name":"public"`), 1))
	}); err != nil {
		t.Fatal(err)
	}
	_, err := f.get("public")
	wantFault(t, err, fault.Unavailable, "holds something else than its value")
}

func TestADamagedRecordIsToldAndNotPassedOver(t *testing.T) {
	f := newFixture(t)
	f.put("a", canary)
	if err := f.store.Update(context.Background(), func(w store.Writer) error { return w.Put("secrets/a", []byte("{")) }); err != nil {
		t.Fatal(err)
	}
	if _, err := f.get("a"); err == nil {
		t.Fatal("no error")
	}
	if _, err := Open(context.Background(), f.key(), f.store); err == nil {
		t.Fatal("no error")
	}
}
