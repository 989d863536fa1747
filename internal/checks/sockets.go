package checks

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// socket is a line of /proc/net/tcp or tcp6.
type socket struct {
	local     netip.AddrPort
	listening bool
	inode     string
}

type sockets []socket

// sockets reads the TCP sockets of both families. A family that the kernel lacks has none.
func (e Environment) sockets() (sockets, error) {
	var all sockets
	for _, name := range []string{"tcp", "tcp6"} {
		f, err := os.Open(e.Root + "/proc/net/" + name)
		if errors.Is(err, fs.ErrNotExist) && name == "tcp6" {
			continue
		}
		if err != nil {
			return all, err
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if s, ok := parseSocket(lines.Text()); ok {
				all = append(all, s)
			}
		}
		if err := lines.Err(); err != nil {
			return all, err
		}
	}
	return all, nil
}

// parseSocket reads a line such as
//
//	0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 12345 ...
//
// The hexadecimal digits may be of either case.
func parseSocket(line string) (socket, bool) {
	fields := strings.Fields(line)
	if len(fields) < 10 {
		return socket{}, false
	}
	address, port, ok := strings.Cut(fields[1], ":")
	if !ok {
		return socket{}, false
	}
	raw, err := hex.DecodeString(address)
	if err != nil || len(raw) != 4 && len(raw) != 16 {
		return socket{}, false
	}
	// The kernel prints words as the processor has them, which is the wrong way round on amd64 and arm64.
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	ip, _ := netip.AddrFromSlice(raw)
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return socket{}, false
	}
	state, err := strconv.ParseUint(fields[3], 16, 8)
	if err != nil {
		return socket{}, false
	}
	const listen = 0x0a
	return socket{local: netip.AddrPortFrom(ip.Unmap(), uint16(n)), listening: state == listen, inode: fields[9]}, true
}

// on are the sockets that stand in the way of a server on the address, or on all if that is not valid, and the port;
// the listening ones first. A closed connection's remains have no process any more and stand in nobody's way.
func (all sockets) on(address netip.Addr, port uint16) sockets {
	var hits sockets
	for _, s := range all {
		if s.local.Port() != port || s.inode == "0" {
			continue
		}
		if a := s.local.Addr(); address.IsValid() && !a.IsUnspecified() && !address.IsUnspecified() && a != address {
			continue
		}
		// An IPv4 wildcard is in the way of IPv4 addresses only.
		if a := s.local.Addr(); address.IsValid() && a.Is4() != address.Is4() && a.Is4() {
			continue
		}
		hits = append(hits, s)
	}
	slices.SortStableFunc(hits, func(a, b socket) int {
		if a.listening == b.listening {
			return 0
		}
		if a.listening {
			return -1
		}
		return 1
	})
	return hits
}

func (all sockets) sameFamily(address netip.Addr) sockets {
	if !address.IsValid() {
		return all
	}
	return slices.DeleteFunc(all, func(s socket) bool { return s.local.Addr().Is4() != address.Is4() })
}

// process is who holds a socket.
type process struct {
	pid, name, unit string
}

func (p process) String() string {
	switch {
	case p.pid == "":
		return "a process that cannot be seen from here"
	case p.unit != "":
		return fmt.Sprintf("%s (pid %s, %s)", p.name, p.pid, p.unit)
	default:
		return fmt.Sprintf("%s (pid %s)", p.name, p.pid)
	}
}

func (p process) remedy() string {
	switch {
	case p.unit != "":
		return "systemctl disable --now " + p.unit + ", or give one of the two another port"
	case p.pid != "":
		return fmt.Sprintf("stop %s (pid %s), or give one of the two another port", p.name, p.pid)
	default:
		return "find the process with ss -ltnp, also inside containers, and stop it"
	}
}

// holder finds the process with the socket among its open files.
func (e Environment) holder(s socket) process {
	want := "socket:[" + s.inode + "]"
	pids, _ := os.ReadDir(e.Root + "/proc")
	for _, pid := range pids {
		if _, err := strconv.Atoi(pid.Name()); err != nil {
			continue
		}
		dir := e.Root + "/proc/" + pid.Name()
		// A process may end meanwhile, and others' files are closed to all but root.
		fds, _ := os.ReadDir(dir + "/fd")
		for _, fd := range fds {
			if target, err := os.Readlink(dir + "/fd/" + fd.Name()); err == nil && target == want {
				name, _ := os.ReadFile(dir + "/comm")
				return process{pid: pid.Name(), name: strings.TrimSpace(string(name)), unit: unitOf(dir)}
			}
		}
	}
	return process{}
}

// unitOf is the systemd service in whose control group the process is.
func unitOf(dir string) string {
	groups, _ := os.ReadFile(dir + "/cgroup")
	for line := range strings.Lines(string(groups)) {
		if base := path.Base(strings.TrimSpace(line)); strings.HasSuffix(base, ".service") {
			return base
		}
	}
	return ""
}
