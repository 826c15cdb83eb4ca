package server

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
)

func (a *api) listSiteRoles(ctx context.Context, _ *struct{}) (*output[[]client.AssignableRole], error) {
	return reply(assignableRoleResponses(ctx, uuid.Nil, authz.AssignableSiteRoles())), nil
}

func (a *api) listOrganizationRoles(ctx context.Context, _ *OrganizationPath) (*output[[]client.AssignableRole], error) {
	id := organizationFrom(ctx).ID
	return reply(assignableRoleResponses(ctx, id, authz.AssignableOrganizationRoles(id))), nil
}

// checkRoleChange returns the wanted roles, sorted and without repeats, when
// the caller may hand out those that are new and take away those that go. A
// zero organization means roles of the deployment.
func checkRoleChange(ctx context.Context, organizationID uuid.UUID, have, want []string) ([]string, error) {
	want = slices.Sorted(slices.Values(want))
	want = slices.Compact(want)
	added := difference(want, have)
	removed := difference(have, want)
	object := authz.Object{Type: authz.AssignRole}
	if organizationID != uuid.Nil {
		object = authz.Object{Type: authz.AssignOrgRole, OrganizationID: organizationID}
	}
	subject := subjectFrom(ctx)
	if len(added) > 0 && !subject.Can(authz.Assign, object) {
		return nil, forbidden("You may not hand out roles.")
	}
	if len(removed) > 0 && !subject.Can(authz.Unassign, object) {
		return nil, forbidden("You may not take roles away.")
	}
	if err := checkAssignable(ctx, "roles", organizationID, added); err != nil {
		return nil, err
	}
	for _, name := range removed {
		if knownRole(name, organizationID) && !subject.CanAssign(name, organizationID) {
			return nil, invalid("roles", "You may not take the role %q away.", name)
		}
	}
	return want, nil
}

// checkAssignable refuses roles that do not exist or that the caller may not hand out.
func checkAssignable(ctx context.Context, field string, organizationID uuid.UUID, names []string) error {
	for _, name := range names {
		switch {
		case strings.Contains(name, ":"):
			return invalid(field, "%q has a colon in it; give the bare name of the role.", name)
		case !knownRole(name, organizationID):
			return invalid(field, "There is no role %q that can be given here.", name)
		case !subjectFrom(ctx).CanAssign(name, organizationID):
			return invalid(field, "You may not hand out the role %q.", name)
		}
	}
	return nil
}

// knownRole leaves out the roles that everybody holds without being given them.
func knownRole(name string, organizationID uuid.UUID) bool {
	roles := authz.AssignableSiteRoles()
	if organizationID != uuid.Nil {
		roles = authz.AssignableOrganizationRoles(organizationID)
	}
	return slices.ContainsFunc(roles, func(r authz.Role) bool { return r.Name == name })
}

func difference(of, without []string) []string {
	return slices.DeleteFunc(slices.Clone(of), func(name string) bool { return slices.Contains(without, name) })
}

func assignableRoleResponses(ctx context.Context, organizationID uuid.UUID, roles []authz.Role) []client.AssignableRole {
	out := make([]client.AssignableRole, len(roles))
	for i, r := range roles {
		out[i] = client.AssignableRole{Role: roleResponse(r), Assignable: subjectFrom(ctx).CanAssign(r.Name, organizationID), BuiltIn: true}
	}
	return out
}

func roleResponse(r authz.Role) client.Role {
	out := client.Role{
		Name: r.Name, DisplayName: r.DisplayName, SitePermissions: permissionResponses(r.Site), UserPermissions: permissionResponses(r.User),
		OrganizationPermissions: permissionResponses(r.Organization), OrganizationMemberPermissions: permissionResponses(r.Member),
	}
	if r.OrganizationID != uuid.Nil {
		out.OrganizationID = &r.OrganizationID
	}
	return out
}

func permissionResponses(permissions []authz.Permission) []client.Permission {
	out := make([]client.Permission, len(permissions))
	for i, p := range permissions {
		out[i] = client.Permission{Negate: p.Negate, ResourceType: string(p.Resource), Action: string(p.Action)}
	}
	return out
}

func siteRoleResponses(names []string) []client.SlimRole {
	out := make([]client.SlimRole, len(names))
	for i, name := range names {
		role, _ := authz.SiteRole(name)
		out[i] = client.SlimRole{Name: name, DisplayName: role.DisplayName}
	}
	return out
}

func organizationRoleResponses(organizationID uuid.UUID, names []string) []client.SlimRole {
	out := make([]client.SlimRole, len(names))
	for i, name := range names {
		role, _ := authz.OrganizationRole(name, organizationID)
		out[i] = client.SlimRole{Name: name, DisplayName: role.DisplayName, OrganizationID: organizationID.String()}
	}
	return out
}
