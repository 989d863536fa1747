package show

import (
	"fmt"
	"strings"
	"time"

	operatorv1 "muster/proto/muster/operator/v1"
)

var tokenColumns = []column{{"ID", 6, 8}, {"ROLE", 4, 8}, {"HOST", 2, 8}, {"USES", 7, 4}, {"EXPIRES", 5, 8}, {"NETWORKS", 1, 10}}

// Tokens shows join tokens; their text is not among what is kept.
func Tokens(tokens []*operatorv1.Token, now time.Time, width int) string {
	if len(tokens) == 0 {
		return "no join tokens\n"
	}
	var rows []row
	for _, t := range tokens {
		expires := "-"
		if at, ok := moment(t.Expires); ok {
			if left := at.Sub(now); left > 0 {
				expires = "in " + durationWord(left)
			} else {
				expires = durationWord(-left) + " ago"
			}
		}
		rows = append(rows, row{cells: []string{
			safeWord(t.Id, maxWord), safeWord(t.Role, maxWord), safeWord(t.Host, maxWord), fmt.Sprintf("%d/%d", t.Uses, t.MaxUses),
			expires, Safe(strings.Join(t.Cidrs, ","), maxText),
		}})
	}
	return strings.Join(grid(tokenColumns, rows, width), "\n") + "\n"
}
