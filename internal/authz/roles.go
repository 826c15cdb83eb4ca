package authz

import (
	"slices"

	"github.com/google/uuid"
)

// Names of the built-in roles.
const (
	RoleOwner         = "owner"
	RoleTemplateAdmin = "template-admin"
	RoleUserAdmin     = "user-admin"
	RoleAuditor       = "auditor"
	RoleMember        = "member"

	RoleOrganizationAdmin           = "organization-admin"
	RoleOrganizationUserAdmin       = "organization-user-admin"
	RoleOrganizationTemplateAdmin   = "organization-template-admin"
	RoleOrganizationAuditor         = "organization-auditor"
	RoleOrganizationCreationBan     = "organization-workspace-creation-ban"
	RoleOrganizationWorkspaceAccess = "organization-workspace-access"
	RoleOrganizationMember          = "organization-member"
)

// retired are names that once were roles: nobody may take them, and they
// grant nothing.
var retired = []string{"agents-access", "organization-service-account"}

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

// not turns permissions into denials.
func not(permissions []Permission) []Permission {
	for i := range permissions {
		permissions[i].Negate = true
	}
	return permissions
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
	RoleTemplateAdmin: {
		Name: RoleTemplateAdmin, DisplayName: "Template Admin",
		Site: slices.Concat(
			on(Template, Actions[Template]...), on(File, Create, Read), on(Workspace, Read), on(WorkspaceDormant, Read), on(PrebuiltWorkspace, Update, Delete),
			on(ProvisionerDaemon, crud...), on(User, Read), on(Group, Read), on(GroupMember, Read), on(Organization, Read), on(OrganizationMember, Read),
			on(AssignOrgRole, Read),
		),
	},
	RoleUserAdmin: {
		Name: RoleUserAdmin, DisplayName: "User Admin",
		Site: slices.Concat(
			on(AssignRole, Assign, Unassign, Read), on(AssignOrgRole, Assign, Unassign, Read), on(User, Actions[User]...), on(Group, crud...),
			on(GroupMember, Read), on(Organization, Read), on(OrganizationMember, crud...), on(IDPSyncSettings, Read, Update),
		),
	},
	RoleAuditor: {
		Name: RoleAuditor, DisplayName: "Auditor",
		Site: slices.Concat(
			on(AuditLog, Read), on(ConnectionLog, Read), on(User, Read), on(Group, Read), on(GroupMember, Read), on(Organization, Read),
			on(OrganizationMember, Read), on(AssignOrgRole, Read), on(DeploymentStats, Read), on(DeploymentConfig, Read), on(Template, Read, ViewInsights),
		),
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
	RoleOrganizationUserAdmin: {
		Name: RoleOrganizationUserAdmin, DisplayName: "Organization User Admin",
		Site: on(User, Read),
		Organization: slices.Concat(
			on(AssignOrgRole, Assign, Unassign, Read), on(Organization, Read), on(OrganizationMember, crud...), on(Group, crud...), on(GroupMember, Read),
			on(IDPSyncSettings, Read, Update),
		),
	},
	RoleOrganizationTemplateAdmin: {
		Name: RoleOrganizationTemplateAdmin, DisplayName: "Organization Template Admin",
		Organization: slices.Concat(
			on(Template, Actions[Template]...), on(File, Create, Read), on(Workspace, Read), on(WorkspaceDormant, Read), on(PrebuiltWorkspace, Update, Delete),
			on(Organization, Read), on(OrganizationMember, Read), on(Group, Read), on(GroupMember, Read), on(ProvisionerDaemon, crud...),
			on(ProvisionerJobs, Create, Read, Update),
		),
	},
	RoleOrganizationAuditor: {
		Name: RoleOrganizationAuditor, DisplayName: "Organization Auditor",
		Organization: slices.Concat(
			on(AuditLog, Read), on(ConnectionLog, Read), on(Group, Read), on(GroupMember, Read), on(Organization, Read), on(OrganizationMember, Read),
			on(Template, Read, ViewInsights),
		),
	},
	RoleOrganizationCreationBan: {
		Name: RoleOrganizationCreationBan, DisplayName: "Organization Workspace Creation Ban",
		Organization: not(on(Workspace, Create, Delete, CreateAgent, DeleteAgent)),
	},
	RoleOrganizationMember: memberOfOrganization(SharingEveryone),
	RoleOrganizationWorkspaceAccess: {
		Name: RoleOrganizationWorkspaceAccess, DisplayName: "Organization Workspace Access",
		Member: slices.Concat(
			on(Workspace, workspace...), on(WorkspaceDormant, dormant...),
			on(File, Create, Read), on(ProvisionerDaemon, Create, Read),
		),
	},
}

// Sharing says whose workspaces may be shared in an organization.
type Sharing string

// The choices of an organization; any other value counts as SharingNone.
const (
	SharingNone            Sharing = "none"
	SharingEveryone        Sharing = "everyone"
	SharingServiceAccounts Sharing = "service_accounts"
)

// membersOfOrganization are made once, because every request needs them.
var membersOfOrganization = map[Sharing]Role{
	SharingNone:            memberOfOrganization(SharingNone),
	SharingEveryone:        memberOfOrganization(SharingEveryone),
	SharingServiceAccounts: memberOfOrganization(SharingServiceAccounts),
}

// memberOfOrganization is what every member holds. Who may share sees whom to
// share with; who may not is denied it, whatever other roles allow.
func memberOfOrganization(sharing Sharing) Role {
	r := Role{
		Name:         RoleOrganizationMember,
		Organization: slices.Concat(on(ProvisionerDaemon, Read), on(Organization, Read), on(AssignOrgRole, Read)),
		Member: slices.Concat(
			on(OrganizationMember, Read), on(GroupMember, Read), on(APIKey, crud...),
			on(NotificationMsg, Read, Update), on(NotificationPref, Read, Update), on(InboxNotification, Create, Read, Update),
		),
	}
	switch sharing {
	case SharingEveryone:
		r.Organization = append(r.Organization, on(OrganizationMember, Read)...)
		r.Organization = append(r.Organization, on(Group, Read)...)
		return r
	case SharingServiceAccounts:
		r.Organization = append(r.Organization, on(OrganizationMember, Read)...)
	default:
		r.Organization = append(r.Organization, not(on(Workspace, Share))...)
	}
	r.Member = append(r.Member, not(on(Workspace, Share))...)
	return r
}

// SharingDisabled is held by everybody, owners too, where the deployment
// forbids to share workspaces.
func SharingDisabled() Role {
	return Role{Name: RoleMember, Site: not(on(Workspace, Share))}
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
// roles and the one that every member holds, which depends on whose workspaces
// may be shared. Those that are not built in are looked up in custom; unknown
// names grant nothing.
func OrganizationRoles(organizationID uuid.UUID, sharing Sharing, names, defaults []string, custom map[string]Role) []Role {
	member, known := membersOfOrganization[sharing]
	if !known {
		member = memberOfOrganization(sharing)
	}
	member.OrganizationID = organizationID
	all := slices.Concat([]string{RoleOrganizationMember}, names, defaults)
	slices.Sort(all)
	all = slices.Compact(all)
	roles := make([]Role, 0, len(all))
	for _, name := range all {
		if name == RoleOrganizationMember {
			roles = append(roles, member)
			continue
		}
		if r, ok := OrganizationRole(name, organizationID); ok {
			roles = append(roles, r)
		} else if r, ok := custom[name]; ok && !IsBuiltIn(name) {
			roles = append(roles, r)
		}
	}
	return roles
}

// CustomRole is a role that an organization made for itself. It holds in that
// organization only, whatever its permissions say.
func CustomRole(organizationID uuid.UUID, name, displayName string, permissions []Permission) Role {
	return Role{Name: name, DisplayName: displayName, OrganizationID: organizationID, Organization: permissions}
}

// IsBuiltIn tells whether a role of this name exists in every deployment, or
// once did: no custom role may take it.
func IsBuiltIn(name string) bool {
	_, site := siteRoles[name]
	_, organization := organizationRoles[name]
	return site || organization || slices.Contains(retired, name)
}

// AssignableSiteRoles are the site roles that can be given to a user, in the
// order in which they are shown.
func AssignableSiteRoles() []Role {
	var roles []Role
	for _, name := range []string{RoleOwner, RoleTemplateAdmin, RoleUserAdmin, RoleAuditor} {
		roles = append(roles, siteRoles[name])
	}
	return roles
}

// AssignableOrganizationRoles are the built-in roles that can be given to a
// member.
func AssignableOrganizationRoles(organizationID uuid.UUID) []Role {
	var roles []Role
	for _, name := range assignableInOrganization {
		r, _ := OrganizationRole(name, organizationID)
		roles = append(roles, r)
	}
	return roles
}

var assignableInOrganization = []string{
	RoleOrganizationAdmin, RoleOrganizationUserAdmin, RoleOrganizationTemplateAdmin, RoleOrganizationAuditor, RoleOrganizationCreationBan,
	RoleOrganizationWorkspaceAccess,
}

// assigns says which role may hand out, and take away, which others:
// section 15.5 of the reference.
var assigns = map[string][]string{
	RoleOwner: append([]string{
		RoleOwner, RoleTemplateAdmin, RoleUserAdmin, RoleAuditor, RoleMember, RoleOrganizationMember,
	}, assignableInOrganization...),
	RoleUserAdmin:             {RoleMember, RoleOrganizationMember, RoleOrganizationWorkspaceAccess},
	RoleOrganizationAdmin:     append([]string{RoleOrganizationMember}, assignableInOrganization...),
	RoleOrganizationUserAdmin: {RoleOrganizationMember, RoleOrganizationWorkspaceAccess},
}

// assignsCustom are the roles that may hand out the custom ones as well.
var assignsCustom = []string{RoleOwner, RoleOrganizationAdmin}

// CanAssign tells whether the subject's roles may hand out the named role, of
// the organization or, with a zero id, of the site.
func (s *Subject) CanAssign(role string, organizationID uuid.UUID) bool {
	roles := s.Roles
	if organizationID != uuid.Nil {
		roles = slices.Concat(roles, s.Organizations[organizationID].Roles)
	}
	if organizationID != uuid.Nil && !IsBuiltIn(role) {
		return slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(assignsCustom, r.Name) })
	}
	return slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(assigns[r.Name], role) })
}

// Gains tells whether holding, or with lose no longer holding, the role in an
// organization would let the subject do what it may not do now.
func (s *Subject) Gains(role Role, organizationID uuid.UUID, lose bool) bool {
	for _, level := range []struct {
		permissions []Permission
		object      Object
	}{
		{role.Site, Object{}}, {role.User, Object{OwnerID: s.ID}},
		{role.Organization, Object{OrganizationID: organizationID}}, {role.Member, Object{OrganizationID: organizationID, OwnerID: s.ID}},
	} {
		for _, p := range level.permissions {
			level.object.Type = p.Resource
			if p.Negate == lose && !s.Can(p.Action, level.object) {
				return true
			}
		}
	}
	return false
}
