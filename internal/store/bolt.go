package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"muster/internal/durable"
)

var bucket = []byte("muster")

// mapped is how far the file is mapped from the start. Until it grows beyond, a writer never waits for a reader to end.
// It takes address space, no memory; 50,000 hosts with their reports need about half.
const mapped = 1 << 30

// lockWait is how long opening waits for another process to let the file go.
const lockWait = 3 * time.Second

type bolt struct{ db *bbolt.DB }

// OpenBolt opens or makes the store in one file. Concurrent updates share a disk write, so many small ones are cheap.
func OpenBolt(path string) (Store, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType, InitialMmapSize: mapped})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%s: %w", path, ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("open the store %s: %w", path, err)
	}
	// A batch waits this long for company; a lone update pays it once, a crowd shares one fsync.
	db.MaxBatchDelay = 2 * time.Millisecond
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the store %s: %w", path, err), db.Close())
	}
	if err := errors.Join(os.Chmod(path, 0o600), durable.SyncDir(filepath.Dir(path))); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &bolt{db}, nil
}

func (b *bolt) View(ctx context.Context, f func(Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.db.View(func(tx *bbolt.Tx) error { return f(boltTx{tx.Bucket(bucket)}) })
}

func (b *bolt) Update(ctx context.Context, f func(Writer) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.db.Batch(func(tx *bbolt.Tx) error { return f(boltTx{tx.Bucket(bucket)}) })
}

func (b *bolt) Close() error { return b.db.Close() }

type boltTx struct{ b *bbolt.Bucket }

func (t boltTx) Get(key string) ([]byte, error) { return bytes.Clone(t.b.Get([]byte(key))), nil }

func (t boltTx) Scan(prefix, after string, f func(string, []byte) (bool, error)) error {
	c := t.b.Cursor()
	from := prefix
	if after >= prefix {
		from = after
	}
	for k, v := c.Seek([]byte(from)); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, v = c.Next() {
		if string(k) == after {
			continue
		}
		more, err := f(string(k), bytes.Clone(v))
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// Put copies the value: bbolt would keep it as it is until the commit, and would take nil for an absent key until then.
func (t boltTx) Put(key string, value []byte) error {
	return t.b.Put([]byte(key), append([]byte{}, value...))
}

func (t boltTx) Delete(key string) error { return t.b.Delete([]byte(key)) }
