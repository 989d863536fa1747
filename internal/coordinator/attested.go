package coordinator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"muster/internal/attest"
	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/manifest"
	"muster/internal/seed"
	"muster/internal/store"
)

// awsCertificates are those that count: the generation's own in place of those that are built in.
func awsCertificates(o Options) (attest.Certificates, error) {
	if o.Generation.Attestation == nil || o.Generation.Attestation.AWS == nil {
		return nil, nil
	}
	known := maps.Clone(o.AWS)
	if known == nil {
		known = attest.Builtin()
	}
	for region, text := range o.Generation.Attestation.AWS.Certificates {
		list, err := attest.ParseCertificates([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("the generation's certificate of region %s: %w", region, err)
		}
		known[region] = list
	}
	return known, nil
}

// Offers says whether hosts can join by this method.
func (s *Service) Offers(method string) bool {
	return method == MethodToken || method == MethodAWS && len(s.policies()) > 0
}

func (s *Service) policies() map[string]manifest.AWSPolicy {
	if a := s.gen.g.Attestation; a != nil && a.AWS != nil {
		return a.AWS.Policies
	}
	return nil
}

// instance is one whose document was verified and that its policy admits.
type instance struct {
	attest.Instance
	policy string
	manifest.AWSPolicy
}

// name is what no other instance has had or will have.
func (i instance) name() string { return i.Account + "/" + i.ID }

// instanceRecord says that an instance has joined. It is never deleted but by an operator's word, also when its host is
// removed: a document can be copied.
type instanceRecord struct {
	Host   hosts.ID  `json:"host"`
	Policy string    `json:"policy"`
	Joined time.Time `json:"joined"`
}

// attested verifies the document of an applicant. A host that is known by its key needs none: what its document says when
// it comes back is too old.
func (s *Service) attested(ctx context.Context, a Applicant, c *claim) error {
	c.document = true
	var known hosts.ID
	if err := s.store.View(ctx, func(r store.Reader) error { return read(r, keyKeys+c.key, &known) }); err != nil || known != "" {
		return err
	}
	policy, ok := s.policies()[a.Policy]
	if !ok {
		return attest.Refused(fmt.Sprintf("there is no policy %.64q", a.Policy))
	}
	i, err := attest.Open(a.Document, policy.Regions, s.aws, c.now)
	if err != nil {
		return attest.Refused(fmt.Sprintf("policy %s: %s", a.Policy, refusedFor(err)))
	}
	of := func(why string) error {
		return attest.Refused(fmt.Sprintf("instance %s of account %s, policy %s: %s", i.ID, i.Account, a.Policy, why))
	}
	if err := attest.Admit(policy, i, c.now); err != nil {
		return of(refusedFor(err))
	}
	// What the connection comes from says nothing, behind a NAT or a load balancer. Where cluster.yaml chooses another of
	// the host's addresses, or the host is reached by the other version of IP, the document has no say.
	if s.gen.g.Address == (manifest.Detection{}) && i.Address.BitLen() == c.address.BitLen() && i.Address != c.address {
		return of(fmt.Sprintf("it says that its address is %s, its document %s; if hosts are reached at another address, set address in cluster.yaml",
			c.address, i.Address))
	}
	c.instance = &instance{i, a.Policy, policy}
	return nil
}

func refusedFor(err error) string {
	if r, ok := err.(attest.Refused); ok {
		return string(r)
	}
	return err.Error()
}

// byInstance lets an instance in that has not joined yet.
func (c claim) byInstance(r store.Reader) (admission, error) {
	i := c.instance
	if i == nil {
		return admission{}, attest.Refused("its key was known and is no more")
	}
	key := keyInstances + i.name()
	var before instanceRecord
	if err := read(r, key, &before); err != nil {
		return admission{}, err
	}
	if before.Host != "" {
		return admission{}, attest.Refused(fmt.Sprintf("instance %s of account %s has joined already, at %s as %s; if that host was removed and this one is to "+
			"take its place: coordinator hosts readmit %s", i.ID, i.Account, before.Joined.UTC().Format(time.RFC3339), before.Host, i.name()))
	}
	labels := make(map[string]string)
	maps.Copy(labels, i.AWSPolicy.Labels)
	maps.Copy(labels, i.Instance.Labels())
	return admission{
		by: "aws:" + i.policy, instance: i.name(), role: i.Role, labels: labels,
		words: fmt.Sprintf("policy %s, instance %s (account %s, %s, image %s)", i.policy, i.ID, i.Account, i.Zone, i.Image),
		use: func(w store.Writer, by hosts.ID) error {
			return write(w, key, instanceRecord{Host: by, Policy: i.policy, Joined: c.now})
		},
	}, nil
}

// CreateAWSSeed makes a seed with which hosts join by a policy. It holds no secret. Without the policy's name it is the
// only one that has the role.
func (s *Service) CreateAWSSeed(policy string, role manifest.Role) (*seed.Seed, error) {
	policies := s.policies()
	names := slices.Sorted(maps.Keys(policies))
	if policy == "" {
		fitting := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return role == "" || policies[name].Role != role })
		switch len(fitting) {
		case 0:
			return nil, fault.New(fault.Invalid, "write one below attestation.aws.policies in cluster.yaml, then generate and serve it", "no policy gives the role %q", role)
		case 1:
			policy = fitting[0]
		default:
			return nil, fault.New(fault.Invalid, "name one of them: --attest aws:"+fitting[0], "several policies give the role %s: %s", role, strings.Join(fitting, ", "))
		}
	}
	p, ok := policies[policy]
	switch {
	case !ok && len(names) == 0:
		return nil, fault.New(fault.Invalid, "write it below attestation.aws.policies in cluster.yaml, then generate and serve it", "there are no policies")
	case !ok:
		return nil, fault.New(fault.Invalid, "choose one of "+strings.Join(names, ", "), "there is no policy %.64q", policy)
	case role != "" && p.Role != role:
		return nil, fault.New(fault.Invalid, "leave the role out, or name another policy", "policy %s gives the role %s, not %.64s", policy, p.Role, role)
	}
	s.handing.RLock()
	defer s.handing.RUnlock()
	made := s.bareSeed()
	made.AWSPolicy = policy
	return made, nil
}

// Readmit lets an instance join once more whose host was removed.
func (s *Service) Readmit(ctx context.Context, actor Actor, account, id string) error {
	if !manifest.IsAWSAccount(account) || !manifest.IsAWSInstance(id) {
		return fault.New(fault.Invalid, "write it as 123456789012/i-0123456789abcdef0", "%.32q and %.32q are not an account and an instance", account, id)
	}
	name := account + "/" + id
	return s.store.Update(ctx, func(w store.Writer) error {
		var record instanceRecord
		if err := read(w, keyInstances+name, &record); err != nil {
			return err
		}
		if record.Host == "" {
			return fault.New(fault.NotFound, "coordinator events --kind enrolled shows those that have", "no host has joined as instance %s", name)
		}
		host, err := getHost(w, record.Host)
		if err != nil {
			return err
		}
		if host.Phase != hosts.Removed {
			return fault.New(fault.Conflict, fmt.Sprintf("coordinator hosts remove %s, if it is gone", record.Host),
				"instance %s is the host %s (%s)", name, record.Host, host.Facts.Name)
		}
		if err := w.Delete(keyInstances + name); err != nil {
			return err
		}
		return s.event(w, Event{Kind: "instance-readmitted", Host: record.Host, Actor: actor.Name, From: actor.From,
			Message: fmt.Sprintf("instance %s, which was %s, may join once more", name, host.Facts.Name)})
	})
}
