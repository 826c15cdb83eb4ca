package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

type RolePath struct {
	OrganizationPath
	Role string `path:"role"`
}

type customRoleInput struct {
	OrganizationPath
	Body client.CustomRoleRequest
}

func (a *api) listSiteRoles(ctx context.Context, _ *struct{}) (*output[[]client.AssignableRole], error) {
	return reply(assignableRoleResponses(ctx, uuid.Nil, authz.AssignableSiteRoles())), nil
}

func (a *api) listOrganizationRoles(ctx context.Context, _ *OrganizationPath) (*output[[]client.AssignableRole], error) {
	id := organizationFrom(ctx).ID
	custom, err := a.customRoles(ctx, id)
	if err != nil {
		return nil, err
	}
	roles := authz.AssignableOrganizationRoles(id)
	for _, name := range slices.Sorted(maps.Keys(custom)) {
		roles = append(roles, custom[name])
	}
	return reply(assignableRoleResponses(ctx, id, roles)), nil
}

func (a *api) createRole(ctx context.Context, in *customRoleInput) (*output[client.Role], error) {
	org := organizationFrom(ctx)
	if err := checkName("name", client.NameRole, in.Body.Name); err != nil {
		return nil, err
	}
	permissions, err := grantable(ctx, org.ID, in.Body)
	if err != nil {
		return nil, err
	}
	at := store.At(a.now())
	var row store.CustomRole
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		row, err = tx.InsertCustomRole(ctx, store.InsertCustomRoleParams{
			OrganizationID: org.ID, Name: in.Body.Name, DisplayName: in.Body.DisplayName, Permissions: store.JSON(permissions), CreatedAt: at, UpdatedAt: at,
		})
		if err != nil {
			return err
		}
		return a.audit(ctx, tx, roleChanged(client.AuditCreate, nil, &row))
	})
	if store.IsConflict(err) {
		return nil, invalid("name", "There is a role %q already; choose another name, or change it with PUT.", in.Body.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("make a role: %w", err)
	}
	return roleReply(row)
}

func (a *api) updateRole(ctx context.Context, in *customRoleInput) (*output[client.Role], error) {
	org := organizationFrom(ctx)
	if authz.IsBuiltIn(in.Body.Name) {
		return nil, invalid("name", "%q is a built-in role, which cannot be changed.", in.Body.Name)
	}
	old, err := a.store.GetCustomRole(ctx, store.GetCustomRoleParams{OrganizationID: org.ID, Name: in.Body.Name})
	if err != nil {
		return nil, err
	}
	in.Body.OrganizationPermissions = slices.DeleteFunc(in.Body.OrganizationPermissions, func(p client.Permission) bool { return !known(p) && !wild(p) })
	permissions, err := grantable(ctx, org.ID, in.Body)
	if err != nil {
		return nil, err
	}
	var row store.CustomRole
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		row, err = tx.UpdateCustomRole(ctx, store.UpdateCustomRoleParams{
			OrganizationID: org.ID, Name: in.Body.Name, DisplayName: in.Body.DisplayName, Permissions: store.JSON(permissions), UpdatedAt: store.At(a.now()),
		})
		if err != nil {
			return err
		}
		return a.audit(ctx, tx, roleChanged(client.AuditWrite, &old, &row))
	})
	if err != nil {
		return nil, fmt.Errorf("change a role: %w", err)
	}
	return roleReply(row)
}

// deleteRole takes the role from its members too, so that a later role of the
// same name is not theirs without anybody giving it to them.
func (a *api) deleteRole(ctx context.Context, in *RolePath) (*empty, error) {
	org := organizationFrom(ctx)
	if authz.IsBuiltIn(in.Role) {
		return nil, badRequest(fmt.Sprintf("%q is a built-in role, which cannot be deleted.", in.Role))
	}
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		role, err := tx.GetCustomRole(ctx, store.GetCustomRoleParams{OrganizationID: org.ID, Name: in.Role})
		if err != nil {
			return err
		}
		deleted, err := tx.DeleteCustomRole(ctx, store.DeleteCustomRoleParams{OrganizationID: org.ID, Name: in.Role})
		if err != nil {
			return err
		}
		if deleted == 0 {
			return errNotFound()
		}
		if err := a.takeRole(ctx, tx, org.ID, in.Role); err != nil {
			return err
		}
		return a.audit(ctx, tx, roleChanged(client.AuditDelete, &role, nil))
	})
	if err != nil {
		return nil, err
	}
	return &empty{}, nil
}

func (a *api) takeRole(ctx context.Context, tx *store.Store, organizationID uuid.UUID, name string) error {
	members, err := tx.ListMembersWithRole(ctx, store.ListMembersWithRoleParams{OrganizationID: organizationID, Role: name})
	if err != nil {
		return err
	}
	for _, m := range members {
		after, err := tx.UpdateMemberRoles(ctx, store.UpdateMemberRolesParams{
			OrganizationID: organizationID, UserID: m.UserID, Roles: difference(m.Roles, []string{name}), UpdatedAt: store.At(a.now()),
		})
		if err != nil {
			return err
		}
		user, err := tx.GetUserIncludingDeleted(ctx, m.UserID)
		if err != nil {
			return err
		}
		if err := a.audit(ctx, tx, memberChanged(m, after, user)); err != nil {
			return err
		}
	}
	return nil
}

// grantable returns a custom role's permissions when they are of the kind
// that it may have and the caller holds every one of them: section 5.3 of the
// reference.
func grantable(ctx context.Context, organizationID uuid.UUID, req client.CustomRoleRequest) ([]client.Permission, error) {
	if authz.IsBuiltIn(req.Name) {
		return nil, invalid("name", "%q is the name of a built-in role; choose another.", req.Name)
	}
	if err := checkName("display_name", client.NameDisplay, req.DisplayName); err != nil {
		return nil, err
	}
	for field, permissions := range map[string][]client.Permission{
		"site_permissions": req.SitePermissions, "user_permissions": req.UserPermissions, "organization_member_permissions": req.OrganizationMemberPermissions,
	} {
		if len(permissions) > 0 {
			return nil, invalid(field, "A custom role has organization_permissions only.")
		}
	}
	granted := []client.Permission{}
	for _, p := range req.OrganizationPermissions {
		if err := checkGrant(ctx, organizationID, p); err != nil {
			return nil, err
		}
		if !slices.Contains(granted, p) {
			granted = append(granted, p)
		}
	}
	return granted, nil
}

func checkGrant(ctx context.Context, organizationID uuid.UUID, p client.Permission) error {
	const field = "organization_permissions"
	name := p.ResourceType + ":" + p.Action
	switch {
	case p.Negate:
		return invalid(field, "%s: a custom role can only allow; negate is for built-in roles.", name)
	case wild(p):
		return invalid(field, "%s: name every resource type and action; * is for built-in roles.", name)
	case !known(p):
		return invalid(field, "%s: there is no such resource type, or it has no such action.", name)
	case !subjectFrom(ctx).Can(authz.Action(p.Action), authz.Object{Type: authz.Resource(p.ResourceType), OrganizationID: organizationID}):
		return invalid(field, "%s: you do not hold this permission in the organization, so you cannot grant it.", name)
	}
	return nil
}

func wild(p client.Permission) bool { return p.ResourceType == authz.Star || p.Action == authz.Star }

func known(p client.Permission) bool {
	return slices.Contains(authz.Actions[authz.Resource(p.ResourceType)], authz.Action(p.Action))
}

// customRoles are the roles that an organization made for itself, by name.
func (a *api) customRoles(ctx context.Context, organizationID uuid.UUID) (map[string]authz.Role, error) {
	rows, err := a.store.ListCustomRoles(ctx, organizationID)
	if err != nil {
		return nil, err
	}
	return rolesByName(rows)
}

// customRolesOfUser are those that count for a user's memberships, by
// organization. Where all roles that the user holds are built in, nothing is read.
func (a *api) customRolesOfUser(ctx context.Context, s *store.Store, userID uuid.UUID, held []string) (map[uuid.UUID]map[string]authz.Role, error) {
	if allBuiltIn(held) {
		return nil, nil
	}
	rows, err := s.ListCustomRolesOfUser(ctx, userID)
	if err != nil {
		return nil, err
	}
	byOrganization := map[uuid.UUID][]store.CustomRole{}
	for _, row := range rows {
		byOrganization[row.OrganizationID] = append(byOrganization[row.OrganizationID], row)
	}
	out := map[uuid.UUID]map[string]authz.Role{}
	for id, rows := range byOrganization {
		if out[id], err = rolesByName(rows); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func allBuiltIn(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return !authz.IsBuiltIn(name) })
}

func rolesByName(rows []store.CustomRole) (map[string]authz.Role, error) {
	out := make(map[string]authz.Role, len(rows))
	for _, row := range rows {
		role, err := customRole(row)
		if err != nil {
			return nil, err
		}
		out[row.Name] = role
	}
	return out, nil
}

func customRole(row store.CustomRole) (authz.Role, error) {
	stored, err := decode[[]client.Permission](row.Permissions, "permissions of a role")
	if err != nil {
		return authz.Role{}, err
	}
	permissions := make([]authz.Permission, len(stored))
	for i, p := range stored {
		permissions[i] = authz.Permission{Resource: authz.Resource(p.ResourceType), Action: authz.Action(p.Action)}
	}
	return authz.CustomRole(row.OrganizationID, row.Name, row.DisplayName, permissions), nil
}

func roleReply(row store.CustomRole) (*output[client.Role], error) {
	role, err := customRole(row)
	if err != nil {
		return nil, err
	}
	return reply(roleResponse(role)), nil
}

// checkRoleChange returns the wanted roles, sorted and without repeats, when
// the caller may hand out those that are new and take away those that go. A
// zero organization means roles of the deployment.
func (a *api) checkRoleChange(ctx context.Context, organizationID uuid.UUID, have, want []string) ([]string, error) {
	want = slices.Sorted(slices.Values(want))
	want = slices.Compact(want)
	added := difference(want, have)
	removed := difference(have, want)
	object := authz.Object{Type: authz.AssignRole}
	if organizationID != uuid.Nil {
		object = authz.Object{Type: authz.AssignOrgRole, OrganizationID: organizationID}
	}
	subject := subjectFrom(ctx)
	if err := refuseNarrowed(ctx, "roles are handed out and taken away by who is signed in"); err != nil && len(added)+len(removed) > 0 {
		return nil, err
	}
	if len(added) > 0 && !subject.Can(authz.Assign, object) {
		return nil, forbidden("You may not hand out roles.")
	}
	if len(removed) > 0 && !subject.Can(authz.Unassign, object) {
		return nil, forbidden("You may not take roles away.")
	}
	if err := a.checkAssignable(ctx, "roles", organizationID, added); err != nil {
		return nil, err
	}
	for _, name := range removed {
		if !subject.CanAssign(name, organizationID) {
			return nil, invalid("roles", "You may not take the role %q away.", name)
		}
	}
	return want, nil
}

// checkAssignable refuses roles that do not exist or that the caller may not hand out.
func (a *api) checkAssignable(ctx context.Context, field string, organizationID uuid.UUID, names []string) error {
	if err := refuseNarrowed(ctx, "roles are handed out by who is signed in"); err != nil && len(names) > 0 {
		return err
	}
	for _, name := range names {
		known, err := a.knownRole(ctx, name, organizationID)
		if err != nil {
			return err
		}
		switch {
		case strings.Contains(name, ":"):
			return invalid(field, "%q has a colon in it; give the bare name of the role.", name)
		case !known:
			return invalid(field, "There is no role %q that can be given here.", name)
		case !subjectFrom(ctx).CanAssign(name, organizationID):
			return invalid(field, "You may not hand out the role %q.", name)
		}
	}
	return nil
}

// knownRole leaves out the roles that everybody holds without being given them.
func (a *api) knownRole(ctx context.Context, name string, organizationID uuid.UUID) (bool, error) {
	roles := authz.AssignableSiteRoles()
	if organizationID != uuid.Nil {
		roles = authz.AssignableOrganizationRoles(organizationID)
	}
	if slices.ContainsFunc(roles, func(r authz.Role) bool { return r.Name == name }) {
		return true, nil
	}
	if organizationID == uuid.Nil || authz.IsBuiltIn(name) {
		return false, nil
	}
	_, err := a.store.GetCustomRole(ctx, store.GetCustomRoleParams{OrganizationID: organizationID, Name: name})
	if store.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

func difference(of, without []string) []string {
	return slices.DeleteFunc(slices.Clone(of), func(name string) bool { return slices.Contains(without, name) })
}

func assignableRoleResponses(ctx context.Context, organizationID uuid.UUID, roles []authz.Role) []client.AssignableRole {
	out := make([]client.AssignableRole, len(roles))
	for i, r := range roles {
		out[i] = client.AssignableRole{Role: roleResponse(r), Assignable: subjectFrom(ctx).CanAssign(r.Name, organizationID), BuiltIn: authz.IsBuiltIn(r.Name)}
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

func organizationRoleResponses(organizationID uuid.UUID, names []string, custom map[string]authz.Role) []client.SlimRole {
	out := make([]client.SlimRole, len(names))
	for i, name := range names {
		role, builtIn := authz.OrganizationRole(name, organizationID)
		if !builtIn {
			role = custom[name]
		}
		out[i] = client.SlimRole{Name: name, DisplayName: role.DisplayName, OrganizationID: organizationID.String()}
	}
	return out
}
