package attest

import (
	"slices"
	"time"

	"muster/internal/manifest"
)

// early is how far the clock of AWS may be ahead of the coordinator's.
const early = time.Minute

// Admit says whether a policy lets an instance join now. Its error is a Refused.
func Admit(p manifest.AWSPolicy, i Instance, now time.Time) error {
	window := time.Duration(p.Window)
	switch {
	case !slices.Contains(p.Accounts, i.Account):
		return refuse("account %s is not one of %v", i.Account, p.Accounts)
	case !slices.Contains(p.Regions, i.Region):
		return refuse("region %s is not one of %v", i.Region, p.Regions)
	case len(p.Images) > 0 && !slices.Contains(p.Images, i.Image):
		return refuse("image %s is not one of %v", i.Image, p.Images)
	case i.Pending.After(now.Add(early)):
		return refuse("the instance was launched at %s, which is to come", i.Pending.UTC().Format(time.RFC3339))
	case i.Pending.Before(now.Add(-window)):
		return refuse("the instance was launched at %s, more than %v ago", i.Pending.UTC().Format(time.RFC3339), window)
	}
	return nil
}

// The labels that a document gives. Nobody else's word on them counts.
const (
	LabelRegion   = "region"
	LabelZone     = "zone"
	LabelInstance = "instance-id"
	LabelImage    = "image"
)

// Reserved are the names of the labels that a document gives.
var Reserved = []string{LabelRegion, LabelZone, LabelInstance, LabelImage}

// Labels are what the document says of the instance.
func (i Instance) Labels() map[string]string {
	return map[string]string{LabelRegion: i.Region, LabelZone: i.Zone, LabelInstance: i.ID, LabelImage: i.Image}
}
