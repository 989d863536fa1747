package secrets

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"muster/internal/fault"
	"muster/internal/store"
)

// Origin is where a value comes from.
type Origin string

// The origins of values.
const (
	Generated Origin = "generated"
	Set       Origin = "set"
	File      Origin = "file"
	Env       Origin = "env"
)

// Record is what the store has of a secret. Its value is sealed.
type Record struct {
	Name   string `json:"name"`
	Origin Origin `json:"origin"`
	// PerHost says that the value is the seed of every host's own.
	PerHost bool      `json:"per_host,omitempty"`
	Created time.Time `json:"created"`
	Actor   string    `json:"actor,omitempty"`
	Sealed  []byte    `json:"sealed"`
}

// sealed is what is encrypted: with the name, so that nobody who can write to the store can give one secret's value to
// another.
type sealed struct {
	Name    string `json:"name"`
	PerHost bool   `json:"per_host,omitempty"`
	Value   []byte `json:"value"`
}

const (
	keySecrets = "secrets/"
	// keyNaming is not a name that a secret can have.
	keyNaming = keySecrets + ".naming"
)

// Vault seals and opens the values in a store. Its methods may be called concurrently.
type Vault struct {
	path  string
	store store.Store
	keys  atomic.Pointer[ring]
	// naming keys the digests that leave the coordinator: see Naming.
	naming []byte

	rekeying sync.Mutex
	mu       sync.Mutex
	opened   map[string]opened
}

// opened is a value with the sealed form that it came from, so that it is opened once and never stale, whoever else
// writes to the store.
type opened struct {
	from  []byte
	value []byte
}

// Open reads the key at path and tries it on every record. Where there is neither a key nor a record, it makes the key.
func Open(ctx context.Context, path string, s store.Store) (*Vault, error) {
	v := &Vault{path: filepath.Clean(path), store: s, opened: map[string]opened{}}
	keys, err := loadRing(v.path)
	if errors.Is(err, errNoKey) {
		keys, err = v.firstKey(ctx)
	}
	if err != nil {
		return nil, err
	}
	v.keys.Store(&keys)
	if err := v.prove(ctx, keys); err != nil {
		return nil, err
	}
	if len(keys) > 1 {
		// An earlier change of the key was interrupted.
		if _, err := v.reseal(ctx, keys); err != nil {
			return nil, err
		}
	}
	return v, v.loadNaming(ctx)
}

func (v *Vault) firstKey(ctx context.Context) (ring, error) {
	err := v.store.View(ctx, func(r store.Reader) error {
		return r.Scan(keySecrets, "", func(string, []byte) (bool, error) {
			return false, fault.New(fault.Unavailable, restoreKey,
				"the key of the secrets, %s, is missing, and the store has secrets", v.path)
		})
	})
	if err != nil {
		return nil, err
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	keys := ring{key}
	return keys, keys.save(v.path)
}

// prove opens every record.
func (v *Vault) prove(ctx context.Context, keys ring) error {
	return v.store.View(ctx, func(r store.Reader) error {
		return v.each(r, func(key string, record Record) error {
			_, err := unseal(keys, key, record)
			return err
		})
	})
}

func (v *Vault) each(r store.Reader, f func(key string, record Record) error) error {
	return r.Scan(keySecrets, "", func(key string, raw []byte) (bool, error) {
		var record Record
		if err := json.Unmarshal(raw, &record); err != nil {
			return false, fmt.Errorf("the record %s is damaged: %w", key, err)
		}
		return true, f(key, record)
	})
}

func unseal(keys ring, key string, record Record) ([]byte, error) {
	const remedy = "restore the key or the store from its backup, both of the same time; or give the secrets new values after: coordinator secret reset --yes"
	plain, err := keys.open(record.Sealed)
	if err != nil {
		return nil, fault.New(fault.Unavailable, remedy, "the key does not open the record %s of the store", key).Because(err)
	}
	var content sealed
	if json.Unmarshal(plain, &content) != nil || keySecrets+content.Name != key || content.PerHost != record.PerHost {
		return nil, fault.New(fault.Unavailable, remedy, "the record %s of the store holds something else than its value", key)
	}
	return content.Value, nil
}

// Put keeps a value. What the record says of it is taken from record.
func (v *Vault) Put(w store.Writer, record Record, value []byte) error {
	return put(w, *v.keys.Load(), keySecrets+record.Name, record, value)
}

func put(w store.Writer, keys ring, key string, record Record, value []byte) error {
	plain, err := json.Marshal(sealed{Name: record.Name, PerHost: record.PerHost, Value: value})
	if err != nil {
		return err
	}
	if record.Sealed, err = keys.seal(plain); err != nil {
		return err
	}
	raw, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return w.Put(key, raw)
}

// Get gives a value with its record. There is none when the record has no name.
func (v *Vault) Get(r store.Reader, name string) (Record, []byte, error) {
	var record Record
	raw, err := r.Get(keySecrets + name)
	if err != nil || raw == nil {
		return record, nil, err
	}
	if err := json.Unmarshal(raw, &record); err != nil {
		return Record{}, nil, fmt.Errorf("the record of secret %s is damaged: %w", name, err)
	}
	v.mu.Lock()
	known, ok := v.opened[name]
	v.mu.Unlock()
	if ok && bytes.Equal(known.from, record.Sealed) {
		return record, known.value, nil
	}
	value, err := unseal(*v.keys.Load(), keySecrets+name, record)
	if err != nil {
		return Record{}, nil, err
	}
	v.mu.Lock()
	v.opened[name] = opened{record.Sealed, value}
	v.mu.Unlock()
	return record, value, nil
}

// List gives all records, in the order of their names.
func (v *Vault) List(r store.Reader) ([]Record, error) {
	var list []Record
	err := v.each(r, func(key string, record Record) error {
		if key != keyNaming {
			list = append(list, record)
		}
		return nil
	})
	return list, err
}

// Naming is a random key, the same for the life of the store. A digest over secrets that leaves the coordinator is
// made with it: a plain one would let whoever sees it try out weak values without asking anybody.
func (v *Vault) Naming() []byte { return bytes.Clone(v.naming) }

func (v *Vault) loadNaming(ctx context.Context) error {
	return v.store.Update(ctx, func(w store.Writer) error {
		record, value, err := v.Get(w, keyNaming[len(keySecrets):])
		if err != nil || record.Name != "" {
			v.naming = value
			return err
		}
		v.naming = make([]byte, 32)
		if _, err := rand.Read(v.naming); err != nil {
			return err
		}
		return v.Put(w, Record{Name: keyNaming[len(keySecrets):], Origin: Generated, Created: time.Now().UTC()}, v.naming)
	})
}
