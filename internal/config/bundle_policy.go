package config

import (
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"muster/internal/manifest"
)

// spreadLabel is what a host says of itself when it joins, and so what a role can be spread over.
const spreadLabel = "zone"

// spread reads how members of a counted role are kept apart.
func (c cursor) spread() *manifest.Spread {
	s := manifest.Spread{Label: spreadLabel}
	c.fields(
		may("label", func(c cursor) {
			if text, ok := c.text(); ok && text != spreadLabel {
				c.fail(quote(text)+" is not known of a host when it joins", "write label: "+spreadLabel+", the only label that a role can be spread over")
			}
		}),
		may("max", func(c cursor) { s.Max, _ = c.whole(1, maxMembers) }),
	)
	return &s
}

// upgrade reads how hosts take a new generation.
func (c cursor) upgrade() *manifest.Upgrade {
	var u manifest.Upgrade
	var order, unavailable bool
	good := c.fields(
		may("order", func(c cursor) { order = true; u.Order, _ = c.whole(1, maxMembers) }),
		may("max_unavailable", func(c cursor) { unavailable = true; c.unavailable(&u) }),
	)
	if good && !order && !unavailable {
		c.fail("needs order or max_unavailable", "write one of the two, such as {order: 1, max_unavailable: 1}, or leave upgrade out")
	}
	return &u
}

// unavailable reads a number of hosts or a percentage of them.
func (c cursor) unavailable(u *manifest.Upgrade) {
	text, ok := strings.CutSuffix(c.node.Value, "%")
	if c.node.Kind != yaml.ScalarNode || !ok {
		u.MaxUnavailable, _ = c.whole(1, 100_000)
		return
	}
	n, err := strconv.Atoi(text)
	if err != nil || !decimal.MatchString(text) || n < 1 || n > 100 {
		c.fail(quote(c.node.Value)+" is not a percentage from 1% to 100%", `write a number of hosts, such as 2, or a percentage, such as "10%"`)
		return
	}
	u.MaxPercent = n
}

// checkPolicies compares the policies of a role with its counts.
func (r Role) checkPolicies(spread, upgrade *cursor) {
	if spread != nil && !r.Counted() {
		spread.failKey("only a role with counts can be spread; any number of hosts can have "+string(r.Name), "remove spread, or give the role counts")
		return
	}
	if upgrade == nil || r.Upgrade == nil || !r.Counted() {
		return
	}
	// The largest role bears the most; if it loses its majority, every smaller one does.
	most := r.Counts[len(r.Counts)-1]
	if n := r.Upgrade.MaxUnavailable; n > (most-1)/2 && most > 1 {
		upgrade.warn(fmt.Sprintf("%d of at most %d members at a time leave no majority", n, most), "write at most "+strconv.Itoa(max(1, (most-1)/2))+" for software that needs a quorum")
	}
}
