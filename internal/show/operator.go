package show

import (
	"strings"
	"time"

	operatorv1 "muster/proto/muster/operator/v1"
)

var operatorColumns = []column{{"NAME", 5, 8}, {"LEVEL", 6, 8}, {"STATE", 4, 8}, {"CREATED", 2, 8}, {"BY", 1, 8}}

// Operators shows those that were made for other machines.
func Operators(operators []*operatorv1.Operator, now time.Time, width int) string {
	if len(operators) == 0 {
		return "no operators on other machines\n"
	}
	var rows []row
	for _, o := range operators {
		state := "-"
		if at, ok := moment(o.Revoked); ok {
			state = "revoked " + durationWord(now.Sub(at)) + " ago"
		} else if at, ok := moment(o.Expires); ok && at.After(now) {
			state = "for " + durationWord(at.Sub(now))
		} else if ok {
			state = "expired " + durationWord(now.Sub(at)) + " ago"
		}
		created := "-"
		if at, ok := moment(o.Created); ok {
			created = durationWord(now.Sub(at)) + " ago"
		}
		rows = append(rows, row{cells: []string{safeWord(o.Name, maxWord), safeWord(o.Level, maxWord), state, created, Safe(o.Actor, maxWord)}})
	}
	return strings.Join(grid(operatorColumns, rows, width), "\n") + "\n"
}

// Permission is one line of the authorisation table.
type Permission struct {
	Service, Method, For, Condition string
}

var permissionColumns = []column{{"SERVICE", 4, 8}, {"METHOD", 5, 8}, {"FOR", 6, 8}, {"CONDITION", 1, 10}}

// Permissions shows who may call what.
func Permissions(all []Permission, width int) string {
	var rows []row
	for _, p := range all {
		rows = append(rows, row{cells: []string{p.Service, p.Method, p.For, p.Condition}})
	}
	return strings.Join(grid(permissionColumns, rows, width), "\n") + "\n"
}
