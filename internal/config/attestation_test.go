package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"muster/internal/attest/attesttest"
	"muster/internal/manifest"
)

func attestationSite(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bundle, err := os.ReadFile("testdata/bundle.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write("app/bundle.yaml", string(bundle))
	write("certs/north.pem", string(attesttest.NewSigner(time.Now()).PEM))
	write("cluster.yaml", `cluster: demo
bundle: app
coordinator: {addresses: [10.0.0.1]}
roles: {master: {count: 3}}
attestation:
  aws:
    policies:
      masters:
        role: master
        accounts: ["012345678901", '123456789012']
        regions: [eu-central-1, xx-north-9]
        images: [ami-0123456789abcdef0, ami-01234567]
      spot-workers: {role: agent, accounts: ["012345678901"], regions: [us-gov-west-1], labels: {pool: spot}, window: 2h}
    certificates:
      xx-north-9: certs/north.pem
`)
	return filepath.Join(dir, "cluster.yaml")
}

func TestPoliciesOfAttestation(t *testing.T) {
	path := attestationSite(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c, problems := ParseCluster(path, text, testBundle(t))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	pem, err := os.ReadFile(filepath.Join(filepath.Dir(path), "certs/north.pem"))
	if err != nil {
		t.Fatal(err)
	}
	want := &manifest.Attestation{AWS: &manifest.AWS{
		Policies: map[string]manifest.AWSPolicy{
			"masters": {
				Role: "master", Accounts: []string{"012345678901", "123456789012"}, Regions: []string{"eu-central-1", "xx-north-9"},
				Images: []string{"ami-0123456789abcdef0", "ami-01234567"}, Window: manifest.Span(30 * time.Minute),
			},
			"spot-workers": {
				Role: "agent", Accounts: []string{"012345678901"}, Regions: []string{"us-gov-west-1"}, Labels: map[string]string{"pool": "spot"}, Window: manifest.Span(2 * time.Hour),
			},
		},
		Certificates: map[string]string{"xx-north-9": string(pem)},
	}}
	if !reflect.DeepEqual(c.Attestation, want) {
		t.Errorf("got %+v", c.Attestation.AWS)
	}
	if c, problems := ParseCluster("cluster.yaml", []byte(clusterRest), testBundle(t)); len(problems) > 0 || c.Attestation != nil {
		t.Errorf("without the key: %+v, %v", c.Attestation, problems)
	}
}

func TestAttestationIsExplained(t *testing.T) {
	path := attestationSite(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bundle, problems := ReadBundle(filepath.Join(filepath.Dir(path), "app", bundleFile))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	site, problems := ParseSite(path, text, bundle)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	found := map[string]Explained{}
	for _, e := range site.Keys() {
		if strings.HasPrefix(e.Key, "attestation") {
			found[e.Key] = e
		}
	}
	for key, c := range map[string]struct {
		value  any
		origin Origin
	}{
		"attestation.aws.policies.masters.role":        {"master", FromFile},
		"attestation.aws.policies.masters.accounts":    {[]any{"012345678901", "123456789012"}, FromFile},
		"attestation.aws.policies.masters.window":      {"30m", FromMuster},
		"attestation.aws.policies.spot-workers.window": {"2h", FromFile},
		"attestation.aws.policies.spot-workers.labels": {map[string]any{"pool": "spot"}, FromFile},
		"attestation.aws.certificates":                 {map[string]any{"xx-north-9": "certs/north.pem"}, FromFile},
	} {
		e := found[key]
		if !reflect.DeepEqual(e.Value, c.value) || e.Origin != c.origin || e.Description == "" {
			t.Errorf("%s is %+v", key, e)
		}
	}
	if _, ok := found["attestation.aws.policies.spot-workers.images"]; ok || len(found) != 11 {
		t.Errorf("%d keys", len(found))
	}
}

// What init writes as a comment is right when it is made none.
func TestTheInitialPolicyIsValid(t *testing.T) {
	bundle, problems := ReadBundle("testdata/tools/bundle.yaml")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var section []string
	for line := range strings.Lines(string(Initial(bundle, InitialOptions{Bundle: ".", Address: "10.0.0.1"}))) {
		if strings.HasPrefix(line, "#attestation:") || len(section) > 0 && strings.HasPrefix(line, "#  ") {
			section = append(section, strings.TrimPrefix(line, "#"))
		} else if len(section) > 0 {
			break
		}
	}
	text := strings.Join(section, "")
	for _, key := range []string{"role: master", "accounts", "regions", "images"} {
		if !strings.Contains(text, key) {
			t.Errorf("no %s in\n%s", key, text)
		}
	}
	site, err := os.ReadFile("testdata/tools/cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if c, problems := ParseSite("testdata/tools/cluster.yaml", append(site, text...), bundle); len(problems) > 0 || c.Attestation == nil {
		t.Errorf("%v in\n%s", problems, text)
	}
}
