package agent

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/attest/attesttest"
	"muster/internal/coordinator"
	authority "muster/internal/identity"
	"muster/internal/manifest"
	"muster/internal/seed"
	syncv1 "muster/proto/muster/sync/v1"
)

func metadataServer(t testing.TB, m *attesttest.Metadata) metadata {
	t.Helper()
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	return metadata{server.URL, metadataTimeout}
}

func TestTheDocumentComesFromTheMetadataService(t *testing.T) {
	// A proxy of the environment must not see the token of the metadata service, nor make up a document.
	for _, name := range []string{"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	service := &attesttest.Metadata{Document: []byte("MIAGCSqGSIb3DQEHAqCA\nMIACAQEx")}
	got, err := metadataServer(t, service).document(t.Context())
	if err != nil || string(got) != string(service.Document) {
		t.Errorf("got %q, %v", got, err)
	}
	want := []string{"PUT /latest/api/token", "GET /latest/dynamic/instance-identity/rsa2048"}
	if asked := service.Asked(); !slices.Equal(asked, want) {
		t.Errorf("it was asked %q", asked)
	}
}

func TestAMetadataServiceThatGivesNoDocument(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("MIAG")) }))
	t.Cleanup(other.Close)
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	body := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, n)) }
	}
	elsewhere := http.RedirectHandler(other.URL, http.StatusFound).ServeHTTP
	for name, c := range map[string]struct {
		service *attesttest.Metadata
		why     string
	}{
		"no tokens":                {&attesttest.Metadata{Token: status(http.StatusForbidden)}, "PUT /latest/api/token: status 403"},
		"an empty token":           {&attesttest.Metadata{Token: body(0)}, "an answer of 0 bytes"},
		"a token that does not do": {&attesttest.Metadata{Token: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) }}, "status 401"},
		"a token with a line break": {&attesttest.Metadata{Token: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x\r\nHost: y")) }},
			"invalid header"},
		"a huge token":              {&attesttest.Metadata{Token: body(1 << 20)}, "wanted are 1 to 16384"},
		"a redirect of the token":   {&attesttest.Metadata{Token: elsewhere}, "status 302"},
		"a redirect elsewhere":      {&attesttest.Metadata{Serve: elsewhere}, "status 302"},
		"no document":               {&attesttest.Metadata{Serve: status(http.StatusNotFound)}, "rsa2048: status 404"},
		"an empty document":         {&attesttest.Metadata{}, "an answer of 0 bytes"},
		"a huge document":           {&attesttest.Metadata{Serve: body(1 << 20)}, "wanted are 1 to 16384"},
		"an error of the service":   {&attesttest.Metadata{Serve: status(http.StatusServiceUnavailable)}, "status 503"},
		"a connection that is shut": {&attesttest.Metadata{Serve: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }}, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := metadataServer(t, c.service).document(t.Context())
			if err == nil || got != nil || !strings.Contains(err.Error(), "gives no instance identity document") || !strings.Contains(err.Error(), c.why) {
				t.Errorf("got %q, %v; want %q", got, err, c.why)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		if got, err := (metadata{"http://127.0.0.1:1", metadataTimeout}).document(t.Context()); err == nil || got != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("a slow one", func(t *testing.T) {
		t.Parallel()
		slow := &attesttest.Metadata{Serve: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }}
		m := metadataServer(t, slow)
		m.timeout = 50 * time.Millisecond
		if got, err := m.document(t.Context()); !errors.Is(err, context.DeadlineExceeded) || got != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestOnlyAHostWithAPolicyAsksTheMetadataService(t *testing.T) {
	t.Parallel()
	service := &attesttest.Metadata{Document: []byte("MIAG")}
	e := &Engine{seed: &seed.Seed{Token: "mt1.x.y"}, id: &identity{}, metadata: metadataServer(t, service), log: (&notes{}).logger()}
	if got, err := e.document(t.Context()); err != nil || got != nil || len(service.Asked()) != 0 {
		t.Errorf("with a token: %q, %v, asked %q", got, err, service.Asked())
	}
	e.seed = &seed.Seed{AWSPolicy: "workers"}
	if got, err := e.document(t.Context()); err != nil || string(got) != "MIAG" {
		t.Errorf("with a policy: %q, %v", got, err)
	}
	e.metadata = metadata{"http://127.0.0.1:1", metadataTimeout}
	if got, err := e.document(t.Context()); err == nil {
		t.Errorf("without a service: %q", got)
	}
	e.id.HostID = "h-abcdefghijklm"
	if got, err := e.document(t.Context()); err != nil || got != nil {
		t.Errorf("one that has joined before: %q, %v", got, err)
	}
}

// The address of the metadata service is EC2's: neither a seed nor the environment names another.
func TestTheMetadataServiceIsAlwaysTheSame(t *testing.T) {
	l := newRoot(t)
	must(t, os.MkdirAll(l.State(), 0o700))
	ca, err := authority.Create(filepath.Join(t.TempDir(), "ca"), "demo", time.Now())
	must(t, err)
	text, err := (&seed.Seed{
		Format: seed.Format, Cluster: "demo", Coordinators: []string{"192.0.2.1:8443"}, CA: string(ca.RootPEM()), AWSPolicy: "workers",
		Agents:  map[manifest.Arch]seed.Agent{"amd64": {Digest: manifest.Digest(strings.Repeat("a", 64)), Size: 1}},
		Sources: []string{"http://192.0.2.1:8080"},
	}).Encode()
	must(t, err)
	must(t, os.WriteFile(l.seed(), text, 0o600))
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://192.0.2.1")
	e, err := NewEngine(l, (&notes{}).logger())
	must(t, err)
	if e.metadata != (metadata{"http://169.254.169.254", 5 * time.Second}) {
		t.Errorf("it asks %v", e.metadata)
	}
	if _, err := seed.Parse([]byte(strings.Replace(string(text), `"aws_policy"`, `"metadata":"http://192.0.2.1","aws_policy"`, 1))); err == nil {
		t.Error("a seed names another")
	}
}

// The whole way: the agent of an instance asks its metadata service, joins by the document, installs, and is known by its
// key when it comes back.
func TestAnInstanceJoinsByItsDocumentAndInstalls(t *testing.T) {
	s := newSite(t)
	signer := attesttest.NewSigner(time.Now())
	s.generation.Attestation = &manifest.Attestation{AWS: &manifest.AWS{
		Policies: map[string]manifest.AWSPolicy{"loners": {
			Role: "loner", Accounts: []string{"123456789012"}, Regions: []string{"eu-central-1"}, Window: manifest.Span(30 * time.Minute),
		}},
		Certificates: map[string]string{"eu-central-1": string(signer.PEM)},
	}}
	s.restart(0)
	made, err := s.core.CreateAWSSeed("", "loner")
	must(t, err)
	text, err := made.Encode()
	must(t, err)
	h := &host{site: s, layout: newRoot(t), log: &notes{}}
	must(t, os.MkdirAll(h.layout.State(), 0o700))
	must(t, os.WriteFile(h.layout.seed(), text, 0o600))
	service := &attesttest.Metadata{Serve: http.NotFound}
	e := h.engine()
	e.metadata = metadataServer(t, service)
	stop, ended := h.runs(e)
	await(t, "it says what it waits for", func() bool { return strings.Contains(h.log.String(), "gives no instance identity document") })
	stop()
	<-ended

	service.Serve, service.Document = nil, signer.Document(map[string]any{"pendingTime": time.Now().UTC().Format(time.RFC3339)})
	e = h.engine()
	e.metadata = metadataServer(t, service)
	_, ended = h.runs(e)
	h.wantEnd(ended)
	d := h.described()
	if d.Phase != syncv1.Phase_PHASE_DONE || d.JoinedBy != "aws:loners" || d.Facts.Labels["instance-id"] != "i-0123456789abcdef0" {
		t.Errorf("the coordinator says %v", d)
	}
	events, err := s.core.Events(context.Background(), coordinator.EventFilter{}, 100)
	must(t, err)
	for _, event := range events {
		if event.Kind == "enrolment-denied" {
			t.Errorf("it was denied: %v", event)
		}
	}
}
