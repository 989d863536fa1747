package coordinator

import (
	"slices"

	"muster/internal/fault"
	"muster/internal/late"
	"muster/internal/manifest"
)

// findSecrets works out which secrets each role's artifacts use. One that the bundle does not let the role read is
// refused as a whole: genconf does not write such a generation.
func (n *generation) findSecrets() error {
	n.secrets = make(map[manifest.Role][]manifest.Secret)
	for role, refs := range n.refs {
		for _, ref := range refs {
			name, ok := late.SecretName(ref)
			if !ok {
				continue
			}
			i := slices.IndexFunc(n.g.Secrets, func(s manifest.Secret) bool { return s.Name == name })
			if i < 0 || !n.g.Secrets[i].Readable(role) {
				return fault.New(fault.Denied, "run coordinator genconf again and serve its output",
					"the artifacts of role %s use secret %s, which the generation does not let it read", role, name)
			}
			n.secrets[role] = append(n.secrets[role], n.g.Secrets[i])
		}
	}
	return nil
}

// printable says whether every encoder that stands behind the secret in any role's artifacts can write the value: what
// is wrong with it is better told to the operator who sets it than by every host.
func (n *generation) printable(name, value string) error {
	for _, e := range n.g.Roles {
		for _, slot := range n.manifests[e.Name].Late.Slots {
			if of, ok := late.SecretName(slot.Ref); !ok || of != name {
				continue
			}
			if _, err := late.Encode(value, slot.Encode); err != nil {
				return fault.New(fault.Invalid, "choose a value without such characters, or ask the publisher for | base64 there",
					"the value of secret %s cannot be written where role %s uses it", name, e.Name).Because(err)
			}
		}
	}
	return nil
}

// ownSecrets says whether the role uses a secret that every host has its own value of.
func (n *generation) ownSecrets(role manifest.Role) bool {
	return slices.ContainsFunc(n.secrets[role], func(s manifest.Secret) bool { return s.PerHost })
}
