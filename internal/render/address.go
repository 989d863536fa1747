package render

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// hostport gives host:port, with brackets around an address of IPv6, for a host that may have a port of its own already.
func hostport(host string, port any) (string, error) {
	n, err := strconv.ParseUint(fmt.Sprint(port), 10, 16)
	if err != nil || n == 0 {
		return "", fmt.Errorf("%v is not a port between 1 and 65535", port)
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		return net.JoinHostPort(host, fmt.Sprint(n)), nil
	}
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host, nil
	}
	return fmt.Sprintf("%s:%d", host, n), nil
}
