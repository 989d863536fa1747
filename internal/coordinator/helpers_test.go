package coordinator_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/identity"
	"muster/internal/manifest"
	"muster/internal/proof"
	"muster/internal/store"
	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

const cluster = "demo"

// operator is who asks for what an operator may do.
var operator = coordinator.Actor{Name: "uid 0", From: "unix socket"}

var start = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// clock is the time of a test, which passes when the test says so.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// site is a coordinator of one cluster, with a real store and a real CA.
type site struct {
	testing.TB
	core       *coordinator.Service
	clock      *clock
	ca         *identity.CA
	store      store.Store
	path       string
	generation *manifest.Generation
	manifests  map[manifest.Role]*manifest.Manifest
}

// newSite has the roles master (3 members), agent (names the masters) and public-agent. change may alter them.
func newSite(t testing.TB, change ...func(*site)) *site {
	t.Helper()
	s := &site{TB: t, clock: &clock{now: start}, path: filepath.Join(t.TempDir(), "store.db")}
	s.generation = &manifest.Generation{
		Format: manifest.Format, Cluster: cluster, ConfigID: manifest.ConfigID(strings.Repeat("c", 64)),
		Bundle:      manifest.Bundle{Name: "demo", Version: "1"},
		Coordinator: manifest.Coordinator{Addresses: []string{"127.0.0.1"}, HTTPPort: 8080, GRPCPort: 8443},
		Roles:       []manifest.RoleEntry{role("master", 3), role("agent", 0), role("public-agent", 0)},
	}
	s.manifests = map[manifest.Role]*manifest.Manifest{
		"master":       {Late: slots("Host.Name", "Host.Address")},
		"agent":        {Late: slots("Host.Name", "Roster.master[0].Address", "Roster.master[1].Address", "Roster.master[2].Address")},
		"public-agent": {Late: slots("Host.Name")},
	}
	for _, f := range change {
		f(s)
	}
	if s.ca == nil {
		s.ca = newCA(t)
	}
	s.open()
	t.Cleanup(func() { _ = s.store.Close() })
	return s
}

func newCA(t testing.TB) *identity.CA {
	t.Helper()
	ca, err := identity.Create(filepath.Join(t.TempDir(), "ca"), cluster, start)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func role(name manifest.Role, count int) manifest.RoleEntry {
	return manifest.RoleEntry{Name: name, Count: count, Manifest: manifest.Blob{Digest: manifest.Digest(strings.Repeat("d", 64)), Size: 1}}
}

func slots(refs ...string) manifest.LateTable {
	var table manifest.LateTable
	for _, ref := range refs {
		table.Slots = append(table.Slots, manifest.Slot{Ref: ref})
	}
	return table
}

func (s *site) open() {
	s.Helper()
	var err error
	if s.store, err = store.OpenBolt(s.path); err != nil {
		s.Fatal(err)
	}
	if s.core, err = s.serve(); err != nil {
		s.Fatal(err)
	}
}

func (s *site) serve() (*coordinator.Service, error) {
	return coordinator.New(context.Background(), coordinator.Options{
		Store: s.store, CA: s.ca, Generation: s.generation, Manifests: s.manifests, Clock: s.clock.Now,
	})
}

// restart is another process on the same state.
func (s *site) restart() {
	s.Helper()
	if err := s.store.Close(); err != nil {
		s.Fatal(err)
	}
	s.open()
}

// token makes a join token and answers its text.
func (s *site) token(role manifest.Role, uses int, more ...func(*identity.TokenSpec)) string {
	s.Helper()
	spec := identity.TokenSpec{Role: role, MaxUses: uses}
	for _, f := range more {
		f(&spec)
	}
	token, _, err := s.core.CreateToken(context.Background(), operator, spec)
	if err != nil {
		s.Fatal(err)
	}
	return token.Reveal()
}

func within(cidr string) func(*identity.TokenSpec) {
	return func(t *identity.TokenSpec) { t.CIDRs = append(t.CIDRs, netip.MustParsePrefix(cidr)) }
}

// uses is how often a token was used.
func (s *site) uses(token string) int {
	s.Helper()
	records, err := s.core.Tokens(context.Background())
	if err != nil {
		s.Fatal(err)
	}
	for _, r := range records {
		if strings.Contains(token, string(r.ID)) {
			return r.Uses
		}
	}
	s.Fatal("the token is not kept")
	return 0
}

// applicant is somebody who wants to join; what is empty gets a good value.
type applicant struct {
	key                       *ecdsa.PrivateKey
	token                     string
	from, name, address, zone string
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := proof.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func request(t testing.TB, key *ecdsa.PrivateKey) *identity.CheckedCSR {
	t.Helper()
	der, err := proof.CSR(key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := identity.CheckCSR(der)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func (s *site) apply(a applicant) (coordinator.Credential, error) {
	s.Helper()
	if a.key == nil {
		a.key = newKey(s)
	}
	from := netip.MustParseAddr("192.0.2.9")
	if a.from != "" {
		from = netip.MustParseAddr(a.from)
	}
	return s.core.Enroll(context.Background(), coordinator.Applicant{
		CSR: request(s, a.key), Token: a.token, From: from, Name: a.name, Address: a.address, Zone: a.zone,
	})
}

// host is one that has joined.
type host struct {
	*site
	coordinator.Credential
	key     *ecdsa.PrivateKey
	attempt uint32
}

func numbered(n int) applicant {
	return applicant{name: fmt.Sprintf("node-%d", n), address: fmt.Sprintf("10.0.%d.%d", n/250, n%250+1)}
}

// join enrols host number n with a token of its own that is bound to the role.
func (s *site) join(role manifest.Role, n int) *host {
	s.Helper()
	a := numbered(n)
	a.token, a.key = s.token(role, 1), newKey(s)
	c, err := s.apply(a)
	if err != nil {
		s.Fatal(err)
	}
	return &host{site: s, Credential: c, key: a.key, attempt: 1}
}

func (h *host) sync(r *syncv1.SyncRequest) *syncv1.SyncResponse {
	h.Helper()
	resp, err := h.core.Sync(context.Background(), h.caller(), r)
	if err != nil {
		h.Fatal(err)
	}
	return resp
}

func (h *host) observed(p hosts.Phase) *syncv1.Observed {
	return &syncv1.Observed{Phase: syncv1.Phase(slices.Index(hosts.Phases, p) + 1), Attempt: h.attempt}
}

// says lets the host observe phases one after the other, and answers the last directive.
func (h *host) says(phases ...hosts.Phase) (d *syncv1.Directive) {
	h.Helper()
	for _, p := range phases {
		d = h.sync(&syncv1.SyncRequest{Observed: h.observed(p)}).Directive
	}
	return d
}

func (h *host) asks() *syncv1.Directive {
	h.Helper()
	return h.sync(&syncv1.SyncRequest{}).Directive
}

// report is a failed step, or one that went well.
func report(sequence uint64, attempt uint32, ok bool) *syncv1.Report {
	return &syncv1.Report{Sequence: sequence, Attempt: attempt, Kind: &syncv1.Report_Step{Step: &syncv1.StepResult{
		Phase: syncv1.Phase_PHASE_INSTALLING, Name: "unpack", Ok: ok, Message: "no space left", Remedy: "make room",
	}}}
}

// waits has a long-poll under way when it returns; the answer comes on the channel.
func (h *host) waits(following string, hold time.Duration) <-chan *syncv1.SyncResponse {
	h.Helper()
	answer := make(chan *syncv1.SyncResponse, 1)
	go func() {
		resp, err := h.core.Sync(context.Background(), h.caller(), &syncv1.SyncRequest{Following: following, Hold: durationpb.New(hold)})
		if err != nil {
			resp = nil
		}
		answer <- resp
	}()
	return answer
}

func (s *site) describe(name string) *operatorv1.Host {
	s.Helper()
	h, err := s.core.Describe(name)
	if err != nil {
		s.Fatal(err)
	}
	return h
}

// events are those of one kind.
func (s *site) events(kind string) []coordinator.Event {
	s.Helper()
	all, err := s.core.Events(context.Background(), coordinator.EventFilter{}, 10_000)
	if err != nil {
		s.Fatal(err)
	}
	return slices.DeleteFunc(all, func(e coordinator.Event) bool { return e.Kind != kind })
}

// wantEvent wants exactly one event of the kind, with this text in it.
func (s *site) wantEvent(kind, text string) {
	s.Helper()
	events := s.events(kind)
	if len(events) != 1 || !strings.Contains(events[0].Message, text) {
		s.Errorf("want one event %s with %q, got %+v", kind, text, events)
	}
}

// state is everything in the store but the events.
func (s *site) state() map[string]string {
	s.Helper()
	state := make(map[string]string)
	err := s.store.View(context.Background(), func(r store.Reader) error {
		return r.Scan("", "", func(key string, value []byte) (bool, error) {
			if !strings.HasPrefix(key, "events/") && !strings.HasPrefix(key, "notes/") {
				state[key] = string(value)
			}
			return true, nil
		})
	})
	if err != nil {
		s.Fatal(err)
	}
	return state
}

// wantState wants the store to be as it was.
func (s *site) wantState(before map[string]string) {
	s.Helper()
	after := s.state()
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if before[key] != after[key] {
			s.Errorf("%s changed:\n%s\n%s", key, before[key], after[key])
		}
	}
	for key := range before {
		if _, ok := after[key]; !ok {
			s.Errorf("%s is gone", key)
		}
	}
}

// wantFault wants a fault of the class that says something and has a remedy.
func wantFault(t testing.TB, err error, class fault.Class, text string) {
	t.Helper()
	if !errors.Is(err, class) || !strings.Contains(err.Error(), text) || fault.Remedy(err) == "" {
		t.Errorf("got %v (remedy %q), want a fault %q with %q and a remedy", err, fault.Remedy(err), class, text)
	}
}

// soon wants a value from the channel before a person would think that nothing happens.
func soon[T any](t testing.TB, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(5 * time.Second):
		t.Fatal("nothing came")
	}
	return v
}

// members are the names in the roster of the masters by place, "" where it is free.
func (s *site) members() []string {
	s.Helper()
	state, err := s.core.ClusterState(context.Background())
	if err != nil {
		s.Fatal(err)
	}
	var names []string
	for _, m := range state.Roles[0].Members {
		names = append(names, m.Name)
	}
	return names
}

func numberedAddress(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}) }

func parse(t testing.TB, c coordinator.Credential) *x509.Certificate {
	t.Helper()
	leaf, err := x509.ParseCertificate(c.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// caller is the host by the certificate that it has.
func (h *host) caller() coordinator.Caller {
	h.Helper()
	return coordinator.Caller{Host: h.Host, Serial: identity.Serial(h.leaf())}
}

// shows is a certificate on a connection that has just begun, from the address 192.0.2.9.
func shows(cert *x509.Certificate) coordinator.Shown {
	return coordinator.Shown{Certificate: cert, From: netip.MustParseAddr("192.0.2.9")}
}

func (h *host) leaf() *x509.Certificate {
	h.Helper()
	return parse(h, h.Credential)
}
