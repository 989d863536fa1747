package agent

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"muster/internal/coordinator"
	syncv1 "muster/proto/muster/sync/v1"
)

func TestARemovedHostHaltsAndLeavesWhatIsInstalled(t *testing.T) {
	for name, restarted := range map[string]bool{"while it is at work": false, "while it is away": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			h := s.host("loner")
			tell(t, h.layout, "slow", "demo-app.service")
			stop, ended := h.begin()
			h.awaitPhase(syncv1.Phase_PHASE_STARTING)
			if restarted {
				stop()
			}
			must(t, s.core.Remove(t.Context(), coordinator.Actor{Name: "uid 0"}, h.described().Id))
			if restarted {
				_, ended = h.begin()
			}
			h.wantEnd(ended)
			h.installed("etc/app.conf")
			if !strings.Contains(h.log.String(), "removed by an operator") {
				t.Errorf("the log does not say why:\n%s", h.log)
			}
			for _, call := range calls(t, h.layout) {
				if strings.HasPrefix(call, "stop demo-app") || strings.HasPrefix(call, "disable") {
					t.Errorf("leaving called systemctl %s", call)
				}
			}
		})
	}
}

func TestOnlyTheWordToLeaveMakesAHostLeave(t *testing.T) {
	e := offline(t)
	with := func(code codes.Code) error {
		st, err := status.New(code, "no").WithDetails(&syncv1.Leave{Reason: "removed"})
		must(t, err)
		return st.Err()
	}
	for name, test := range map[string]struct {
		err      error
		accepted bool
		refused  bool // whether the certificate is given up
	}{
		"denied":                          {status.Error(codes.PermissionDenied, "the host was removed by an operator"), true, false},
		"denied before it was ever taken": {status.Error(codes.PermissionDenied, "no longer current"), false, true},
		"refused by TLS":                  {status.Error(codes.Unavailable, "error reading server preface: remote error: tls: expired certificate"), true, true},
		"not reached":                     {status.Error(codes.Unavailable, "connection refused"), false, false},
		"a server that is another":        {status.Error(codes.Unavailable, "authentication handshake failed: tls: failed to verify certificate"), false, false},
		"the word with another code":      {with(codes.Unavailable), true, false},
	} {
		e.id = &identity{Accepted: test.accepted}
		if err := e.refused(test.err); err == errLeave || e.journal.Leaving || e.id.refused != test.refused {
			t.Errorf("%s: %v, leaving %v, certificate given up %v", name, err, e.journal.Leaving, e.id.refused)
		}
	}
	e.id = &identity{}
	if err := e.refused(with(codes.PermissionDenied)); err != errLeave {
		t.Errorf("the word: %v", err)
	}
	if j, err := loadJournal(e.layout, "h-1", e.log); err != nil || !j.Leaving {
		t.Errorf("the journal does not say that it leaves: %+v, %v", j, err)
	}
}

func TestAHostWhoseEnrolmentsOvertookEachOtherJoinsAgainWithTheSameKey(t *testing.T) {
	h := newSite(t).host("loner")
	e := h.engine()
	name, _ := os.Hostname()
	address, _ := ownIP(t)
	enrol := func() coordinator.Credential {
		c, err := h.core.Enroll(t.Context(), coordinator.Applicant{
			CSR: checked(t, e.id.key), Token: e.seed.Token.Reveal(), From: netip.MustParseAddr("127.0.0.1"), Name: name, Address: address.String(),
		})
		must(t, err)
		return c
	}
	enrol()
	answered := enrol()
	enrol() // it was committed last, and its answer was lost
	must(t, e.id.adopt(e.layout, e.seed, answered.Chain, e.id.key))
	must(t, e.become(e.id.HostID))
	began := time.Now()
	h.finish()
	if d := h.described(); d.Id != string(answered.Host) || d.Phase != syncv1.Phase_PHASE_DONE {
		t.Errorf("after %v the coordinator says %v, the host was %s", time.Since(began), d, answered.Host)
	}
}
