package identity_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"muster/internal/identity"
)

func TestNewRecordKeepsWhatWasAskedAndNoSecret(t *testing.T) {
	token := newToken(t)
	spec := identity.TokenSpec{
		Role: "master", Host: "m1", Labels: map[string]string{"zone": "a"},
		CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, MaxUses: 1, TTL: time.Hour,
	}
	got, err := identity.NewRecord(token, spec, start)
	if err != nil {
		t.Fatal(err)
	}
	want := identity.TokenRecord{
		ID: token.ID(), Hash: token.Hash(), Role: "master", Host: "m1", Labels: map[string]string{"zone": "a"},
		CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, MaxUses: 1, Expires: start.Add(time.Hour), Created: start,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	spec.CIDRs[0], spec.Labels["zone"] = netip.MustParsePrefix("0.0.0.0/0"), "b"
	if !reflect.DeepEqual(got, want) {
		t.Error("the record shares memory with the spec")
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), strings.Split(token.Reveal(), ".")[2]) {
		t.Errorf("the record holds the secret: %s", text)
	}
	var stored identity.TokenRecord
	if err := json.Unmarshal(text, &stored); err != nil || !reflect.DeepEqual(stored, want) {
		t.Errorf("from the store came %+v, %v", stored, err)
	}
}

func TestNewRecordDefaultsToHalfAnHour(t *testing.T) {
	r, err := identity.NewRecord(newToken(t), identity.TokenSpec{MaxUses: 1}, start)
	if err != nil || !r.Expires.Equal(start.Add(30*time.Minute)) {
		t.Errorf("expires %v, %v", r.Expires, err)
	}
	if r, err = identity.NewRecord(newToken(t), identity.TokenSpec{MaxUses: 50_000, TTL: 24 * time.Hour}, start); err != nil {
		t.Errorf("the longest: %v, %v", r, err)
	}
}

func TestNewRecordRefuses(t *testing.T) {
	cidr := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	for name, c := range map[string]struct {
		spec identity.TokenSpec
		says string
	}{
		"no uses":                    {identity.TokenSpec{}, "at least 1"},
		"fewer than no uses":         {identity.TokenSpec{MaxUses: -1}, "at least 1"},
		"a lifetime below zero":      {identity.TokenSpec{MaxUses: 1, TTL: -time.Second}, "up to 24h"},
		"a lifetime of over a day":   {identity.TokenSpec{MaxUses: 1, TTL: 24*time.Hour + 1}, "up to 24h"},
		"one host and two uses":      {identity.TokenSpec{MaxUses: 2, Host: "m1"}, "choose 1 use"},
		"a host name with an escape": {identity.TokenSpec{MaxUses: 1, Host: "m1\x1b[2J"}, "host's name"},
		"a host name that is a page": {identity.TokenSpec{MaxUses: 1, Host: strings.Repeat("a", 1<<20)}, "host's name"},
		"a role that is none":        {identity.TokenSpec{MaxUses: 1, Role: "Master Node"}, "name of a role"},
		"a label without a key":      {identity.TokenSpec{MaxUses: 1, Labels: map[string]string{"": "x"}}, "label"},
		"a label with a line end":    {identity.TokenSpec{MaxUses: 1, Labels: map[string]string{"zone": "a\nb"}}, "label"},
		"a network that is none":     {identity.TokenSpec{MaxUses: 1, CIDRs: []netip.Prefix{{}}}, "10.0.0.0/16"},
		"a network with host bits":   {identity.TokenSpec{MaxUses: 1, CIDRs: cidr("10.1.2.3/8")}, "write 10.0.0.0/8"},
		"a network of mapped IPv4":   {identity.TokenSpec{MaxUses: 1, CIDRs: cidr("::ffff:10.0.0.0/104")}, "as IPv4"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := identity.NewRecord(newToken(t), c.spec, start)
			if err == nil || !reflect.DeepEqual(r, identity.TokenRecord{}) {
				t.Fatalf("accepted, error %v", err)
			}
			if !strings.Contains(err.Error(), c.says) || strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 400 {
				t.Errorf("got %q, want it to say %q", err, c.says)
			}
		})
	}
	t.Run("no token", func(t *testing.T) {
		if _, err := identity.NewRecord(identity.Token{}, identity.TokenSpec{MaxUses: 1}, start); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("all that is wrong at once", func(t *testing.T) {
		_, err := identity.NewRecord(newToken(t), identity.TokenSpec{TTL: -1, CIDRs: []netip.Prefix{{}}}, start)
		if err == nil || strings.Count(err.Error(), "\n") != 2 {
			t.Errorf("want three lines, got %v", err)
		}
	})
}

func TestSecretHashRefusesWhatItDidNotWrite(t *testing.T) {
	for _, text := range []string{`""`, `"ab"`, `"` + strings.Repeat("a", 63) + `"`, `"` + strings.Repeat("g", 64) + `"`, `"` + strings.Repeat("a", 66) + `"`} {
		var h identity.SecretHash
		if err := json.Unmarshal([]byte(text), &h); err == nil || h != (identity.SecretHash{}) {
			t.Errorf("%s became %x, %v", text, h, err)
		}
	}
}
