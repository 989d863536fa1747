package coordinator

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"muster/internal/attest"
	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/identity"
	"muster/internal/late"
	"muster/internal/manifest"
	"muster/internal/proof"
	"muster/internal/roles"
	"muster/internal/store"
)

// MethodToken is the enrolment by a join token.
const MethodToken = "token"

// MethodAWS is the enrolment by an instance identity document of AWS.
const MethodAWS = "aws"

// Applicant is a host that wants to join. That it holds the key of the CSR, on this connection, was verified before.
type Applicant struct {
	CSR *identity.CheckedCSR
	// Method is how it proves its right to join. By MethodToken, which is meant when it is empty, Token counts; by
	// MethodAWS, Policy and Document.
	Method, Token string
	Policy        string
	Document      []byte
	// From is where the connection comes from, never what a header says.
	From netip.Addr
	// Name, Address and Zone are the host's own word.
	Name, Address, Zone string
	Labels              map[string]string
}

// Credential is what a host has joined with.
type Credential struct {
	Host    hosts.ID
	Chain   [][]byte
	Expires time.Time
}

// Enroll makes a host of an applicant. The token, or the instance, is consumed, the host made and its role assigned in one
// transaction; the same key again is the same host and consumes nothing, so a lost answer costs nothing.
func (s *Service) Enroll(ctx context.Context, a Applicant) (Credential, error) {
	address, err := checkApplicant(&a)
	if err != nil {
		return Credential{}, s.refused(ctx, a, err)
	}
	keyID := a.CSR.KeyID()
	claim := claim{key: hex.EncodeToString(keyID[:]), address: address, from: a.From, now: s.clock(), givenUp: s.givenUp}
	if a.Method == MethodAWS {
		err = s.attested(ctx, a, &claim)
	} else {
		claim.token, err = identity.ParseToken(a.Token)
	}
	if err != nil {
		return Credential{}, s.refused(ctx, a, err)
	}
	// Most of what cannot succeed ends here, where it holds nobody up: a transaction that fails makes the store run
	// those again that share its disk write.
	var already hosts.Host
	if err := s.store.View(ctx, func(r store.Reader) (err error) {
		already, _, err = claim.admit(r)
		return err
	}); err != nil {
		return Credential{}, s.refused(ctx, a, err)
	}
	// After the secret was looked at: whoever knows a token's name alone keeps nobody out.
	leave, ok := s.joining.Enter(ctx, claim.right(already), joinsAtATime, joinsWaiting)
	if !ok {
		return Credential{}, s.refused(ctx, a, fault.New(fault.Unavailable, "the host tries again by itself; a new token for each host does not have to wait",
			"too many hosts join at this moment by the same token"))
	}
	defer leave()
	fresh, err := proof.NewHostID(s.random)
	if err != nil {
		return Credential{}, err
	}

	var host hosts.Host
	var chain [][]byte
	var expires time.Time
	var again bool
	var changed assigned
	var pushed string
	err = s.store.Update(ctx, func(w store.Writer) error {
		changed, pushed = assigned{}, ""
		known, way, err := claim.admit(w)
		if err != nil {
			return err
		}
		if again = known.ID != ""; again {
			host = known
			if pushed, err = s.joinAgain(w, claim, &host); err != nil {
				return err
			}
		} else {
			host = hosts.Host{
				ID:       fresh,
				Facts:    s.joinFacts(a, address, way.labels),
				Phase:    hosts.Enrolled,
				Attempt:  1,
				JoinedBy: way.by, TokenRole: way.role, Instance: way.instance,
				Enrolled: claim.now, PhaseSince: claim.now,
			}
			pushed = way.pushed
			if err := errors.Join(
				way.use(w, fresh),
				write(w, keyAddresses+host.Facts.Address, host.ID),
				write(w, keyKeys+claim.key, host.ID),
				w.Delete(keyPushes+pushed),
			); err != nil {
				return err
			}
			if changed, err = s.assign(w, &host, "", claim.now); err != nil {
				return err
			}
			if way.before != changed.instead && way.before != "" {
				return errAddress(address, way.before)
			}
			if err := s.event(w, Event{Kind: "enrolled", Host: host.ID, From: a.From.String(),
				Message: host.Facts.Name + " joined by " + way.words + "," + strings.TrimPrefix(roleWords(host), ",")}); err != nil {
				return err
			}
		}
		var issued hosts.Certificate
		chain, issued, expires, err = s.issue(a.CSR, host.ID, claim.now)
		if err != nil {
			return err
		}
		if again {
			if err := dropKeys(w, host.Issue(issued)); err != nil {
				return err
			}
		} else {
			host.Certificate, host.UsedFrom = issued, a.From.String()
		}
		return write(w, keyHosts+string(host.ID), host)
	})
	if err != nil {
		return Credential{}, s.refused(ctx, a, err)
	}
	if err := s.follow(ctx, host.ID); err != nil {
		return Credential{}, err
	}
	s.directory.heard(host.ID, claim.now, nil)
	s.directory.dropPush(pushed)
	if err := s.announce(ctx, changed); err != nil {
		return Credential{}, err
	}
	if !again { // which a host can do at will
		s.log.Info("host enrolled", "host", host.ID, "name", host.Facts.Name, "address", host.Facts.Address, "role", host.Role)
	}
	return Credential{Host: host.ID, Chain: chain, Expires: expires}, nil
}

// joinAgain lets a host that was pushed to again take the newer token, so that this push is seen to have arrived. It stays
// what it is; its key alone lets it in, also when the token is not good or the one that it has joined by.
func (s *Service) joinAgain(w store.Writer, c claim, h *hosts.Host) (pushed string, err error) {
	if c.document {
		return "", nil
	}
	var record identity.TokenRecord
	if err := read(w, keyTokens+string(c.token.ID()), &record); err != nil {
		return "", err
	}
	if string(c.token.ID()) == h.JoinedBy || record.Admit(c.token, c.from, c.now) != nil {
		return "", nil
	}
	record.Uses++
	h.JoinedBy = string(record.ID)
	return record.Host, errors.Join(
		write(w, keyTokens+string(record.ID), record),
		w.Delete(keyPushes+record.Host),
		s.event(w, Event{Kind: "enrolled", Host: h.ID, From: c.from.String(),
			Message: h.Facts.Name + " came again, by token " + string(record.ID) + ", and goes on" + roleWords(*h)}),
	)
}

func roleWords(h hosts.Host) string {
	if h.Role == "" {
		return ", without a role yet"
	}
	return " as " + string(h.Role)
}

func checkApplicant(a *Applicant) (netip.Addr, error) {
	const remedy = "set the host's name and address, then let it join again"
	address, err := netip.ParseAddr(a.Address)
	// Unmapped first: what is said of an IPv4 address is not said of its IPv6 form.
	address = address.Unmap()
	if err != nil || !address.IsGlobalUnicast() || address.Zone() != "" {
		return netip.Addr{}, fault.New(fault.Invalid, remedy, "the host says that its address is %.64q, which no other host can reach", a.Address)
	}
	a.Name = strings.ToLower(a.Name)
	if !validHostName(a.Name) {
		return netip.Addr{}, fault.New(fault.Invalid, remedy, "the host says that its name is %.64q, which is not a host name (RFC 1123)", a.Name)
	}
	if a.Zone != "" && late.Validate(late.Values{"Host.Zone": a.Zone}) != nil {
		return netip.Addr{}, fault.New(fault.Invalid, remedy, "the host says that its zone is %.64q; letters, digits, dots, underscores and hyphens are allowed", a.Zone)
	}
	return address, checkLabels(a.Labels)
}

func validHostName(name string) bool {
	if name != strings.ToLower(name) || late.Validate(late.Values{"Host.Name": name}) != nil {
		return false
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	// A last label of digits is an address, not a name (RFC 1123, 2.1), and an identity names another host: an operator
	// who types one must not get this host for it.
	_, notID := proof.ParseHostID(name)
	return name != "localhost" && strings.Trim(last, "0123456789") != "" && notID != nil
}

// claim is an applicant's right to join, as far as the store decides it.
type claim struct {
	key   string // SHA-256 of the public key in hexadecimal
	token identity.Token
	// document says that the host came with one, and instance what it says, unless the key is known already.
	document bool
	instance *instance
	address  netip.Addr
	from     netip.Addr
	now      time.Time
	// givenUp says whether the place of a host may be taken over, and its address with it.
	givenUp func(store.Reader, hosts.ID) (bool, error)
}

// admission is what a new host comes in by.
type admission struct {
	// by is kept as what the host has joined by, words are for the event.
	by, words string
	role      manifest.Role
	labels    map[string]string
	// pushed is the push that the host answers, instance the one of its cloud; either may be empty.
	pushed, instance string
	// before is the host that had the address, and whose place the new one has to take over to have it.
	before hosts.ID
	// use consumes it.
	use func(w store.Writer, by hosts.ID) error
}

const (
	// joinsAtATime are under way by one token or for one host that comes again, and joinsWaiting may wait. Others have
	// the store, and places at the door, meanwhile. A join takes milliseconds, most of which are for a disk write that is
	// shared.
	joinsAtATime = 64
	joinsWaiting = 128
)

// right names what lets the applicant in.
func (c claim) right(already hosts.Host) string {
	if already.ID != "" {
		return "host " + string(already.ID)
	}
	if c.document {
		return "key " + c.key
	}
	return "token " + string(c.token.ID())
}

// admit is the host that has this key already, or else what lets a new one in at this address. It does the same work for
// a token that does not exist.
func (c claim) admit(r store.Reader) (known hosts.Host, e admission, err error) {
	var id, other hosts.ID
	if err := read(r, keyKeys+c.key, &id); err != nil {
		return known, e, err
	}
	if id != "" {
		known, err = getHost(r, id)
		if err == nil {
			err = barred(known)
		}
		return known, e, err
	}
	if c.document {
		e, err = c.byInstance(r)
	} else {
		e, err = c.byToken(r)
	}
	if err != nil {
		return known, e, err
	}
	if err := read(r, keyAddresses+c.address.String(), &other); err != nil {
		return known, e, err
	}
	if other != "" {
		given, err := c.givenUp(r, other)
		if e.before = other; err != nil || given {
			return known, e, err
		}
		return known, e, errAddress(c.address, other)
	}
	return known, e, nil
}

func errAddress(address netip.Addr, other hosts.ID) error {
	return fault.New(fault.Conflict,
		"if that machine is gone or was installed anew: coordinator hosts remove "+string(other)+", then let this one join again",
		"a host with the address %s is already enrolled as %s", address, other)
}

func (c claim) byToken(r store.Reader) (admission, error) {
	var record identity.TokenRecord
	if err := read(r, keyTokens+string(c.token.ID()), &record); err != nil {
		return admission{}, err
	}
	if err := record.Admit(c.token, c.from, c.now); err != nil {
		return admission{}, err
	}
	return admission{
		by: string(record.ID), words: fmt.Sprintf("token %s (use %d of %d)", record.ID, record.Uses+1, record.MaxUses), role: record.Role, labels: record.Labels, pushed: record.Host,
		use: func(w store.Writer, _ hosts.ID) error {
			record.Uses++
			return write(w, keyTokens+string(record.ID), record)
		},
	}, nil
}

// placement is where a host goes: its role, and in a counted one the roster with the host in it and its place there.
type placement struct {
	role   roles.Role
	roster roles.Roster
	index  int
	// instead is the member whose place it takes over.
	instead hosts.ID
}

// errWaits says why a host has no role for now.
type errWaits string

func (e errWaits) Error() string { return string(e) }

// place finds where a host goes when something decides it and a place is free; else the error is errWaits. What an
// operator asks for and cannot have is a fault.
func (s *Service) place(r store.Reader, h hosts.Host, operator manifest.Role) (p placement, err error) {
	word := candidate(h, operator)
	decision, ok := s.gen.spec.Decide(word)
	if !ok {
		return p, errWaits(s.gen.spec.Why(word))
	}
	if p.role, ok = s.gen.spec.Role(decision.Role); !ok {
		return p, errWaits("its token is bound to role " + string(decision.Role) + ", which this generation does not have")
	}
	if p.role.Count == 0 {
		return p, nil
	}
	roster, err := s.roster(r, p.role.Name)
	if err != nil {
		return p, err
	}
	place := decision.Place
	if operator == "" { // who decides it says hosts replace
		if p.instead, err = s.overdue(r, p.role, roster); err != nil {
			return p, err
		}
	}
	if p.instead != "" {
		place = roster.Index(p.instead)
		roster = roster.Leave(p.instead)
	}
	member := s.memberOf(h, p.role)
	if err := s.apart(roster, member, p.role, decision, operator); err != nil {
		return p, errWaits("spare: " + err.Error() + "; an operator can assign it nevertheless")
	}
	p.roster, p.index, err = roster.Join(member, place, s.gen.spec.Reserved(p.role.Name))
	switch {
	case err == nil:
		return p, nil
	case operator == "" && errors.Is(err, roles.ErrFull):
		return p, errWaits("spare: role " + string(p.role.Name) + " has all its members")
	}
	return p, fault.New(fault.Conflict, "coordinator hosts remove the member that is gone, or choose another role", "role %s", p.role.Name).Because(err)
}

// candidate is a host with every word that may decide its role.
func candidate(h hosts.Host, operator manifest.Role) roles.Candidate {
	address, _ := netip.ParseAddr(h.Facts.Address)
	return roles.Candidate{ID: h.ID, Name: h.Facts.Name, Address: address, Labels: h.Facts.Labels, Operator: operator, Token: h.TokenRole}
}

func (s *Service) memberOf(h hosts.Host, role roles.Role) roles.Member {
	return roles.Member{Host: h.ID, Name: h.Facts.Name, Address: h.Facts.Address, Zone: h.Facts.Zone, Domain: domain(h, role.Spread)}
}

// assigned is what an assignment changed beside the host itself.
type assigned struct {
	roster bool
	// instead is the member whose place was taken over, or "".
	instead hosts.ID
}

// assign gives the host its role when it has a place.
func (s *Service) assign(w store.Writer, h *hosts.Host, operator manifest.Role, now time.Time) (assigned, error) {
	p, err := s.place(w, *h, operator)
	var waits errWaits
	if errors.As(err, &waits) {
		return assigned{}, nil
	}
	if err != nil {
		return assigned{}, err
	}
	h.Role, h.Index, h.Phase, h.PhaseSince = p.role.Name, p.index, hosts.Assigned, now
	if p.role.Count == 0 {
		return assigned{}, nil
	}
	if p.instead != "" {
		member, getErr := getHost(w, p.instead)
		err = errors.Join(getErr, s.supersede(w, p.instead, *h, itself, s.silence(member)))
	}
	return assigned{roster: true, instead: p.instead}, errors.Join(err, write(w, keyRosters+string(p.role.Name), p.roster))
}

// announce makes an assignment known, after its transaction.
func (s *Service) announce(ctx context.Context, a assigned) error {
	switch {
	case a.instead != "":
		return s.superseded(ctx, a.instead)
	case a.roster:
		s.bell.ringAll()
	}
	return nil
}

// settle gives a waiting host the place that has become free, as a spare that of a member which was removed.
func (s *Service) settle(ctx context.Context, id hosts.ID) error {
	var changed assigned
	err := s.change(ctx, id, func(w store.Writer, h *hosts.Host) (err error) {
		changed = assigned{}
		if h.Phase != hosts.Enrolled {
			return nil
		}
		if changed, err = s.assign(w, h, "", s.clock()); err != nil || h.Role == "" {
			return err
		}
		return s.event(w, Event{Kind: "assigned", Host: id, Message: h.Facts.Name + roleWords(*h)})
	})
	if err != nil {
		return err
	}
	return s.announce(ctx, changed)
}

// refused records why an applicant was turned away. What is wrong with its right to join is told alike to all of them.
func (s *Service) refused(ctx context.Context, a Applicant, reason error) error {
	var f *fault.Error
	var denial *identity.Denial
	var refusal attest.Refused
	why := reason.Error()
	switch {
	case errors.As(reason, &f):
	case errors.As(reason, &refusal), a.Method == MethodAWS && errors.Is(reason, ErrRemoved):
		if refusal != "" {
			why = string(refusal)
		}
		reason = fault.New(fault.Denied,
			"the coordinator's events say why: coordinator events --kind enrolment-denied",
			"the instance identity document was refused")
	case errors.As(reason, &denial):
		why = string(denial.Reason)
		if denial.Reason != identity.ReasonUnknown {
			why += ": token " + string(denial.Token)
		}
		fallthrough
	case errors.Is(reason, identity.ErrToken), errors.Is(reason, ErrRemoved):
		reason = fault.New(fault.Denied,
			"make a new join token and let the host join with it: coordinator push, or coordinator user-data",
			"the join token was refused")
	default:
		return reason // the store's or the CA's fault, not the applicant's
	}
	if validHostName(a.Name) {
		why = a.Name + ": " + why
	}
	if err := s.Turned(ctx, a.From, why); err != nil {
		return err
	}
	return reason
}

// Turned records that somebody who wanted to join was turned away, and why.
func (s *Service) Turned(ctx context.Context, from netip.Addr, why string) error {
	return s.note(ctx, Event{Kind: "enrolment-denied", From: from.String(), Message: why})
}
