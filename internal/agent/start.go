package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"muster/internal/durable"
	"muster/internal/fault"
	"muster/internal/hosts"
)

const (
	// startTimeout is how long the units have to become active; members of a quorum wait for each other.
	startTimeout = 5 * time.Minute
	startPoll    = 200 * time.Millisecond
	// maxRestarts is how often a unit may fall over before waiting longer is pointless.
	maxRestarts = 20
)

// start enables the target, starts it and waits until every unit of the role is active.
func (i *installation) start(ctx context.Context) (string, error) {
	units := i.unitNames()
	i.systemd.resetFailed(ctx, append(units, i.target())...)
	if err := i.systemd.enable(ctx, i.target()); err != nil {
		return "", systemdFault(err)
	}
	if err := i.restartStale(ctx, units); err != nil {
		return "", err
	}
	if err := i.systemd.begin(ctx, "start", i.target()); err != nil {
		return "", systemdFault(err)
	}
	if err := i.noteStarted(i.plan.generationID(i.manifest), i.before); err != nil {
		return "", localFault(err)
	}
	if len(units) == 0 {
		return "no units", nil
	}
	return i.waitActive(ctx, units)
}

// restartStale starts those units anew that run with files which this generation has others of. A crash between a restart
// and the note that it was done costs one restart more.
func (i *installation) restartStale(ctx context.Context, units []string) error {
	started, before, err := i.lastStarted()
	if err != nil {
		return localFault(err)
	}
	if started == i.plan.generationID(i.manifest) {
		i.before = before
		return nil
	}
	i.before = started
	if len(units) == 0 {
		return nil
	}
	if units, err = i.changedUnits(units, started); err != nil {
		return localFault(err)
	}
	if len(units) == 0 {
		return nil
	}
	states, err := i.systemd.show(ctx, units...)
	if err != nil {
		return systemdFault(err)
	}
	var stale []string
	for _, u := range states {
		// One that is still starting does so with the old files.
		if u.Active == "active" || u.Active == "activating" {
			stale = append(stale, u.Name)
		}
	}
	if len(stale) == 0 {
		return nil
	}
	if err := i.systemd.begin(ctx, "restart", stale...); err != nil {
		return systemdFault(err)
	}
	return nil
}

// noteStarted keeps which generation was started last, and which one ran before, for a run that goes on after a crash.
func (i *installation) noteStarted(now, before string) error {
	return durable.WriteFile(i.layout.started(), []byte(now+"\n"+before), 0o600)
}

func (i *installation) lastStarted() (now, before string, err error) {
	text, err := os.ReadFile(i.layout.started())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	now, before, _ = strings.Cut(string(text), "\n")
	return now, before, nil
}

func (i *installation) waitActive(ctx context.Context, units []string) (string, error) {
	deadline := time.Now().Add(startTimeout)
	for {
		states, err := i.systemd.show(ctx, units...)
		if err != nil {
			return "", systemdFault(err)
		}
		var waiting []string
		for _, u := range states {
			switch {
			case u.Active == "active":
			case u.Load != "loaded":
				return "", i.startFailure(ctx, u, "systemd did not load it")
			case u.Active == "failed":
				return "", i.startFailure(ctx, u, "it failed: "+u.Result)
			case atLeast(u.Restarts, maxRestarts):
				return "", i.startFailure(ctx, u, "it fell over "+u.Restarts+" times")
			case time.Now().After(deadline):
				return "", i.startFailure(ctx, u, fmt.Sprintf("it is still %s (%s) after %v", u.Active, u.Sub, startTimeout))
			default:
				waiting = append(waiting, u.Name)
			}
		}
		i.tell.Progress("start", int64(len(units)-len(waiting)), int64(len(units)), waitingWords(waiting))
		if len(waiting) == 0 {
			return strings.Join(units, ", "), nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(startPoll):
		}
	}
}

func waitingWords(units []string) string {
	if len(units) == 0 {
		return ""
	}
	return "waiting for " + strings.Join(units, ", ") + " to be active"
}

func stopWords(units []string) string {
	return fmt.Sprintf("stopping %s, for %v at most", strings.Join(units, ", "), stopTimeout)
}

func atLeast(text string, n int) bool {
	var have int
	_, err := fmt.Sscanf(text, "%d", &have)
	return err == nil && have >= n
}

func (i *installation) startFailure(ctx context.Context, u unitState, why string) error {
	return &detailed{
		fault: fault.New(fault.Unavailable,
			"read the unit's log below (on the host: journalctl -u "+u.Name+"), mend the cause, then: coordinator hosts retry",
			"unit %s did not start: %s", u.Name, why),
		detail: i.systemd.log(ctx, u.Name),
	}
}

// afterFailedStart leaves the host with what ran before, or with nothing running. Its error is that nothing can be told.
func (i *installation) afterFailedStart(ctx context.Context) error {
	start := time.Now()
	back, err := i.goBack(ctx)
	if !back {
		i.giveUpStart(ctx)
		return nil
	}
	return i.say(func() error {
		return i.tell.Step(hosts.Starting, "go back", "to generation "+i.before, time.Since(start), err)
	})
}

// giveUpStart stops what a failed start left running, so that its ports and files are free for the next try.
func (i *installation) giveUpStart(ctx context.Context) {
	units := append(i.unitNames(), i.target())
	i.tell.Progress("stop", 0, 0, stopWords(units))
	if err := i.systemd.stop(ctx, units...); err != nil {
		i.tell.Progress("stop", 0, 0, err.Error())
	}
}

// stopOwn stops what an earlier attempt left running, so that preflight judges the host and not our own services.
func (i *installation) stopOwn(ctx context.Context) (string, error) {
	units, err := ownUnits(i.layout, i.cluster)
	if err != nil || len(units) == 0 {
		return "", err
	}
	i.tell.Progress("stop", 0, 0, stopWords(units))
	if err := i.systemd.stop(ctx, units...); err != nil {
		return "", systemdFault(err)
	}
	return strings.Join(units, ", "), nil
}
