package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"gopkg.in/yaml.v3"

	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

func TestStatusShowsAllPagesWorstFirst(t *testing.T) {
	state := serveFake(t, fiveHosts())
	out, _ := mustRun(t, state, "status")
	order := []string{"host4", "stop etcd", "10.0.0.9", "host1", "host2", "host3", "5 hosts: 2 done, 1 failed, 1 push failed, 1 enrolled", "waiting for 2 more master"}
	at := -1
	for _, word := range order {
		i := strings.Index(out, word)
		if i <= at {
			t.Errorf("%q is missing or not after what comes before it in\n%s", word, out)
		}
		at = i
	}
	if counted, _ := mustRun(t, state, "status", "--limit", "2"); strings.Contains(counted, "host2") || !strings.Contains(counted, "host4") {
		t.Errorf("with a limit of 2, hosts that have not failed are counted, not\n%s", counted)
	}
}

func TestStatusAsJSONAndYAML(t *testing.T) {
	state := serveFake(t, fiveHosts())
	type document struct {
		Cluster struct {
			Name string `json:"name" yaml:"name"`
		} `json:"cluster" yaml:"cluster"`
		Hosts []struct {
			Name  string `json:"name" yaml:"name"`
			Phase string `json:"phase" yaml:"phase"`
		} `json:"hosts" yaml:"hosts"`
	}
	for format, decode := range map[string]func([]byte, any) error{"json": json.Unmarshal, "yaml": yaml.Unmarshal} {
		out, _ := mustRun(t, state, "status", "-o", format)
		var got document
		if err := decode([]byte(out), &got); err != nil {
			t.Fatalf("%s: %v in\n%s", format, err, out)
		}
		if got.Cluster.Name != "demo" || len(got.Hosts) != 5 || got.Hosts[4].Phase != "failed" {
			t.Errorf("%s: got %+v", format, got)
		}
	}
	out, _ := mustRun(t, state, "status", "host4", "-o", "json")
	var page map[string]any
	if err := json.Unmarshal([]byte(out), &page); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"cluster", "host", "reports", "events"} {
		if _, ok := page[key]; !ok {
			t.Errorf("no %q in %s", key, out)
		}
	}
}

func TestStatusOfOneHost(t *testing.T) {
	f := fiveHosts()
	state := serveFake(t, f)
	out, _ := mustRun(t, state, "status", "10.0.0.4")
	for _, words := range []string{"host4  failed", "remedy: stop etcd", "Events", `host1\n\x1b[2Jjoined`} {
		if !strings.Contains(out, words) {
			t.Errorf("no %q in\n%s", words, out)
		}
	}
	if len(f.calls) != 1 || f.calls[0] != "events h-4 50" {
		t.Errorf("calls: %q", f.calls)
	}
	// A push has no identity that events could be asked for.
	if out, _ := mustRun(t, state, "status", "10.0.0.9"); !strings.Contains(out, "push: refused") || len(f.calls) != 1 {
		t.Errorf("calls: %q; got\n%s", f.calls, out)
	}
	if _, _, err := run(t.Context(), t, state, "", "status", "nobody"); err == nil {
		t.Error("a host that is not there is shown")
	} else {
		var said strings.Builder
		if code := exitCode(&said, err); code != exitFailed || !strings.Contains(said.String(), "remedy: coordinator status lists them") {
			t.Errorf("exit code %d: %s", code, said.String())
		}
	}
}

func TestStatusRefusesWhatItCannotDo(t *testing.T) {
	state := serveFake(t, fiveHosts())
	refused(t, state, "xml", "status", "-o", "xml")
	refused(t, state, "--watch", "status", "host1", "--watch")
	refused(t, state, "--watch", "status", "--watch", "-o", "json")
	refused(t, state, "--limit", "status", "--limit", "0")
}

func TestWatchTellsChangesUntilItIsInterrupted(t *testing.T) {
	f := fiveHosts()
	state := serveFake(t, f)
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		f.stream <- &operatorv1.WatchHostsResponse{Hosts: f.hosts, Complete: true}
		f.stream <- &operatorv1.WatchHostsResponse{Complete: true, Hosts: []*operatorv1.Host{
			{Id: "h-1", Name: "host1", Role: "master", Index: 1, Phase: syncv1.Phase_PHASE_ASSIGNED, PhaseSince: timestamppb.Now()},
		}}
		// The third is taken only after the second was shown.
		f.stream <- &operatorv1.WatchHostsResponse{Complete: true}
		time.Sleep(300 * time.Millisecond)
		interrupt()
	}()
	out, _, err := run(ctx, t, state, "", "status", "--watch")
	if err != nil {
		t.Errorf("leaving it is an error: %v", err)
	}
	if !strings.Contains(out, "host1 master/1 enrolled → assigned\n") || strings.Contains(out, "\x1b") {
		t.Errorf("got\n%s", out)
	}
}

func TestWatchEndsWhenItIsRefused(t *testing.T) {
	f := fiveHosts()
	state := serveFake(t, f)
	close(f.stream)
	if _, _, err := run(t.Context(), t, state, "", "status", "--watch"); err == nil || !strings.Contains(err.Error(), "that is enough") {
		t.Errorf("got %v", err)
	}
}

func TestWatchGoesOnWhenTheCoordinatorIsBack(t *testing.T) {
	f := fiveHosts()
	state := serveFake(t, f)
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		f.stream <- &operatorv1.WatchHostsResponse{Hosts: f.hosts, Complete: true}
		f.stream <- nil
		f.stream <- &operatorv1.WatchHostsResponse{Hosts: f.hosts[:4], Complete: true}
		f.stream <- &operatorv1.WatchHostsResponse{Complete: true}
		time.Sleep(300 * time.Millisecond)
		interrupt()
	}()
	out, _, err := run(ctx, t, state, "", "status", "--watch")
	if err != nil || !strings.Contains(out, "the coordinator does not answer") || !strings.Contains(out, "host4 agent removed\n") {
		t.Errorf("%v\n%s", err, out)
	}
}
