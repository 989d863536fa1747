package agent

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"muster/internal/fault"
	"muster/internal/manifest"
	syncv1 "muster/proto/muster/sync/v1"
)

// Version is set at build time.
var Version = "dev"

// facts are what this host says of itself.
func facts(l Layout, coordinators []string, d manifest.Detection, labels map[string]string) (*syncv1.Facts, error) {
	name, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("the host's name: %w", err)
	}
	address, err := ownAddress(coordinators, d)
	if err != nil {
		return nil, err
	}
	f := &syncv1.Facts{
		Name: strings.ToLower(strings.TrimSuffix(name, ".")), Address: address.String(), Architecture: runtime.GOARCH,
		Os: osName(l.at("etc/os-release")), MemoryBytes: memory(), Processors: int32(runtime.NumCPU()),
		Zone: labels["zone"], Labels: labels, AgentVersion: Version,
	}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		f.Kernel = unix.ByteSliceToString(uts.Release[:])
	}
	readable(f.ProtoReflect())
	return f, nil
}

// ownAddress is the address on the route to a coordinator, or the one that the cluster config asks for. No packet is
// sent: connecting a UDP socket only looks the route up (udp(7)).
func ownAddress(coordinators []string, d manifest.Detection) (netip.Addr, error) {
	if d.CIDR != "" || d.Interface != "" {
		return detect(d)
	}
	var last error
	for _, c := range coordinators {
		conn, err := net.Dial("udp", c)
		if err != nil {
			last = err
			continue
		}
		address := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		_ = conn.Close()
		return address.WithZone(""), nil
	}
	return netip.Addr{}, fault.New(fault.Unavailable, "give the host a route to the coordinator, or set address.cidr in cluster.yaml",
		"no route to any of the coordinators %s", strings.Join(coordinators, ", ")).Because(last)
}

func detect(d manifest.Detection) (netip.Addr, error) {
	const remedy = "correct address in cluster.yaml, or the host's network"
	within, err := netip.ParsePrefix(d.CIDR)
	if d.CIDR != "" && err != nil {
		return netip.Addr{}, fault.New(fault.Invalid, remedy, "address.cidr %q", d.CIDR).Because(err)
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return netip.Addr{}, err
	}
	var found []netip.Addr
	for _, ifc := range interfaces {
		if d.Interface != "" && ifc.Name != d.Interface {
			continue
		}
		addresses, err := ifc.Addrs()
		if err != nil {
			return netip.Addr{}, err
		}
		for _, a := range addresses {
			prefix, err := netip.ParsePrefix(a.String())
			if err != nil || !prefix.Addr().IsGlobalUnicast() {
				continue
			}
			if d.CIDR == "" || within.Contains(prefix.Addr()) {
				found = append(found, prefix.Addr())
			}
		}
	}
	if len(found) == 1 || len(found) > 1 && d.CIDR == "" {
		return found[0], nil
	}
	return netip.Addr{}, fault.New(fault.Conflict, remedy, "%d addresses of this host fit cidr %q and interface %q; one must", len(found), d.CIDR, d.Interface)
}

func osName(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "PRETTY_NAME="); ok {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

func memory() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemTotal:" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10
		}
	}
	return 0
}
