package unpack_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/klauspost/compress/zstd"

	"muster/internal/manifest"
)

// member is one entry of a crafted archive. It is written by hand, because archive/tar refuses to write the worst.
type member struct {
	name, target string
	flag         byte // '0' if not set
	mode         int64
	body         string
}

func file(name, body string) member { return member{name: name, mode: 0o644, body: body} }
func dir(name string) member        { return member{name: name, flag: '5', mode: 0o755} }
func symlink(name, target string) member {
	return member{name: name, flag: '2', mode: 0o777, target: target}
}
func pax(key, value string) member {
	return member{name: "PaxHeaders/x", flag: 'x', body: record(key, value)}
}
func special(name string, flag byte) member { return member{name: name, flag: flag, mode: 0o644} }
func moded(name string, mode int64) member  { return member{name: name, mode: mode, body: "x"} }
func longLink(flag byte, name string) member {
	return member{name: "././@LongLink", flag: flag, body: name + "\x00"}
}

// record is a PAX record, which begins with its own length.
func record(key, value string) string {
	for n := len(key) + len(value) + 3; ; n++ {
		if s := fmt.Sprintf("%d %s=%s\n", n, key, value); len(s) == n {
			return s
		}
	}
}

func (m member) bytes() []byte {
	var h [512]byte
	flag := m.flag
	if flag == 0 {
		flag = '0'
	}
	copy(h[0:100], m.name)
	copy(h[100:108], fmt.Sprintf("%07o", m.mode))
	copy(h[108:116], "0001750")
	copy(h[116:124], "0001750")
	copy(h[124:136], fmt.Sprintf("%011o", len(m.body)))
	copy(h[136:148], fmt.Sprintf("%011o", 1_700_000_000))
	h[156] = flag
	copy(h[157:257], m.target)
	copy(h[257:265], "ustar\x0000")
	copy(h[148:156], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
	out := append(h[:], m.body...)
	return append(out, make([]byte, (512-len(m.body)%512)%512)...)
}

var trailer = make([]byte, 1024)

// tarOf is the archive of the members, with its end.
func tarOf(members ...member) []byte {
	var b []byte
	for _, m := range members {
		b = append(b, m.bytes()...)
	}
	return append(b, trailer...)
}

func compress(data []byte, opts ...zstd.EOption) []byte {
	w, err := zstd.NewWriter(nil, opts...)
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(data, nil)
}

// blobOf describes the packed bytes generously, so that only the rule under test refuses them.
func blobOf(packed []byte) manifest.Blob {
	sum := sha256.Sum256(packed)
	return manifest.Blob{
		Digest: manifest.Digest(hex.EncodeToString(sum[:])), Size: int64(len(packed)), Unpacked: 1 << 20, Entries: 100,
	}
}

// zeros yields the compressed form of an archive with one file of n zeros, without ever holding it.
func zeros(t *testing.T, n int64, length string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	h := member{name: "zeros", mode: 0o644}.bytes()
	copy(h[124:136], length)
	copy(h[148:156], "        ")
	sum := 0
	for _, c := range h[:512] {
		sum += int(c)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
	w.Write(h)
	chunk := make([]byte, 1<<20)
	for ; n > 0; n -= int64(len(chunk)) {
		if _, err := w.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	w.Write(trailer)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
