package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"time"

	"muster/internal/durable"
	"muster/internal/fault"
	"muster/internal/manifest"
	"muster/internal/sign"
)

// seen is the newest statement that this host has believed. One is kept while the agent is here, one with the
// installation for as long as that stays: neither a mirror nor a coordinator can go back behind it.
type seen struct {
	ClusterID string `json:"cluster_id"`
	Version   uint64 `json:"version"`
}

// Where the statement and the versions are kept.
func (l Layout) envelope() string { return l.at("var/lib/bootstrap-agent", sign.File) }
func (l Layout) seen() string     { return l.at("var/lib/bootstrap-agent/seen") }
func (l Layout) signed(cluster string) string {
	return l.at("opt", cluster, "signed")
}

const (
	// askAgain is how often all sources are asked while one of them sends what is refused: a mirror may lag behind.
	askAgain = 3
	askWait  = 10 * time.Second
)

// believe makes sure that the plan's manifest is one that enough keys have signed, before anything of it is used. It is
// asked for before the manifest is fetched, so a refusal has changed nothing.
func (i *installation) believe(ctx context.Context) error {
	before, err := i.newest()
	if err != nil {
		return err
	}
	if i.signing == nil {
		if before.Version > 0 {
			return fault.New(fault.Denied, "bring signing back to cluster.yaml; if it was given up on purpose, remove "+i.layout.signed(i.cluster)+" on this host",
				"a signed generation is installed here, and this one is not").Because(sign.ErrSignatures)
		}
		return nil
	}
	if before.Version > 0 && before.ClusterID != i.signing.ID {
		return fault.New(fault.Denied, "uninstall the other cluster first, or serve this host its own",
			"a generation of cluster id %s is installed here, and this one is of %s", before.ClusterID, i.signing.ID).Because(sign.ErrCluster)
	}
	trust := sign.Trust{Cluster: i.cluster, Signing: *i.signing}
	known := sign.Seen{Now: i.now(), Version: before.Version}
	var found *sign.Statement
	judge := func(data []byte) error {
		s, err := trust.Verify(data, known)
		if err == nil {
			err = s.ManifestOf(i.plan.Role, i.plan.Manifest)
		}
		if err == nil {
			found, err = s, durable.WriteFile(i.layout.envelope(), data, 0o600)
		}
		return err
	}
	// After a restart, the one that was believed before will do, as long as it is good.
	if data, err := os.ReadFile(i.layout.envelope()); err != nil || judge(data) != nil {
		if err := i.askForStatement(ctx, judge); err != nil {
			return err
		}
	}
	return i.remember(i.layout.seen(), seen{i.signing.ID, found.Version})
}

// askForStatement asks all sources until one sends a statement that is believed. Those that cannot be reached are asked
// for as long as it takes; a refusal ends it, when asking again did not help.
func (i *installation) askForStatement(ctx context.Context, judge func([]byte) error) error {
	for refused := 0; ; {
		heard, err := i.fetcher.Named(ctx, sign.File, sign.MaxSize, judge)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if heard {
			refused++
		}
		if refused >= askAgain {
			return refusal(err)
		}
		i.tell.Progress("manifest", 0, 0, "no source gives a signed statement that is good: "+err.Error())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(i.patience()) + time.Millisecond):
		}
	}
}

// refusal keeps the remedy of what was refused.
func refusal(err error) error {
	var own *fault.Error
	if errors.As(err, &own) {
		return fault.New(own.Class, own.Remedy, "the generation is refused").Because(err)
	}
	return fault.New(fault.Unavailable, "look what the mirrors and the coordinator serve as "+sign.File+", then: coordinator hosts retry",
		"no source gives a signed statement").Because(err)
}

// now is the later of the coordinator's clock and this host's: setting one of them back hides no expiry. A web server's
// clock, which is all that there is without a coordinator, is the very thing that may be hostile.
func (i *installation) now() time.Time {
	now := time.Now()
	if i.offset != nil && !i.static {
		if ahead, ok := i.offset(); ok && ahead > 0 {
			now = now.Add(ahead)
		}
	}
	return now
}

// newest is the highest version that this host knows of.
func (i *installation) newest() (seen, error) {
	var best seen
	for _, path := range []string{i.layout.seen(), i.layout.signed(i.cluster)} {
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var s seen
		if err == nil {
			err = manifest.Decode(raw, &s)
		}
		if err != nil {
			// Going on as if there were none would accept anything.
			return best, fault.New(fault.Invalid, "find out what happened to it (fsck, backups); without it this host accepts older generations, too",
				"%s says which generation this host has seen, and cannot be read", path).Because(err)
		}
		if s.Version > best.Version {
			best = s
		}
	}
	return best, nil
}

// keepVersion notes with the installation which version it is of. Only then is it: what was refused or failed before
// must not lock the way back.
func (i *installation) keepVersion() error {
	if i.signing == nil {
		return nil
	}
	s, err := i.newest()
	if err != nil {
		return err
	}
	return i.remember(i.layout.signed(i.cluster), s)
}

func (i *installation) remember(path string, s seen) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if have, err := os.ReadFile(path); err == nil && string(have) == string(raw) {
		return nil
	}
	if err := durable.WriteFile(path, raw, 0o644); err != nil {
		return localFault(fmt.Errorf("keeping the version of the generation: %w", err))
	}
	return nil
}

// patience is the most that is waited between two rounds of asking.
func (i *installation) patience() time.Duration {
	if i.askWait > 0 {
		return i.askWait
	}
	return askWait
}
