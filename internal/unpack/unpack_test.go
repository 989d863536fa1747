package unpack_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/durable"
	"muster/internal/fault"
	"muster/internal/manifest"
	"muster/internal/unpack"
)

func TestWhatAProperArchiveBecomes(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	long := strings.Repeat("d/", 60) + strings.Repeat("f", 200)
	tests := []struct {
		name    string
		members []member
		want    string // mode, path, content of all, in order
	}{
		{"files, directories and links keep what they should", []member{
			dir("bin/"), {name: "bin/tool", mode: 0o755, body: "#!"}, symlink("bin/alias", "tool"), dir("etc/"),
			moded("etc/key", 0o600), symlink("etc/up", "../bin/tool"), symlink("dangling", "nothing/here"),
		}, "drwxr-xr-x bin\nLrwxrwxrwx bin/alias → tool\n-rwxr-xr-x bin/tool #!\nLrwxrwxrwx dangling → nothing/here\n" +
			"drwxr-xr-x etc\n-rw------- etc/key x\nLrwxrwxrwx etc/up → ../bin/tool\n"},
		{"nobody but the owner may write", []member{moded("a", 0o777), {name: "d/", flag: '5', mode: 0o777}},
			"-rwxr-xr-x a x\ndrwxr-xr-x d\n"},
		{"the owner of a directory has access", []member{{name: "d/", flag: '5', mode: 0o050}, file("d/f", "x")},
			"drwxr-x--- d\n-rw-r--r-- d/f x\n"},
		{"a directory without an entry is made", []member{file("a/b", "x")}, "drwxr-xr-x a\n-rw-r--r-- a/b x\n"},
		{"a directory's entry may come after its content", []member{file("a/b", "x"), {name: "a/", flag: '5', mode: 0o700}},
			"drwx------ a\n-rw-r--r-- a/b x\n"},
		{"long names come in an extended header", []member{pax("path", "long/"+strings.Repeat("f", 200)), file("short", "x")},
			"drwxr-xr-x long\n-rw-r--r-- long/" + strings.Repeat("f", 200) + " x\n"},
		{"long names come in the way of GNU", []member{longLink('L', long), file("short", "x")}, ""},
		{"an archive may be empty", nil, ""},
		{"a file may be empty", []member{file("empty", "")}, "-rw-r--r-- empty \n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			packed := compress(tarOf(tt.members...))
			dst := filepath.Join(t.TempDir(), "dst")
			if err := unpack.Unpack(t.Context(), bytes.NewReader(packed), blobOf(packed), dst, unpack.Options{}); err != nil {
				t.Fatal(err)
			}
			if got := list(t, dst); tt.want != "" && got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
			if info, err := os.Stat(dst); err != nil || info.Mode().Perm() != 0o755 || !info.ModTime().Equal(time.Unix(0, 0)) {
				t.Errorf("the directory is %v, %v (%v), want 0755 at the epoch", info.Mode(), info.ModTime(), err)
			}
			wantNames(t, filepath.Dir(dst), "dst")
		})
	}
}

func TestHostileArchives(t *testing.T) {
	good := []member{dir("ok/"), file("ok/f", "fine")}
	with := func(members ...member) []byte { return compress(tarOf(append(good[:2:2], members...)...)) }
	deep := strings.Repeat("d/", 299) + "f"
	many := make([]member, 101)
	for i := range many {
		many[i] = file(fmt.Sprint("f", i), "")
	}
	tests := []struct {
		name   string
		packed []byte
		want   string
	}{
		{"a name climbs out", with(file("../escape", "x")), "plain path"},
		{"a name climbs out in the middle", with(file("ok/../../escape", "x")), "plain path"},
		{"a name climbs out in an extended header", with(pax("path", "../escape"), file("x", "x")), "plain path"},
		{"a name climbs out in the way of GNU", with(longLink('L', "../escape"), file("x", "x")), "plain path"},
		{"a name is absolute", with(file("/tmp/escape", "x")), "absolute"},
		{"a name is the directory itself", with(dir("./")), "plain path"},
		{"a name has a detour", with(file("ok/./g", "x")), "plain path"},
		{"a name has two slashes", with(file("ok//g", "x")), "plain path"},
		{"a file's name ends in a slash", with(file("g/", "x")), "plain path"},
		{"a name is empty", with(file("", "x")), "0 bytes"},
		{"a name has a NUL byte", with(pax("path", "a\x00b"), file("x", "x")), "invalid tar header"},
		{"a name has an escape sequence", with(file("a\x1b[31mb", "x")), "control characters"},
		{"a name has a line break", with(file("a\nb", "x")), "control characters"},
		{"a name is not UTF-8", with(file("a\xff", "x")), "not UTF-8"},
		{"a part of a name is too long for a file system", with(pax("path", strings.Repeat("n", 256)), file("x", "x")), "255"},
		{"a name is too long", with(pax("path", strings.Repeat("n/", 1000)+"f"), file("x", "x")), "2001 bytes"},
		{"a name is too deep", with(pax("path", deep), file("x", "x")), "levels deep"},
		{"a file is written through a link", with(symlink("out", "ok"), file("out/f2", "x")), "not a directory"},
		{"a file is written through a file", with(file("ok/f/g", "x")), "not a directory"},
		{"a link is absolute", with(symlink("out", "/etc")), "absolute"},
		{"a link climbs out", with(symlink("ok/out", "../../etc")), "outside"},
		{"a link climbs out after a link", with(dir("a/"), dir("a/b/"), symlink("a/b/up", "../.."), symlink("out", "a/b/up/../../etc")), "shortest form"},
		{"a link's target is empty", with(symlink("out", "")), "empty"},
		{"a link's target has an escape sequence", with(symlink("out", "a\x1b")), "control characters"},
		{"a hard link leads to a file of the host", with(member{name: "shadow", flag: '1', target: "/etc/shadow", mode: 0o644}), "hard link"},
		{"a hard link leads to a file of the archive", with(member{name: "h", flag: '1', target: "ok/f", mode: 0o644}), "hard link"},
		{"a character device", with(special("null", '3')), "device"},
		{"a block device", with(special("sda", '4')), "device"},
		{"a fifo", with(special("pipe", '6')), "fifo"},
		{"a contiguous file", with(special("c", '7')), "unknown type"},
		{"a sparse file", with(special("s", 'S')), ""},
		{"a sparse file by extended header", with(pax("GNU.sparse.size", "99"), file("s", "x")), ""},
		{"a global header", with(member{name: "g", flag: 'g', body: record("path", "x")}), "global header"},
		{"an empty global header", with(member{name: "g", flag: 'g'}), "global header"},
		{"file capabilities", with(pax("SCHILY.xattr.security.capability", "x"), file("c", "x")), "extended attribute"},
		{"an access list", with(pax("SCHILY.acl.access", "x"), file("c", "x")), "extended attribute"},
		{"a setuid file", with(moded("su", 0o4755)), "setuid"},
		{"a setgid directory", with(member{name: "sg/", flag: '5', mode: 0o2755}), "setgid"},
		{"a sticky directory", with(member{name: "tmp/", flag: '5', mode: 0o1777}), "sticky"},
		{"a file appears twice", with(file("ok/f", "again")), "twice"},
		{"a directory appears twice", with(dir("ok/")), "twice"},
		{"a link takes a file's place", with(symlink("ok/f", "g")), "twice"},
		{"a file takes a directory's place", with(file("ok", "x")), "twice"},
		{"more entries than the manifest says", compress(tarOf(many...)), "100 entries"},
		{"more bytes than the manifest says", with(file("big", strings.Repeat("x", 1<<20+1))), "at most"},
		{"more bytes than the manifest says, in several files", with(file("b1", strings.Repeat("x", 1<<19)), file("b2", strings.Repeat("x", 1<<19))), "longer than the"},
		{"10 GiB of zeros", zeros(t, 64<<20, "120000000000"), "at most"},
		{"zeros without end after a small file", zeros(t, 64<<20, "00000000000"), "longer than its entries"},
		{"extended headers without end", compress(bytes.Repeat(pax("path", "x").bytes(), 5000)), "longer than its entries"},
		{"something after the end", compress(append(tarOf(good...), "garbage"...)), "after the end"},
		{"another archive after the end", compress(append(tarOf(good...), tarOf(file("../x", "x"))...)), "after the end"},
		{"garbage after the compressed data", append(with(), "garbage garbage"...), "magic"},
		{"the compressed data is cut off", with()[:60], "EOF"},
		{"the archive is cut off between entries", compress(tarOf(good...)[:1536]), "cut off"},
		{"the archive is cut off after a file of zeros", compress(tarOf(file("z", string(make([]byte, 2048))))[:512+2048]), "cut off"},
		{"the archive is cut off inside a file", compress(tarOf(good...)[:1026]), "EOF"},
		{"a window larger than allowed", bigWindow(), "window"},
		{"no archive at all", []byte("hello"), ""},
		{"nothing at all", compress(nil), "cut off"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			parent := t.TempDir()
			before := list(t, parent)
			err := unpack.Unpack(t.Context(), bytes.NewReader(tt.packed), blobOf(tt.packed), filepath.Join(parent, "in", "dst"), unpack.Options{})
			if !errors.Is(err, unpack.ErrRefused) || !strings.Contains(err.Error(), tt.want) || fault.Remedy(err) == "" {
				t.Errorf("got %v, want ErrRefused with %q and a remedy", err, tt.want)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\x1b\n\x00") {
				t.Errorf("the error %q can harm a terminal", err)
			}
			// The directory above dst does not even exist: nothing was written before the archive was read through.
			if after := list(t, parent); after != before {
				t.Errorf("there is now\n%s", after)
			}
			if _, err := os.Lstat("/tmp/escape"); err == nil {
				t.Error("/tmp/escape exists")
			}
		})
	}
}

// bigWindow is a frame that asks for a window of 128 MiB.
func bigWindow() []byte {
	// Magic, a descriptor without content size or checksum, window exponent 17 (2^27), an empty last raw block.
	return []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 0x01, 0x00, 0x00}
}

func TestADamagedBlobIsRecognisedBeforeItIsRead(t *testing.T) {
	packed := compress(tarOf(file("f", "x")))
	flipped := bytes.Clone(packed)
	flipped[len(flipped)-1] ^= 1
	tests := []struct {
		name string
		data []byte
		blob manifest.Blob
	}{
		{"one bit is flipped", flipped, blobOf(packed)},
		{"the end is missing", packed[:len(packed)-1], blobOf(packed)},
		{"there is a byte more", append(bytes.Clone(packed), 0), blobOf(packed)},
		{"it is empty", nil, blobOf(packed)},
		{"the manifest has no digest", packed, manifest.Blob{Size: int64(len(packed))}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			err := unpack.Unpack(t.Context(), bytes.NewReader(tt.data), tt.blob, filepath.Join(dir, "dst"), unpack.Options{})
			if !errors.Is(err, unpack.ErrDamaged) || !strings.Contains(fault.Remedy(err), "fetch it again") {
				t.Errorf("got %v, want ErrDamaged", err)
			}
			wantNames(t, dir)
		})
	}
}

func TestTheManifestsWordIsBelievedUpToACeiling(t *testing.T) {
	packed := compress(tarOf(file("a/b/c", "x"), file("d", "y")))
	for name, tt := range map[string]struct {
		change func(*manifest.Blob)
		opt    unpack.Options
	}{
		"too many entries":          {opt: unpack.Options{MaxEntries: 99}},
		"too many bytes":            {opt: unpack.Options{MaxBytes: 1 << 19}},
		"too deep":                  {opt: unpack.Options{MaxDepth: 2}},
		"fewer entries than inside": {change: func(b *manifest.Blob) { b.Entries = 1 }},
		"fewer bytes than inside":   {change: func(b *manifest.Blob) { b.Unpacked = 1 }},
		"no entries":                {change: func(b *manifest.Blob) { b.Entries = 0 }},
		"negative entries":          {change: func(b *manifest.Blob) { b.Entries = -1 }},
		"negative bytes":            {change: func(b *manifest.Blob) { b.Unpacked = -1 }},
	} {
		t.Run(name, func(t *testing.T) {
			dir, blob := t.TempDir(), blobOf(packed)
			if tt.change != nil {
				tt.change(&blob)
			}
			if err := unpack.Unpack(t.Context(), bytes.NewReader(packed), blob, filepath.Join(dir, "dst"), tt.opt); !errors.Is(err, unpack.ErrRefused) {
				t.Errorf("got %v, want ErrRefused", err)
			}
			wantNames(t, dir)
		})
	}
}

func TestTransform(t *testing.T) {
	upper := func(_ string, data []byte) ([]byte, error) { return bytes.ToUpper(data), nil }
	tests := []struct {
		name      string
		body      string
		transform func(string, []byte) ([]byte, error)
		want      error
	}{
		{"each file has its new content", "late", upper, nil},
		{"a file of exactly 1 MiB is taken", strings.Repeat("x", unpack.MaxTransform), upper, nil},
		{"a longer file is refused, since it would be written unbound", strings.Repeat("x", unpack.MaxTransform+1), upper, unpack.ErrRefused},
		{"its error is the cause", "late", func(string, []byte) ([]byte, error) { return nil, fs.ErrInvalid }, unpack.ErrTransform},
		{"content that explodes is refused", "late", func(string, []byte) ([]byte, error) { return make([]byte, 5<<20), nil }, unpack.ErrTransform},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			packed := compress(tarOf(dir("etc/"), file("etc/f", tt.body)))
			blob := blobOf(packed)
			blob.Unpacked = 4 << 20
			parent := t.TempDir()
			err := unpack.Unpack(t.Context(), bytes.NewReader(packed), blob, filepath.Join(parent, "dst"), unpack.Options{Transform: tt.transform, Mode: 0o700})
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if tt.want != nil {
				wantNames(t, parent)
				return
			}
			got, err := os.ReadFile(filepath.Join(parent, "dst", "etc", "f"))
			if err != nil || string(got) != strings.ToUpper(tt.body) {
				t.Errorf("got %d bytes (%v), want the transformed content", len(got), err)
			}
			if info, _ := os.Stat(filepath.Join(parent, "dst")); info.Mode().Perm() != 0o700 {
				t.Errorf("the directory has mode %v, want 0700", info.Mode())
			}
		})
	}
}

func TestACompleteDirectoryIsLeftAlone(t *testing.T) {
	dst := filepath.Join(t.TempDir(), "dst")
	if err := os.Mkdir(dst, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unpack.Unpack(t.Context(), strings.NewReader("not even read"), manifest.Blob{}, dst, unpack.Options{}); err != nil {
		t.Error(err)
	}
	wantNames(t, dst)
}

func TestAFileOrLinkInTheWayIsNotReplaced(t *testing.T) {
	packed := compress(tarOf(file("f", "x")))
	for name, plant := range map[string]func(string) error{
		"a file": func(dst string) error { return os.WriteFile(dst, []byte("mine"), 0o600) },
		"a link": func(dst string) error { return os.Symlink(filepath.Dir(dst), dst) },
	} {
		t.Run(name, func(t *testing.T) {
			dst := filepath.Join(t.TempDir(), "dst")
			if err := plant(dst); err != nil {
				t.Fatal(err)
			}
			err := unpack.Unpack(t.Context(), bytes.NewReader(packed), blobOf(packed), dst, unpack.Options{})
			if !errors.Is(err, unpack.ErrLocal) || !strings.Contains(err.Error(), dst) {
				t.Errorf("got %v, want ErrLocal that names the path", err)
			}
			wantNames(t, filepath.Dir(dst), "dst")
		})
	}
}

func TestWhatACrashLeftIsRemoved(t *testing.T) {
	parent := t.TempDir()
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(parent, durable.TempPrefix+"unpack-dst")
	if err := os.MkdirAll(filepath.Join(left, "half"), 0o700); err != nil {
		t.Fatal(err)
	}
	// A hard link where a file is to be written would overwrite the other file if it were opened.
	if err := os.Link(victim, filepath.Join(left, "f")); err != nil {
		t.Fatal(err)
	}
	packed := compress(tarOf(file("f", "new")))
	dst := filepath.Join(parent, "dst")
	if err := unpack.Unpack(t.Context(), bytes.NewReader(packed), blobOf(packed), dst, unpack.Options{}); err != nil {
		t.Fatal(err)
	}
	wantNames(t, parent, "dst")
	wantNames(t, dst, "f")
	if got, _ := os.ReadFile(victim); string(got) != "untouched" {
		t.Errorf("the other file now holds %q", got)
	}
}

func TestTheEndOfTheContextLeavesNothing(t *testing.T) {
	packed := compress(tarOf(file("a", "x"), file("b", "x")))
	parent := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the operator said stop")
	err := unpack.Unpack(ctx, bytes.NewReader(packed), blobOf(packed), filepath.Join(parent, "dst"), unpack.Options{
		Transform: func(_ string, data []byte) ([]byte, error) { cancel(why); return data, nil },
	})
	if err == nil || !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, why)
	}
	wantNames(t, parent)
}

func TestAMissingParentOrFullDiskIsTheHostsFault(t *testing.T) {
	packed := compress(tarOf(file("f", "x")))
	dir := t.TempDir()
	err := unpack.Unpack(t.Context(), bytes.NewReader(packed), blobOf(packed), filepath.Join(dir, "no", "dst"), unpack.Options{})
	if !errors.Is(err, unpack.ErrLocal) || fault.Remedy(err) == "" {
		t.Errorf("missing parent: got %v, want ErrLocal", err)
	}
	blob := blobOf(packed)
	blob.Unpacked = 1 << 60
	err = unpack.Unpack(t.Context(), bytes.NewReader(packed), blob, filepath.Join(dir, "dst"), unpack.Options{MaxBytes: 1 << 61})
	if !errors.Is(err, unpack.ErrNoSpace) || fault.Remedy(err) == "" {
		t.Errorf("no room: got %v, want ErrNoSpace", err)
	}
	wantNames(t, dir)
}

func TestADiskThatFillsUpLeavesNothing(t *testing.T) {
	parent := t.TempDir()
	if err := unix.Mount("tmpfs", parent, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: a full disk needs a mount, which needs root: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(parent, unix.MNT_DETACH) })
	packed := compress(tarOf(file("a", strings.Repeat("x", 100<<10)), file("b", strings.Repeat("y", 100<<10))))
	blob := blobOf(packed)
	blob.Unpacked = 200 << 10
	err := unpack.Unpack(t.Context(), bytes.NewReader(packed), blob, filepath.Join(parent, "dst"), unpack.Options{
		Transform: func(_ string, data []byte) ([]byte, error) { return append(data, data...), nil },
	})
	if !errors.Is(err, unpack.ErrNoSpace) || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v, want ErrNoSpace", err)
	}
	wantNames(t, parent)
}

func TestOwners(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: owners can be set by root only")
	}
	packed := compress(tarOf(dir("d/"), file("d/f", "x"), symlink("d/l", "f")))
	for _, tt := range []struct {
		name string
		opt  unpack.Options
	}{
		{"all belongs to root, whatever the archive says", unpack.Options{}},
		{"all belongs to the owner in the options", unpack.Options{UID: 65534, GID: 65533}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dst := filepath.Join(t.TempDir(), "dst")
			if err := unpack.Unpack(t.Context(), bytes.NewReader(packed), blobOf(packed), dst, tt.opt); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{".", "d", "d/f", "d/l"} {
				var s unix.Stat_t
				if err := unix.Lstat(filepath.Join(dst, name), &s); err != nil {
					t.Fatal(err)
				}
				if int(s.Uid) != tt.opt.UID || int(s.Gid) != tt.opt.GID {
					t.Errorf("%s belongs to %d:%d, want %d:%d", name, s.Uid, s.Gid, tt.opt.UID, tt.opt.GID)
				}
			}
		})
	}
}

func TestMemoryIsBounded(t *testing.T) {
	const size = 256 << 20
	packed := zeros(t, size, fmt.Sprintf("%011o", size))
	blob := blobOf(packed)
	blob.Unpacked = size
	dir := t.TempDir()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := unpack.Unpack(t.Context(), bytes.NewReader(packed), blob, filepath.Join(dir, "dst"), unpack.Options{})
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Error(err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 40<<20 {
		t.Errorf("%d bytes were allocated for %d compressed ones", used, len(packed))
	}
}

// list describes everything below dir.
func list(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		fmt.Fprintf(&b, "%v %s", info.Mode(), name)
		switch {
		case info.Mode().Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " → %s", target)
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %.100s", data)
			fallthrough
		default:
			if !info.ModTime().Equal(time.Unix(0, 0)) {
				fmt.Fprintf(&b, " at %v", info.ModTime())
			}
		}
		b.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}
