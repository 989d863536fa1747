package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"muster/internal/store"
)

var errDiscard = errors.New("no")

func testDiscard(k kept) {
	k.put("a", "1", "b", "2")
	err := k.Update(ctx, func(w store.Writer) error {
		if err := errors.Join(w.Put("a", []byte("changed")), w.Delete("b"), w.Put("c", []byte("new"))); err != nil {
			return err
		}
		return errDiscard
	})
	if err != errDiscard { // as it is means identical
		k.Errorf("got %v", err)
	}
	if err := k.View(ctx, func(store.Reader) error { return errDiscard }); err != errDiscard { // as it is means identical
		k.Errorf("a view: got %v", err)
	}
	k.want("a", "1", "b", "2")
}

func testDiscardAmongOthers(k kept) {
	const callers = 64
	errs := make([]error, callers)
	together(callers, func(i int) {
		errs[i] = k.Update(ctx, func(w store.Writer) error {
			if err := w.Put(fmt.Sprintf("%03d", i), []byte("x")); err != nil {
				return err
			}
			if i%3 == 0 {
				return fmt.Errorf("caller %d: %w", i, errDiscard)
			}
			return nil
		})
	})
	var want []string
	for i, err := range errs {
		if i%3 != 0 {
			want = append(want, fmt.Sprintf("%03d", i), "x")
			if err != nil {
				k.Errorf("caller %d has the error of another: %v", i, err)
			}
		} else if err == nil || err.Error() != fmt.Sprintf("caller %d: no", i) {
			k.Errorf("caller %d: %v", i, err)
		}
	}
	k.want(want...)
}

func testSnapshot(k kept) {
	k.put("a", "1", "b", "1")
	k.view(func(r store.Reader) error {
		if value, _, err := get(r, "a"); value != "1" || err != nil {
			k.Errorf("before: %q, %v", value, err)
		}
		// Large enough that a file has to grow for it: an open view must not hold that up.
		changed := make(chan error, 1)
		go func() {
			changed <- k.Update(ctx, func(w store.Writer) error {
				return errors.Join(w.Put("a", []byte("2")), w.Delete("b"), w.Put("c", make([]byte, 4<<20)))
			})
		}()
		select {
		case err := <-changed:
			if err != nil {
				k.Error(err)
			}
		case <-time.After(20 * time.Second):
			k.Error("an update waits for a view to end")
			return nil
		}
		var keys []string
		err := r.Scan("", "", func(key string, value []byte) (bool, error) {
			keys = append(keys, key+"="+string(value))
			return true, nil
		})
		if got := strings.Join(keys, " "); got != "a=1 b=1" || err != nil {
			k.Errorf("during the view, after a change: %s, %v", got, err)
		}
		return nil
	})
	k.want("a", "2", "c", string(make([]byte, 4<<20)))
}

// testAtomicViews moves one unit between two accounts, again and again: a view that sees a part of a move sees a wrong
// sum.
func testAtomicViews(k kept) {
	const moves = 60
	k.put("left", strings.Repeat("x", moves), "right", "")
	done := make(chan error, 1)
	go func() {
		for range moves {
			if err := k.Update(ctx, func(w store.Writer) error {
				left, _, err := get(w, "left")
				if err != nil {
					return err
				}
				right, _, err := get(w, "right")
				if err != nil {
					return err
				}
				return errors.Join(w.Put("left", []byte(left[1:])), w.Put("right", []byte(right+"x")))
			}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for views := 0; ; views++ {
		k.view(func(r store.Reader) error {
			left, _, err := get(r, "left")
			right, _, err2 := get(r, "right")
			if len(left)+len(right) != moves {
				k.Errorf("view %d: %d and %d", views, len(left), len(right))
			}
			return errors.Join(err, err2)
		})
		select {
		case err := <-done:
			if err != nil {
				k.Error(err)
			}
			k.want("left", "", "right", strings.Repeat("x", moves))
			return
		default:
		}
	}
}

// testReRun counts in the store and beside it: in company that fails, an implementation may run f again, and then its
// earlier run must have left nothing.
func testReRun(k kept) {
	const callers = 48
	runs := make([]int, callers)
	counted := make([]int, callers)
	together(callers, func(i int) {
		key := fmt.Sprintf("%03d", i)
		err := k.Update(ctx, func(w store.Writer) error {
			runs[i]++
			have, _, err := get(w, key)
			if err != nil {
				return err
			}
			counted[i] = len(have) + 1
			if err := w.Put(key, []byte(have+"x")); err != nil {
				return err
			}
			if i%4 == 0 {
				return errDiscard
			}
			return nil
		})
		if i%4 == 0 != (err != nil) {
			k.Errorf("caller %d: %v", i, err)
		}
	})
	var want []string
	for i := range callers {
		if i%4 != 0 {
			want = append(want, fmt.Sprintf("%03d", i), "x")
		}
		if runs[i] < 1 || counted[i] != 1 {
			k.Errorf("caller %d ran %d times and saw %d of its own runs", i, runs[i], counted[i])
		}
	}
	k.want(want...)
}

func testConcurrentUpdates(k kept) {
	const callers, calls = 32, 8
	together(callers, func(i int) {
		for n := range calls {
			err := k.Update(ctx, func(w store.Writer) error {
				shared, _, err := get(w, "shared")
				return errors.Join(err, w.Put("shared", []byte(shared+"x")), w.Put(fmt.Sprintf("own/%d/%d", i, n), nil))
			})
			if err != nil {
				k.Error(err)
			}
		}
	})
	k.view(func(r store.Reader) error {
		if shared, _, err := get(r, "shared"); len(shared) != callers*calls || err != nil {
			k.Errorf("%d of %d updates of the shared record are there, %v", len(shared), callers*calls, err)
		}
		return nil
	})
	if own := strings.Fields(k.list("own/", "", callers*calls+1)); len(own) != callers*calls {
		k.Errorf("%d of %d own records are there", len(own), callers*calls)
	}
}

func testContext(k kept) {
	k.put("a", "1")
	ended, cancel := context.WithCancel(ctx)
	cancel()
	ran := false
	if err := k.View(ended, func(store.Reader) error { ran = true; return nil }); !errors.Is(err, context.Canceled) {
		k.Errorf("view: %v", err)
	}
	if err := k.Update(ended, func(w store.Writer) error { ran = true; return w.Put("a", []byte("2")) }); !errors.Is(err, context.Canceled) {
		k.Errorf("update: %v", err)
	}
	if ran {
		k.Error("f ran")
	}
	k.want("a", "1")
}
