package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"muster/internal/artifacts"
	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/manifest"
	"muster/internal/sign"
)

// admissionFile remembers which signed generations were served.
const admissionFile = "signing.json"

// admit takes the generation over that is to be served, if it may be.
func admit(ctx context.Context, log *slog.Logger, o serveOptions, served string) error {
	if have, next := clusterOf(served), clusterOf(o.genconf); have != "" && next != "" && have != next {
		return fault.New(fault.Conflict, "give each cluster a state directory of its own (--state), or serve the generation of "+have,
			"the state in %s is of cluster %q, the generation in %s of %q", o.state, have, o.genconf, next)
	}
	now := time.Now()
	admission, err := artifacts.OpenAdmission(filepath.Join(o.state, admissionFile), now)
	if err != nil {
		return err
	}
	s, err := artifacts.ImportAdmitted(ctx, o.genconf, served, admission)
	var said *fault.Error
	switch {
	case errors.Is(err, fault.Denied) && errors.As(err, &said):
		return fault.New(said.Class, said.Remedy, "the generation in %s is not served", o.genconf).Because(err)
	case err != nil:
		return fault.New(fault.Invalid, "run coordinator genconf first, or name its output with --genconf", "the generation in %s", o.genconf).Because(err)
	case s != nil:
		logSigned(log, s, now)
	}
	return nil
}

// clusterOf is the cluster of the generation in dir, or "" if there is none that can be read; the import says why.
func clusterOf(dir string) string {
	raw, err := os.ReadFile(filepath.Join(dir, "generation.json"))
	if err != nil {
		return ""
	}
	g, err := manifest.DecodeGeneration(raw)
	if err != nil {
		return ""
	}
	return g.Cluster
}

// soon is when it is time to think of signing again.
const soon = 7 * 24 * time.Hour

func logSigned(log *slog.Logger, s *sign.Statement, now time.Time) {
	left := s.Expires.Sub(now)
	if left < soon {
		log.Warn("the generation's signatures expire soon, and then no host installs it: coordinator sign DIR --renew --key FILE, then start anew",
			"version", s.Version, "expires", s.Expires)
		return
	}
	log.Info("the generation is signed", "version", s.Version, "expires", s.Expires)
}

// pruneArtifacts removes what was served before and nobody needs. It never fails the server: room on a disk is not worth
// an outage.
func pruneArtifacts(ctx context.Context, log *slog.Logger, core *coordinator.Service, served string, keep int) {
	busy, err := core.UnderWay(ctx)
	switch {
	case err != nil:
	case busy > 0:
		log.Debug("old artifacts stay while hosts install", "hosts", busy)
		return
	default:
		var freed int64
		if freed, err = artifacts.Prune(served, keep); freed > 0 {
			log.Info("removed artifacts of old generations", "bytes", freed)
		}
	}
	if err != nil && ctx.Err() == nil {
		log.Warn("old artifacts were not removed", "error", err)
	}
}
