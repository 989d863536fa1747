// Package storetest is the contract of a store as tests: every implementation passes Run.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"muster/internal/store"
)

// Open opens the store that belongs to place, a directory of its own that is empty at first. After Close, or in another
// process after this one died, the same place is the same store.
type Open func(place string) (store.Store, error)

// Run tests an implementation. It starts the test binary again, with only the test that called it, to kill it: the
// test must call Run before anything that must not happen twice.
func Run(t *testing.T, open Open) {
	if place := inChild(); place != "" {
		writeUntilKilled(t, open, place)
		return
	}
	t.Run("an absent key is nil", with(open, testAbsent))
	t.Run("what was put is got, in the same transaction and after it", with(open, testPutGet))
	t.Run("a deleted key is absent, and deleting it again is no error", with(open, testDelete))
	t.Run("an empty value is present", with(open, testEmptyValue))
	t.Run("a value may be large and hold any byte", with(open, testLargeValue))
	t.Run("an error of f discards its changes and is returned as it is", with(open, testDiscard))
	t.Run("an error of one f does not touch what others do at the same time", with(open, testDiscardAmongOthers))
	t.Run("a view is a snapshot", with(open, testSnapshot))
	t.Run("a view never sees a part of an update", with(open, testAtomicViews))
	t.Run("an f that runs again sees nothing of its earlier run", with(open, testReRun))
	t.Run("a scan lists what has the prefix, in order", with(open, testScan))
	t.Run("a scan goes on after a key, page by page", with(open, testPages))
	t.Run("a scan ends when its f says so", with(open, testScanEnds))
	t.Run("a scan in an update sees the update", with(open, testScanInUpdate))
	t.Run("keys are deleted where the judge says so, however many", with(open, testDeleteWhere))
	t.Run("returned bytes belong to the caller", with(open, testOwnership))
	t.Run("a put value is copied", with(open, testPutCopies))
	t.Run("concurrent updates lose nothing", with(open, testConcurrentUpdates))
	t.Run("a call whose context has ended does nothing", with(open, testContext))
	t.Run("what was kept is there after closing and opening", func(t *testing.T) { testReopen(t, open) })
	t.Run("a closed store says so", func(t *testing.T) { testClosed(t, open) })
	t.Run("two places share nothing", func(t *testing.T) { testPlaces(t, open) })
	t.Run("what was acknowledged outlives kill -9", func(t *testing.T) { testKill(t, open) })
}

var ctx = context.Background()

// kept is a store with helpers that end the test at what should not happen.
type kept struct {
	*testing.T
	store.Store
}

func with(open Open, test func(kept)) func(*testing.T) {
	return func(t *testing.T) { test(openAt(t, open, t.TempDir())) }
}

func openAt(t *testing.T, open Open, place string) kept {
	t.Helper()
	s, err := open(place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return kept{t, s}
}

func (k kept) view(f func(store.Reader) error) {
	k.Helper()
	if err := k.View(ctx, f); err != nil {
		k.Fatal(err)
	}
}

func (k kept) update(f func(store.Writer) error) {
	k.Helper()
	if err := k.Update(ctx, f); err != nil {
		k.Fatal(err)
	}
}

// put keeps pairs of a key and a value.
func (k kept) put(pairs ...string) {
	k.Helper()
	k.update(func(w store.Writer) error {
		var errs []error
		for i := 0; i < len(pairs); i += 2 {
			errs = append(errs, w.Put(pairs[i], []byte(pairs[i+1])))
		}
		return errors.Join(errs...)
	})
}

// want compares the whole store with pairs of a key and a value in the order of keys.
func (k kept) want(pairs ...string) {
	k.Helper()
	var got []string
	k.view(func(r store.Reader) error {
		got = nil
		return r.Scan("", "", func(key string, value []byte) (bool, error) {
			got = append(got, key, string(value))
			return true, nil
		})
	})
	if !slices.Equal(got, pairs) {
		k.Fatalf("the store has %q\nwant %q", got, pairs)
	}
}

func get(r store.Reader, key string) (string, bool, error) {
	raw, err := r.Get(key)
	return string(raw), raw != nil, err
}

func testAbsent(k kept) {
	k.put("b", "1")
	for _, key := range []string{"a", "bb", "c", "B", ""} {
		k.view(func(r store.Reader) error {
			if value, there, err := get(r, key); err != nil || there {
				k.Errorf("%q is %q, %v", key, value, err)
			}
			return nil
		})
	}
}

func testPutGet(k kept) {
	k.put("a", "1", "b", "2")
	k.update(func(w store.Writer) error {
		err := w.Put("a", []byte("3"))
		if value, _, getErr := get(w, "a"); value != "3" || getErr != nil {
			k.Errorf("in the same transaction: %q, %v", value, getErr)
		}
		if value, _, getErr := get(w, "b"); value != "2" || getErr != nil {
			k.Errorf("what an earlier one put: %q, %v", value, getErr)
		}
		return err
	})
	k.want("a", "3", "b", "2")
}

func testDelete(k kept) {
	k.put("a", "1", "b", "2")
	for range 2 {
		k.update(func(w store.Writer) error {
			err := w.Delete("a")
			if value, there, getErr := get(w, "a"); there || getErr != nil {
				k.Errorf("in the same transaction: %q, %v", value, getErr)
			}
			return err
		})
	}
	k.want("b", "2")
}

func testEmptyValue(k kept) {
	for _, empty := range [][]byte{{}, nil} {
		check := func(r store.Reader) error {
			if value, there, err := get(r, "a"); !there || value != "" || err != nil {
				k.Errorf("an empty value is %q, present %v, %v", value, there, err)
			}
			return nil
		}
		k.update(func(w store.Writer) error { return errors.Join(w.Put("a", empty), check(w)) })
		k.view(check)
		k.want("a", "")
	}
}

func testLargeValue(k kept) {
	large := make([]byte, 1<<20)
	for i := range large {
		large[i] = byte(i * 7 >> 3)
	}
	key := "k/" + strings.Repeat("long", 100) + "/\x00\xff/é"
	k.put(key, string(large))
	k.want(key, string(large))
}

// testOwnership writes into what it got, and keeps it beyond the transaction while others write.
func testOwnership(k kept) {
	// A store with little in it may hand out copies that one with more does not.
	noise := func() {
		for i := range 50 {
			k.put(fmt.Sprintf("noise/%d", i), strings.Repeat("n", 1000))
		}
	}
	k.put("a", "own", "b", "own")
	noise()
	var fromView, fromUpdate [][]byte
	take := func(r store.Reader) (values [][]byte, err error) {
		raw, err := r.Get("a")
		values = append(values, raw)
		return values, errors.Join(err, r.Scan("", "", func(key string, value []byte) (bool, error) {
			values = append(values, value)
			return key < "b", nil
		}))
	}
	k.view(func(r store.Reader) (err error) {
		fromView, err = take(r)
		return err
	})
	if err := k.Update(ctx, func(w store.Writer) (err error) {
		fromUpdate, err = take(w)
		return errors.Join(err, errDiscard)
	}); !errors.Is(err, errDiscard) {
		k.Fatal(err)
	}
	got := append(fromView, fromUpdate...)
	noise()
	if len(got) != 6 {
		k.Fatalf("%d values", len(got))
	}
	for i, value := range got {
		if string(value) != "own" {
			k.Fatalf("value %d became %q", i, value)
		}
		copy(value, "XXX")
		_ = append(value, "more"...)
	}
	k.view(func(r store.Reader) error {
		for _, key := range []string{"a", "b"} {
			if value, _, err := get(r, key); value != "own" || err != nil {
				k.Errorf("%s is %q, %v", key, value, err)
			}
		}
		return nil
	})
}

// testPutCopies uses one buffer for many values, as a loop does.
func testPutCopies(k kept) {
	k.update(func(w store.Writer) error {
		buffer := []byte("1")
		var errs []error
		for _, key := range []string{"a", "b", "c"} {
			errs = append(errs, w.Put(key, buffer))
			buffer[0]++
		}
		return errors.Join(errs...)
	})
	k.want("a", "1", "b", "2", "c", "3")
}

func testReopen(t *testing.T, open Open) {
	place := t.TempDir()
	want := []string{}
	for round := range 3 {
		k := openAt(t, open, place)
		k.want(want...)
		want = append(want, fmt.Sprintf("k%d", round), strings.Repeat("v", 10_000))
		k.put(want[len(want)-2:]...)
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func testClosed(t *testing.T, open Open) {
	k := openAt(t, open, t.TempDir())
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if err := k.View(ctx, func(store.Reader) error { return nil }); err == nil {
		t.Error("a view succeeds")
	}
	if err := k.Update(ctx, func(store.Writer) error { return nil }); err == nil {
		t.Error("an update succeeds")
	}
}

func testPlaces(t *testing.T, open Open) {
	a, b := openAt(t, open, t.TempDir()), openAt(t, open, t.TempDir())
	a.put("k", "a")
	b.want()
	b.put("k", "b")
	a.want("k", "a")
}
