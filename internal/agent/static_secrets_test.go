package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/fault"
	"muster/internal/handover"
	"muster/internal/late"
	"muster/internal/manifest"
)

func TestSecretsAreHandedOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	file := func(change func(*handover.File)) func() {
		return func() {
			f := &handover.File{Format: 1, Cluster: "demo", Role: "master", ID: strings.Repeat("0a", 16), Secrets: map[string][]byte{"k": []byte("canary\x00\xff")}}
			if change != nil {
				change(f)
			}
			text, err := f.Encode()
			must(t, err)
			must(t, os.WriteFile(path, text, 0o600))
		}
	}
	uses := manifest.LateTable{Slots: []manifest.Slot{{Ref: "Host.Name"}, {Ref: "Secret.k", Encode: []string{"raw"}}}}
	for _, c := range []struct {
		name    string
		prepare func()
		table   manifest.LateTable
		static  Static
		want    string
	}{
		{"a role without secrets needs no file", nil, manifest.LateTable{}, Static{Role: "master"}, ""},
		{"preflight needs none", nil, uses, Static{Role: "master", PreflightOnly: true}, ""},
		{"a role with secrets needs one", nil, uses, Static{Role: "master"}, "role master needs secrets (k), which no artifact holds"},
		{"a file that is not there", nil, uses, Static{Role: "master", Secrets: path + "x"}, "cannot be read"},
		{"the right file", file(nil), uses, Static{Role: "master", Secrets: path}, ""},
		{"one of this host", file(func(f *handover.File) { f.Host = "h1" }), uses, Static{Role: "master", Secrets: path}, ""},
		{"one of another host", file(func(f *handover.File) { f.Host = "h2" }), uses, Static{Role: "master", Secrets: path}, `is for host "h2" alone`},
		{"one of another role", file(func(f *handover.File) { f.Role = "agent" }), uses, Static{Role: "master", Secrets: path}, "is for role agent of cluster demo"},
		{"one of another cluster", file(func(f *handover.File) { f.Cluster = "prod" }), uses, Static{Role: "master", Secrets: path}, "is for role master of cluster prod"},
		{"one that lacks a secret", file(func(f *handover.File) { f.Secrets = map[string][]byte{"other": []byte("x")} }), uses, Static{Role: "master", Secrets: path}, "lacks k"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.prepare != nil {
				c.prepare()
			}
			i := &installation{plan: Plan{Role: c.static.Role}}
			values := late.Values{"Host.Name": "h1"}
			err := i.staticSecrets(&manifest.Manifest{Cluster: "demo", Role: c.static.Role, Late: c.table}, c.static, values)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || fault.Remedy(err) == "" || strings.Contains(err.Error(), "canary") {
					t.Fatalf("error %v, want %q", err, c.want)
				}
				return
			}
			if err != nil || c.static.Secrets != "" && (values.Secrets()["k"] != "canary\x00\xff" || i.plan.SecretsID == "") {
				t.Fatalf("%v, secrets %q", err, values.Secrets())
			}
		})
	}
	file(nil)()
	must(t, os.Chmod(path, 0o644))
	i := &installation{plan: Plan{Role: "master"}}
	err := i.staticSecrets(&manifest.Manifest{Cluster: "demo", Role: "master", Late: uses}, Static{Role: "master", Secrets: path}, late.Values{})
	if !errors.Is(err, fault.Denied) {
		t.Fatalf("error %v", err)
	}
}
