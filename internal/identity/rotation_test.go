package identity_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/durable"
	"muster/internal/fault"
	"muster/internal/identity"
	"muster/internal/proof"
)

// trusting is how a host connects that trusts these roots, the newest first.
func trusting(t testing.TB, cert *tls.Certificate, now time.Time, roots ...[]byte) *tls.Config {
	t.Helper()
	var parsed []*x509.Certificate
	for _, text := range roots {
		root, err := proof.ParseRoot(text)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, root)
	}
	config, err := proof.ClientTLSByRoots(parsed, cert, "127.0.0.1", func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// talks says whether both sides take each other, and that the server verified a certificate if one was shown.
func talks(t testing.TB, server, client *tls.Config) bool {
	t.Helper()
	atServer, atClient := connect(t.(*testing.T), server, client)
	return atServer.err == nil && atClient.err == nil && string(atServer.sent) == greeting
}

func TestDuringARotationEveryHostIsServedWhicheverRootItTrusts(t *testing.T) {
	ca, dir := newCA(t, start)
	certs, err := ca.ServerCertificates([]string{"127.0.0.1"}, func() time.Time { return start.AddDate(1, 0, 0) })
	must(t, err)
	server := ca.ServerTLS(certs) // one that runs all the while
	old, rotated := ca.RootPEM(), start.AddDate(1, 0, 0)
	before := hostCertificate(t, ca, rotated)
	must(t, ca.Rotate(false, rotated))
	fresh := ca.RootPEM()
	if bytes.Equal(old, fresh) || len(ca.Roots()) != 2 {
		t.Fatalf("%d roots", len(ca.Roots()))
	}
	after := hostCertificate(t, ca, rotated)
	for name, roots := range map[string][][]byte{"the old": {old}, "the new": {fresh}, "both": {fresh, old}} {
		for certificate, cert := range map[string]*tls.Certificate{"none": nil, "from before": before, "from after": after} {
			for clock, now := range map[string]time.Time{"right": rotated.Add(time.Minute), "of the epoch": time.Unix(0, 0), "a year behind": start.Add(time.Minute)} {
				if !talks(t, server, trusting(t, cert, now, roots...)) {
					t.Errorf("during it: trusting %s, certificate %s, clock %s", name, certificate, clock)
				}
			}
		}
	}
	// Another process reads the same from the directory.
	again, err := identity.Open(dir, cluster, rotated)
	must(t, err)
	if !slices.EqualFunc(again.Roots(), ca.Roots(), bytes.Equal) || verifyHost(again, before.Certificate, rotated) != nil {
		t.Error("the directory says something else")
	}

	must(t, ca.Finish())
	for name, c := range map[string]struct {
		want  bool
		roots [][]byte
		cert  *tls.Certificate
	}{
		"the new, without a certificate":       {true, [][]byte{fresh}, nil},
		"the new, with one from after":         {true, [][]byte{fresh}, after},
		"both, with one from after":            {true, [][]byte{fresh, old}, after},
		"the old":                              {false, [][]byte{old}, nil},
		"the new, with one from before the CA": {false, [][]byte{fresh}, before},
	} {
		for clock, now := range map[string]time.Time{"right": rotated.Add(time.Minute), "of the epoch": time.Unix(0, 0)} {
			if talks(t, server, trusting(t, c.cert, now, c.roots...)) != c.want {
				t.Errorf("after it: trusting %s, clock %s: want %v", name, clock, c.want)
			}
		}
	}
	names, err := os.ReadDir(dir)
	must(t, err)
	if len(names) != 8 || !bytes.Equal(read(t, filepath.Join(dir, "root.crt")), fresh) {
		t.Errorf("left in the directory: %v", names)
	}
}

func TestARotationOfTheIntermediatesKeepsTheRoot(t *testing.T) {
	ca, dir := newCA(t, start)
	root, issuer := ca.RootPEM(), ca.HostIssuer()
	before := hostCertificate(t, ca, start)
	stolen, stolenKey := readIssuer(t, dir, "hosts-ca")
	accepted := func(cert *tls.Certificate) bool {
		_, err := ca.Client([]*x509.Certificate{parse(t, cert.Certificate[0]), parse(t, cert.Certificate[1]), parse(t, ca.Roots()[0])})
		return err == nil
	}
	must(t, ca.Rotate(true, start))
	after := hostCertificate(t, ca, start)
	if !bytes.Equal(ca.RootPEM(), root) || len(ca.Roots()) != 1 || ca.HostIssuer() == issuer {
		t.Error("another root, or the same intermediate")
	}
	if !accepted(before) || !accepted(after) || !talks(t, serverConfig(t, ca, start), clientConfig(t, ca, after, start)) {
		t.Error("during it a host is not accepted")
	}
	must(t, ca.Finish())
	if accepted(before) || !accepted(after) {
		t.Errorf("after it: the old %v, the new %v", accepted(before), accepted(after))
	}
	if _, _, _, err := ca.IssueHost(newCSR(t, newKey(t)), hostA, start, time.Hour); err != nil {
		t.Error(err)
	}
	if now, key := readIssuer(t, dir, "hosts-ca"); now.Equal(stolen) || key.Equal(stolenKey) {
		t.Error("the old intermediate is still there")
	}
	if _, err := identity.RootKey(dir); err != nil {
		t.Errorf("the root's key: %v", err)
	}
}

func TestARotationCoversEveryPurpose(t *testing.T) {
	ca, _ := newCA(t, start)
	before, err := ca.Describe()
	must(t, err)
	rotated := start.Add(123456789 * time.Nanosecond) // tokens made in the same second are told apart
	must(t, ca.Rotate(false, rotated))
	during, err := ca.Describe()
	must(t, err)
	if len(during.Certificates) != 2*len(before.Certificates) || during.Rotation == nil || !during.Rotation.Started.Equal(rotated) || during.Rotation.Intermediates || !during.RootKey {
		t.Errorf("%+v", during)
	}
	must(t, ca.Finish())
	after, err := ca.Describe()
	must(t, err)
	for i, c := range after.Certificates {
		if c.Name != before.Certificates[i].Name || c.Fingerprint == before.Certificates[i].Fingerprint || c.Ending {
			t.Errorf("%s is %+v", before.Certificates[i].Name, c)
		}
	}
	if _, _, _, err := ca.IssueOperator(newCSR(t, newKey(t)), "alice", start, time.Hour); err != nil {
		t.Error(err)
	}
	// And again.
	must(t, ca.Rotate(false, start))
	must(t, ca.Finish())
}

func TestRotationsThatAreRefusedChangeNothing(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*testing.T, *identity.CA, string)
		do      func(*identity.CA) error
		want    string
	}{
		"without the root's key": {func(t *testing.T, _ *identity.CA, dir string) { must(t, identity.RemoveRootKey(dir)) },
			func(ca *identity.CA) error { return ca.Rotate(false, start) }, "not on this machine"},
		"of the intermediates without the root's key": {func(t *testing.T, _ *identity.CA, dir string) { must(t, identity.RemoveRootKey(dir)) },
			func(ca *identity.CA) error { return ca.Rotate(true, start) }, "not on this machine"},
		"while one is under way": {func(t *testing.T, ca *identity.CA, _ string) { must(t, ca.Rotate(false, start)) },
			func(ca *identity.CA) error { return ca.Rotate(false, start) }, "is under way since 2026-03-01T03:00:00Z"},
		"finishing one that has not begun": {func(*testing.T, *identity.CA, string) {}, (*identity.CA).Finish, "no rotation"},
	} {
		t.Run(name, func(t *testing.T) {
			ca, dir := newCA(t, start)
			c.prepare(t, ca, dir)
			before := tree(t, dir)
			err := c.do(ca)
			if !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), c.want) || fault.Remedy(err) == "" {
				t.Errorf("got %v", err)
			}
			if after := tree(t, dir); after != before {
				t.Errorf("the directory changed:\n%s\n%s", before, after)
			}
		})
	}
}

func TestOfManyRotationsAtOnceOneBegins(t *testing.T) {
	ca, dir := newCA(t, start)
	other, err := identity.Load(dir, cluster, start) // as another process has it
	must(t, err)
	var wg sync.WaitGroup
	errs := make([]error, 10)
	for i := range errs {
		wg.Go(func() { errs[i] = []*identity.CA{ca, other}[i%2].Rotate(false, start) })
	}
	wg.Wait()
	if n := len(slices.DeleteFunc(errs, func(err error) bool { return err != nil })); n != 1 {
		t.Errorf("%d began", n)
	}
	if _, err := identity.Load(dir, cluster, start); err != nil {
		t.Error(err)
	}
}

// tree is the names and content of a directory.
func tree(t testing.TB, dir string) string {
	t.Helper()
	var text strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		fmt.Fprintf(&text, "%s %x\n", strings.TrimPrefix(path, dir), read(t, path))
		return nil
	}))
	return text.String()
}

func copyTree(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "ca")
	must(t, filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if e.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(target, read(t, path), info.Mode())
	}))
	return to
}

// The states that a crash can leave: a rotation is one rename, and its end another, after which one file at a time takes
// its place.
func TestARotationCanBeEndedAnywhere(t *testing.T) {
	for name, intermediates := range map[string]bool{"root": false, "intermediates": true} {
		for keyName, taken := range map[string]bool{"key here": false, "key taken away": true} {
			t.Run(name+", "+keyName, func(t *testing.T) {
				ca, dir := newCA(t, start)
				old := hostCertificate(t, ca, start)
				must(t, ca.Rotate(intermediates, start))
				fresh := hostCertificate(t, ca, start)
				if taken {
					must(t, identity.RemoveRootKey(dir))
				}
				next, finished := filepath.Join(dir, "next"), filepath.Join(dir, "finished")

				// Before the rename that begins it: remains under a working name.
				unbegun := copyTree(t, dir)
				must(t, os.Rename(filepath.Join(unbegun, "next"), filepath.Join(unbegun, durable.TempPrefix+"x")))
				check(t, "not begun", unbegun, old, fresh, true, false)

				// Between the rename that ends it and the end of tidying up: any number of files have taken their place.
				must(t, os.Rename(next, finished))
				check(t, "begun and ended", copyTree(t, dir), old, fresh, false, true)
				entries := []string{"root.key", "root.crt"}
				if intermediates {
					entries = entries[1:]
				}
				for _, p := range []string{"hosts-ca", "server-ca", "operators-ca"} {
					entries = append(entries, p+".key", p+".crt")
				}
				step := copyTree(t, dir)
				for _, file := range entries {
					text, err := os.ReadFile(filepath.Join(step, "finished", file))
					if errors.Is(err, fs.ErrNotExist) {
						must(t, os.RemoveAll(filepath.Join(step, file)))
					} else {
						must(t, err)
						info, err := os.Stat(filepath.Join(step, "finished", file))
						must(t, err)
						must(t, os.WriteFile(filepath.Join(step, file), text, info.Mode()))
					}
					check(t, "up to "+file, copyTree(t, step), old, fresh, false, true)
				}
				must(t, os.Rename(filepath.Join(step, "finished"), filepath.Join(step, durable.TempPrefix+"x")))
				check(t, "tidied up", step, old, fresh, false, true)
			})
		}
	}
}

const rotatingDir = "MUSTER_TEST_ROTATING_DIR"

// TestMain turns the test binary into the process that TestAKilledRotationLeavesACA kills.
func TestMain(m *testing.M) {
	dir := os.Getenv(rotatingDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	ca, err := identity.Open(dir, cluster, start)
	for i := 0; err == nil; i++ {
		if err = ca.Rotate(i%3 == 2, start); err == nil || errors.Is(err, fault.Conflict) {
			err = ca.Finish()
		}
	}
	panic(err)
}

func TestAKilledRotationLeavesACA(t *testing.T) {
	_, dir := newCA(t, start)
	for round := range 25 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), rotatingDir+"="+dir)
		var said bytes.Buffer
		cmd.Stderr = &said
		must(t, cmd.Start())
		time.Sleep(time.Duration(40+13*round%60) * time.Millisecond)
		must(t, cmd.Process.Kill())
		_ = cmd.Wait()
		if said.Len() > 0 {
			t.Fatalf("round %d: %s", round, said.Bytes())
		}
		for name, open := range map[string]func(string, string, time.Time) (*identity.CA, error){"load": identity.Load, "open": identity.Open} {
			ca, err := open(dir, cluster, start)
			if err != nil {
				t.Fatalf("round %d, %s: %v", round, name, err)
			}
			if !talks(t, serverConfig(t, ca, start), clientConfig(t, ca, hostCertificate(t, ca, start), start)) {
				t.Fatalf("round %d, %s: a host is not served", round, name)
			}
		}
		if _, err := identity.RootKey(dir); err != nil {
			t.Fatalf("round %d: the root's key: %v", round, err)
		}
	}
}

// check wants a directory to load as it is and to be brought to its end, with these certificates accepted or not.
func check(t *testing.T, when, dir string, old, fresh *tls.Certificate, wantOld, wantFresh bool) {
	t.Helper()
	loaded, err := identity.Load(dir, cluster, start)
	if err != nil {
		t.Fatalf("%s: load: %v", when, err)
	}
	opened, err := identity.Open(dir, cluster, start)
	if err != nil {
		t.Fatalf("%s: open: %v", when, err)
	}
	again, err := identity.Load(dir, cluster, start)
	if err != nil {
		t.Fatalf("%s: load after open: %v", when, err)
	}
	for how, ca := range map[string]*identity.CA{"loaded": loaded, "opened": opened, "loaded again": again} {
		accepts := func(cert *tls.Certificate) bool {
			if verifyHost(ca, cert.Certificate, start) != nil {
				return false
			}
			_, err := ca.Client([]*x509.Certificate{parse(t, cert.Certificate[0]), parse(t, cert.Certificate[1]), parse(t, ca.Roots()[0])})
			return err == nil
		}
		if accepts(old) != wantOld || accepts(fresh) != wantFresh {
			t.Errorf("%s, %s: accepts the old: %v, the new: %v", when, how, accepts(old), accepts(fresh))
		}
		if _, _, _, err := ca.IssueHost(newCSR(t, newKey(t)), hostA, start, time.Hour); err != nil {
			t.Errorf("%s, %s: %v", when, how, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "finished")); err == nil {
		t.Errorf("%s: open has not tidied up", when)
	}
}

func TestADamagedRotationIsAnErrorThatNamesTheFile(t *testing.T) {
	files := []string{"root.crt", "root.key", "hosts-ca.crt", "hosts-ca.key", "server-ca.crt", "server-ca.key", "operators-ca.crt", "server-ca.cross.crt", "started"}
	for _, file := range files {
		for name, damage := range map[string]func(path string) error{
			"empty":    func(path string) error { return os.Truncate(path, 0) },
			"nonsense": func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) },
		} {
			ca, dir := newCA(t, start)
			must(t, ca.Rotate(false, start))
			path := filepath.Join(dir, "next", file)
			must(t, damage(path))
			var e *identity.FileError
			if _, err := identity.Load(dir, cluster, start); !errors.As(err, &e) || e.Path != path || e.Remedy == "" {
				t.Errorf("%s is %s: %v", file, name, err)
			}
		}
	}
}

func TestTheRootKeyGoesOutAndComesBack(t *testing.T) {
	for name, rotating := range map[string]bool{"at rest": false, "during a rotation": true} {
		t.Run(name, func(t *testing.T) {
			ca, dir := newCA(t, start)
			if rotating {
				must(t, ca.Rotate(false, start))
			}
			key, err := identity.RootKey(dir)
			must(t, err)
			must(t, identity.RemoveRootKey(dir))
			if strings.Contains(tree(t, dir), fmt.Sprintf("%x", key)) || strings.Contains(tree(t, dir), "root.key") {
				t.Error("a key of a root is still there")
			}
			if _, err := identity.RootKey(dir); !errors.Is(err, identity.ErrNoRootKey) {
				t.Errorf("gone: %v", err)
			}
			if d, err := ca.Describe(); err != nil || d.RootKey {
				t.Errorf("it is said to be there: %v", err)
			}
			other, otherDir := newCA(t, start)
			foreign := read(t, filepath.Join(otherDir, "root.key"))
			for what, text := range map[string][]byte{"another root's": foreign, "nonsense": []byte("x"), "nothing": nil} {
				if err := identity.PutRootKey(dir, text); !errors.Is(err, fault.Invalid) || strings.Contains(err.Error(), string(foreign[40:60])) {
					t.Errorf("%s: %v", what, err)
				}
			}
			_ = other
			must(t, identity.PutRootKey(dir, key))
			if again, err := identity.RootKey(dir); err != nil || !bytes.Equal(again, key) {
				t.Errorf("back: %v", err)
			}
			if rotating {
				must(t, ca.Finish())
				if again, err := identity.RootKey(dir); err != nil || !bytes.Equal(again, key) {
					t.Errorf("after the rotation: %v", err)
				}
			}
			must(t, ca.Rotate(true, start))
		})
	}
}

func TestAKeyThatComesBackRenewsWhatHasExpired(t *testing.T) {
	ca, dir := newCA(t, start)
	key, err := identity.RootKey(dir)
	must(t, err)
	must(t, identity.RemoveRootKey(dir))
	late := start.AddDate(3, 0, 0)
	if _, err := identity.Open(dir, cluster, late); err == nil {
		t.Fatal("an expired CA opens")
	}
	must(t, identity.PutRootKey(dir, key))
	if renewed, err := identity.TendDir(dir, late); err != nil || !renewed {
		t.Fatal(renewed, err)
	}
	if renewed, err := identity.TendDir(dir, late); err != nil || renewed {
		t.Error("and again", renewed, err)
	}
	// One that runs all the while takes it over.
	must(t, ca.Tend(late))
	if _, _, _, err := ca.IssueHost(newCSR(t, newKey(t)), hostA, late, time.Hour); err != nil {
		t.Error(err)
	}
}

func TestADirectoryThatIsHeldIsWaitedFor(t *testing.T) {
	_, dir := newCA(t, start)
	f, err := os.Open(dir)
	must(t, err)
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	go func() {
		time.Sleep(100 * time.Millisecond)
		f.Close()
	}()
	if _, err := identity.Load(dir, cluster, start); err != nil {
		t.Error(err)
	}
}
