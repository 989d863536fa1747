package secrets

import (
	"context"

	"muster/internal/fault"
	"muster/internal/store"
)

// Rekey makes a new key, seals every value with it and forgets the old one. It gives the number of secrets. Whenever it
// is interrupted, the key file opens every record, and the next Open finishes.
func (v *Vault) Rekey(ctx context.Context) (int, error) {
	v.rekeying.Lock()
	defer v.rekeying.Unlock()
	key, err := newKey()
	if err != nil {
		return 0, err
	}
	keys := append(ring{key}, *v.keys.Load()...)
	// The file first: a value that is sealed with a key that is nowhere is lost.
	if err := keys.save(v.path); err != nil {
		return 0, err
	}
	// From here on, Put seals with the new key. One that began before has ended before the update below begins.
	v.keys.Store(&keys)
	return v.reseal(ctx, keys)
}

// reseal seals every value with the first key and then forgets the others.
func (v *Vault) reseal(ctx context.Context, keys ring) (n int, err error) {
	err = v.store.Update(ctx, func(w store.Writer) error {
		n = 0
		records := map[string]Record{}
		if err := v.each(w, func(key string, record Record) error {
			records[key] = record
			return nil
		}); err != nil {
			return err
		}
		for key, record := range records {
			value, err := unseal(keys, key, record)
			if err != nil {
				return err
			}
			if err := put(w, keys, key, record, value); err != nil {
				return err
			}
			if key != keyNaming {
				n++
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	only := keys[:1:1]
	if err := v.prove(ctx, only); err != nil {
		return 0, fault.New(fault.Conflict, "run coordinator secret rekey again", "a secret was written while the key changed; both keys are kept").Because(err)
	}
	if err := only.save(v.path); err != nil {
		return 0, err
	}
	v.keys.Store(&only)
	return n, nil
}

// Reset forgets every value and the key that no longer opens them: the last resort when the key is lost.
func Reset(ctx context.Context, path string, s store.Store) (n int, err error) {
	err = s.Update(ctx, func(w store.Writer) error {
		n = 0
		return store.DeleteWhere(w, keySecrets, func(key string, _ []byte) (store.Verdict, error) {
			if key != keyNaming {
				n++
			}
			return store.Drop, nil
		})
	})
	if err != nil {
		return 0, err
	}
	key, err := newKey()
	if err != nil {
		return 0, err
	}
	return n, ring{key}.save(path)
}
