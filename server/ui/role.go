package ui

import (
	"context"
	"net/http"
	"slices"

	"coder/client"
)

func (u *UI) roleRoutes(on *table) {
	on.list("/organizations/{organization}/roles", u.roles)
	on.page(get, "/organizations/{organization}/roles/new", u.newRoleForm)
	on.page(post, "/organizations/{organization}/roles/new", u.createRole)
	on.page(get, "/organizations/{organization}/roles/{role}", u.role)
	on.page(get, "/organizations/{organization}/roles/{role}/edit", u.roleForm)
	on.page(post, "/organizations/{organization}/roles/{role}/edit", u.changeRole)
	on.page(get, "/organizations/{organization}/roles/{role}/delete", u.deleteRoleForm)
	on.page(post, "/organizations/{organization}/roles/{role}/delete", u.deleteRole)
}

// roleTexts are the built-in roles in a sentence.
var roleTexts = map[string]string{
	client.RoleOwner:                      "May do everything in the deployment and in every organization.",
	client.RoleTemplateAdmin:              "Manages the templates and provisioners of every organization, and sees its workspaces.",
	client.RoleUserAdmin:                  "Makes users and manages their memberships, groups and ordinary roles, everywhere.",
	client.RoleAuditor:                    "Reads the audit log, and who and what there is, everywhere. Changes nothing.",
	client.RoleOrgAdmin:                   "May do everything in this organization, except to get into other people's workspaces.",
	"organization-user-admin":             "Adds and removes members, and manages groups. Hands out no administration.",
	"organization-template-admin":         "Manages templates and provisioners of the organization, and sees its workspaces.",
	"organization-auditor":                "Reads the organization's audit log, and who and what there is. Changes nothing.",
	"organization-workspace-creation-ban": "Takes away: no creating and no deleting of workspaces, whatever other roles allow.",
	client.RoleOrgWorkspaceAccess:         "Creates workspaces of their own, and uses them.",
}

// roleAbout explains a role in a sentence or two.
func roleAbout(r client.AssignableRole) string {
	if text, known := roleTexts[r.Name]; known && r.BuiltIn {
		return text
	}
	return "Made by this organization: " + plural(len(r.OrganizationPermissions), "permission") + "."
}

type rolesPage struct {
	organizationPage
	BuiltIn, Custom []client.AssignableRole
}

// About explains a role.
func (rolesPage) About(r client.AssignableRole) string { return roleAbout(r) }

func (u *UI) roles(ctx context.Context, v *visit) (reply, error) {
	p, err := v.organizationPage(ctx, "roles", "Roles")
	if err != nil {
		return nil, err
	}
	all, err := v.api.OrganizationRoles(ctx, p.Organization.Name)
	if err != nil {
		return nil, err
	}
	data := &rolesPage{organizationPage: p}
	for _, r := range all {
		if r.BuiltIn {
			data.BuiltIn = append(data.BuiltIn, r)
		} else {
			data.Custom = append(data.Custom, r)
		}
	}
	return show("roles.html", data), nil
}

type rolePage struct {
	organizationPage
	Role   client.AssignableRole
	About  string
	Scopes []roleScope
	Form   form
}

// roleScope is what a role allows, and where.
type roleScope struct {
	Title   string
	Allowed []resourceActions
	Denied  []resourceActions
}

// resourceActions is a row of a role's permissions.
type resourceActions struct {
	Resource, Title string
	Actions         []string
}

func (v *visit) rolePage(ctx context.Context) (*rolePage, error) {
	p, err := v.organizationPage(ctx, "roles", v.path("role"))
	if err != nil {
		return nil, err
	}
	all, err := v.api.OrganizationRoles(ctx, p.Organization.Name)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(r client.AssignableRole) bool { return r.Name == v.path("role") })
	if i < 0 {
		return nil, errNoPage
	}
	return &rolePage{organizationPage: p, Role: all[i], About: roleAbout(all[i]), Scopes: roleScopes(all[i].Role)}, nil
}

func roleScopes(r client.Role) []roleScope {
	var scopes []roleScope
	for _, s := range []struct {
		title       string
		permissions []client.Permission
	}{
		{"In the organization", r.OrganizationPermissions}, {"On what is their own in the organization", r.OrganizationMemberPermissions},
		{"In the deployment", r.SitePermissions}, {"On what is their own", r.UserPermissions},
	} {
		if len(s.permissions) > 0 {
			scopes = append(scopes, roleScope{s.title, byResource(s.permissions, false), byResource(s.permissions, true)})
		}
	}
	return scopes
}

// byResource gathers permissions, or denials, in rows.
func byResource(permissions []client.Permission, negate bool) []resourceActions {
	rows := map[string][]string{}
	for _, p := range permissions {
		if p.Negate == negate {
			rows[p.ResourceType] = append(rows[p.ResourceType], p.Action)
		}
	}
	out := make([]resourceActions, 0, len(rows))
	for resource, actions := range rows {
		slices.SortFunc(actions, compareActions)
		out = append(out, resourceActions{resource, resourceTitle(resource), actions})
	}
	slices.SortFunc(out, func(a, b resourceActions) int { return compareResources(a.Resource, b.Resource) })
	return out
}

func (u *UI) role(ctx context.Context, v *visit) (reply, error) {
	p, err := v.rolePage(ctx)
	if err != nil {
		return nil, err
	}
	return show("role.html", p), nil
}

func (v *visit) roleDeletePage(ctx context.Context) (*rolePage, error) {
	p, err := v.rolePage(ctx)
	if err != nil {
		return nil, err
	}
	if p.Role.BuiltIn || !p.rights["delete roles"] {
		return nil, &client.Error{StatusCode: http.StatusForbidden, Message: "This role cannot be deleted by you.", Detail: "Built-in roles always stay; others are deleted by an administrator."}
	}
	p.Form = confirmation(p.Role.Name)
	return p, nil
}

func (u *UI) deleteRoleForm(ctx context.Context, v *visit) (reply, error) {
	p, err := v.roleDeletePage(ctx)
	if err != nil {
		return nil, err
	}
	return show("role_delete.html", p), nil
}

func (u *UI) deleteRole(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := v.roleDeletePage(ctx)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	if err = p.Form.confirmed(p.Role.Name); err == nil {
		err = v.api.DeleteRole(ctx, p.Organization.Name, p.Role.Name)
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "role_delete.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: p.Path("roles"), said: "The role " + p.Role.Name + " was deleted, and taken from its members."}, nil
}
