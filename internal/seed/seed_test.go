package seed_test

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"muster/internal/manifest"
	"muster/internal/seed"
)

//go:embed testdata/ca.pem
var ca string

//go:embed testdata/leaf.pem
var leaf string

const secret = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func valid() *seed.Seed {
	return &seed.Seed{
		Format: 1, Cluster: "demo", Coordinators: []string{"10.77.0.1:8443", "coordinator.example.com:8443", "[fd00::1]:8443"},
		CA: ca, Token: "mt1.abcdefghijkl." + secret,
		Agents: map[manifest.Arch]seed.Agent{
			"amd64": {Digest: manifest.Digest(strings.Repeat("a1", 32)), Size: 10},
			"arm64": {Digest: manifest.Digest(strings.Repeat("b2", 32)), Size: 11},
		},
		Sources: []string{"http://10.77.0.1:8080", "https://mirror.example.com/muster/demo", "http://[fd00::1]:8080", "http://[fd00::1]"},
		Labels:  map[string]string{"zone": "a", "rack": "<7> & 8"},
	}
}

func TestWhatIsEncodedIsParsed(t *testing.T) {
	want := valid()
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := seed.Parse(data)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if strings.Count(string(data), "\n") != 1 || data[0] != '{' {
		t.Errorf("a script relies on one line that begins with a brace, got %q", data)
	}
}

func TestASeedWithAPolicyHoldsNoToken(t *testing.T) {
	want := valid()
	want.Token, want.AWSPolicy = "", "workers"
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := seed.Parse(data)
	if err != nil || !reflect.DeepEqual(got, want) || strings.Contains(string(data), "token") {
		t.Errorf("got %+v, %v from %s", got, err, data)
	}
}

func TestInvalidSeeds(t *testing.T) {
	tests := map[string]struct {
		spoil func(s *seed.Seed)
		want  string
	}{
		"another format":              {func(s *seed.Seed) { s.Format = 2 }, "format 2"},
		"no cluster":                  {func(s *seed.Seed) { s.Cluster = "" }, "cluster"},
		"cluster with a path":         {func(s *seed.Seed) { s.Cluster = "../x" }, "cluster"},
		"no coordinator":              {func(s *seed.Seed) { s.Coordinators = nil }, "coordinators: 0 entries"},
		"too many coordinators":       {func(s *seed.Seed) { s.Coordinators = make([]string, 1000) }, "coordinators: 1000 entries"},
		"coordinator without port":    {func(s *seed.Seed) { s.Coordinators[0] = "10.77.0.1" }, "not host:port"},
		"coordinator with port 0":     {func(s *seed.Seed) { s.Coordinators[0] = "10.77.0.1:0" }, "port"},
		"coordinator with port +1":    {func(s *seed.Seed) { s.Coordinators[0] = "10.77.0.1:+1" }, "port"},
		"coordinator with port 99999": {func(s *seed.Seed) { s.Coordinators[0] = "10.77.0.1:99999" }, "port"},
		"IPv6 without brackets":       {func(s *seed.Seed) { s.Coordinators[0] = "fd00::1:8443" }, "not a host name"},
		"no CA":                       {func(s *seed.Seed) { s.CA = "" }, "ca: not a certificate"},
		"text before the CA":          {func(s *seed.Seed) { s.CA = "x\n" + ca }, "ca: not a certificate"},
		"text after the CA":           {func(s *seed.Seed) { s.CA = ca + "x" }, "ca: more than one"},
		"two CAs":                     {func(s *seed.Seed) { s.CA = ca + ca }, "ca: more than one"},
		"certificate that is no CA":   {func(s *seed.Seed) { s.CA = leaf }, "ca: the certificate is not one of a CA"},
		"damaged CA":                  {func(s *seed.Seed) { s.CA = strings.Replace(ca, "MII", "MIJ", 1) }, "ca: "},
		"no token":                    {func(s *seed.Seed) { s.Token = "" }, "token: not a join token"},
		"token cut off":               {func(s *seed.Seed) { s.Token = s.Token[:59] }, "token: not a join token"},
		"token with a line break":     {func(s *seed.Seed) { s.Token += "\n" }, "token: not a join token"},
		"token of another version":    {func(s *seed.Seed) { s.Token = "mt2" + s.Token[3:] }, "token: not a join token"},
		"a token and a policy":        {func(s *seed.Seed) { s.AWSPolicy = "workers" }, "token: there is an AWS policy beside it"},
		"a policy with a path":        {func(s *seed.Seed) { s.Token, s.AWSPolicy = "", "../x" }, "is not a DNS label"},
		"a policy with a command":     {func(s *seed.Seed) { s.Token, s.AWSPolicy = "", "a$(reboot)" }, "is not a DNS label"},
		"a policy with a line break":  {func(s *seed.Seed) { s.Token, s.AWSPolicy = "", "a\nSEED" }, "is not a DNS label"},
		"a long policy":               {func(s *seed.Seed) { s.Token, s.AWSPolicy = "", strings.Repeat("a", 64) }, "is not a DNS label"},
		"agent of unknown kind":       {func(s *seed.Seed) { s.Agents["mips"] = s.Agents["amd64"] }, "agents: for \"mips\""},
		"agent without digest":        {func(s *seed.Seed) { s.Agents["amd64"] = seed.Agent{Size: 1} }, "agents: for \"amd64\""},
		"agent without size":          {func(s *seed.Seed) { s.Agents["amd64"] = seed.Agent{Digest: s.Agents["amd64"].Digest} }, "agents"},
		"no source":                   {func(s *seed.Seed) { s.Sources = nil }, "sources: 0 entries"},
		"source of another scheme":    {func(s *seed.Seed) { s.Sources[0] = "file:///etc" }, "neither http"},
		"source with a password":      {func(s *seed.Seed) { s.Sources[0] = "http://a:b@c" }, "user names"},
		"source with a command":       {func(s *seed.Seed) { s.Sources[0] = "http://c/$(reboot)" }, "its path has characters"},
		"source with a blank":         {func(s *seed.Seed) { s.Sources[0] = "http://c/a b" }, "its path has characters"},
		"source with a quoted path":   {func(s *seed.Seed) { s.Sources[0] = "http://c/a%27b" }, "its path has characters"},
		"source with a query":         {func(s *seed.Seed) { s.Sources[0] = "http://c/a?" }, "queries"},
		"source without host":         {func(s *seed.Seed) { s.Sources[0] = "http:///a" }, "not a host name"},
		"source that ends in slash":   {func(s *seed.Seed) { s.Sources[0] = "http://c/" }, "ends in a slash"},
		"CIDR and interface":          {func(s *seed.Seed) { s.Address = manifest.Detection{CIDR: "10.0.0.0/8", Interface: "eth0"} }, "both"},
		"CIDR with host bits":         {func(s *seed.Seed) { s.Address.CIDR = "10.0.0.1/8" }, "not a CIDR"},
		"interface with a blank":      {func(s *seed.Seed) { s.Address.Interface = "eth 0" }, "interface"},
		"label with a line break":     {func(s *seed.Seed) { s.Labels["a"] = "b\nSEED" }, "labels"},
		"label without name":          {func(s *seed.Seed) { s.Labels[""] = "b" }, "labels"},
		"label that is not ASCII":     {func(s *seed.Seed) { s.Labels["a"] = "ü" }, "labels"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := valid()
			test.spoil(s)
			_, err := s.Encode()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Encode: %v, want %q", err, test.want)
			}
			data, jsonErr := json.Marshal(s)
			if jsonErr != nil {
				t.Fatal(jsonErr)
			}
			if _, parseErr := seed.Parse(data); parseErr == nil || strings.Contains(parseErr.Error(), secret) {
				t.Errorf("Parse: %v", parseErr)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the message gives the token away: %v", err)
			}
		})
	}
}

func TestDamagedSeeds(t *testing.T) {
	data, err := valid().Encode()
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for name, damaged := range map[string]string{
		"empty":             "",
		"truncated":         text[:len(text)/2],
		"repeated key":      strings.Replace(text, `"cluster":"demo"`, `"cluster":"other","cluster":"demo"`, 1),
		"key in upper case": strings.Replace(text, `"cluster"`, `"Cluster"`, 1),
		"unknown key":       strings.Replace(text, `"cluster"`, `"more":1,"cluster"`, 1),
		"second seed":       text + text,
		"white space":       " " + text,
		"too long":          text + strings.Repeat("\n", seed.MaxSize),
	} {
		if _, err := seed.Parse([]byte(damaged)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTokenIsNotPrinted(t *testing.T) {
	s := valid()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{s, *s, s.Token, &s.Token, []any{s.Token}} {
			if out := fmt.Sprintf(verb, v); strings.Contains(out, secret) || strings.Contains(out, fmt.Sprintf("%x", secret)) {
				t.Errorf("%s of %T gives the token away", verb, v)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	data, err := valid().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := seed.Parse(data)
		if err != nil {
			return
		}
		again, err := s.Encode()
		if err != nil || strings.TrimSuffix(string(again), "\n") != strings.TrimSuffix(string(data), "\n") {
			t.Errorf("accepted %q, which encodes as %q, %v", data, again, err)
		}
	})
}
