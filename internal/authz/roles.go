package authz

import (
	"slices"

	"github.com/google/uuid"
)

// Names of the built-in roles.
const (
	RoleOwner  = "owner"
	RoleMember = "member"

	RoleOrganizationAdmin           = "organization-admin"
	RoleOrganizationMember          = "organization-member"
	RoleOrganizationWorkspaceAccess = "organization-workspace-access"
)

// on spells out one resource with actions.
func on(r Resource, actions ...Action) []Permission {
	out := make([]Permission, len(actions))
	for i, a := range actions {
		out[i] = Permission{Resource: r, Action: a}
	}
	return out
}

// everything is every action on every resource, except those named.
func everything(except ...Resource) []Permission {
	var out []Permission
	for r, actions := range Actions {
		if !slices.Contains(except, r) {
			out = append(out, on(r, actions...)...)
		}
	}
	slices.SortFunc(out, func(x, y Permission) int {
		if x.Resource != y.Resource {
			return compare(x.Resource, y.Resource)
		}
		return compare(x.Action, y.Action)
	})
	return out
}

func compare[T ~string](x, y T) int {
	if x < y {
		return -1
	}
	return 1
}

func without(actions []Action, drop ...Action) []Action {
	return slices.DeleteFunc(slices.Clone(actions), func(a Action) bool { return slices.Contains(drop, a) })
}

// siteRoles are the built-in roles of the deployment.
var siteRoles = map[string]Role{
	RoleOwner: {
		Name: RoleOwner, DisplayName: "Owner",
		Site: slices.Concat(everything(WorkspaceDormant, UserSecret), on(WorkspaceDormant, dormant...)),
	},
	RoleMember: {
		Name: RoleMember, DisplayName: "Member",
		Site: slices.Concat(on(AssignRole, Read), on(OAuth2App, Read), on(WorkspaceProxy, Read)),
		User: slices.Concat(
			everything(Workspace, WorkspaceDormant, PrebuiltWorkspace, OrganizationMember, User),
			on(User, Read, ReadPersonal, UpdatePersonal),
		),
	},
}

// organizationRoles are the built-in roles of every organization.
var organizationRoles = map[string]Role{
	RoleOrganizationAdmin: {
		Name: RoleOrganizationAdmin, DisplayName: "Organization Admin",
		Site: on(User, Read),
		Organization: slices.Concat(
			everything(AssignRole, UserSecret, Workspace, WorkspaceDormant),
			on(Workspace, without(workspace, SSH, ApplicationConnect)...),
			on(WorkspaceDormant, dormant...),
		),
	},
	RoleOrganizationMember: {
		Name: RoleOrganizationMember,
		Organization: slices.Concat(
			on(ProvisionerDaemon, Read), on(Organization, Read), on(AssignOrgRole, Read),
			on(OrganizationMember, Read), on(Group, Read),
		),
		Member: slices.Concat(
			on(OrganizationMember, Read), on(GroupMember, Read), on(APIKey, crud...),
			on(NotificationMsg, Read, Update), on(NotificationPref, Read, Update), on(InboxNotification, Create, Read, Update),
		),
	},
	RoleOrganizationWorkspaceAccess: {
		Name: RoleOrganizationWorkspaceAccess, DisplayName: "Organization Workspace Access",
		Member: slices.Concat(
			on(Workspace, workspace...), on(WorkspaceDormant, dormant...),
			on(File, Create, Read), on(ProvisionerDaemon, Create, Read),
		),
	},
}

// SiteRole returns a built-in role of the deployment.
func SiteRole(name string) (Role, bool) {
	r, ok := siteRoles[name]
	return r, ok
}

// OrganizationRole returns a built-in role as it is in one organization.
func OrganizationRole(name string, organizationID uuid.UUID) (Role, bool) {
	r, ok := organizationRoles[name]
	r.OrganizationID = organizationID
	return r, ok
}

// SiteRoles expands names into roles and adds the one that everybody holds.
// Unknown names grant nothing.
func SiteRoles(names []string) []Role {
	roles := []Role{siteRoles[RoleMember]}
	for _, name := range names {
		if r, ok := siteRoles[name]; ok && name != RoleMember {
			roles = append(roles, r)
		}
	}
	return roles
}

// OrganizationRoles expands a member's roles, the organization's default
// roles and the one that every member holds.
func OrganizationRoles(organizationID uuid.UUID, names, defaults []string) []Role {
	all := slices.Concat([]string{RoleOrganizationMember}, names, defaults)
	slices.Sort(all)
	var roles []Role
	for _, name := range slices.Compact(all) {
		if r, ok := OrganizationRole(name, organizationID); ok {
			roles = append(roles, r)
		}
	}
	return roles
}

// AssignableSiteRoles are the site roles that can be given to a user, in the
// order in which they are shown.
func AssignableSiteRoles() []Role { return []Role{siteRoles[RoleOwner]} }

// AssignableOrganizationRoles are the roles that can be given to a member.
func AssignableOrganizationRoles(organizationID uuid.UUID) []Role {
	var roles []Role
	for _, name := range []string{RoleOrganizationAdmin, RoleOrganizationWorkspaceAccess} {
		r, _ := OrganizationRole(name, organizationID)
		roles = append(roles, r)
	}
	return roles
}

// assigns says which role may hand out, and take away, which others:
// section 15.5 of the reference.
var assigns = map[string][]string{
	RoleOwner:             {RoleOwner, RoleMember, RoleOrganizationAdmin, RoleOrganizationMember, RoleOrganizationWorkspaceAccess},
	RoleOrganizationAdmin: {RoleOrganizationAdmin, RoleOrganizationMember, RoleOrganizationWorkspaceAccess},
}

// CanAssign tells whether the subject's roles may hand out the named role, of
// the organization or, with a zero id, of the site.
func (s *Subject) CanAssign(role string, organizationID uuid.UUID) bool {
	roles := s.Roles
	if organizationID != uuid.Nil {
		roles = slices.Concat(roles, s.Organizations[organizationID].Roles)
	}
	return slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(assigns[r.Name], role) })
}
