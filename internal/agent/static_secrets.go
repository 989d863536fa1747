package agent

import (
	"strings"

	"muster/internal/fault"
	"muster/internal/handover"
	"muster/internal/late"
	"muster/internal/manifest"
)

// staticSecrets puts in the secrets that the operator handed over. Preflight needs none.
func (i *installation) staticSecrets(m *manifest.Manifest, s Static, values late.Values) error {
	var names []string
	for _, ref := range late.Refs(m.Late) {
		if name, ok := late.SecretName(ref); ok {
			names = append(names, name)
		}
	}
	export := "on the coordinator's machine: coordinator secret export --role " + string(s.Role) +
		" > FILE; bring it here with mode 0600, give --secrets FILE, and remove it afterwards"
	if s.Secrets == "" {
		if len(names) == 0 || s.PreflightOnly {
			return nil
		}
		return fault.New(fault.Invalid, export, "role %s needs secrets (%s), which no artifact holds", s.Role, strings.Join(names, ", "))
	}
	f, err := handover.Read(s.Secrets)
	if err != nil {
		return err
	}
	if f.Cluster != m.Cluster || f.Role != s.Role {
		return fault.New(fault.Invalid, export, "the file of secrets is for role %s of cluster %s, this is role %s of cluster %s", f.Role, f.Cluster, s.Role, m.Cluster)
	}
	if f.Host != "" && f.Host != values["Host.Name"] {
		return fault.New(fault.Invalid, export+"; for this host add --host "+values["Host.Name"],
			"the file of secrets is for host %q alone, this is %q", f.Host, values["Host.Name"])
	}
	for _, name := range names {
		value, ok := f.Secrets[name]
		if !ok {
			return fault.New(fault.Invalid, export, "the file of secrets lacks %s, which role %s needs", name, s.Role)
		}
		values.SetSecret(name, value)
	}
	i.plan.SecretsID = f.ID
	return nil
}
