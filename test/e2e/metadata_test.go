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

// cloud is the metadata service of all instances, each known by the address that it asks from.
type cloud struct {
	mu       sync.Mutex
	handlers map[string]http.Handler
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	c.mu.Lock()
	handler := c.handlers[from]
	c.mu.Unlock()
	if handler == nil {
		http.NotFound(w, r)
		return
	}
	handler.ServeHTTP(w, r)
}

// metadata serves what is to be known of an instance. The first one has to exist already: the lab makes the cloud with it.
func (l *lab) metadata(host int, i *instance) {
	l.t.Helper()
	if l.cloud == nil {
		l.cloud = &cloud{handlers: make(map[string]http.Handler)}
		server := &http.Server{Handler: l.cloud}
		listener := l.listenIn("muster-cloud", "169.254.169.254:80")
		go func() { _ = server.Serve(listener) }()
		l.t.Cleanup(func() { _ = server.Close() })
	}
	l.cloud.mu.Lock()
	defer l.cloud.mu.Unlock()
	l.cloud.handlers[address(host)] = i.metadata(host)
}

// metadata is the service, version 2 alone, as the instance sees it.
func (i *instance) metadata(host int) http.Handler {
	mac := fmt.Sprintf("02:4d:75:73:74:%02x", host)
	files := map[string]string{
		"user-data":                             i.userData,
		"meta-data/ami-id":                      "ami-0123456789abcdef0",
		"meta-data/instance-id":                 i.id,
		"meta-data/instance-type":               "t3.small",
		"meta-data/hostname":                    fmt.Sprintf("host%d", host),
		"meta-data/local-hostname":              fmt.Sprintf("host%d", host),
		"meta-data/local-ipv4":                  address(host),
		"meta-data/public-ipv4":                 fmt.Sprintf("192.0.2.%d", host),
		"meta-data/placement/availability-zone": i.zone,
		"meta-data/placement/region":            i.zone[:len(i.zone)-1],
		"dynamic/instance-identity/document":    fmt.Sprintf(`{"accountId":"123456789012","region":%q,"availabilityZone":%q,"instanceId":%q,"privateIp":%q,"imageId":"ami-0123456789abcdef0"}`, i.zone[:len(i.zone)-1], i.zone, i.id, address(host)),
		"meta-data/services/domain":             "amazonaws.com",
	}
	for name, text := range map[string]string{
		"mac": mac, "device-number": "0", "interface-id": "eni-0", "vpc-id": "vpc-0",
		"local-ipv4s": address(host), "subnet-ipv4-cidr-block": "10.77.0.0/24",
	} {
		files["meta-data/network/interfaces/macs/"+mac+"/"+name] = text
	}
	if i.signer != nil {
		files["dynamic/instance-identity/rsa2048"] = string(i.signer.Document(map[string]any{
			"availabilityZone": i.zone, "region": i.zone[:len(i.zone)-1], "instanceId": i.id, "privateIp": address(host),
			"pendingTime": time.Now().UTC().Format(time.RFC3339),
		}))
	}
	const token = "AQAEAHg7-token=="
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	})
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

// listenIn opens a socket in a network namespace. It stays there whoever uses it.
func (l *lab) listenIn(namespace, address string) net.Listener {
	l.t.Helper()
	type opened struct {
		net.Listener
		error
	}
	result := make(chan opened)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is in another namespace and ends with this
		file, err := os.Open("/run/netns/" + namespace)
		if err != nil {
			result <- opened{nil, err}
			return
		}
		defer file.Close()
		if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- opened{nil, err}
			return
		}
		listener, err := net.Listen("tcp", address)
		result <- opened{listener, err}
	}()
	got := <-result
	if got.error != nil {
		l.t.Fatalf("listening at %s in the namespace %s: %v", address, namespace, got.error)
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
