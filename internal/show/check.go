package show

import (
	"github.com/jedib0t/go-pretty/v6/text"

	syncv1 "muster/proto/muster/sync/v1"
)

// checkOrder is how checks are sorted: what needs a person first.
var checkOrder = []struct {
	status syncv1.CheckStatus
	word   string
	colour text.Colors
}{
	{syncv1.CheckStatus_CHECK_STATUS_CRITICAL, "critical", red},
	{syncv1.CheckStatus_CHECK_STATUS_UNKNOWN, "unknown", yellow},
	{syncv1.CheckStatus_CHECK_STATUS_WARNING, "warning", yellow},
	{syncv1.CheckStatus_CHECK_STATUS_OK, "ok", green},
}

// urgency is the place in that order; a status that is none of them counts as unknown.
func urgency(s syncv1.CheckStatus) int {
	for i, c := range checkOrder {
		if c.status == s {
			return i
		}
	}
	return 1
}
