package artifacts_test

import (
	"testing"

	"muster/internal/artifacts"
	"muster/internal/manifest"
)

// When this fails because the compressor changed, or the way of packing, then change the constant packing, too: else
// blobs would depend on whether there was a previous generation.
func TestPackingHasNotChanged(t *testing.T) {
	s := newSite(t)
	s.generate()
	const want manifest.Digest = "1c5def17b3caaf8ff77dea8d56cd7480ef3d5f496b27784cd31a02fbc6280fbe"
	_, manifests, err := artifacts.Load(s.out())
	s.must(err)
	if got := manifests["master"].Packages[0].Blobs["amd64"].Digest; got != want {
		t.Errorf("the package is packed as %s", got)
	}
}
