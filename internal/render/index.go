package render

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"muster/internal/late"
)

// index does what the template language's own index does, except that it wants a role in .Roster and a secret in
// .Secret to exist.
func (r *Renderer) index(item reflect.Value, keys ...reflect.Value) (reflect.Value, error) {
	item = concrete(item)
	if !item.IsValid() {
		return item, errors.New("index of null")
	}
	for _, key := range keys {
		key = concrete(key)
		var err error
		switch item.Kind() {
		case reflect.Slice, reflect.String:
			item, err = element(item, key)
		case reflect.Map:
			item, err = entry(r.space, item, key)
		default:
			err = fmt.Errorf("%s cannot be indexed", kindOf(item))
		}
		if err != nil {
			return item, err
		}
	}
	return item, nil
}

func element(list, key reflect.Value) (reflect.Value, error) {
	if !key.IsValid() || !key.CanInt() {
		return list, fmt.Errorf("an index of a list is a whole number, not %s", kindOf(key))
	}
	n, length := key.Int(), list.Len()
	if n >= 0 && n < int64(length) {
		return concrete(list.Index(int(n))), nil
	}
	if members, ok := list.Interface().([]late.Member); ok && length > 0 {
		role, _, _ := strings.Cut(late.Ref(members[0].Name), "[")
		return list, &late.Error{
			Message: fmt.Sprintf("index %d is outside of .%s, which has %s", n, role, count(length, "member")),
			Remedy:  fmt.Sprintf("the first is 0 and the last %d; use {{ range .%s }} for all of them", length-1, role),
		}
	}
	return list, fmt.Errorf("index %d is outside of a list of %d", n, length)
}

func entry(space *late.Space, m, key reflect.Value) (reflect.Value, error) {
	if !key.IsValid() || key.Kind() != reflect.String {
		return m, fmt.Errorf("a key of a map is text, not %s", kindOf(key))
	}
	if found := m.MapIndex(key); found.IsValid() {
		return concrete(found), nil
	}
	if roster, ok := m.Interface().(map[string][]late.Member); ok {
		return m, undeclaredRole(roster, key.String())
	}
	if secrets, ok := m.Interface().(map[string]late.Value); ok {
		return m, unreadableSecret(space, secrets, key.String())
	}
	// A missing key is null here, as in the template language: it is the way to ask for what may be absent.
	return reflect.Value{}, nil
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
