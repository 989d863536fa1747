package checks_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"muster/internal/checks"
)

// run runs one definition, with what every test leaves out filled in.
func run(t *testing.T, d checks.Definition, env checks.Environment) checks.Result {
	t.Helper()
	if d.Name == "" {
		d.Name = "test"
	}
	if d.Stage == "" {
		d.Stage = checks.Preflight
	}
	if d.Severity == "" {
		d.Severity = "critical"
	}
	if d.Timeout == 0 {
		d.Timeout = 20 * time.Second
	}
	if env.WorkDir == "" {
		env.WorkDir = t.TempDir()
	}
	results := checks.Run(t.Context(), []checks.Definition{d}, env, nil)
	if len(results) != 1 {
		t.Fatalf("%d results, want one", len(results))
	}
	if r := results[0]; r.Name != d.Name || (r.Status != checks.OK) != (r.Remedy != "") {
		t.Errorf("result %+v has another name, or a remedy where none belongs, or none where one does", r)
	}
	if left, err := os.ReadDir(env.WorkDir); err != nil || len(left) != 0 {
		t.Errorf("%v is left (%v)", left, err)
	}
	return results[0]
}

func TestScripts(t *testing.T) {
	tests := []struct {
		name, script, severity string
		status                 checks.Status
		summary, detail        string
	}{
		{"exit 0 is ok", "echo all is well", "", checks.OK, "all is well", ""},
		{"exit 1 is a warning", "echo hm; exit 1", "", checks.Warning, "hm", ""},
		{"exit 2 is critical", "echo bad; echo why >&2; exit 2", "", checks.Critical, "bad", "why"},
		{"exit 3 is unknown", "exit 3", "", checks.Unknown, "the script printed nothing and says unknown", ""},
		{"another exit status is unknown", "echo odd; exit 7", "", checks.Unknown, "the script ended with exit status 7: odd", ""},
		{"a missing command is unknown", "no-such-command-here", "", checks.Unknown, "exit status 127", ""},
		{"a signal is unknown", "kill -TERM $$", "", checks.Unknown, "signal: terminated", ""},
		{"a syntax error is not ok", "if", "", checks.Critical, "", ""},
		{"a warning's severity caps critical", "echo bad; exit 2", "warning", checks.Warning, "bad", ""},
		{"a warning's severity caps unknown and says so", "echo eh; exit 3", "warning", checks.Warning, "could not be determined: eh", ""},
		{"a warning's severity leaves ok alone", "exit 0", "warning", checks.OK, "", ""},
		{"empty lines before the first are skipped", "echo; echo first; echo second", "", checks.OK, "first", "second"},
		{"no other variables are there", "env | grep -v -e ^PWD= -e ^OLDPWD= -e ^_= -e ^SHLVL= | sort", "", checks.OK, "LC_ALL=C.UTF-8", "MUSTER_ROLE=master\nPATH=" + systemPath},
		{"no input is there", "cat; echo end", "", checks.OK, "end", ""},
		{"the script is private", `stat -c '%a' . check.sh | tr '\n' ' '`, "", checks.OK, "700 600", ""},
	}
	t.Setenv("SECRET_OF_THE_AGENT", "hunter2")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, checks.Definition{Script: tt.script, Severity: tt.severity},
				checks.Environment{Env: []string{"MUSTER_ROLE=master", "LD_PRELOAD=/evil.so"}})
			if r.Status != tt.status || !strings.Contains(r.Summary, tt.summary) || r.Detail != tt.detail {
				t.Errorf("got %v, %q, %q; want %v, %q, %q", r.Status, r.Summary, r.Detail, tt.status, tt.summary, tt.detail)
			}
		})
	}
}

const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func TestTheRemedyOfTheDefinitionGoesFirst(t *testing.T) {
	if r := run(t, checks.Definition{Script: "exit 2", Remedy: "do this"}, checks.Environment{}); r.Remedy != "do this" {
		t.Errorf("the remedy is %q", r.Remedy)
	}
	if r := run(t, checks.Definition{Probe: "commands", With: map[string]string{"names": "no-such-command"}}, checks.Environment{}); !strings.Contains(r.Remedy, "install") {
		t.Errorf("the probe's remedy is %q", r.Remedy)
	}
}

func TestHostileOutputIsHarmless(t *testing.T) {
	for name, script := range map[string]string{
		"escape sequences":           `printf '\033[31mred\033]0;title\007\n\033[2J\033[H'`,
		"control bytes":              `printf 'a\000b\001\r\b\177\n\302\233'`,
		"bytes that are not UTF-8":   `printf '\377\376\300\257\n\355\240\200'`,
		"text that runs backwards":   `printf '\342\200\256evil\342\200\251\n'`,
		"markup":                     `echo '<script>alert(1)</script>'`,
		"10 MiB in one line":         `head -c 10485760 /dev/zero | tr '\0' x`,
		"10 MiB of escape sequences": `head -c 10485760 /dev/zero | tr '\0' '\033'`,
		"a million lines":            `yes line | head -n 1000000`,
		"a long line of wide runes":  `i=0; while [ $i -lt 3000 ]; do printf '\360\237\230\200'; i=$((i+1)); done`,
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, checks.Definition{Script: script + "; exit 2"}, checks.Environment{})
			if r.Status != checks.Critical {
				t.Errorf("status is %v, want critical", r.Status)
			}
			if len(r.Summary) > 512 || len(r.Detail) > 4<<10 {
				t.Errorf("summary has %d bytes and detail %d", len(r.Summary), len(r.Detail))
			}
			for _, s := range []string{r.Summary, strings.ReplaceAll(r.Detail, "\n", "")} {
				for _, c := range s {
					if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 || c == 0x202e || c == 0x2029 || c == utf8.RuneError && !strings.Contains(name, "UTF-8") && !strings.Contains(name, "wide") {
						t.Fatalf("%q is left in %q", c, s)
					}
				}
				if !utf8.ValidString(s) {
					t.Errorf("%q is not UTF-8", s)
				}
			}
		})
	}
}

func TestTheBeginningAndTheEndOfALongOutputAreKept(t *testing.T) {
	r := run(t, checks.Definition{Script: "echo FIRST; seq 100000; echo LAST; exit 2"}, checks.Environment{})
	if r.Summary != "FIRST" || !strings.HasSuffix(r.Detail, "LAST") || !strings.Contains(r.Detail, "bytes left out") {
		t.Errorf("got %q and %q", r.Summary, r.Detail)
	}
}

func TestNothingOutlivesItsTime(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		status       checks.Status
		summary      string
		within       time.Duration
	}{
		{"a script that hangs", "echo so far; sleep 60", checks.Unknown, "no answer within 300ms", 2 * time.Second},
		{"a script that ignores signals", "trap '' TERM INT HUP; sleep 60 & wait", checks.Unknown, "no answer", 2 * time.Second},
		{"a child in the background that holds the output", "sleep 60 & echo $! > $MUSTER_PID; echo done", checks.OK, "done", 2 * time.Second},
		{"children of children", "(sh -c 'sleep 60 & echo $! > $MUSTER_PID; wait' &) ; sleep 60", checks.Unknown, "no answer", 2 * time.Second},
		{"a child that left the group and holds the output", "setsid sleep 3 & echo done; exit 1", checks.Warning, "done", 2500 * time.Millisecond},
		{"endless output", "yes", checks.Unknown, "no answer", 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pidFile := filepath.Join(t.TempDir(), "pid")
			start := time.Now()
			r := run(t, checks.Definition{Script: tt.script, Timeout: 300 * time.Millisecond}, checks.Environment{Env: []string{"MUSTER_PID=" + pidFile}})
			if took := time.Since(start); took > tt.within {
				t.Errorf("it took %v", took)
			}
			if r.Status != tt.status || !strings.Contains(r.Summary, tt.summary) {
				t.Errorf("got %v, %q; want %v, %q", r.Status, r.Summary, tt.status, tt.summary)
			}
			if tt.name == "a script that hangs" && r.Detail != "so far" {
				t.Errorf("the detail is %q, want what was printed until then", r.Detail)
			}
			if pid, err := os.ReadFile(pidFile); err == nil {
				wantGone(t, strings.TrimSpace(string(pid)))
			}
		})
	}
}

// wantGone waits until the process has ended; a zombie that nobody collects has.
func wantGone(t *testing.T, pid string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
	}
	t.Errorf("process %s is still there", pid)
}

func TestResultsComeInTheOrderOfTheDefinitionsAndRunSideBySide(t *testing.T) {
	var defs []checks.Definition
	for i := range 16 {
		defs = append(defs, checks.Definition{
			Name: fmt.Sprint("check-", i), Stage: checks.Preflight, Severity: "critical", Timeout: 10 * time.Second,
			Script: fmt.Sprintf("sleep 0.%d; exit %d", 9-i%8, i%4),
		})
	}
	defs = append(defs, checks.Definition{Name: "other stage", Stage: checks.Postflight, Script: "exit 2"})
	reported := map[string]int{}
	start := time.Now()
	results := checks.Run(t.Context(), defs, checks.Environment{Stage: checks.Preflight, WorkDir: t.TempDir()}, func(r checks.Result) { reported[r.Name]++ })
	if took := time.Since(start); took > 6*time.Second {
		t.Errorf("16 checks of at most 0.9 s took %v, 8 at a time", took)
	}
	if len(results) != 16 || len(reported) != 16 {
		t.Fatalf("%d results and %d reports, want 16", len(results), len(reported))
	}
	for i, r := range results {
		if r.Name != defs[i].Name || int(r.Status) != i%4 || reported[r.Name] != 1 || r.Took <= 0 {
			t.Errorf("result %d is %+v, reported %d times", i, r, reported[r.Name])
		}
	}
}

func TestPostflightIsRepeated(t *testing.T) {
	count := `n=$(cat $MUSTER_COUNT 2>/dev/null || echo 0); n=$((n+1)); echo $n > $MUSTER_COUNT; echo run $n; `
	tests := []struct {
		name     string
		script   string
		stage    checks.Stage
		retryFor time.Duration
		status   checks.Status
		runs     string
	}{
		{"until it is ok", count + "[ $n -ge 4 ] || exit 2", checks.Postflight, 20 * time.Second, checks.OK, "4"},
		{"a warning is waited for, too", count + "[ $n -ge 2 ] || exit 1", checks.Postflight, 20 * time.Second, checks.OK, "2"},
		{"once only when there is nothing to wait for", count + "exit 2", checks.Postflight, 0, checks.Critical, "1"},
		{"once only before the installation", count + "exit 2", checks.Preflight, 20 * time.Second, checks.Critical, "1"},
		{"until the time is over", count + "exit 2", checks.Postflight, 400 * time.Millisecond, checks.Critical, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			counter := filepath.Join(t.TempDir(), "count")
			var waiting []checks.Waiting
			r := run(t, checks.Definition{Script: tt.script, Stage: tt.stage, RetryFor: tt.retryFor}, checks.Environment{
				Env: []string{"MUSTER_COUNT=" + counter}, RetryEvery: 20 * time.Millisecond,
				Waiting: func(w checks.Waiting) { waiting = append(waiting, w) },
			})
			runs, _ := os.ReadFile(counter)
			if got := strings.TrimSpace(string(runs)); r.Status != tt.status || tt.runs != "" && got != tt.runs {
				t.Errorf("%v after %s runs, want %v after %s", r.Status, got, tt.status, tt.runs)
			}
			if tt.runs == "4" && (len(waiting) != 3 || waiting[2].Attempt != 3 || waiting[2].Last.Summary != "run 3" || waiting[2].Left <= 0) {
				t.Errorf("waiting was told as %+v", waiting)
			}
		})
	}
}

func TestWaitingChecksKeepNobodyElseWaiting(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "marker")
	var defs []checks.Definition
	for i := range 4 {
		defs = append(defs, checks.Definition{
			Name: fmt.Sprint("waits-", i), Stage: checks.Postflight, Severity: "critical", Timeout: 10 * time.Second, RetryFor: 20 * time.Second,
			Script: `[ -e "$MUSTER_MARKER" ] || exit 2`,
		})
	}
	// This one makes the others ok, so they would all wait for ever if it had to wait for them.
	defs = append(defs, checks.Definition{Name: "last", Stage: checks.Postflight, Severity: "critical", Timeout: 10 * time.Second, Script: `touch "$MUSTER_MARKER"`})
	for _, r := range checks.Run(t.Context(), defs, checks.Environment{
		WorkDir: t.TempDir(), Parallel: 1, RetryEvery: 10 * time.Millisecond, Env: []string{"MUSTER_MARKER=" + marker},
	}, nil) {
		if r.Status != checks.OK {
			t.Errorf("%+v", r)
		}
	}
}

func TestTheEndOfTheContextEndsAll(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var defs []checks.Definition
	for i := range 20 {
		defs = append(defs, checks.Definition{Name: fmt.Sprint(i), Stage: checks.Postflight, Severity: "critical", Script: "sleep 30", Timeout: time.Minute, RetryFor: time.Hour})
	}
	var reports atomic.Int32
	time.AfterFunc(200*time.Millisecond, cancel)
	start := time.Now()
	for _, r := range checks.Run(ctx, defs, checks.Environment{WorkDir: t.TempDir()}, func(checks.Result) { reports.Add(1) }) {
		if r.Status != checks.Unknown || !strings.Contains(r.Summary, "interrupted") {
			t.Errorf("%+v", r)
		}
	}
	if took := time.Since(start); took > 5*time.Second || reports.Load() != 20 {
		t.Errorf("it took %v and %d were reported", took, reports.Load())
	}
}

func TestInvalidDefinitionsAreUnknownAndSayWhy(t *testing.T) {
	for name, tt := range map[string]struct {
		d    checks.Definition
		want string
	}{
		"neither probe nor script": {checks.Definition{}, "neither"},
		"probe and script":         {checks.Definition{Probe: "root", Script: "true"}, "both"},
		"unknown probe":            {checks.Definition{Probe: "x\x1b"}, "no probe"},
		"bad argument":             {checks.Definition{Probe: "memory", With: map[string]string{"min": "much"}}, "much"},
	} {
		t.Run(name, func(t *testing.T) {
			if r := run(t, tt.d, checks.Environment{}); r.Status != checks.Unknown || !strings.Contains(r.Summary, tt.want) {
				t.Errorf("got %+v, want unknown with %q", r, tt.want)
			}
		})
	}
	r := checks.Run(t.Context(), []checks.Definition{{Name: "n", Script: "true"}}, checks.Environment{WorkDir: "/no/such/dir"}, nil)[0]
	if r.Status != checks.Unknown || !strings.Contains(r.Remedy, "/no/such/dir") {
		t.Errorf("no work directory: got %+v", r)
	}
}
