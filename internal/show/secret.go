package show

import (
	"strings"
	"time"

	operatorv1 "muster/proto/muster/operator/v1"
)

var secretColumns = []column{{"SECRET", 6, 8}, {"PER", 5, 7}, {"ROLES", 3, 8}, {"VALUE", 7, 9}, {"CREATED", 4, 8}, {"SUMMARY", 1, 10}}

// Secrets shows what is known of the secrets; their values are not among it.
func Secrets(secrets []*operatorv1.Secret, now time.Time, width int) string {
	if len(secrets) == 0 {
		return "the bundle has no secrets\n"
	}
	var rows []row
	for _, s := range secrets {
		created, value, roles := "-", s.Origin, Safe(strings.Join(s.Roles, ","), maxText)
		if at, ok := moment(s.Created); ok {
			created = durationWord(now.Sub(at)) + " ago"
		}
		var below []string
		if s.Remedy != "" {
			value, below = "missing", []string{"  " + Safe(s.Remedy, maxText)}
		}
		if len(s.Roles) == 0 {
			roles = "(no longer declared)"
		}
		rows = append(rows, row{cells: []string{
			safeWord(s.Name, maxWord), safeWord(s.Per, maxWord), roles, Safe(value, maxText), created, Safe(s.Summary, maxText),
		}, below: below})
	}
	return strings.Join(grid(secretColumns, rows, width), "\n") + "\n"
}
