package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"muster/internal/fault"
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
}

func planOf(p *syncv1.Plan) Plan {
	return Plan{
		ID: p.GetId(), Role: manifest.Role(p.GetRole()), Late: p.GetLate(), Sources: p.GetSources(),
		Manifest: manifest.Blob{Digest: manifest.Digest(p.GetManifestDigest()), Size: p.GetManifestSize()},
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
	return nil
}

// generationID names what the plan makes on this host: the generation with these late values.
func (p Plan) generationID(m *manifest.Manifest) string {
	raw, err := json.Marshal(p.Late)
	if err != nil {
		panic(err) // a map of strings
	}
	sum := sha256.Sum256(raw)
	return string(m.ConfigID[:12]) + "-" + hex.EncodeToString(sum[:4])
}
