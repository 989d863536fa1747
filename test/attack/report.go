package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// The bounds, of what it is under attack to what it is in peace.
const (
	maxTimes  = 1.5
	maxMemory = 2.0
)

func at(times []time.Duration, share float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	return times[min(len(times)-1, int(share*float64(len(times))))]
}

// compare prints the two runs side by side and says which bounds are broken.
func (o options) compare(out io.Writer, peace, attack outcome) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, of func(outcome) string, ratio string) {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t\n", name, of(peace), of(attack), ratio)
	}
	fmt.Fprintf(table, "\tin peace\tunder attack\tratio\t\n")
	row("hosts done", func(r outcome) string { return fmt.Sprintf("%d of %d", len(r.Hosts.Times), o.Hosts) }, "")
	var median float64
	for _, share := range []struct {
		name string
		at   float64
	}{{"median time", 0.5}, {"95 % within", 0.95}, {"longest", 1}} {
		of := func(r outcome) time.Duration { slices.Sort(r.Hosts.Times); return at(r.Hosts.Times, share.at) }
		ratio := float64(of(attack)) / float64(max(1, of(peace)))
		if share.at == 0.5 {
			median = ratio
		}
		row(share.name, func(r outcome) string { return fmt.Sprintf("%.2f s", of(r).Seconds()) }, fmt.Sprintf("%.2f", ratio))
	}
	memory := float64(attack.Peak) / float64(max(1, peace.Peak))
	row("coordinator's memory", func(r outcome) string { return fmt.Sprintf("%.1f MB", float64(r.Peak)/1e6) }, fmt.Sprintf("%.2f", memory))
	for _, cpu := range []struct {
		name string
		of   func(outcome) time.Duration
	}{
		{"CPU of the coordinator", func(r outcome) time.Duration { return r.CoordinatorCPU }},
		{"CPU of the hosts", func(r outcome) time.Duration { return r.HostsCPU }},
		{"CPU of the attackers", func(r outcome) time.Duration { return r.AttackCPU }},
	} {
		row(cpu.name, func(r outcome) string { return fmt.Sprintf("%.1f s", cpu.of(r).Seconds()) }, "")
	}
	row("refusals in the events", func(r outcome) string { return fmt.Sprint(r.Refusals) }, "")
	for _, kind := range kinds {
		row("attack: "+kind.name, func(r outcome) string {
			k, ok := r.Attack.Kinds[kind.name]
			if !ok {
				return "-"
			}
			return fmt.Sprintf("%d opened, %d cut off, %d refused", k.Opened, k.Cut, k.Refused)
		}, "")
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var broken []error
	for name, r := range map[string]outcome{"in peace": peace, "under attack": attack} {
		for _, why := range r.Hosts.Failed[:min(3, len(r.Hosts.Failed))] {
			broken = append(broken, fmt.Errorf("%s: %s", name, why))
		}
		if n := len(r.Hosts.Times); n != o.Hosts {
			broken = append(broken, fmt.Errorf("%s, %d of %d hosts are done", name, n, o.Hosts))
		}
	}
	if o.Times && median > maxTimes {
		broken = append(broken, fmt.Errorf("the median time is %.2f times that in peace, want %.1f at most", median, maxTimes))
	}
	if memory > maxMemory {
		broken = append(broken, fmt.Errorf("the coordinator's memory is %.2f times that in peace, want %.1f at most", memory, maxMemory))
	}
	return errors.Join(broken...)
}
