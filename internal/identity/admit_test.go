package identity_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"muster/internal/identity"
)

var from = netip.MustParseAddr("10.1.2.3")

func newRecord(t testing.TB, token identity.Token, spec identity.TokenSpec) identity.TokenRecord {
	t.Helper()
	r, err := identity.NewRecord(token, spec, start)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// withSecret is a token of the same ID and another secret.
func withSecret(t testing.TB, token identity.Token, fill byte) identity.Token {
	t.Helper()
	secret := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(string(rune(fill)), 32)))
	forged, err := identity.ParseToken("mt1." + string(token.ID()) + "." + secret)
	if err != nil {
		t.Fatal(err)
	}
	return forged
}

func TestAdmit(t *testing.T) {
	token := newToken(t)
	cidrs := []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	r := newRecord(t, token, identity.TokenSpec{MaxUses: 2, CIDRs: cidrs})
	before := fmt.Sprintf("%+v", r)
	for name, c := range map[string]struct {
		from netip.Addr
		now  time.Time
	}{
		"at once":                            {from, start},
		"in the last instant":                {from, r.Expires.Add(-1)},
		"from IPv4 over a dual-stack socket": {netip.MustParseAddr("::ffff:10.1.2.3"), start},
		"from IPv6":                          {netip.MustParseAddr("fd00::1"), start},
		"from IPv6 with a zone":              {netip.MustParseAddr("fd00::1%eth0"), start},
	} {
		if err := r.Admit(token, c.from, c.now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if fmt.Sprintf("%+v", r) != before {
		t.Error("Admit changed the record")
	}
	r.Uses = 1
	if err := r.Admit(token, from, start); err != nil {
		t.Errorf("for the second of two uses: %v", err)
	}
}

func TestAdmitDeniesEverybodyAlike(t *testing.T) {
	token := newToken(t)
	r := newRecord(t, token, identity.TokenSpec{MaxUses: 1, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	used := r
	used.Uses = 1
	overused := r
	overused.Uses = 2
	noHash := r
	noHash.Hash = identity.SecretHash{}
	outside := netip.MustParseAddr("11.0.0.1")
	for name, c := range map[string]struct {
		record identity.TokenRecord
		token  identity.Token
		from   netip.Addr
		now    time.Time
		reason identity.DenialReason
	}{
		"an unknown ID":                     {identity.TokenRecord{}, token, from, start, identity.ReasonUnknown},
		"the record of another token":       {r, newToken(t), from, start, identity.ReasonUnknown},
		"no token":                          {r, identity.Token{}, from, start, identity.ReasonUnknown},
		"no token and no record":            {identity.TokenRecord{}, identity.Token{}, from, start, identity.ReasonUnknown},
		"a wrong secret":                    {r, withSecret(t, token, 'x'), from, start, identity.ReasonSecret},
		"a secret of zeros, no hash stored": {noHash, withSecret(t, token, 0), from, start, identity.ReasonSecret},
		"the instant of expiry":             {r, token, from, r.Expires, identity.ReasonExpired},
		"long after":                        {r, token, from, start.Add(48 * time.Hour), identity.ReasonExpired},
		"another network":                   {r, token, outside, start, identity.ReasonAddress},
		"no address":                        {r, token, netip.Addr{}, start, identity.ReasonAddress},
		"an IPv6 address":                   {r, token, netip.MustParseAddr("fd00::a01:203"), start, identity.ReasonAddress},
		"no uses left":                      {used, token, from, start, identity.ReasonUsedUp},
		"more uses than allowed":            {overused, token, from, start, identity.ReasonUsedUp},
		// Only the right token, at the right time and place, is told apart as used up.
		"used up, a wrong secret":     {used, withSecret(t, token, 'x'), from, start, identity.ReasonSecret},
		"used up and expired":         {used, token, from, r.Expires, identity.ReasonExpired},
		"used up, another network":    {used, token, outside, start, identity.ReasonAddress},
		"everything wrong but the ID": {used, withSecret(t, token, 'x'), outside, r.Expires, identity.ReasonSecret},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.record.Admit(c.token, c.from, c.now)
			var denial *identity.Denial
			if !errors.Is(err, identity.ErrDenied) || !errors.As(err, &denial) {
				t.Fatalf("got %v", err)
			}
			if denial.Reason != c.reason || denial.Token != c.token.ID() {
				t.Errorf("reason %q of %q, want %q", denial.Reason, denial.Token, c.reason)
			}
			if err.Error() != identity.ErrDenied.Error() || fmt.Sprintf("%v|%+v|%s", err, err, err) != fmt.Sprintf("%[1]v|%[1]v|%[1]v", identity.ErrDenied) {
				t.Errorf("the text differs: %v", err)
			}
		})
	}
}

func TestAThousandWrongSecretsChangeNothing(t *testing.T) {
	token := newToken(t)
	r := newRecord(t, token, identity.TokenSpec{MaxUses: 1, Labels: map[string]string{"zone": "a"}})
	before := r
	for range 1000 {
		text := []byte(token.Reveal())
		i := 17 + rand.IntN(42)
		text[i] = map[bool]byte{true: 'B', false: 'A'}[text[i] == 'A']
		forged, err := identity.ParseToken(string(text))
		if err != nil {
			t.Fatal(err)
		}
		if r.Verify(forged) || r.Admit(forged, from, start) == nil {
			t.Fatalf("admitted with character %d changed", i)
		}
	}
	if !reflect.DeepEqual(r, before) {
		t.Error("the record changed")
	}
	if !r.Verify(token) || r.Admit(token, from, start) != nil {
		t.Error("the right token is not admitted any more")
	}
}

func TestVerifyNeedsTheIDToo(t *testing.T) {
	token := newToken(t)
	r := newRecord(t, token, identity.TokenSpec{MaxUses: 1})
	r.ID = "aaaaaaaaaaaa"
	if r.Verify(token) {
		t.Error("a token is taken for one of another ID")
	}
	if (identity.TokenRecord{}).Verify(identity.Token{}) {
		t.Error("nothing is taken for nothing")
	}
}

func BenchmarkAdmit(b *testing.B) {
	token := newToken(b)
	r := newRecord(b, token, identity.TokenSpec{MaxUses: 1, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	for name, r := range map[string]identity.TokenRecord{"admitted": r, "unknown": {}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Admit(token, from, start); (err == nil) != (name == "admitted") {
					b.Fatal(err)
				}
			}
		})
	}
}
