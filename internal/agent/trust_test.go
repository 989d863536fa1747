package agent

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"muster/internal/coordinator"
	authority "muster/internal/identity"
	"muster/internal/proof"
	"muster/internal/seed"
	syncv1 "muster/proto/muster/sync/v1"
)

var admin = coordinator.Actor{Name: "uid 0"}

func TestAHostFollowsARotationOfTheCA(t *testing.T) {
	s := newSite(t)
	h := s.host("worker")
	stop, _ := h.begin()
	h.awaitPhase(syncv1.Phase_PHASE_READY) // it waits for a master
	stop()
	was, old := stored(t, h.layout), s.ca.Roots()[0]
	must(t, s.core.RotateAuthority(t.Context(), admin, false))
	if err := s.core.FinishAuthority(t.Context(), admin, false); err == nil || !strings.Contains(err.Error(), "1 hosts under way") {
		t.Errorf("it can be finished before the host has moved: %v", err)
	}
	stop, _ = h.begin()
	await(t, "it trusts both and has another certificate", func() bool {
		id := stored(t, h.layout)
		return len(id.Told.Roots) == 2 && !id.leaf.Equal(was.leaf)
	})
	await(t, "nothing holds the rotation up", func() bool {
		a, err := s.core.Authority(t.Context())
		return err == nil && len(a.Rotation.Behind) == 0
	})
	stop()
	is := stored(t, h.layout)
	if !bytes.Equal(is.Told.Roots[1], old) || is.HostID != was.HostID || is.key.Equal(was.key) {
		t.Errorf("it trusts others, or is %s with the same key", is.HostID)
	}
	must(t, s.core.FinishAuthority(t.Context(), admin, false))
	s.restart(0)
	stop, _ = h.begin()
	await(t, "it trusts the old root no more", func() bool { return len(stored(t, h.layout).Told.Roots) == 1 })
	h.master()
	h.awaitPhase(syncv1.Phase_PHASE_DONE)
	stop()
	if strings.Contains(h.log.String(), "are not taken") {
		t.Errorf("its log:\n%s", h.log)
	}
}

func TestASeedFromBeforeARotationIsGoodUntilItIsFinished(t *testing.T) {
	s := newSite(t)
	h, late := s.host("loner"), s.host("loner")
	must(t, s.core.RotateAuthority(t.Context(), admin, false))
	h.finish()
	if d := h.described(); d.GetPhase() != syncv1.Phase_PHASE_DONE {
		t.Errorf("it is %v", d)
	}
	err := s.core.FinishAuthority(t.Context(), admin, false)
	if err == nil || !strings.Contains(err.Error(), "1 join tokens from before") {
		t.Errorf("the other seed: %v", err)
	}
	records, err := s.core.Tokens(t.Context())
	must(t, err)
	for _, r := range records {
		if r.Uses == 0 {
			must(t, s.core.RevokeToken(t.Context(), admin, r.ID))
		}
	}
	must(t, s.core.FinishAuthority(t.Context(), admin, false))
	stop, _ := late.begin()
	await(t, "it does not take the coordinator's certificate", func() bool { return strings.Contains(late.log.String(), "certificate") })
	stop()
	if stored(t, late.layout).leaf != nil {
		t.Error("it has joined")
	}
}

func TestRootsThatAHostDoesNotTakeLeaveItAsItIs(t *testing.T) {
	l := newRoot(t)
	mustMkdir(t, l.State())
	own, foreign := newAuthority(t), newAuthority(t)
	s := &seed.Seed{Cluster: "demo", CA: string(own.RootPEM())}
	id := stored(t, l)
	before := read(t, l.key())
	leaf, err := own.ServerCertificate([]string{"127.0.0.1"}, time.Now())
	must(t, err)
	root := own.Roots()[0]
	for name, roots := range map[string][][]byte{
		"of another CA alone":      foreign.Roots(),
		"one that is no CA":        {root, leaf.Certificate[0]},
		"an intermediate":          {root, leaf.Certificate[1]},
		"nonsense beside a good":   {root, []byte("x")},
		"one that is too long":     {root, append(bytes.Clone(root), make([]byte, 8<<10)...)},
		"more than there can be":   {root, root, root, root, root},
		"an empty one":             {root, nil},
		"a good one in PEM":        {own.RootPEM()},
		"a good one with one more": {append(bytes.Clone(root), 0)},
	} {
		if err := id.trust(l, s, roots); err == nil {
			t.Errorf("%s: taken", name)
		}
		if read(t, l.key()) != before || len(id.Told.Roots) > 0 {
			t.Fatalf("%s: the identity has changed", name)
		}
	}
}

func TestWhatAHostWasToldCountsForTheSeedThatItWasToldUnder(t *testing.T) {
	l := newRoot(t)
	mustMkdir(t, l.State())
	own, other := newAuthority(t), newAuthority(t)
	s := &seed.Seed{Cluster: "demo", CA: string(own.RootPEM())}
	id := stored(t, l)
	must(t, own.Rotate(false, time.Now()))
	must(t, id.trust(l, s, own.Roots()))
	trusts := func(when string, id *identity, s *seed.Seed, want [][]byte) {
		t.Helper()
		roots, err := id.Told.roots(s)
		must(t, err)
		if len(roots) != len(want) || len(id.Told.sums(s)) != len(want) {
			t.Fatalf("%s: %d roots", when, len(roots))
		}
		for i, der := range want {
			if !bytes.Equal(roots[i].Raw, der) {
				t.Errorf("%s: another root", when)
			}
		}
	}
	trusts("at once", id, s, own.Roots())
	trusts("after a restart", stored(t, l), s, own.Roots())
	must(t, id.renewKey(l))
	trusts("with a fresh key", stored(t, l), s, own.Roots())
	key, err := proof.NewKey()
	must(t, err)
	chain, _, _, err := own.IssueHost(checked(t, key), "h-abcdefghijklm", time.Now(), time.Hour)
	must(t, err)
	must(t, id.adopt(l, s, chain, key))
	trusts("with a fresh certificate", stored(t, l), s, own.Roots())
	// Somebody pushed again, with a seed of another CA.
	trusts("with another seed", stored(t, l), &seed.Seed{Cluster: "demo", CA: string(other.RootPEM())}, other.Roots())
}

func newAuthority(t testing.TB) *authority.CA {
	t.Helper()
	ca, err := authority.Create(t.TempDir()+"/ca", "demo", time.Now())
	must(t, err)
	return ca
}

// The disk of a host under way is copied: two machines have its identity, and the first renewal shows it.
func TestAClonedDiskIsQuarantined(t *testing.T) {
	s := newSite(t)
	s.restart(-20 * time.Hour) // its certificate is due for renewal afterwards
	original := s.host("worker")
	stop, _ := original.begin()
	original.awaitPhase(syncv1.Phase_PHASE_READY)
	stop()
	clone := &host{site: s, layout: newRoot(t), log: &notes{}}
	must(t, os.CopyFS(clone.layout.State(), os.DirFS(original.layout.State())))
	must(t, os.Chmod(clone.layout.State(), 0o700))
	if stored(t, clone.layout).leaf == nil {
		t.Fatal("no identity was copied")
	}
	s.restart(0)
	was := stored(t, original.layout)
	stopOriginal, _ := original.begin()
	await(t, "it has renewed", func() bool { return !stored(t, original.layout).leaf.Equal(was.leaf) })
	await(t, "the renewal is in use", func() bool { return stored(t, original.layout).Accepted })

	stopClone, _ := clone.begin()
	await(t, "the host is in quarantine", func() bool { return original.described().GetQuarantine() != nil })
	await(t, "both are told", func() bool {
		return strings.Contains(original.log.String(), "is in quarantine") && strings.Contains(clone.log.String(), "is in quarantine")
	})
	events, err := s.core.Events(t.Context(), coordinator.EventFilter{}, 100)
	must(t, err)
	quarantined := 0
	for _, e := range events {
		if e.Kind == "quarantined" && e.From == "127.0.0.1" {
			quarantined++
		}
	}
	if quarantined != 1 {
		t.Errorf("%d events of it: %+v", quarantined, events)
	}
	// The roster is full now: whoever could ask would get a plan to install.
	s.master()
	reports := len(original.reports())
	time.Sleep(500 * time.Millisecond)
	if d := original.described(); d.Phase != syncv1.Phase_PHASE_READY || len(original.reports()) != reports {
		t.Errorf("it goes on in quarantine: %v", d)
	}
	stopClone()
	_, err = s.core.Release(t.Context(), admin, original.described().Id)
	must(t, err)
	original.awaitPhase(syncv1.Phase_PHASE_DONE)
	stopOriginal()
	for _, path := range []string{clone.layout.current("demo")} {
		if exists(path) {
			t.Errorf("the clone has installed %s", path)
		}
	}
}
