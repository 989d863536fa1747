package config

import (
	"fmt"
	"os"
	"testing"
)

func TestZZ(t *testing.T) {
	for _, p := range []string{"../../examples/etcd", "testdata/bundle.yaml"} {
		b, ps := ReadBundle(p)
		if b == nil {
			t.Fatal(ps)
		}
		out := Initial(b, InitialOptions{Bundle: ".", Address: "10.0.0.1"})
		os.Stdout.Write(out)
		_, ps = ParseSite("x", out, b)
		fmt.Println(ps)
	}
}
