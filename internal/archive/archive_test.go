package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"muster/internal/archive"
)

// tarball makes a tar of headers; a file's content is its name.
func tarball(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		must(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := io.WriteString(w, h.Name)
			must(t, err)
		}
	}
	must(t, w.Close())
	return b.Bytes()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func compressed(t testing.TB, kind string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	switch kind {
	case "gz":
		w := gzip.NewWriter(&b)
		_, err := w.Write(data)
		must(t, err)
		must(t, w.Close())
	case "zst":
		w, err := zstd.NewWriter(&b)
		must(t, err)
		_, err = w.Write(data)
		must(t, err)
		must(t, w.Close())
	case "xz", "bzip2":
		if _, err := exec.LookPath(kind); err != nil {
			t.Skip(err)
		}
		cmd := exec.Command(kind, "-c")
		cmd.Stdin, cmd.Stdout = bytes.NewReader(data), &b
		must(t, cmd.Run())
	default:
		return data
	}
	return b.Bytes()
}

// deb makes a Debian package with these data.
func deb(member string, data []byte) []byte {
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, m := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.gz", []byte("odd")}, {member, data}} {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", m.name, 0, 0, 0, 0o100644, len(m.data))
		b.Write(m.data)
		if len(m.data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// extract gives what was taken, one line each, and the problems.
func extract(t testing.TB, name string, data []byte, sel archive.Selection) (files, problems []string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, filepath.Base(name))
	must(t, os.WriteFile(file, data, 0o600))
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	out := filepath.Join(dir, "out")
	must(t, os.Mkdir(out, 0o700))
	root, err := os.OpenRoot(out)
	must(t, err)
	defer root.Close()
	found, err := archive.Extract(context.Background(), f, name, sel, root)
	must(t, err)
	for _, p := range found {
		if p.Remedy == "" {
			t.Errorf("no remedy: %v", p)
		}
		problems = append(problems, strings.TrimPrefix(p.Path+": "+p.Message, ": "))
	}
	must(t, fs.WalkDir(os.DirFS(out), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%v %s", info.Mode(), path)
		switch {
		case info.Mode().IsRegular():
			text, err := os.ReadFile(filepath.Join(out, path))
			if err != nil {
				return err
			}
			line += " " + string(text)
		case info.Mode().Type() == fs.ModeSymlink:
			target, _ := os.Readlink(filepath.Join(out, path))
			line += " -> " + target
		}
		files = append(files, line)
		return nil
	}))
	if _, err := os.Lstat(filepath.Join(dir, "escaped")); err == nil {
		t.Error("something was written outside")
	}
	return files, problems
}

var software = []tar.Header{
	{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
	{Name: "./app-1.0/", Typeflag: tar.TypeDir, Mode: 0o700},
	{Name: "./app-1.0/bin/app", Mode: 0o755},
	{Name: "./app-1.0/bin/app2", Typeflag: tar.TypeLink, Linkname: "./app-1.0/bin/app"},
	{Name: "./app-1.0/lib/libapp.so.1", Mode: 0o600},
	{Name: "./app-1.0/lib/libapp.so", Typeflag: tar.TypeSymlink, Linkname: "libapp.so.1"},
	{Name: "./app-1.0/share/doc/README"},
}

func TestWhatIsSelectedIsTaken(t *testing.T) {
	all := []string{
		"drwxr-xr-x bin", "-rwxr-xr-x bin/app ./app-1.0/bin/app", "-rwxr-xr-x bin/app2 ./app-1.0/bin/app",
		"drwxr-xr-x lib", "Lrwxrwxrwx lib/libapp.so -> libapp.so.1", "-rw-r--r-- lib/libapp.so.1 ./app-1.0/lib/libapp.so.1",
		"drwxr-xr-x share", "drwxr-xr-x share/doc", "-rw-r--r-- share/doc/README ./app-1.0/share/doc/README",
	}
	for name, tt := range map[string]struct {
		sel  archive.Selection
		want []string
	}{
		"strip":               {archive.Selection{Strip: 1}, all},
		"prefix":              {archive.Selection{Prefix: "app-1.0"}, all},
		"deep prefix":         {archive.Selection{Prefix: "app-1.0/share"}, []string{"drwxr-xr-x doc", "-rw-r--r-- doc/README ./app-1.0/share/doc/README"}},
		"deep strip":          {archive.Selection{Strip: 3}, []string{"-rw-r--r-- README ./app-1.0/share/doc/README"}},
		"a directory":         {archive.Selection{Strip: 1, Include: []string{"bin", "lib"}}, all[:6]},
		"patterns":            {archive.Selection{Strip: 1, Include: []string{"*/*.so*"}}, all[3:6]},
		"into a directory":    {archive.Selection{Prefix: "app-1.0/lib", Include: []string{"*.so"}, Into: "usr/lib"}, []string{"drwxr-xr-x usr", "drwxr-xr-x usr/lib", "Lrwxrwxrwx usr/lib/libapp.so -> libapp.so.1"}},
		"include by fullname": {archive.Selection{Include: []string{"app-1.0/share/doc/README"}}, []string{"drwxr-xr-x app-1.0", "drwxr-xr-x app-1.0/share", "drwxr-xr-x app-1.0/share/doc", "-rw-r--r-- app-1.0/share/doc/README ./app-1.0/share/doc/README"}},
	} {
		t.Run(name, func(t *testing.T) {
			files, problems := extract(t, "a.tar", tarball(t, software...), tt.sel)
			if !slices.Equal(files, tt.want) || problems != nil {
				t.Errorf("got\n%s\n%v\nwant\n%s", strings.Join(files, "\n"), problems, strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestEveryKindOfArchiveIsRead(t *testing.T) {
	plain := tarball(t, software...)
	want, _ := extract(t, "a.tar", plain, archive.Selection{Strip: 1})
	for _, kind := range []string{"", "gz", "zst", "xz", "bzip2"} {
		t.Run("tar "+kind, func(t *testing.T) {
			files, problems := extract(t, "a.tar."+kind, compressed(t, kind, plain), archive.Selection{Strip: 1})
			if !slices.Equal(files, want) || problems != nil {
				t.Errorf("got %v, %v", files, problems)
			}
		})
		t.Run("deb "+kind, func(t *testing.T) {
			files, problems := extract(t, "a.deb", deb("data.tar."+kind, compressed(t, kind, plain)), archive.Selection{Strip: 1})
			if !slices.Equal(files, want) || problems != nil {
				t.Errorf("got %v, %v", files, problems)
			}
		})
	}
}

// What dpkg-deb makes is what publishers have.
func TestARealDebianPackage(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip(err)
	}
	for _, kind := range []string{"gzip", "xz", "zstd", "none"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{
				"DEBIAN/control":  "Package: app\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: x\n",
				"DEBIAN/postinst": "#!/bin/sh\ntouch /escaped\n", "usr/bin/app": "app", "etc/app.conf": "conf",
			} {
				must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, "p", name)), 0o755))
				must(t, os.WriteFile(filepath.Join(dir, "p", name), []byte(text), 0o755))
			}
			if out, err := exec.Command("dpkg-deb", "-Z"+kind, "--build", filepath.Join(dir, "p"), filepath.Join(dir, "a.deb")).CombinedOutput(); err != nil {
				t.Skip(string(out))
			}
			data, err := os.ReadFile(filepath.Join(dir, "a.deb"))
			must(t, err)
			files, problems := extract(t, "a.deb", data, archive.Selection{Prefix: "usr"})
			if want := []string{"drwxr-xr-x bin", "-rwxr-xr-x bin/app app"}; !slices.Equal(files, want) || problems != nil {
				t.Errorf("got %v, %v", files, problems)
			}
		})
	}
}

func TestHostileArchivesAreRefused(t *testing.T) {
	file := func(name string) tar.Header { return tar.Header{Name: name} }
	link := func(name, target string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}
	}
	for name, tt := range map[string]struct {
		headers []tar.Header
		want    string
	}{
		"climbing out":                     {[]tar.Header{file("../escaped")}, `"../escaped": the name is not a plain path inside of the archive`},
		"climbing out in the middle":       {[]tar.Header{file("a/../../escaped")}, `"a/../../escaped": the name is not a plain path inside of the archive`},
		"climbing out after ./":            {[]tar.Header{file("./../escaped")}, `"./../escaped": the name is not a plain path inside of the archive`},
		"an absolute name":                 {[]tar.Header{file("/escaped")}, `"/escaped": the name is absolute`},
		"a control character":              {[]tar.Header{file("a\x1bb")}, `"a\x1bb": the name is not UTF-8 or has control characters`},
		"writing through a link":           {[]tar.Header{link("d", ".."), file("d/escaped")}, "d/escaped: is to be written through \"d\", which is no directory"},
		"writing through a file":           {[]tar.Header{file("d"), file("d/x")}, "d/x: is to be written through \"d\", which is no directory"},
		"a directory in place of a link":   {[]tar.Header{link("d", ".."), {Name: "d/", Typeflag: tar.TypeDir}}, "d: is there twice, and not as a directory the first time"},
		"twice":                            {[]tar.Header{file("a"), file("./a")}, "a: is there twice"},
		"a file over a link":               {[]tar.Header{link("a", "../escaped"), file("a")}, "a: is there twice"},
		"a device":                         {[]tar.Header{{Name: "d", Typeflag: tar.TypeChar}}, "d: is neither a file nor a directory nor a link (a device)"},
		"a pipe":                           {[]tar.Header{{Name: "d", Typeflag: tar.TypeFifo}}, "d: is neither a file nor a directory nor a link (a pipe)"},
		"setuid":                           {[]tar.Header{{Name: "su", Mode: 0o4755}}, "su: is setuid or setgid, which a package cannot carry"},
		"a hard link out":                  {[]tar.Header{{Name: "a", Typeflag: tar.TypeLink, Linkname: "/etc/shadow"}}, `a: is a hard link to "/etc/shadow", which is not taken from the archive before it`},
		"a hard link through a link":       {[]tar.Header{link("l", "/etc"), {Name: "a", Typeflag: tar.TypeLink, Linkname: "l/shadow"}}, `a: is a hard link to "l/shadow", which is not taken from the archive before it`},
		"a hard link to a link":            {[]tar.Header{link("l", "/etc/shadow"), {Name: "a", Typeflag: tar.TypeLink, Linkname: "l"}}, `a: is a hard link to "l", which is not taken from the archive before it`},
		"a name that is longer than paths": {[]tar.Header{file(strings.Repeat("a/", 600) + "a")}, fmt.Sprintf("%q: the path has 1201 bytes, and a package can carry 1024", strings.Repeat("a/", 600)[:200])},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := extract(t, "a.tar", tarball(t, tt.headers...), archive.Selection{})
			if len(problems) != 1 || problems[0] != tt.want {
				t.Errorf("got %q\nwant %q", problems, tt.want)
			}
		})
	}
}

func TestAllProblemsAreToldAtOnce(t *testing.T) {
	_, problems := extract(t, "a.tar", tarball(t, tar.Header{Name: "../a"}, tar.Header{Name: "su", Mode: 0o2755}, tar.Header{Name: "fine"}), archive.Selection{Include: []string{"su", "other"}})
	if len(problems) != 3 || !strings.Contains(problems[2], `the pattern "other" matches nothing`) {
		t.Errorf("got %q", problems)
	}
}

func TestWhatIsNotTakenMayBeAnything(t *testing.T) {
	data := tarball(t, tar.Header{Name: "bin/su", Mode: 0o4755}, tar.Header{Name: "dev", Typeflag: tar.TypeBlock}, tar.Header{Name: "lib/x"})
	if files, problems := extract(t, "a.tar", data, archive.Selection{Include: []string{"lib"}}); len(files) != 2 || problems != nil {
		t.Errorf("got %q, %q", files, problems)
	}
}

func TestBrokenArchivesAreRefused(t *testing.T) {
	plain := tarball(t, software...)
	zip := compressed(t, "zst", plain)
	var head bytes.Buffer
	must(t, tar.NewWriter(&head).WriteHeader(&tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Mode: 0o644, Size: 200 << 20}))
	bomb := compressed(t, "zst", append(head.Bytes(), make([]byte, 200<<20)...))
	var short bytes.Buffer
	must(t, tar.NewWriter(&short).WriteHeader(&tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Mode: 0o644, Size: 1 << 20}))
	for name, tt := range map[string]struct {
		file string
		data []byte
		sel  archive.Selection
		want string
	}{
		"not an archive":        {"a.tar", []byte(strings.Repeat("no", 600)), archive.Selection{}, "the archive cannot be read: archive/tar: invalid tar header"},
		"empty":                 {"a.tar", nil, archive.Selection{}, "the archive is empty"},
		"truncated":             {"a.tar.zst", zip[:len(zip)-20], archive.Selection{}, "the archive cannot be read: "},
		"damaged xz":            {"a.tar.xz", []byte("\xfd7zXZ\x00 and nothing that follows"), archive.Selection{}, "the archive cannot be read: xz: "},
		"a bomb":                {"a.tar.zst", bomb, archive.Selection{}, "the archive cannot be read: it is many times larger"},
		"not a deb":             {"a.deb", plain, archive.Selection{}, "the archive cannot be read: it is not a Debian package"},
		"a deb that ends early": {"a.deb", deb("data.tar", plain)[:900], archive.Selection{}, "the archive cannot be read: unexpected EOF"},
		"a deb without data":    {"a.deb", deb("other", plain), archive.Selection{}, "the archive cannot be read: it is not a whole Debian package: it has no data.tar"},
		"a wrong prefix":        {"a.tar", plain, archive.Selection{Prefix: "usr"}, `the archive has nothing below the prefix "usr"`},
		"too much stripped":     {"a.tar", plain, archive.Selection{Strip: 9}, "nothing remains of the archive when 9 leading directories are stripped"},
		"a pattern for nothing": {"a.tar", plain, archive.Selection{Strip: 1, Include: []string{"bin", "sbin"}}, `the pattern "sbin" matches nothing in the archive`},
		"more than is in it":    {"a.tar", short.Bytes(), archive.Selection{}, "the archive cannot be read: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := extract(t, tt.file, tt.data, tt.sel)
			if len(problems) != 1 || !strings.HasPrefix(problems[0], tt.want) {
				t.Errorf("got %q\nwant %q", problems, tt.want)
			}
		})
	}
}

// fuzzedKinds are the archives that the fuzzer can choose from. Of what it makes, the tar inside is the interesting part, so
// that is what it is given.
var fuzzedKinds = []string{"a.tar", "a.tar.gz", "a.tar.zst", "a.deb"}

func FuzzExtract(f *testing.F) {
	plain := tarball(f, software...)
	hostile := func(headers ...tar.Header) []byte { return tarball(f, headers...) }
	tars := [][]byte{
		plain, plain[:700], hostile(tar.Header{Name: "../x"}), hostile(tar.Header{Name: "/x"}), hostile(tar.Header{Name: "x", Mode: 0o4755}),
		hostile(tar.Header{Name: "x", Typeflag: tar.TypeChar}, tar.Header{Name: "y", Typeflag: tar.TypeFifo}),
		hostile(tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/etc"}, tar.Header{Name: "l/x"}),
		hostile(tar.Header{Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "../.."}, tar.Header{Name: "d/l/x"}),
		hostile(tar.Header{Name: "a"}, tar.Header{Name: "b", Typeflag: tar.TypeLink, Linkname: "a"}, tar.Header{Name: "a/b"}),
		hostile(tar.Header{Name: "l", Typeflag: tar.TypeSymlink}), hostile(tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: strings.Repeat("x", 5000)}),
		hostile(tar.Header{Name: strings.Repeat("n", 300)}), hostile(tar.Header{Name: "x"}, tar.Header{Name: "x"}), hostile(tar.Header{Name: "usr/x\xff"}), hostile(tar.Header{Name: strings.Repeat("d/", 300) + "x"}),
	}
	for kind := range fuzzedKinds {
		for _, text := range tars {
			f.Add(text, byte(kind), "", "", byte(0))
		}
		f.Add(plain, byte(kind), "app-1.0", "", byte(0))
		f.Add(plain, byte(kind), "", "bin\nlib/*.so*", byte(1))
		f.Add(plain, byte(kind), "", "nothing", byte(9))
	}
	f.Add(deb("data.tar", plain), byte(len(fuzzedKinds)), "usr", "", byte(0))
	f.Add(deb("data.tar.gz", compressed(f, "gz", plain)), byte(len(fuzzedKinds)), "", "bin", byte(1))
	f.Add(compressed(f, "zst", plain), byte(len(fuzzedKinds)), "", "", byte(0))
	f.Fuzz(func(t *testing.T, data []byte, kind byte, prefix, include string, strip byte) {
		names := fuzzedKinds
		if int(kind) < len(fuzzedKinds) {
			// The kinds are taken from the end of the name.
			names = fuzzedKinds[kind : kind+1]
			switch names[0] {
			case "a.tar.gz":
				data = compressed(t, "gz", data)
			case "a.tar.zst":
				data = compressed(t, "zst", data)
			case "a.deb":
				data = deb("data.tar", data)
			}
		}
		sel := archive.Selection{Prefix: prefix, Strip: int(strip)}
		if include != "" {
			sel.Include = strings.Split(include, "\n")
		}
		for _, name := range names {
			dir := t.TempDir()
			must(t, os.WriteFile(filepath.Join(dir, "in"), data, 0o600))
			in, err := os.Open(filepath.Join(dir, "in"))
			must(t, err)
			must(t, os.Mkdir(filepath.Join(dir, "out"), 0o700))
			root, err := os.OpenRoot(filepath.Join(dir, "out"))
			must(t, err)
			found, err := archive.Extract(context.Background(), in, name, sel, root)
			_, _ = in.Close(), root.Close()
			for _, p := range found {
				if p.Message == "" || p.Remedy == "" {
					t.Errorf("no message or no remedy: %+v", p)
				}
			}
			if err != nil {
				t.Errorf("the machine is blamed for what is in the archive: %v", err)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
				t.Errorf("something was written outside: %v, %v", entries, err)
			}
			wantHarmless(t, filepath.Join(dir, "out"))
		}
	})
}

// wantHarmless wants plain files, directories and links. Where links lead is for those to look at who read them.
func wantHarmless(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch mode := info.Mode(); {
		case mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0:
			t.Errorf("%q has mode %v", path, mode)
		case !mode.IsRegular() && !mode.IsDir() && mode.Type() != fs.ModeSymlink:
			t.Errorf("%q is a %v", path, mode)
		}
		return nil
	}))
}

// A sparse file is as long as its header says, however little the archive has of it.
func TestASparseBombIsRefused(t *testing.T) {
	var b bytes.Buffer
	header := func(h tar.Header, body string) {
		w := tar.NewWriter(&b)
		h.Size = int64(len(body))
		must(t, w.WriteHeader(&h))
		_, err := io.WriteString(w, body)
		must(t, err)
		must(t, w.Flush())
	}
	// PAX records of GNU tar 1.0 sparse files cannot be written by archive/tar, so they are written as their own entry.
	record := func(key, value string) string {
		n := len(key) + len(value) + 3
		for size := n + len(fmt.Sprint(n)); ; size = n + len(fmt.Sprint(size)) {
			if text := fmt.Sprintf("%d %s=%s\n", size, key, value); len(text) == size {
				return text
			}
		}
	}
	records := record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") + record("GNU.sparse.name", "zeros") + record("GNU.sparse.realsize", "1099511627776")
	header(tar.Header{Name: "pax", Typeflag: tar.TypeReg, Mode: 0o644}, records)
	b.Bytes()[156] = tar.TypeXHeader
	fixChecksum(b.Bytes()[:512])
	header(tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Mode: 0o644}, fmt.Sprintf("%-512s", "1\n1099511627776\n0\n"))
	b.Write(make([]byte, 1024))
	_, problems := extract(t, "a.tar", b.Bytes(), archive.Selection{})
	if len(problems) != 1 || !strings.Contains(problems[0], "it is many times larger") {
		t.Errorf("got %q", problems)
	}
}

func fixChecksum(header []byte) {
	copy(header[148:156], "        ")
	sum := 0
	for _, c := range header {
		sum += int(c)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
}
