package storetest

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/internal/store"
)

const (
	childPlace   = "MUSTER_STORETEST_PLACE"
	childWriters = "MUSTER_STORETEST_WRITERS"
	// writers write in the child at the same time, so that updates share commits; each keeps its own keys.
	writers = 8
	rounds  = 8
)

func inChild() string { return os.Getenv(childPlace) }

// Child is this test binary once more, running only the named test, whose Run then lets that many writers write to
// place until it is killed. It says each acknowledged write on standard output: "ack WRITER NUMBER".
func Child(test, place string, writers int) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.count=1", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), childPlace+"="+place, childWriters+"="+strconv.Itoa(writers))
	cmd.Stderr = os.Stderr
	return cmd
}

// writeUntilKilled goes on where the store stands. One update keeps two halves, under keys far apart, so that a torn
// one is seen.
func writeUntilKilled(t *testing.T, open Open, place string) {
	s, err := open(place)
	if err != nil {
		t.Fatal(err)
	}
	writers, err := strconv.Atoi(os.Getenv(childWriters))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for n := next(t, s, i); ; n++ {
				err := s.Update(ctx, func(w store.Writer) error {
					return errors.Join(
						w.Put(half("first", i, n), []byte(content(i, n))),
						w.Put(half("second", i, n), []byte(content(i, n))),
						w.Put(fmt.Sprintf("next/%d", i), []byte(strconv.Itoa(n+1))),
					)
				})
				if err != nil {
					t.Error(err)
					return
				}
				// One write(2) of a short line to a pipe is whole or not there at all.
				if _, err := os.Stdout.WriteString(fmt.Sprintf("ack %d %d\n", i, n)); err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
}

func next(t *testing.T, s store.Store, writer int) (n int) {
	if err := s.View(ctx, func(r store.Reader) error {
		text, there, err := get(r, fmt.Sprintf("next/%d", writer))
		if err == nil && there {
			n, err = strconv.Atoi(text)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func half(which string, writer, n int) string { return fmt.Sprintf("%s/%d/%09d", which, writer, n) }

func content(writer, n int) string { return strings.Repeat(fmt.Sprintf("%d:%d;", writer, n), 40) }

// testKill kills the child at a random moment, several times on the same store. What it acknowledged must be there,
// whole; what it had begun may be there, but never by half.
func testKill(t *testing.T, open Open) {
	place := t.TempDir()
	parent, _, _ := strings.Cut(t.Name(), "/")
	acknowledged := make([]int, writers) // the number of writes of each writer
	total := 0
	for round := range rounds {
		for writer, n := range killedAfter(t, Child(parent, place, writers), time.Duration(20+rand.IntN(180))*time.Millisecond) {
			if n < acknowledged[writer] {
				t.Fatalf("round %d: writer %d began again at %d after %d were acknowledged", round, writer, n, acknowledged[writer])
			}
			acknowledged[writer] = n
		}
		s, err := open(place)
		if err != nil {
			t.Fatalf("round %d: the store does not open after a kill: %v", round, err)
		}
		have := make([]int, writers)
		if err := s.View(ctx, func(r store.Reader) error {
			for writer := range writers {
				for ; ; have[writer]++ {
					first, there, err := get(r, half("first", writer, have[writer]))
					second, _, err2 := get(r, half("second", writer, have[writer]))
					if err := errors.Join(err, err2); err != nil {
						return err
					}
					if first != second || there && first != content(writer, have[writer]) {
						return fmt.Errorf("write %d of writer %d is there by half", have[writer], writer)
					}
					if !there {
						break
					}
				}
			}
			return nil
		}); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for writer, n := range acknowledged {
			if have[writer] < n {
				t.Errorf("round %d: of writer %d, %d were acknowledged and %d are there", round, writer, n, have[writer])
			}
		}
	}
	for _, n := range acknowledged {
		total += n
	}
	t.Logf("%d writes acknowledged in %d rounds", total, rounds)
	if total < rounds {
		t.Errorf("only %d writes were acknowledged: the kills tested nothing", total)
	}
}

// killedAfter runs the child until it has acknowledged something and then for a while longer. It returns how many
// writes each writer has acknowledged.
func killedAfter(t *testing.T, child *exec.Cmd, while time.Duration) map[int]int {
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	// A child that never acknowledges is killed too.
	timer := time.AfterFunc(30*time.Second, func() { _ = child.Process.Kill() })
	counts := make(map[int]int)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var writer, n int
		if _, err := fmt.Sscanf(lines.Text(), "ack %d %d", &writer, &n); err != nil {
			t.Errorf("the child says %q", lines.Text())
			continue
		}
		if len(counts) == 0 {
			timer.Reset(while)
		}
		counts[writer] = n + 1
	}
	timer.Stop()
	_ = child.Process.Kill()
	_ = child.Wait()
	return counts
}

// together runs f for each of 0…n-1 at the same time.
func together(n int, f func(int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}
