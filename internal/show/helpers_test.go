package show

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares what people see with testdata/name.txt.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s\n(go test -update writes it)", path, got, want)
	}
}

var now = time.Date(2026, 3, 4, 15, 4, 5, 0, time.UTC)

func ago(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(now.Add(-d)) }

func cluster() *operatorv1.GetClusterResponse {
	return &operatorv1.GetClusterResponse{
		Name: "demo", ConfigId: "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809", BundleName: "etcd", BundleVersion: "3.6.1",
		Roles: []*operatorv1.RoleState{{Role: "master", Counted: 3}, {Role: "agent"}, {Role: "public-agent"}},
		Now:   timestamppb.New(now), Hosts: 5, Phases: map[string]int64{"done": 5},
	}
}

// host is one that is done; with changes it to what a test needs.
func host(n int, role string, index int32, with ...func(*operatorv1.Host)) *operatorv1.Host {
	number := strconv.Itoa(n)
	h := &operatorv1.Host{
		Id: "h-" + number, Name: "host" + number, Address: "10.0.0." + number, Role: role, Index: index, Attempt: 1,
		Phase: syncv1.Phase_PHASE_DONE, ChecksOk: 12, Enrolled: ago(5 * time.Minute), PhaseSince: ago(3 * time.Minute),
		LastSeen: ago(3 * time.Minute), Done: ago(3 * time.Minute), JoinedBy: "tk-1",
		Facts: &syncv1.Facts{
			Name: "host" + number, Address: "10.0.0." + number, Architecture: "amd64", Os: "Debian 13", Kernel: "6.12.1",
			MemoryBytes: 8_192_000_000, Processors: 4, Zone: "a", Labels: map[string]string{"rack": "r1", "disk": "ssd"}, AgentVersion: "1.2.0",
		},
	}
	for _, change := range with {
		change(h)
	}
	return h
}

func at(phase syncv1.Phase, step string) func(*operatorv1.Host) {
	return func(h *operatorv1.Host) {
		h.Phase, h.Step, h.Done = phase, step, nil
		h.PhaseSince, h.LastSeen = ago(42*time.Second), ago(2*time.Second)
	}
}

func stays(h *operatorv1.Host) { h.Resident = true }

func fails(step, why, remedy string) func(*operatorv1.Host) {
	return func(h *operatorv1.Host) {
		at(syncv1.Phase_PHASE_FAILED, "wait")(h)
		h.FailedStep, h.Failure, h.Remedy = step, why, remedy
		h.Waiting = "failed at " + step + "; waiting for a retry"
	}
}

func waits(why string) func(*operatorv1.Host) {
	return func(h *operatorv1.Host) {
		at(syncv1.Phase_PHASE_READY, "wait")(h)
		h.Waiting = why
	}
}

func push(target, result, why, remedy string) *operatorv1.Host {
	h := &operatorv1.Host{Id: target, Name: target, Role: "agent", Push: result, LastSeen: ago(50 * time.Second), PhaseSince: ago(50 * time.Second)}
	if result != pushed {
		h.FailedStep, h.Failure, h.Remedy = "push", why, remedy
	}
	return h
}

func oneFailed() []*operatorv1.Host {
	return []*operatorv1.Host{
		host(1, "master", 0), host(2, "master", 1), host(3, "master", 2),
		host(4, "agent", 0, at(syncv1.Phase_PHASE_FETCHING, "fetch"), func(h *operatorv1.Host) {
			h.DoneBytes, h.TotalBytes, h.ChecksWarning = 26_500_000, 42_000_000, 1
		}),
		host(5, "public-agent", 0, fails("preflight", "port 2379 on 10.0.0.5 is taken by etcd (pid 812)",
			"stop the other etcd (systemctl stop etcd), then: coordinator hosts retry HOST"), func(h *operatorv1.Host) {
			h.ChecksOk, h.ChecksCritical, h.ChecksWarning = 9, 2, 1
		}),
	}
}

func reports() []*syncv1.Report {
	step := func(n uint64, attempt uint32, phase syncv1.Phase, s *syncv1.StepResult) *syncv1.Report {
		s.Phase = phase
		return &syncv1.Report{Sequence: n, Attempt: attempt, Time: ago(time.Duration(10-n) * time.Second), Kind: &syncv1.Report_Step{Step: s}}
	}
	check := func(n uint64, attempt uint32, c *syncv1.CheckResult) *syncv1.Report {
		return &syncv1.Report{Sequence: n, Attempt: attempt, Time: ago(time.Duration(10-n) * time.Second), Kind: &syncv1.Report_Check{Check: c}}
	}
	return []*syncv1.Report{
		check(1, 1, &syncv1.CheckResult{Name: "clock", Stage: "preflight", Status: syncv1.CheckStatus_CHECK_STATUS_OK, Summary: "off by 3 ms", Took: durationpb.New(80 * time.Millisecond)}),
		check(2, 2, &syncv1.CheckResult{
			Name: "ports", Stage: "preflight", Status: syncv1.CheckStatus_CHECK_STATUS_CRITICAL, Summary: "2379 is taken",
			Detail: "tcp 0.0.0.0:2379\tetcd pid 812\nsecond \x1b[2Jline\n", Remedy: "stop it, or choose another port in cluster.yaml", Took: durationpb.New(1500 * time.Millisecond),
		}),
		check(3, 2, &syncv1.CheckResult{Name: "memory", Stage: "preflight", Status: syncv1.CheckStatus_CHECK_STATUS_WARNING, Summary: "7.9 of 8 GB", Took: durationpb.New(time.Millisecond)}),
		step(4, 1, syncv1.Phase_PHASE_FETCHING, &syncv1.StepResult{Name: "fetch", Ok: true, Message: "3 blobs, 42 MB", Took: durationpb.New(75 * time.Second)}),
		step(5, 2, syncv1.Phase_PHASE_PREFLIGHT, &syncv1.StepResult{
			Name: "preflight", Message: "port 2379 on 10.0.0.5 is taken by etcd (pid 812)", Detail: "exit status 2\nthe last line", Remedy: "stop the other etcd",
		}),
	}
}
