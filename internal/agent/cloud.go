package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"

	"muster/internal/manifest"
)

const (
	// glance is how long a host waits that cannot know whether it is an instance of EC2. On an instance the service
	// answers within a few milliseconds.
	glance = 300 * time.Millisecond
	// cloudTries and cloudPatience, of each try, bound the asking on a host that does know.
	cloudTries    = 3
	cloudPatience = time.Second
	// maxJoinLabels is how many labels the coordinator takes of a host.
	maxJoinLabels = 32
)

// inCloud says whether this host is an instance of EC2, as far as hypervisor and firmware tell (EC2 User Guide, "Detect
// whether a host is an EC2 instance"). A host with firmware that does not say so is none.
func (l Layout) inCloud() (yes, known bool) {
	if strings.HasPrefix(strings.ToLower(firstLine(l.at("sys/hypervisor/uuid"))), "ec2") {
		return true, true
	}
	dmi := l.at("sys/class/dmi/id")
	if !exists(dmi) {
		return false, false
	}
	uuid := strings.ToLower(firstLine(dmi + "/product_uuid"))
	return strings.HasPrefix(uuid, "ec2") || firstLine(dmi+"/sys_vendor") == "Amazon EC2", true
}

// firstLine is "" for what cannot be read.
func firstLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line)
}

// withCloud gives the labels with those added that EC2's metadata service tells. They are the host's own word: whatever
// the operator says, in the seed or elsewhere, counts for more. It asks once in the life of the process.
func (e *Engine) withCloud(ctx context.Context, own map[string]string) map[string]string {
	if e.cloud == nil {
		e.cloud = e.askCloud(ctx)
	}
	labels := maps.Clone(own)
	if labels == nil {
		labels = make(map[string]string)
	}
	for _, key := range []string{"zone", "region", "instance-id", "private-address", "public-address"} {
		if _, said := labels[key]; !said && e.cloud[key] != "" && len(labels) < maxJoinLabels {
			labels[key] = e.cloud[key]
		}
	}
	return labels
}

// askCloud is never nil. Where there is no service, it costs nothing or a glance.
func (e *Engine) askCloud(ctx context.Context) map[string]string {
	yes, known := e.layout.inCloud()
	if known && !yes {
		return map[string]string{}
	}
	m, tries := e.metadata, cloudTries
	m.timeout = cloudPatience
	if !known {
		m.timeout, tries = glance, 1
	}
	for try := 1; ; try++ {
		labels, err := m.labels(ctx)
		if err == nil {
			return labels
		}
		if yes {
			e.log.Warn("the metadata service of the cloud does not answer as it should", "error", err, "try", try, "of", tries)
		}
		if try == tries || ctx.Err() != nil {
			return map[string]string{}
		}
		select {
		case <-ctx.Done():
		case <-time.After(minWait/2 + rand.N(minWait)):
		}
	}
}

// labels are taken from the plain instance identity document, which is nothing but the host's own word to others.
func (m metadata) labels(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	client := m.client()
	token, err := m.ask(ctx, client, http.MethodPut, "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60")
	if err != nil {
		return nil, err
	}
	get := func(path string) ([]byte, error) {
		return m.ask(ctx, client, http.MethodGet, path, "X-aws-ec2-metadata-token", string(token))
	}
	text, err := get("/latest/dynamic/instance-identity/document")
	if err != nil {
		return nil, err
	}
	var d struct {
		Region    string `json:"region"`
		Zone      string `json:"availabilityZone"`
		Instance  string `json:"instanceId"`
		PrivateIP string `json:"privateIp"`
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("the instance identity document: %w", err)
	}
	if !manifest.IsAWSInstance(d.Instance) {
		return nil, errors.New("the instance identity document names no instance")
	}
	said := map[string]string{"region": d.Region, "zone": d.Zone, "instance-id": d.Instance, "private-address": d.PrivateIP}
	// An instance without a public address has no such path.
	if public, err := get("/latest/meta-data/public-ipv4"); err == nil {
		said["public-address"] = string(public)
	}
	maps.DeleteFunc(said, func(_, value string) bool { return !labelValue(value) })
	return said, nil
}

// labelValue says whether the coordinator would take it: one bad value would keep the host out.
func labelValue(s string) bool {
	return s != "" && len(s) <= 63 && strings.Trim(s, labelCharacters) == ""
}

const labelCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
