package config

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"muster/internal/manifest"
)

// Whatever a bundle.yaml can say stands on the publisher's page.
func TestThePublishersPageIsComplete(t *testing.T) {
	text, err := os.ReadFile("../../docs/bundle.md")
	if err != nil {
		t.Fatal(err)
	}
	words := slices.Concat(slices.Collect(maps.Keys(formats)), probes, []string{pathBelow})
	for _, m := range manifest.Moments {
		words = append(words, string(m))
	}
	for _, word := range words {
		if !strings.Contains(string(text), "`"+word) {
			t.Errorf("docs/bundle.md does not name %s", word)
		}
	}
	// An empty bundle is told every key that there is.
	_, problems := ParseBundle(bundleFile, []byte("what: 1\n"))
	_, keys, _ := strings.Cut(problems[0].Remedy, "the keys here are ")
	for key := range strings.FieldsFuncSeq(strings.ReplaceAll(keys, " and ", ", "), func(r rune) bool { return r == ',' || r == ' ' }) {
		if !strings.Contains(string(text), "`"+key) {
			t.Errorf("docs/bundle.md does not name the key %s", key)
		}
	}
}
