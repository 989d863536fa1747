package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestATokenStandsAloneOnTheStandardOutput(t *testing.T) {
	f := fiveHosts()
	state := serveFake(t, f)
	out, errs := mustRun(t, state, "token", "create", "--role", "agent", "--ttl", "2h", "--uses", "500", "--cidr", "10.0.0.0/16", "--cidr", "fd00::/8")
	if out != "the.secret\n" {
		t.Errorf("the standard output is %q", out)
	}
	if strings.Contains(errs, "secret") || !strings.Contains(errs, "token tk-1, 500 of 500 uses left, until ") || !strings.Contains(errs, "from 10.0.0.0/16 fd00::/8") {
		t.Errorf("the standard error is %q", errs)
	}
	req := f.tokens[0]
	if req.Role != "agent" || req.Ttl.AsDuration() != 2*time.Hour || req.Uses != 500 || !slices.Equal(req.Cidrs, []string{"10.0.0.0/16", "fd00::/8"}) {
		t.Errorf("asked for %v", req)
	}
	mustRun(t, state, "token", "create")
	if req := f.tokens[1]; req.Uses != 1 || req.Ttl.AsDuration() != 30*time.Minute {
		t.Errorf("without flags it asked for %v", req)
	}
}

func TestTokenListAndRevoke(t *testing.T) {
	f := fiveHosts()
	state := serveFake(t, f)
	if out, _ := mustRun(t, state, "token", "list"); !strings.Contains(out, "tk-1  agent") {
		t.Errorf("got %q", out)
	}
	if out, _ := mustRun(t, state, "token", "list", "-o", "json"); !strings.HasPrefix(out, `{"tokens":[{`) {
		t.Errorf("got %q", out)
	}
	mustRun(t, state, "token", "revoke", "tk-1")
	if !slices.Equal(f.calls, []string{"revoke tk-1"}) {
		t.Errorf("calls: %q", f.calls)
	}
}
