package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"muster/internal/store"
)

func testDeleteWhere(k kept) {
	const number = 1000 // more than one page of keys
	var all []string
	for i := range number {
		all = append(all, fmt.Sprintf("h/%04d", i), fmt.Sprint(i))
	}
	around := []string{"g/9999", "", "i/0000", ""}
	// left are the pairs from the n-th key on, between their neighbours.
	left := func(n int) []string {
		return slices.Concat(around[:2], all[2*n:], around[2:])
	}
	k.put(slices.Concat(around, all)...)

	remove := func(prefix string, judge func(key string, value []byte) (store.Verdict, error)) (asked []string) {
		k.Helper()
		k.update(func(w store.Writer) error {
			asked = nil
			return store.DeleteWhere(w, prefix, func(key string, value []byte) (store.Verdict, error) {
				asked = append(asked, key, string(value))
				return judge(key, value)
			})
		})
		return asked
	}
	if asked := remove("h/", func(string, []byte) (store.Verdict, error) { return store.Keep, nil }); !slices.Equal(asked, all) {
		k.Errorf("asked of %d keys, want each of %d once, in order", len(asked)/2, number)
	}
	k.want(left(0)...)

	if asked := remove("h/", func(key string, _ []byte) (store.Verdict, error) {
		if key == "h/0600" {
			return store.Stop, nil
		}
		return store.Drop, nil
	}); !slices.Equal(asked, all[:2*601]) {
		k.Errorf("asked of %d keys, want none after the one to stop at", len(asked)/2)
	}
	k.want(left(600)...)

	remove("h/", func(key string, _ []byte) (store.Verdict, error) {
		if strings.HasSuffix(key, "1") {
			return store.Keep, nil
		}
		return store.Drop, nil
	})
	var odd []string
	for n := 601; n < number; n += 10 {
		odd = append(odd, all[2*n:2*n+2]...)
	}
	k.want(slices.Concat(around[:2], odd, around[2:])...)

	err := k.Update(ctx, func(w store.Writer) error {
		n := 0
		return store.DeleteWhere(w, "", func(string, []byte) (store.Verdict, error) {
			if n++; n == 3 {
				return store.Drop, errDiscard
			}
			return store.Drop, nil
		})
	})
	if !errors.Is(err, errDiscard) {
		k.Errorf("an error of the judge: %v", err)
	}
	k.want(slices.Concat(around[:2], odd, around[2:])...)

	remove("", func(string, []byte) (store.Verdict, error) { return store.Drop, nil })
	k.want()
}
