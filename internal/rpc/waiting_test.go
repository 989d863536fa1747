package rpc

import (
	"testing"
	"time"
)

func TestTheWaitingRoom(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	room := waitingRoom{size: 2}
	enter := func(want bool) *place {
		t.Helper()
		p, ok := room.enter(now)
		if ok != want {
			t.Fatalf("entered: %v, want %v", ok, want)
		}
		return p
	}
	lost := func(p *place) bool {
		select {
		case <-p.lost:
			return true
		default:
			return false
		}
	}
	first, second := enter(true), enter(true)
	enter(false) // nobody has been silent for long

	now = now.Add(patience)
	room.serve(first)
	third := enter(true) // in the place of the second, which is the longest silent: the first is being served
	if lost(first) || !lost(second) || lost(third) {
		t.Errorf("lost: %v %v %v", lost(first), lost(second), lost(third))
	}
	room.serve(second) // what the loser does no longer matters
	room.leave(second)
	enter(false)

	room.leave(first)
	fourth := enter(true)
	room.leave(third)
	room.leave(fourth)
	if room.taken != 0 || room.silent.Len() != 0 {
		t.Errorf("%d taken, %d silent at the end", room.taken, room.silent.Len())
	}
}
