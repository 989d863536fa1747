package agent

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"muster/internal/manifest"
)

// instance is a metadata service, version 2 alone, of an instance with this document and public address.
type instance struct {
	document, public string
	// fails is how many requests get no good answer before those that do; hang makes it silent instead.
	fails atomic.Int64
	hang  bool
	asked atomic.Int64
}

func (i *instance) serve(t testing.TB) metadata {
	t.Helper()
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		if i.hang {
			<-ended
		}
		token := r.Header.Get("X-aws-ec2-metadata-token") == "a-token"
		switch {
		case i.fails.Add(-1) >= 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") != "":
			_, _ = io.WriteString(w, "a-token")
		case r.Method != http.MethodGet || !token:
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/latest/dynamic/instance-identity/document":
			_, _ = io.WriteString(w, i.document)
		case r.URL.Path == "/latest/meta-data/public-ipv4" && i.public != "":
			_, _ = io.WriteString(w, i.public)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(ended) })
	return metadata{server.URL, metadataTimeout}
}

const someDocument = `{"accountId":"123456789012","region":"eu-central-1","availabilityZone":"eu-central-1b","instanceId":"i-0123456789abcdef0","privateIp":"10.0.1.2","imageId":"ami-1"}`

var onXen = map[string]string{"sys/hypervisor/uuid": "ec2e1916-9099-7caf-fd21-012345abcdef\n"}

func TestTheCloudsWordBecomesLabels(t *testing.T) {
	all := map[string]string{
		"region": "eu-central-1", "zone": "eu-central-1b", "instance-id": "i-0123456789abcdef0", "private-address": "10.0.1.2", "public-address": "192.0.2.7",
	}
	without := func(keys ...string) map[string]string {
		some := maps.Clone(all)
		for _, k := range keys {
			delete(some, k)
		}
		return some
	}
	many := make(map[string]string)
	for i := range maxJoinLabels - 1 {
		many[fmt.Sprintf("l%02d", i)] = "x"
	}
	manyAndZone := maps.Clone(many)
	manyAndZone["zone"] = "eu-central-1b"
	for name, test := range map[string]struct {
		files            map[string]string
		document, public string
		own, want        map[string]string
		fails            int64
		asked            int64
	}{
		"by the hypervisor":                {files: onXen, document: someDocument, public: "192.0.2.7", want: all, asked: 3},
		"by the vendor":                    {files: map[string]string{"sys/class/dmi/id/sys_vendor": "Amazon EC2\n"}, document: someDocument, public: "192.0.2.7", want: all, asked: 3},
		"by the product":                   {files: map[string]string{"sys/class/dmi/id/product_uuid": "EC2E1916-9099-7CAF-FD21-012345ABCDEF\n"}, document: someDocument, public: "192.0.2.7", want: all, asked: 3},
		"without a public address":         {files: onXen, document: someDocument, want: without("public-address"), asked: 3},
		"the operator's word counts more":  {files: onXen, document: someDocument, own: map[string]string{"zone": "rack1", "x": "y"}, want: with(without("public-address"), "zone", "rack1", "x", "y"), asked: 3},
		"other firmware":                   {files: map[string]string{"sys/class/dmi/id/sys_vendor": "Dell Inc.\n"}, document: someDocument, want: map[string]string{}},
		"a service that comes a bit late":  {files: onXen, fails: 1, document: someDocument, want: without("public-address"), asked: 4},
		"a service that gives nothing":     {files: onXen, fails: 1000, document: someDocument, want: map[string]string{}, asked: 3},
		"no more labels than are taken":    {files: onXen, document: someDocument, own: many, want: manyAndZone, asked: 3},
		"a document that is none":          {files: onXen, document: "<html>", want: map[string]string{}, asked: 6},
		"a document of somebody else":      {files: onXen, document: `{"region":"x"}`, want: map[string]string{}, asked: 6},
		"a document that is too long":      {files: onXen, document: strings.Repeat(" ", maxMetadata) + someDocument, want: map[string]string{}, asked: 6},
		"values that nobody would take":    {files: onXen, document: `{"instanceId":"i-0123456789abcdef0","region":"a b","availabilityZone":"\u001b[2J","privateIp":"` + strings.Repeat("1", 64) + `"}`, public: "<script>", want: map[string]string{"instance-id": "i-0123456789abcdef0"}, asked: 3},
		"a page in place of an address":    {files: onXen, document: someDocument, public: "<html>\n", want: without("public-address"), asked: 3},
		"unknown firmware, but a service":  {files: map[string]string{}, document: someDocument, want: without("public-address"), asked: 3},
		"unknown firmware, no document":    {files: map[string]string{}, fails: 1000, want: map[string]string{}, asked: 1},
		"a hypervisor of somebody else's":  {files: map[string]string{"sys/hypervisor/uuid": "00000000-9099\n", "sys/class/dmi/id/sys_vendor": "Xen\n"}, want: map[string]string{}},
		"nothing readable in the firmware": {files: map[string]string{"sys/class/dmi/id/x": ""}, document: someDocument, want: map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := Layout{t.TempDir()}
			for path, text := range test.files {
				write(t, l.at(path), text)
			}
			i := &instance{document: test.document, public: test.public}
			i.fails.Store(test.fails)
			e := &Engine{layout: l, metadata: i.serve(t), log: (&notes{}).logger()}
			for range 2 { // it is asked once
				if got := e.withCloud(t.Context(), test.own); !maps.Equal(got, test.want) {
					t.Errorf("got %v, want %v", got, test.want)
				}
			}
			if got := i.asked.Load(); got != test.asked {
				t.Errorf("it asked %d times, want %d", got, test.asked)
			}
		})
	}
}

func with(labels map[string]string, pairs ...string) map[string]string {
	for i := 0; i < len(pairs); i += 2 {
		labels[pairs[i]] = pairs[i+1]
	}
	return labels
}

func TestAHostThatIsNoInstanceLosesNoTime(t *testing.T) {
	silent := &instance{hang: true}
	service := silent.serve(t)
	for name, test := range map[string]struct {
		files map[string]string
		most  time.Duration
	}{
		"with firmware that says so":   {map[string]string{"sys/class/dmi/id/sys_vendor": "Dell Inc."}, glance / 3},
		"with no word and no service":  {nil, 2 * glance},
		"on EC2, of a service that is": {onXen, cloudTries*(cloudPatience+minWait*2) + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := Layout{t.TempDir()}
			for path, text := range test.files {
				write(t, l.at(path), text)
			}
			e := &Engine{layout: l, metadata: service, log: (&notes{}).logger()}
			start := time.Now()
			if got := e.withCloud(t.Context(), map[string]string{"zone": "a"}); !maps.Equal(got, map[string]string{"zone": "a"}) {
				t.Errorf("got %v", got)
			}
			if took := time.Since(start); took > test.most {
				t.Errorf("it took %v, want %v at most", took, test.most)
			}
		})
	}
}

// What a cloud says of a host is the host's own word: it chooses among open roles, and never lets it into a counted one.
func TestTheCloudsWordDecidesOpenRolesOnly(t *testing.T) {
	for role, done := range map[manifest.Role]bool{"loner": true, "master": false} {
		t.Run(string(role), func(t *testing.T) {
			s := newSite(t)
			for i := range s.generation.Roles {
				if s.generation.Roles[i].Name == role {
					s.generation.Roles[i].Select = map[string]string{"region": "eu-central-1"}
				}
			}
			s.restart(0)
			h := s.host("")
			write(t, h.layout.at("sys/hypervisor/uuid"), onXen["sys/hypervisor/uuid"])
			e := h.engine()
			e.metadata = (&instance{document: someDocument}).serve(t)
			_, ended := h.runs(e)
			if done {
				h.wantEnd(ended)
			} else {
				await(t, "it waits for an operator", func() bool { d := h.described(); return d != nil && d.Waiting != "" })
			}
			d := h.described()
			if got := d.Role == string(role); got != done || d.Facts.Zone != "eu-central-1b" || d.Facts.Labels["instance-id"] != "i-0123456789abcdef0" {
				t.Errorf("the coordinator says %v", d)
			}
		})
	}
}
