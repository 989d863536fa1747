package coordinator

import (
	"maps"
	"net/netip"

	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/late"
)

// maxLabels bounds what a host may say of itself.
const maxLabels = 32

// joinFacts is what is known of a host when it joins. Where several speak of the same label, the word counts for most
// of what it joins by, then the cluster config's list, then the host's own.
func (s *Service) joinFacts(a Applicant, address netip.Addr, own map[string]string) hosts.Facts {
	f := hosts.Facts{Name: a.Name, Address: address.String(), Zone: a.Zone, Labels: make(map[string]string)}
	maps.Copy(f.Labels, a.Labels)
	maps.Copy(f.Labels, s.gen.spec.Labels(a.Name, address))
	maps.Copy(f.Labels, own)
	if zone := f.Labels[zoneLabel]; zone != "" {
		f.Zone = zone
	}
	if f.Zone != "" {
		f.Labels[zoneLabel] = f.Zone
	}
	return f
}

// checkLabels refuses labels that are too many, or not what they claim.
func checkLabels(labels map[string]string) error {
	const remedy = "correct the labels of the host's seed, then let it join again"
	if len(labels) > maxLabels {
		return fault.New(fault.Invalid, remedy, "the host says %d labels of itself; %d are allowed", len(labels), maxLabels)
	}
	for key, value := range labels {
		for _, text := range []string{key, value} {
			if late.Validate(late.Values{"Host.Zone": text}) != nil {
				return fault.New(fault.Invalid, remedy,
					"the host says the label %.64q=%.64q; letters, digits, dots, underscores and hyphens are allowed, up to 63", key, value)
			}
		}
	}
	return nil
}
