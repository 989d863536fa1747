package coordinator

import (
	"context"

	"muster/internal/hosts"
	"muster/internal/store"
)

// UnderWay counts the hosts that may be working on a plan. Which generation a plan is of is known to the host alone: it goes
// on with the one in its journal whatever this coordinator serves by now. So while there is such a host, no blob that
// was ever served may go.
func (s *Service) UnderWay(ctx context.Context) (n int, err error) {
	err = s.store.View(ctx, func(r store.Reader) error {
		return scan(r, keyHosts, "", func(_ string, h *hosts.Host) (bool, error) {
			switch h.Phase {
			case hosts.Preflight, hosts.Ready, hosts.Fetching, hosts.Installing, hosts.Starting, hosts.Postflight:
				n++
			}
			return true, nil
		})
	})
	return n, err
}
