package agent

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"muster/internal/fault"
)

const (
	// metadataService is EC2's, the same on every instance.
	metadataService = "http://169.254.169.254"
	// metadataTimeout is for both questions; the service is on the host that the instance runs on.
	metadataTimeout = 5 * time.Second
	// maxMetadata bounds an answer in bytes; a document has about 2,000, and the coordinator takes no more than this.
	maxMetadata = 16 << 10
)

// metadata asks a metadata service like that of EC2, version 2 (EC2 User Guide, "Use IMDS"): a token for a PUT, anything
// else for the token. Whatever the service's address, no proxy is asked and no redirect followed.
type metadata struct {
	service string
	timeout time.Duration
}

// document is the signed instance identity document, PKCS#7 in base64.
func (m metadata) document(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	client := m.client()
	token, err := m.ask(ctx, client, http.MethodPut, "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60")
	if err == nil {
		token, err = m.ask(ctx, client, http.MethodGet, "/latest/dynamic/instance-identity/rsa2048", "X-aws-ec2-metadata-token", string(token))
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, "let the instance reach its metadata service (HttpEndpoint enabled), or give the host a join token: coordinator push",
			"the metadata service at %s gives no instance identity document", m.service).Because(err)
	}
	return token, nil
}

func (m metadata) client() *http.Client {
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxMetadata}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (m metadata) ask(ctx context.Context, client *http.Client, method, path, header, value string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, m.service+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set(header, value)
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: status %d", method, path, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxMetadata+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	case len(body) == 0 || len(body) > maxMetadata:
		return nil, fmt.Errorf("%s %s: an answer of %d bytes or more, wanted are 1 to %d", method, path, len(body), maxMetadata)
	}
	return body, nil
}
