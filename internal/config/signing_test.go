package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/config"
)

const (
	keyOne = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="
	keyTwo = "1BWXvPvYzKPTSfrOhf3ZSc5wcRfdWj0Kuv0yGrsFVZ0="
)

func TestSigning(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("two.pub", keyTwo+"\n")
	write("private.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	for text, want := range map[string]string{
		"{keys: [" + keyOne + "]}":                                          "",
		"{keys: [" + keyOne + ", two.pub]}":                                 "",
		"{keys: [" + keyOne + ", two.pub], threshold: 1}":                   "",
		"{id: prod-eu, keys: [" + keyOne + "], threshold: 1, expires: 48h}": "",
		"{}":                                                     "keys: is required",
		"{keys: []}":                                             "must list at least one key",
		"{keys: [x]}":                                            "neither a key",
		"{keys: [/etc/key.pub]}":                                 "must be relative",
		"{keys: [private.pem]}":                                  "it holds a private key",
		"{keys: [two.pub, " + keyTwo + "]}":                      "is the same key as in line",
		"{keys: [" + keyOne + "], threshold: 2}":                 "is 2, and there are 1 keys",
		"{keys: [" + keyOne + "], threshold: 0}":                 "must be between 1 and 16",
		"{keys: [" + keyOne + "], expires: 0s}":                  "must be more than zero",
		"{keys: [" + keyOne + "], expires: 30d}":                 "is not a duration",
		"{keys: [" + keyOne + "], id: 'a b'}":                    "cannot be a cluster id",
		"{keys: [AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=]}": "anybody can make signatures",
		"{keyz: [" + keyOne + "]}":                               "unknown key",
	} {
		c, problems := config.ParseCluster(filepath.Join(dir, "cluster.yaml"),
			[]byte("cluster: demo\nbundle: x\ncoordinator: {addresses: [10.0.0.1]}\nsigning: "+text+"\n"), nil)
		if want != "" {
			found := false
			for _, p := range problems {
				found = found || strings.Contains(p.String(), want) && p.Remedy != ""
			}
			if c != nil || !found {
				t.Errorf("%s: got %v, want %q", text, problems, want)
			}
			continue
		}
		if c == nil {
			t.Errorf("%s: %v", text, problems)
			continue
		}
		s := c.Signing
		if s.Keys[0] != keyOne || len(s.Keys) == 2 && s.Keys[1] != keyTwo || s.Threshold < 1 || s.ID != "demo" && s.ID != "prod-eu" || s.Expires != 720*time.Hour && s.Expires != 48*time.Hour {
			t.Errorf("%s: %+v", text, s)
		}
		if !strings.Contains(text, "threshold") && s.Threshold != len(s.Keys) {
			t.Errorf("%s: a threshold of %d", text, s.Threshold)
		}
	}
}
