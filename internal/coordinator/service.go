// Package coordinator is the core: one service with every rule of enrolment, assignment, syncing and the operator's
// verbs. The front doors translate to it and from it; it knows no gRPC and no HTTP.
package coordinator

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"muster/internal/attest"
	"muster/internal/fault"
	"muster/internal/gate"
	"muster/internal/hosts"
	"muster/internal/identity"
	"muster/internal/manifest"
	"muster/internal/secrets"
	"muster/internal/store"
)

// Options are what a Service needs. Clock and Random are for tests.
type Options struct {
	Store     store.Store
	CA        *identity.CA
	Manifests map[manifest.Role]*manifest.Manifest
	// Generation is the one that hosts are to install.
	Generation *manifest.Generation
	// Vault keeps the secrets. A generation that has some cannot be served without one.
	Vault *secrets.Vault
	// AWS are the certificates of its regions; nil for those that are built in. The generation's own replace them.
	AWS    attest.Certificates
	Log    *slog.Logger
	Clock  func() time.Time
	Random io.Reader
	// RenewWithin is how soon hosts renew that are asked to after a rotation of the CA; 0 for half a minute.
	RenewWithin time.Duration
}

// Service is the core. Its methods may be called concurrently; calls for different hosts do not wait for each other
// except for the disk.
type Service struct {
	store store.Store
	ca    *identity.CA
	gen   *generation
	vault *secrets.Vault
	// naming is the key of name.
	naming []byte
	// aws are the certificates whose word on an instance counts.
	aws    attest.Certificates
	log    *slog.Logger
	clock  func() time.Time
	random io.Reader

	// began is when this process did.
	began       time.Time
	directory   *directory
	bell        bell
	notes       notes
	endings     endings
	page        pageLogins
	joining     gate.Turns[string]
	renewWithin time.Duration
	// handing is held while a root certificate goes into a seed, and taken while the CA changes: what is handed out after
	// a rotation began is of the new root.
	handing sync.RWMutex
	// locks serialises the calls of one host, so that its directory entry follows its record.
	locks sync.Map // hosts.ID → *sync.Mutex
	// eventCount orders events that have the same time.
	eventCount atomic.Uint64
}

// New prepares the service and reads what the store has.
func New(ctx context.Context, o Options) (*Service, error) {
	gen, err := newGeneration(o.Generation, o.Manifests)
	if err != nil {
		return nil, err
	}
	aws, err := awsCertificates(o)
	if err != nil {
		return nil, err
	}
	s := &Service{
		aws: aws, store: o.Store, ca: o.CA, gen: gen, vault: o.Vault, log: o.Log, clock: o.Clock, random: o.Random,
		directory: newDirectory(), renewWithin: cmp.Or(o.RenewWithin, renewWithin),
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.random == nil {
		s.random = rand.Reader
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.began = s.clock()
	s.directory.began = s.began
	if err := s.adopt(ctx); err != nil {
		return nil, err
	}
	if err := s.prepareSecrets(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Cluster is the cluster's name.
func (s *Service) Cluster() string { return s.gen.g.Cluster }

// adopt makes the store this cluster's, brings the rosters to the generation's counts and fills the directory.
func (s *Service) adopt(ctx context.Context) error {
	err := s.store.Update(ctx, func(w store.Writer) error {
		var cluster string
		if err := read(w, keyCluster, &cluster); err != nil {
			return err
		}
		if cluster != "" && cluster != s.gen.g.Cluster {
			return fault.New(fault.Conflict,
				"give each cluster a state directory of its own (--state), or serve the generation of "+cluster,
				"the state belongs to cluster %q, the generation to %q", cluster, s.gen.g.Cluster)
		}
		if err := write(w, keyCluster, s.gen.g.Cluster); err != nil {
			return err
		}
		for _, role := range s.gen.g.Roles {
			if role.Count == 0 {
				continue
			}
			if err := s.fitRoster(w, role); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.store.View(ctx, func(r store.Reader) error {
		if err := scan(r, keyHosts, "", func(_ string, h *hosts.Host) (bool, error) {
			s.directory.put(*h)
			return true, nil
		}); err != nil {
			return err
		}
		return scan(r, keyPushes, "", func(_ string, p *Push) (bool, error) {
			s.directory.putPush(*p)
			return true, nil
		})
	})
}

func (s *Service) lock(id hosts.ID) func() {
	m, _ := s.locks.LoadOrStore(id, new(sync.Mutex))
	mu := m.(*sync.Mutex)
	mu.Lock()
	return mu.Unlock
}

// The keys of the store. Nothing but a counted role's roster is shared between hosts.
const (
	keyCluster   = "cluster"
	keyHosts     = "hosts/"
	keyReports   = "reports/"
	keyAddresses = "addresses/"
	keyKeys      = "keys/"
	keyTokens    = "tokens/"
	keyRosters   = "rosters/"
	keyPushes    = "pushes/"
	keyNaming    = "naming"
	keyInstances = "instances/"
)

// read leaves v as it is when the key is absent.
func read[T any](r store.Reader, key string, v *T) error {
	raw, err := r.Get(key)
	if err != nil || raw == nil {
		return err
	}
	return decode(key, raw, v)
}

func decode(key string, raw []byte, v any) error {
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("the record %s is damaged: %w", key, err)
	}
	return nil
}

func write(w store.Writer, key string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.Put(key, raw)
}

func scan[T any](r store.Reader, prefix, after string, f func(key string, v *T) (bool, error)) error {
	return r.Scan(prefix, after, func(key string, raw []byte) (bool, error) {
		v := new(T)
		if err := decode(key, raw, v); err != nil {
			return false, err
		}
		return f(key, v)
	})
}

// getHost reads a host or says that there is none.
func getHost(r store.Reader, id hosts.ID) (hosts.Host, error) {
	var h hosts.Host
	if err := read(r, keyHosts+string(id), &h); err != nil {
		return h, err
	}
	if h.ID == "" {
		return h, errNoHost(string(id))
	}
	return h, nil
}

// record is a host as it is on disk.
func (s *Service) record(ctx context.Context, id hosts.ID) (h hosts.Host, err error) {
	err = s.store.View(ctx, func(r store.Reader) error {
		h, err = getHost(r, id)
		return err
	})
	return h, err
}

// change is every later change of one host that is not barred: f sees the record, what it leaves is on disk when change
// returns, and the directory follows.
func (s *Service) change(ctx context.Context, id hosts.ID, f func(store.Writer, *hosts.Host) error) error {
	return s.alter(ctx, id, func(w store.Writer, h *hosts.Host) error {
		if err := barred(*h); err != nil {
			return err
		}
		return f(w, h)
	})
}

// alter is change also for a host in quarantine. One that was removed changes no more.
func (s *Service) alter(ctx context.Context, id hosts.ID, f func(store.Writer, *hosts.Host) error) error {
	defer s.lock(id)()
	var h hosts.Host
	err := s.store.Update(ctx, func(w store.Writer) error {
		var err error
		if h, err = getHost(w, id); err != nil {
			return err
		}
		if h.Phase == hosts.Removed {
			return ErrRemoved
		}
		if err := f(w, &h); err != nil {
			return err
		}
		return write(w, keyHosts+string(id), h)
	})
	if err == nil {
		s.directory.put(h)
	}
	return err
}

// follow brings the directory to what is on disk of a host, whoever else changes it meanwhile.
func (s *Service) follow(ctx context.Context, id hosts.ID) error {
	defer s.lock(id)()
	h, err := s.record(context.WithoutCancel(ctx), id)
	if err == nil {
		s.directory.put(h)
	}
	return err
}

func errNoHost(name string) error {
	return fault.New(fault.NotFound, "coordinator status lists the hosts", "there is no host %q", name)
}

// ErrRemoved is a host that an operator removed: whatever it still holds, it is denied.
var ErrRemoved = errors.New("the host was removed")

// Trouble logs a failure inside, of which whoever called is told nothing.
func (s *Service) Trouble(err error) { s.log.Error("a call failed inside", "error", err) }
