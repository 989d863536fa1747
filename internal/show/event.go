package show

import (
	"fmt"
	"time"

	operatorv1 "muster/proto/muster/operator/v1"
)

// EventLine is an event in one line, whatever is in it.
func EventLine(e *operatorv1.Event, zone *time.Location) string {
	line := fmt.Sprintf("%s  %-16s  %-15s  %s", clock(e.Time, "2006-01-02 15:04:05", zone), safeWord(e.Kind, maxWord),
		dash(safeWord(e.HostId, maxWord)), Safe(e.Message, maxText))
	if e.Actor != "" {
		line += "  by " + Safe(e.Actor, maxWord)
	}
	if e.From != "" {
		line += "  from " + Safe(e.From, maxWord)
	}
	return line
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
