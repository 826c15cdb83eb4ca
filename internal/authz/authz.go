// Package authz decides who may do what. Roles are sets of permissions at
// three scopes; a subject holds roles; an object names its organization and
// owner. The rules are those of the reference, section 15: docs/isolation.md.
package authz

import (
	"slices"

	"github.com/google/uuid"
)

// Resource is a kind of object.
type Resource string

// Action is what is done to an object.
type Action string

// Object is what an action is asked for. A zero OrganizationID makes it an
// object of the deployment, a zero OwnerID one that nobody owns.
type Object struct {
	Type           Resource
	ID             string
	OrganizationID uuid.UUID
	OwnerID        uuid.UUID
	// UserACL and GroupACL allow actions to a user or a group, by id, apart from roles.
	UserACL  map[string][]Action
	GroupACL map[string][]Action
}

// Permission allows, or with Negate forbids, one action on one resource. The
// star stands for every action or every resource.
type Permission struct {
	Negate   bool
	Resource Resource
	Action   Action
}

// Star matches everything.
const Star = "*"

func (p Permission) matches(r Resource, a Action) bool {
	return (p.Resource == r || p.Resource == Star) && (p.Action == a || p.Action == Star)
}

// Role is a named set of permissions.
type Role struct {
	Name        string
	DisplayName string
	// OrganizationID is zero for site roles.
	OrganizationID uuid.UUID
	// Site holds everywhere, Organization in the role's organization, User for
	// what the subject owns, Member for what it owns in that organization.
	Site         []Permission
	Organization []Permission
	User         []Permission
	Member       []Permission
}

// Membership is a subject's place in one organization.
type Membership struct {
	Roles []Role
	// Groups are ids; the Everyone group has the organization's own.
	Groups []uuid.UUID
}

// Subject is who asks. There is no anonymous Subject: a request without one
// is refused before anything is decided.
type Subject struct {
	ID uuid.UUID
	// Name is for logs: a user name, or that of a background loop.
	Name          string
	Roles         []Role
	Organizations map[uuid.UUID]Membership
	// Allow narrows everything to these resources and actions; nil is no limit.
	// It is how a token's scopes work.
	Allow []Permission
	// AllowIDs narrows to objects: resource type to ids, Star being all of the
	// type. A type that is not named is not allowed, except that everybody may
	// read who they are. Nil is no limit.
	AllowIDs map[Resource][]string
	// settled are the site permissions of all organizations' roles, each once.
	settled   [][]Permission
	isSettled bool
}

// Settle prepares a subject for many decisions, which else look at the roles
// of all its organizations each time. Its organizations may not change after it.
func (s *Subject) Settle() {
	s.settled, s.isSettled = nil, true
	for _, m := range s.Organizations {
		for _, role := range m.Roles {
			same := func(p []Permission) bool { return len(p) == len(role.Site) && &p[0] == &role.Site[0] }
			if len(role.Site) > 0 && !slices.ContainsFunc(s.settled, same) {
				s.settled = append(s.settled, role.Site)
			}
		}
	}
}

type vote int

const (
	abstain vote = iota
	allow
	deny
)

// count is the vote of permissions: one negative match denies.
func count(permissions []Permission, r Resource, a Action) vote {
	result := abstain
	for _, p := range permissions {
		if !p.matches(r, a) {
			continue
		}
		if p.Negate {
			return deny
		}
		result = allow
	}
	return result
}

// tally joins the votes of several roles at one level.
func tally(roles []Role, level func(Role) []Permission, r Resource, a Action) vote {
	result := abstain
	for _, role := range roles {
		switch count(level(role), r, a) {
		case deny:
			return deny
		case allow:
			result = allow
		}
	}
	return result
}

func siteLevel(r Role) []Permission         { return r.Site }
func organizationLevel(r Role) []Permission { return r.Organization }
func userLevel(r Role) []Permission         { return r.User }
func memberLevel(r Role) []Permission       { return r.Member }

// Can decides: the site level first, then the organization, then what the
// subject owns, each overriding the ones after it; an access list is a way of
// its own; the token's scope must allow it in any case.
func (s *Subject) Can(a Action, o Object) bool {
	if s == nil || !s.inScope(a, o) {
		return false
	}
	membership, member := s.Organizations[o.OrganizationID]
	if o.OrganizationID == uuid.Nil {
		member = false
	}
	switch s.siteVote(o.Type, a) {
	case allow:
		return true
	case deny:
		return s.listed(a, o, membership, member)
	}
	if member {
		switch tally(membership.Roles, organizationLevel, o.Type, a) {
		case allow:
			return true
		case deny:
			return s.listed(a, o, membership, member)
		}
	}
	return s.ownerVote(a, o, membership, member) || s.listed(a, o, membership, member)
}

// siteVote counts the site level of all roles; organization roles may carry
// site permissions too.
func (s *Subject) siteVote(r Resource, a Action) vote {
	result := tally(s.Roles, siteLevel, r, a)
	for _, permissions := range s.settled {
		if result == deny {
			return deny
		}
		if v := count(permissions, r, a); v != abstain {
			result = v
		}
	}
	if s.isSettled {
		return result
	}
	for _, m := range s.Organizations {
		if result == deny {
			return deny
		}
		if v := tally(m.Roles, siteLevel, r, a); v != abstain {
			result = v
		}
	}
	return result
}

func (s *Subject) ownerVote(a Action, o Object, m Membership, member bool) bool {
	if o.OwnerID == uuid.Nil || o.OwnerID != s.ID || (o.OrganizationID != uuid.Nil && !member) {
		return false
	}
	user := tally(s.Roles, userLevel, o.Type, a)
	org := tally(m.Roles, memberLevel, o.Type, a)
	return user != deny && org != deny && (user == allow || org == allow)
}

func (s *Subject) listed(a Action, o Object, m Membership, member bool) bool {
	if slices.Contains(o.UserACL[s.ID.String()], a) || slices.Contains(o.UserACL[s.ID.String()], Star) {
		return o.OrganizationID == uuid.Nil || member
	}
	if !member {
		return false
	}
	for _, group := range m.Groups {
		actions := o.GroupACL[group.String()]
		if slices.Contains(actions, a) || slices.Contains(actions, Star) {
			return true
		}
	}
	return false
}

func (s *Subject) inScope(a Action, o Object) bool {
	if s.Allow != nil && count(s.Allow, o.Type, a) != allow {
		return false
	}
	if s.AllowIDs == nil {
		return true
	}
	ids, named := s.AllowIDs[o.Type]
	switch {
	case !named:
		return o.Type == User && a == Read && o.ID == s.ID.String()
	case slices.Contains(ids, Star):
		return true
	case o.ID == "": // a list, whose rows are asked for one by one, or something new
		return a != Create
	}
	return slices.Contains(ids, o.ID)
}

// Only is the ids of a type that the subject's allow list names; nil is all.
func (s *Subject) Only(r Resource) []string {
	if s.AllowIDs == nil || slices.Contains(s.AllowIDs[r], Star) {
		return nil
	}
	return append([]string{}, s.AllowIDs[r]...)
}

// Everywhere tells whether the subject may do this in every organization.
func (s *Subject) Everywhere(a Action, r Resource) bool {
	return s != nil && s.inScope(a, Object{Type: r}) && s.siteVote(r, a) == allow
}

// All tells whether the subject may do this to every object of a kind, so that
// the rows of a list need not be asked for one by one.
func (s *Subject) All(a Action, r Resource) bool { return s.Everywhere(a, r) && s.Only(r) == nil }

// May tells where the subject could do this to at least some objects: in the
// organizations named, or everywhere. Lists start from it and then check rows.
func (s *Subject) May(a Action, r Resource) (everywhere bool, organizations []uuid.UUID) {
	if s.Everywhere(a, r) {
		return true, nil
	}
	for id := range s.Organizations {
		organizations = append(organizations, id)
	}
	slices.SortFunc(organizations, func(x, y uuid.UUID) int { return slices.Compare(x[:], y[:]) })
	return false, organizations
}

// CanSome tells whether the subject has the permission at site level or in
// any of its organizations.
func (s *Subject) CanSome(a Action, r Resource) bool {
	if s.Everywhere(a, r) {
		return true
	}
	for id := range s.Organizations {
		if s.Can(a, Object{Type: r, OrganizationID: id}) {
			return true
		}
	}
	return false
}
