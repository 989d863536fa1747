package gate_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"muster/internal/gate"
)

// door is a gate whose accepted connections are handed over.
type door struct {
	testing.TB
	*gate.Listener
	in chan *gate.Conn
}

func newDoor(t testing.TB, limits gate.Limits) door {
	t.Helper()
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := door{t, gate.New(raw, limits), make(chan *gate.Conn, 64)}
	t.Cleanup(func() { d.Close() })
	go func() {
		for {
			c, err := d.Accept()
			if err != nil {
				return
			}
			d.in <- c.(*gate.Conn)
		}
	}()
	return d
}

func (d door) dial() net.Conn {
	d.Helper()
	c, err := net.Dial("tcp", d.Addr().String())
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { c.Close() })
	return c
}

// enters is a connection, both its ends.
func (d door) enters() (outside net.Conn, inside *gate.Conn) {
	d.Helper()
	outside = d.dial()
	select {
	case inside = <-d.in:
	case <-time.After(10 * time.Second):
		d.Fatal("it is not let in")
	}
	return outside, inside
}

// isCut wants the other side to have closed, or not to.
func (d door) isCut(c net.Conn, want bool) {
	d.Helper()
	patience := 10 * time.Second
	if !want {
		patience = 50 * time.Millisecond
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	_, err := c.Read(make([]byte, 1))
	if cut := !errors.Is(err, os.ErrDeadlineExceeded); cut != want || err == nil {
		d.Errorf("cut: %v (%v), want %v", cut, err, want)
	}
}

// isRefused wants a newcomer not to be let in.
func (d door) isRefused() {
	d.Helper()
	if c, err := net.Dial("tcp", d.Addr().String()); err == nil {
		d.isCut(c, true)
		c.Close()
	}
}

func TestANewcomerTakesThePlaceOfWhoWaitsLongest(t *testing.T) {
	t.Parallel()
	d := newDoor(t, gate.Limits{Open: 3, Waiting: 3, Patience: 20 * time.Millisecond})
	first, firstIn := d.enters()
	second, _ := d.enters()
	third, thirdIn := d.enters()
	d.isRefused() // nobody has waited for long enough
	time.Sleep(30 * time.Millisecond)
	firstIn.Known("a", 2)
	thirdIn.Works()
	fourth, _ := d.enters()
	d.isCut(second, true)
	for _, c := range []net.Conn{first, third, fourth} {
		d.isCut(c, false)
	}
	if refused, shed := d.Lost(); refused != 1 || shed != 1 {
		t.Errorf("%d refused, %d shed", refused, shed)
	}
}

func TestThoseWhoWaitLeaveRoomForThoseWhoAreKnown(t *testing.T) {
	t.Parallel()
	d := newDoor(t, gate.Limits{Open: 4, Waiting: 1, Patience: time.Hour})
	for _, who := range []string{"a", "b", "c"} {
		_, in := d.enters()
		in.Known(who, 1)
	}
	waiting, _ := d.enters()
	d.isRefused()
	d.isCut(waiting, false)
}

func TestWhoWorksLosesItsPlaceAfterItsTurn(t *testing.T) {
	t.Parallel()
	d := newDoor(t, gate.Limits{Open: 2, Waiting: 2, Patience: time.Hour, Turn: 60 * time.Millisecond})
	working, in := d.enters()
	in.Works()
	again, in := d.enters()
	in.Works()
	in.Waits()
	d.isRefused()
	time.Sleep(80 * time.Millisecond)
	d.enters()
	d.isCut(working, true)
	d.isCut(again, false)
}

func TestOfOneCallerTheNewestConnectionsStay(t *testing.T) {
	t.Parallel()
	d := newDoor(t, gate.Limits{Open: 10, Waiting: 10})
	var all []net.Conn
	for range 3 {
		outside, in := d.enters()
		in.Known("a", 2)
		all = append(all, outside)
	}
	other, in := d.enters()
	in.Known("b", 2)
	d.isCut(all[0], true)
	for _, c := range append(all[1:], other) {
		d.isCut(c, false)
	}
}

func TestAClosedConnectionGivesItsPlaceBackOnce(t *testing.T) {
	t.Parallel()
	d := newDoor(t, gate.Limits{Open: 1, Waiting: 1})
	for range 3 {
		outside, in := d.enters()
		d.isRefused()
		in.Known("a", 1)
		for range 2 {
			_ = in.Close()
		}
		in.Waits() // too late
		if _, err := io.ReadAll(outside); err != nil {
			t.Error(err)
		}
	}
}

func TestTurns(t *testing.T) {
	t.Parallel()
	var turns gate.Turns[string]
	enter := func(who string, want bool) (leave func()) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		leave, ok := turns.Enter(ctx, who, 1, 1)
		if ok != want {
			t.Errorf("%s let in: %v, want %v", who, ok, want)
		}
		return leave
	}
	leave := enter("a", true)
	enter("b", true)  // another caller
	enter("a", false) // waits in vain
	waits := make(chan func())
	go func() {
		for {
			// The place to wait at may be taken, by the attempts below.
			if leave, ok := turns.Enter(context.Background(), "a", 1, 1); ok {
				waits <- leave
				return
			}
		}
	}()
	for {
		// As soon as one waits, the next is told at once.
		began := time.Now()
		enter("a", false)
		if time.Since(began) < 10*time.Millisecond {
			break
		}
	}
	leave()
	leave() // once is enough
	leave = <-waits
	enter("a", false)
	leave()
	enter("a", true)
}

func TestFiles(t *testing.T) {
	t.Parallel()
	if n, err := gate.Files(); err != nil || n < 16 {
		t.Errorf("%d, %v", n, err)
	}
}
