package checks

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// probePortFree binds each port for a moment, without listening, and looks into the kernel's tables for who is in the
// way.
func probePortFree(_ context.Context, env Environment, v values) finding {
	ports, address := value[[]uint16](v, "port"), value[netip.Addr](v, "address")
	sockets, tableErr := env.sockets()
	var busy, doubts []string
	var remedy string
	for _, port := range ports {
		err := tryBind(address, port)
		taken := sockets.on(address, port)
		if err == nil {
			// An IPv6 wildcard may or may not take IPv4 as well; the kernel has just said that it does not.
			taken = taken.sameFamily(address)
		}
		switch {
		case len(taken) > 0 && taken[0].listening:
			who := env.holder(taken[0])
			busy = append(busy, fmt.Sprintf("port %d is held by %s, which listens on %s", port, who, taken[0].local))
			remedy = who.remedy()
		case errors.Is(err, unix.EADDRINUSE) && len(taken) > 0:
			who := env.holder(taken[0])
			busy = append(busy, fmt.Sprintf("port %d is held by a connection of %s from %s", port, who, taken[0].local))
			remedy = "wait until the connection ends, and reserve the port: sysctl net.ipv4.ip_local_reserved_ports"
		case errors.Is(err, unix.EADDRINUSE):
			busy = append(busy, fmt.Sprintf("port %d is held by a process that does not listen on it", port))
			remedy = "find the process with ss -antp and stop it"
		case errors.Is(err, unix.EADDRNOTAVAIL):
			return failed("give the host the address, or correct the address of the check", "no interface has the address %v", address)
		case err != nil:
			doubts = append(doubts, fmt.Sprintf("port %d cannot be tried: %v", port, err))
		}
	}
	switch {
	case len(busy) > 0:
		return failed(remedy, "%s", strings.Join(busy, "; "))
	case len(doubts) > 0:
		return undecided("run the checks as root", "%s", strings.Join(doubts, "; "))
	}
	f := fine("%s free", numbered(ports))
	if tableErr != nil {
		f.detail = fmt.Sprintf("the kernel's tables could not be read: %v", tableErr)
	}
	return f
}

func numbered(ports []uint16) string {
	if len(ports) == 1 {
		return fmt.Sprintf("port %d is", ports[0])
	}
	texts := make([]string, len(ports))
	for i, p := range ports {
		texts[i] = fmt.Sprint(p)
	}
	return "ports " + strings.Join(texts, ", ") + " are"
}

// tryBind asks the kernel whether a server could have the port. It does not listen, so nobody can connect meanwhile.
func tryBind(address netip.Addr, port uint16) error {
	if address.Is4() {
		return bind(unix.AF_INET, &unix.SockaddrInet4{Port: int(port), Addr: address.As4()}, false)
	}
	sa := &unix.SockaddrInet6{Port: int(port)}
	if address.IsValid() {
		sa.Addr = address.As16()
	}
	// Without an address, one socket for both families meets whoever holds the port in either.
	err := bind(unix.AF_INET6, sa, address.IsValid())
	if !address.IsValid() && errors.Is(err, unix.EAFNOSUPPORT) {
		return bind(unix.AF_INET, &unix.SockaddrInet4{Port: int(port)}, false)
	}
	return err
}

func bind(family int, sa unix.Sockaddr, only6 bool) error {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// As servers do: connections that are just closing are not in their way.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if family == unix.AF_INET6 {
		only := 0
		if only6 {
			only = 1
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			return err
		}
	}
	return unix.Bind(fd, sa)
}
