package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/web"
)

const (
	defaultPage = "127.0.0.1:8081"
	pageOff     = "off"
)

// pageDoor is the operator's page and where it is; nil where there is none.
type pageDoor struct {
	server   *http.Server
	listener net.Listener
}

// openPage listens where the operator's page is to be. A port that nobody asked for may be taken, by another coordinator on
// this machine too: hosts are served without the page all the same.
func openPage(log *slog.Logger, core *coordinator.Service, address string, named bool) (*pageDoor, error) {
	if address == pageOff {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	if err != nil || host == "" || ip != nil && ip.IsUnspecified() {
		// A browser's request says which name it is for, and the page answers to the one that is said here.
		return nil, usageError(fmt.Errorf("--listen-page %.80q is not one address and port, such as %s, and not %s", address, defaultPage, pageOff))
	}
	l, err := net.Listen("tcp", address)
	switch {
	case err != nil && named:
		return nil, fault.New(fault.Unavailable, "free the port, choose another (--listen-page 127.0.0.1:PORT), or do without the page (--listen-page off)",
			"cannot listen on %s for the operator's page", address).Because(err)
	case err != nil:
		log.Warn("the operator's page is not served: its usual port is taken", "address", address, "error", err, "remedy", "choose another: --listen-page 127.0.0.1:PORT")
		return nil, nil
	}
	if at, ok := l.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() {
		log.Warn("the operator's page can be reached from other machines, and what passes is not encrypted", "address", l.Addr(),
			"remedy", "leave it on 127.0.0.1 and forward the port: ssh -L 8081:127.0.0.1:8081 COORDINATOR")
	}
	return &pageDoor{web.NewPageServer(core, host, l.Addr()), web.Bounded(l, web.PageConnections)}, nil
}

// String is for the log.
func (d *pageDoor) String() string {
	if d == nil {
		return pageOff
	}
	return "http://" + d.listener.Addr().String()
}
