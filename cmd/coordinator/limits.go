package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"time"

	"muster/internal/fault"
	"muster/internal/gate"
)

const (
	// reservedFiles are for the store, the operator's socket, its page and its commands, whatever the network does.
	reservedFiles = 256
	// fewestFiles is where serving has no sense any more.
	fewestFiles = 512
	// maxDownloads is how many connections for artifacts there may be: hosts fetch one blob after the other and come back
	// when there was no place. Each takes two files.
	maxDownloads = 2048
	// garbage is how much memory, in percent of what is in use, may be waiting to be collected. What strangers make the
	// coordinator throw away again shows in its peak: half of Go's usual costs some 5 % of processor time under attack.
	garbage = 50
)

// tellOfCrowds logs, once a minute, how many connections had no place at a door since it said so last.
func tellOfCrowds(ctx context.Context, log *slog.Logger, every time.Duration, doors map[string]net.Listener) error {
	told := make(map[string]int64)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for name, door := range doors {
			counts, ok := door.(interface{ Lost() (refused, shed int64) })
			if !ok {
				continue
			}
			refused, shed := counts.Lost()
			if n := refused + shed - told[name]; n > 0 {
				told[name] += n
				log.Warn("connections were cut off because there are too many; hosts come again by themselves", "door", name, "connections", n)
			}
		}
	}
}

// collectEarly bounds the memory's peak, unless the operator has said how (GOGC).
func collectEarly() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
}

// connections divides the file descriptors that this process may have between the hosts' door and the one for artifacts.
func connections() (hosts, downloads int, err error) {
	files, err := gate.Files()
	if err != nil {
		return 0, 0, err
	}
	return divide(files)
}

func divide(files int) (hosts, downloads int, err error) {
	if files < fewestFiles {
		return 0, 0, fault.New(fault.Unavailable, fmt.Sprintf("raise it to %d or more, with ulimit -n or LimitNOFILE= in the unit", fewestFiles),
			"this process may open %d files, which is too few to serve", files)
	}
	files -= reservedFiles
	downloads = min(maxDownloads, files/8)
	return files - 2*downloads, downloads, nil
}
