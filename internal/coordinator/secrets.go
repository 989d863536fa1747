package coordinator

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"

	"muster/internal/fault"
	"muster/internal/handover"
	"muster/internal/hosts"
	"muster/internal/late"
	"muster/internal/manifest"
	"muster/internal/secrets"
	"muster/internal/store"
)

// SecretState is what may be told of a secret. It has no value.
type SecretState struct {
	// Declared is what the bundle says; of a secret that it no longer declares, only the name is set.
	Declared manifest.Secret
	Record   secrets.Record
	// Remedy says how a missing value gets here.
	Remedy string
}

// prepareSecrets makes the values that are missing and can be made, and the key of Service.name.
func (s *Service) prepareSecrets(ctx context.Context) error {
	if s.vault == nil {
		if len(s.gen.g.Secrets) > 0 {
			return fmt.Errorf("the generation has secrets, and there is no vault for them")
		}
		// There is nothing to guess, but names must outlive a restart.
		return s.store.Update(ctx, func(w store.Writer) error {
			s.naming = nil
			if err := read(w, keyNaming, &s.naming); err != nil || s.naming != nil {
				return err
			}
			s.naming = make([]byte, sha256.Size)
			if _, err := io.ReadFull(s.random, s.naming); err != nil {
				return err
			}
			return write(w, keyNaming, s.naming)
		})
	}
	s.naming = s.vault.Naming()
	return s.store.Update(ctx, func(w store.Writer) error {
		for _, declared := range s.gen.g.Secrets {
			if declared.Generate == nil {
				continue
			}
			record, _, err := s.vault.Get(w, declared.Name)
			if err != nil {
				return err
			}
			if usable(declared, record) {
				continue
			}
			if _, err := s.generateSecret(w, itself, declared); err != nil {
				return err
			}
		}
		return nil
	})
}

// usable says whether the record is of the kind that the bundle declares: a seed is no value.
func usable(declared manifest.Secret, record secrets.Record) bool {
	return record.Name != "" && record.PerHost == declared.PerHost
}

func (s *Service) generateSecret(w store.Writer, actor Actor, declared manifest.Secret) (secrets.Record, error) {
	record := secrets.Record{
		Name: declared.Name, Origin: secrets.Generated, PerHost: declared.PerHost, Created: s.clock().UTC(), Actor: actor.Name,
	}
	value := make([]byte, secrets.SeedSize)
	var err error
	if declared.PerHost {
		_, err = io.ReadFull(s.random, value)
	} else {
		value, err = secrets.Make(*declared.Generate, s.random)
	}
	if err != nil {
		return record, err
	}
	if err := s.vault.Put(w, record, value); err != nil {
		return record, err
	}
	return record, s.event(w, Event{Kind: "secret-generated", Actor: actor.Name, From: actor.From, Message: "secret " + declared.Name + " has a new value"})
}

func (s *Service) declaredSecret(name string) (manifest.Secret, error) {
	var names []string
	for _, declared := range s.gen.g.Secrets {
		if declared.Name == name {
			return declared, nil
		}
		names = append(names, declared.Name)
	}
	remedy := "the bundle has no secrets"
	if len(names) > 0 {
		remedy = "the bundle's secrets are " + strings.Join(names, ", ")
	}
	return manifest.Secret{}, fault.New(fault.NotFound, remedy, "the bundle declares no secret %q", clip(name, 64))
}

// SetSecret keeps a value that the operator gives, if hosts can use it. Hosts that wait for it go on at once.
func (s *Service) SetSecret(ctx context.Context, actor Actor, name string, given []byte, origin secrets.Origin) (SecretState, bool, error) {
	declared, err := s.declaredSecret(name)
	if err != nil {
		return SecretState{}, false, err
	}
	if declared.PerHost {
		return SecretState{}, false, fault.New(fault.Invalid, "coordinator secret generate "+name+" replaces the values of all hosts",
			"every host has its own value of secret %s", name)
	}
	if !slices.Contains([]secrets.Origin{secrets.Set, secrets.File, secrets.Env}, origin) {
		return SecretState{}, false, fault.New(fault.Invalid, "use coordinator secret set", "a value cannot come from %q", clip(string(origin), 16))
	}
	value, err := secrets.Accept(name, secrets.FormOf(declared), given)
	if err != nil {
		return SecretState{}, false, err
	}
	if err := s.gen.printable(name, string(value)); err != nil {
		return SecretState{}, false, err
	}
	state := SecretState{Declared: declared}
	var changed bool
	err = s.store.Update(ctx, func(w store.Writer) error {
		was, have, err := s.vault.Get(w, name)
		if err != nil {
			return err
		}
		if changed = !usable(declared, was) || !bytes.Equal(have, value); !changed {
			state.Record = was
			return nil
		}
		state.Record = secrets.Record{Name: name, Origin: origin, Created: s.clock().UTC(), Actor: actor.Name}
		if err := s.vault.Put(w, state.Record, value); err != nil {
			return err
		}
		return s.event(w, Event{Kind: "secret-set", Actor: actor.Name, From: actor.From, Message: "secret " + name + " was set"})
	})
	if err == nil && changed {
		s.bell.ringAll()
	}
	return state, changed, err
}

// GenerateSecret replaces a value that the coordinator makes. Hosts that install from now on get the new one.
func (s *Service) GenerateSecret(ctx context.Context, actor Actor, name string) (SecretState, error) {
	declared, err := s.declaredSecret(name)
	if err != nil {
		return SecretState{}, err
	}
	if declared.Generate == nil {
		return SecretState{}, fault.New(fault.Invalid, "coordinator secret set "+name, "the value of secret %s is given, not generated", name)
	}
	state := SecretState{Declared: declared}
	err = s.store.Update(ctx, func(w store.Writer) error {
		state.Record, err = s.generateSecret(w, actor, declared)
		return err
	})
	if err == nil {
		s.bell.ringAll()
	}
	return state, err
}

// Secrets lists the declared secrets, then those that an earlier bundle declared.
func (s *Service) Secrets(ctx context.Context) ([]SecretState, error) {
	var list []SecretState
	if s.vault == nil {
		return nil, nil
	}
	err := s.store.View(ctx, func(r store.Reader) error {
		records, err := s.vault.List(r)
		if err != nil {
			return err
		}
		list = nil
		for _, declared := range s.gen.g.Secrets {
			state := SecretState{Declared: declared}
			i := slices.IndexFunc(records, func(r secrets.Record) bool { return r.Name == declared.Name })
			if i >= 0 {
				state.Record = records[i]
				records = slices.Delete(records, i, i+1)
			}
			if !usable(declared, state.Record) {
				state.Record, state.Remedy = secrets.Record{}, "coordinator secret set "+declared.Name
			}
			list = append(list, state)
		}
		for _, record := range records {
			list = append(list, SecretState{Declared: manifest.Secret{Name: record.Name, PerHost: record.PerHost}, Record: record})
		}
		return nil
	})
	return list, err
}

// RekeySecrets seals every value with a new key.
func (s *Service) RekeySecrets(ctx context.Context, actor Actor) (int, error) {
	if s.vault == nil {
		return 0, nil
	}
	n, err := s.vault.Rekey(ctx)
	if err != nil {
		return 0, err
	}
	return n, s.store.Update(ctx, func(w store.Writer) error {
		return s.event(w, Event{Kind: "secrets-rekeyed", Actor: actor.Name, From: actor.From, Message: fmt.Sprintf("%d secrets were sealed with a new key", n)})
	})
}

// ExportSecrets gives the file that a host installs with when there is no coordinator. It is written down that it was
// given away.
func (s *Service) ExportSecrets(ctx context.Context, actor Actor, role manifest.Role, host string) ([]byte, error) {
	entry, ok := s.gen.entries[role]
	if !ok {
		return nil, s.errNoRole(role)
	}
	values := late.Values{}
	err := s.store.Update(ctx, func(w store.Writer) error {
		clear(values)
		missing, err := s.secretValues(w, entry.Name, "name:"+host, values)
		switch {
		case err != nil:
			return err
		case len(missing) > 0:
			return fault.New(fault.Conflict, "give them their values first", "role %s waits for %s", role, strings.Join(missing, ", "))
		case host == "" && s.gen.ownSecrets(role):
			return fault.New(fault.Invalid, "export it for each host: --host NAME", "role %s has a secret that every host has its own value of", role)
		}
		message := fmt.Sprintf("the secrets of role %s were exported", role)
		if host != "" {
			message += " for host " + clip(host, 253)
		}
		return s.event(w, Event{Kind: "secrets-exported", Actor: actor.Name, From: actor.From, Message: message})
	})
	if err != nil {
		return nil, err
	}
	file := &handover.File{
		Format: handover.Format, Cluster: s.gen.g.Cluster, Role: role, Host: host, ID: s.secretsID(values), Secrets: map[string][]byte{},
	}
	if file.ID == "" {
		return nil, fault.New(fault.Invalid, "install it without --secrets", "role %s uses no secret", role)
	}
	for name, value := range values.Secrets() {
		file.Secrets[name] = []byte(value)
	}
	return file.Encode()
}

// secretValues puts in the secrets that the artifacts of a role use, and answers in words with those that are missing.
// What the role may not read is not even looked at.
func (s *Service) secretValues(r store.Reader, role manifest.Role, host string, values late.Values) (missing []string, err error) {
	for _, declared := range s.gen.secrets[role] {
		record, value, err := s.vault.Get(r, declared.Name)
		if err != nil {
			return nil, err
		}
		remedy := "coordinator secret set " + declared.Name
		if !usable(declared, record) {
			missing = append(missing, "secret "+declared.Name+": "+remedy)
			continue
		}
		if declared.PerHost {
			if value, err = secrets.Derive(value, *declared.Generate, declared.Name, host); err != nil {
				return nil, err
			}
		}
		// The bundle may use the value in another way than it did when the value was set.
		if s.gen.printable(declared.Name, string(value)) != nil {
			missing = append(missing, "another value of secret "+declared.Name+", which cannot be written where the bundle uses it: "+remedy)
			continue
		}
		values.SetSecret(declared.Name, value)
	}
	return missing, nil
}

// hostLabel is what a host's own values are derived from.
func hostLabel(id hosts.ID) string { return "id:" + string(id) }
