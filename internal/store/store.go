// Package store keeps what must survive the coordinator: small records under string keys, changed in transactions. It
// knows nothing of what the records mean.
package store

import (
	"context"
	"errors"
)

// Store is a transactional, ordered key-value store. Every implementation passes the conformance suite in storetest.
// A call whose context has ended does not run f and returns the context's error.
type Store interface {
	// View runs f on a consistent snapshot.
	View(ctx context.Context, f func(Reader) error) error
	// Update runs f and then makes its changes durable, all or none: when it returns nil they are on disk. It may run f
	// more than once, so f sets captured variables anew each time; only the last run counts. An error of f discards its
	// changes and is returned as it is.
	Update(ctx context.Context, f func(Writer) error) error
	Close() error
}

// Reader reads inside a transaction. What it returns belongs to the caller.
type Reader interface {
	// Get returns nil when the key is absent.
	Get(key string) ([]byte, error)
	// Scan calls f for the keys that begin with prefix and are greater than after, in ascending order, until f returns
	// false or an error.
	Scan(prefix, after string, f func(key string, value []byte) (more bool, err error)) error
}

// Writer reads and changes inside a transaction.
type Writer interface {
	Reader
	// Put copies the value. An empty one is not an absent one.
	Put(key string, value []byte) error
	Delete(key string) error
}

// ErrLocked is a store that another process holds.
var ErrLocked = errors.New("the store is held by another process")
