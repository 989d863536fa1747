//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/attest/attesttest"
)

// instance is what the metadata service of EC2 says of a host of the lab.
type instance struct {
	id, zone, userData string
	// signer is of its region; nil where nobody asks for a signed document.
	signer *attesttest.Signer

	mu      sync.Mutex
	refused []string // requests without a token
}

// metadata serves an instance's metadata, version 2 alone, where the host sees it: at 169.254.169.254 in its namespace.
func (l *lab) metadata(host int, i *instance) {
	l.t.Helper()
	files := map[string]string{
		"user-data":                                  i.userData,
		"meta-data/ami-id":                           "ami-0123456789abcdef0",
		"meta-data/instance-id":                      i.id,
		"meta-data/instance-type":                    "t3.small",
		"meta-data/hostname":                         fmt.Sprintf("host%d", host),
		"meta-data/local-hostname":                   fmt.Sprintf("host%d", host),
		"meta-data/local-ipv4":                       address(host),
		"meta-data/public-ipv4":                      fmt.Sprintf("192.0.2.%d", host),
		"meta-data/placement/availability-zone":      i.zone,
		"meta-data/placement/region":                 i.zone[:len(i.zone)-1],
		"dynamic/instance-identity/document":         fmt.Sprintf(`{"accountId":"123456789012","region":%q,"availabilityZone":%q,"instanceId":%q,"privateIp":%q,"imageId":"ami-0123456789abcdef0"}`, i.zone[:len(i.zone)-1], i.zone, i.id, address(host)),
		"meta-data/services/domain":                  "amazonaws.com",
		"meta-data/network/interfaces/macs/x/vpc-id": "vpc-0",
	}
	if i.signer != nil {
		files["dynamic/instance-identity/rsa2048"] = string(i.signer.Document(map[string]any{
			"availabilityZone": i.zone, "region": i.zone[:len(i.zone)-1], "instanceId": i.id, "privateIp": address(host),
			"pendingTime": time.Now().UTC().Format(time.RFC3339),
		}))
	}
	const token = "AQAEAHg7-token=="
	listener := l.listenIn(host, "169.254.169.254:80")
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The first element is a version, whichever.
		_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		switch {
		case r.Method == http.MethodPut && path == "api/token":
			w.Header().Set("X-aws-ec2-metadata-token-ttl-seconds", r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds"))
			_, _ = io.WriteString(w, token)
		case r.Header.Get("X-aws-ec2-metadata-token") != token:
			i.mu.Lock()
			i.refused = append(i.refused, r.Method+" "+r.URL.Path)
			i.mu.Unlock()
			w.WriteHeader(http.StatusUnauthorized)
		default:
			if text, ok := files[path]; ok {
				_, _ = io.WriteString(w, text)
			} else if names := listing(files, strings.TrimSuffix(path, "/")+"/"); len(names) > 0 {
				_, _ = io.WriteString(w, strings.Join(names, "\n"))
			} else {
				http.NotFound(w, r)
			}
		}
	})}
	go func() { _ = server.Serve(listener) }()
	l.t.Cleanup(func() { _ = server.Close() })
}

// listing are the names in a directory, those of directories with a slash.
func listing(files map[string]string, dir string) []string {
	var names []string
	for path := range files {
		if rest, ok := strings.CutPrefix(path, dir); ok {
			if name, _, deeper := strings.Cut(rest, "/"); deeper {
				rest = name + "/"
			}
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// listenIn opens a socket in the host's network namespace. It stays there whoever uses it.
func (l *lab) listenIn(host int, address string) net.Listener {
	l.t.Helper()
	type opened struct {
		net.Listener
		error
	}
	result := make(chan opened)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is in another namespace and ends with this
		namespace, err := os.Open(fmt.Sprintf("/run/netns/muster-host%d", host))
		if err != nil {
			result <- opened{nil, err}
			return
		}
		defer namespace.Close()
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- opened{nil, err}
			return
		}
		listener, err := net.Listen("tcp", address)
		result <- opened{listener, err}
	}()
	got := <-result
	if got.error != nil {
		l.t.Fatalf("listening at %s in the namespace of host%d: %v", address, host, got.error)
	}
	return got.Listener
}

// wantNoRefusal fails when somebody asked without a token.
func (i *instance) wantNoRefusal(t *testing.T) {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.refused) > 0 {
		t.Errorf("asked without a token: %q", i.refused)
	}
}
