package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"

	"muster/internal/fault"
	"muster/internal/handover"
	"muster/internal/late"
	"muster/internal/manifest"
	syncv1 "muster/proto/muster/sync/v1"
)

// Plan is what this host is to install.
type Plan struct {
	ID       string            `json:"id"`
	Role     manifest.Role     `json:"role"`
	Manifest manifest.Blob     `json:"manifest"`
	Late     map[string]string `json:"late"`
	Sources  []string          `json:"sources"`
	// SecretsID names the secrets among the late values without telling anything of them.
	SecretsID string `json:"secrets_id,omitempty"`
}

func planOf(p *syncv1.Plan) Plan {
	return Plan{
		ID: p.GetId(), Role: manifest.Role(p.GetRole()), Late: p.GetLate(), Sources: p.GetSources(),
		Manifest:  manifest.Blob{Digest: manifest.Digest(p.GetManifestDigest()), Size: p.GetManifestSize()},
		SecretsID: p.GetSecretsId(),
	}
}

// check refuses a plan that is for another cluster or role than it says, or whose late values are not what they claim.
func (p Plan) check(m *manifest.Manifest, cluster string) error {
	const remedy = "run coordinator genconf again and serve its output"
	if m.Cluster != cluster {
		return fault.New(fault.Invalid, remedy, "the manifest is for cluster %q, this host is of %q", m.Cluster, cluster)
	}
	if m.Role != p.Role {
		return fault.New(fault.Invalid, remedy, "the manifest is for role %q, the plan for %q", m.Role, p.Role)
	}
	if err := late.Validate(p.Late); err != nil {
		return fault.New(fault.Invalid, "correct the host's or the member's name, address or zone, then let it join again", "the plan's late values").Because(err)
	}
	if len(late.Values(p.Late).Secrets()) > 0 && !handover.ValidID(p.SecretsID) {
		return fault.New(fault.Invalid, "let the coordinator and the bootstrap agent be of the same version", "the plan has secrets and no name for them")
	}
	return nil
}

// generationID names what the plan makes on this host: the generation with these late values.
func (p Plan) generationID(m *manifest.Manifest) string {
	// The name is seen by everybody on the host. Of the secrets it has what the coordinator calls them, which changes
	// with them: a digest over them would let a weak one be guessed.
	public := maps.Clone(p.Late)
	maps.DeleteFunc(public, func(ref, _ string) bool { _, secret := late.SecretName(ref); return secret })
	raw, err := json.Marshal(public)
	if err != nil {
		panic("late values that cannot be encoded") // a map of strings
	}
	sum := sha256.Sum256(append(raw, p.SecretsID...))
	return string(m.ConfigID[:12]) + "-" + hex.EncodeToString(sum[:4])
}
