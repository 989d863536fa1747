package push

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// fetchers are the programs that a host can fetch the agent with, in the order of preference.
var fetchers = []string{"curl", "wget", "python3"}

func chooseFetcher(has []string) string {
	for _, f := range fetchers {
		if slices.Contains(has, f) {
			return f
		}
	}
	return ""
}

// far is the round-trip time from which a host gets the agent packed: every two megabytes that are not sent save a round trip
// or more.
const far = 15 * time.Millisecond

func (c *conversation) far() bool { return c.conn.live.rtt() >= far }

// fetches chooses how a host fetches the agent over HTTP, which costs it a fraction of what receiving it over SSH does; "" if it
// is to be sent. A limit is for the bytes to all hosts together, so it keeps them from fetching. Of those that are far, only
// curl is known to unpack what comes packed.
func (c *conversation) fetches(has []string) (fetcher string, packed bool) {
	switch {
	case c.host.run.limit != nil || len(c.host.opts.Sources) == 0:
		return "", false
	case !c.far():
		if fetcher = chooseFetcher(has); fetcher == "" {
			c.host.note("it has neither curl nor wget nor python3, so the bootstrap agent was sent")
		}
		return fetcher, false
	case slices.Contains(has, "curl"):
		return "curl", true
	}
	return "", false
}

// fetched waits until the host has fetched the agent, or sends it to a host that couldn't. After the push such a host has
// to reach the coordinator all the same, so that is worth a note.
func (c *conversation) fetched(ctx context.Context) *Error {
	c.host.enter(Fetching, nil)
	words, err := c.expect("starting", "unfetched")
	if err != nil || words[0] == "starting" {
		return err
	}
	c.uploads.Wait()
	said := printable(strings.Join(words[1:], " "))
	if tail := c.out.tail(); tail != "" {
		said += ": " + tail
	}
	c.host.note("it can't fetch the bootstrap agent, so that was sent: " + shorten(said))
	c.out.forget()
	c.deliver.fetcher = ""
	content, err := c.onTheWire()
	if err != nil {
		return err
	}
	c.host.enter(Uploading, nil)
	c.send(ctx, fmt.Sprintf("%d %s\n", c.deliver.wireSize, c.deliver.packing), content)
	_, err = c.expect("starting")
	return err
}
