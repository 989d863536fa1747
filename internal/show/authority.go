package show

import (
	"fmt"
	"strings"
	"time"

	operatorv1 "muster/proto/muster/operator/v1"
)

var authorityColumns = []column{{"CERTIFICATE", 3, 9}, {"STATE", 4, 7}, {"BEGINS", 5, 10}, {"ENDS", 2, 16}, {"SHA-256", 1, 12}}

// Authority shows the CA: its certificates, where the root's key is, and how far a rotation is.
func Authority(a *operatorv1.GetAuthorityResponse, now time.Time, width int) string {
	var rows []row
	for _, c := range a.GetCertificates() {
		state := "issues"
		if c.Ending {
			state = "ending"
		}
		ends := clock(c.NotAfter, "2006-01-02", now.Location())
		if at, ok := moment(c.NotAfter); ok {
			if at.After(now) {
				ends += " (in " + durationWord(at.Sub(now)) + ")"
			} else {
				ends += " (expired)"
			}
		}
		rows = append(rows, row{cells: []string{
			safeWord(c.Name, maxWord), state, clock(c.NotBefore, "2006-01-02", now.Location()), ends, safeWord(c.Fingerprint, maxWord),
		}})
	}
	lines := append(grid(authorityColumns, rows, width), "")
	key := "The root's key is on the coordinator's machine. To keep it offline: coordinator ca export --out FILE --remove"
	if !a.GetRootKey() {
		key = "The root's key is kept elsewhere. It is needed to renew the intermediates and to rotate: coordinator ca import FILE"
	}
	lines = append(lines, wrap("", key, width)...)
	if r := a.GetRotation(); r != nil {
		lines = append(append(lines, ""), rotation(r, now, width)...)
	}
	return strings.Join(lines, "\n") + "\n"
}

func rotation(r *operatorv1.Rotation, now time.Time, width int) []string {
	what := "root and intermediates"
	if r.Intermediates {
		what = "intermediates"
	}
	at := func(layout string) string { return clock(r.ForceFrom, layout, now.Location()) }
	lines := wrap("", fmt.Sprintf("A rotation of the %s is under way since %s: the old are still accepted.", what, clock(r.Started, "2006-01-02 15:04:05", now.Location())), width)
	say := func(format string, args ...any) {
		lines = append(lines, wrap("  ", "- "+fmt.Sprintf(format, args...), width)...)
	}
	say("%s under way moved to the new CA", plural(int(r.Moved), "host"))
	if r.Behind > 0 {
		var names []string
		for _, name := range r.BehindNames {
			names = append(names, safeWord(name, maxWord))
		}
		if int(r.Behind) > len(names) {
			names = append(names, "...")
		}
		say("%s not yet: %s", plural(int(r.Behind), "host"), strings.Join(names, ", "))
	}
	if r.Tokens > 0 {
		say("%s from before can still be used, until %s: their seeds carry the old root", plural(int(r.Tokens), "join token"),
			clock(r.TokensUntil, "2006-01-02 15:04:05", now.Location()))
	}
	if len(r.Operators) > 0 {
		var names []string
		for _, name := range r.Operators {
			names = append(names, safeWord(name, maxWord))
		}
		say("operators whose credentials end with it: %s; make new ones before: coordinator operator create", strings.Join(names, ", "))
	}
	end := "Nothing holds it up. To end it: coordinator ca rotate --finish"
	if r.Behind > 0 || r.Tokens > 0 {
		end = "It can be finished when they have moved or ended, by force from " + at("2006-01-02 15:04:05") + " on: coordinator ca rotate --finish"
	}
	return append(lines, wrap("", end, width)...)
}
