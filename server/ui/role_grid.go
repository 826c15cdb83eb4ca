package ui

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"coder/client"
)

// commonResources are what roles of an organization are mostly about, in the
// order in which they are shown; others follow by name.
var commonResources = []string{
	"workspace", "workspace_dormant", "template", "provisioner_daemon", "provisioner_jobs", "organization_member", "assign_org_role",
	"group", "group_member", "organization", "audit_log", "file", "api_key",
}

// resourceTitles are what people call some kinds of things.
var resourceTitles = map[string]string{
	"workspace_dormant": "dormant workspace", "provisioner_daemon": "provisioner", "provisioner_jobs": "provisioner job", "assign_org_role": "role",
	"organization_member": "member", "file": "upload", "api_key": "API token", "idpsync_settings": "identity provider", "assign_role": "role of the deployment",
}

// resourceTitle begins with a capital, as what stands first in a row does.
func resourceTitle(resource string) string {
	title := cmp.Or(resourceTitles[resource], words(resource))
	return strings.ToUpper(title[:1]) + title[1:]
}

// resourceTexts are kinds of things whose name does not say what they are.
var resourceTexts = map[string]string{
	"workspace_dormant":  "Rest until somebody wakes them",
	"provisioner_daemon": "And their keys",
	"provisioner_jobs":   "The queue of builds and imports",
	"assign_org_role":    "Of the organization",
	"group_member":       "Who is in a group",
	"file":               "Archives of templates",
	"prebuilt_workspace": "Workspaces built ahead",
	"idpsync_settings":   "Synchronization with an identity provider",
}

// gridActions are the columns of the grid; other actions share the last one.
var gridActions = []string{"create", "read", "update", "delete"}

// rankIn is the place in a list, after all for what is not in it.
func rankIn(list []string, item string) int {
	if i := slices.Index(list, item); i >= 0 {
		return i
	}
	return len(list)
}

func compareActions(a, b string) int {
	return cmp.Or(cmp.Compare(rankIn(gridActions, a), rankIn(gridActions, b)), cmp.Compare(a, b))
}

func compareResources(a, b string) int {
	return cmp.Or(cmp.Compare(rankIn(commonResources, a), rankIn(commonResources, b)), cmp.Compare(a, b))
}

// gridRow is a resource with its actions; an action that it has not is empty.
type gridRow struct {
	Resource, Title, About string
	Columns                []gridBox
	More                   []gridBox
}

// gridBox is one permission to tick.
type gridBox struct {
	Action, Value string
	Ticked        bool
	// Held says that the person at the browser has it, and so may grant it.
	Held bool
}

// Disabled tells whether the box cannot be ticked. One that is ticked already
// can be cleared by anybody who may change the role.
func (b gridBox) Disabled() bool { return !b.Held && !b.Ticked }

type roleFormPage struct {
	organizationPage
	// Role is nil for a new one.
	Role         *client.AssignableRole
	Form         form
	Common, Rest []gridRow
	// Foreign says that the role has what its editor does not hold.
	Foreign bool
}

// Crowded tells whether a box below the fold is ticked.
func (p roleFormPage) Crowded() bool {
	return slices.ContainsFunc(p.Rest, func(r gridRow) bool {
		return slices.ContainsFunc(slices.Concat(r.Columns, r.More), func(b gridBox) bool { return b.Ticked })
	})
}

func roleFields(r client.Role) form {
	return form{Fields: []field{
		{Name: "name", Label: "Name", Value: r.Name, Required: true, MaxLength: 64, Autofocus: r.Name == "", ReadOnly: r.Name != "", Hint: "Letters, digits and single hyphens. It cannot be changed later."},
		{Name: "display_name", Label: "Display name", Value: r.DisplayName, MaxLength: 64, Hint: "What people read; the name when empty."},
	}}
}

// roleFormPage loads what a role could grant and what its author holds.
func (v *visit) roleFormPage(ctx context.Context, title string) (*roleFormPage, map[string]bool, error) {
	p, err := v.organizationPage(ctx, "roles", title)
	if err != nil {
		return nil, nil, err
	}
	all, err := v.api.OrganizationRoles(ctx, p.Organization.Name)
	if err != nil {
		return nil, nil, err
	}
	held, err := v.heldPermissions(ctx, p, all)
	if err != nil {
		return nil, nil, err
	}
	data := &roleFormPage{organizationPage: p}
	if i := slices.IndexFunc(all, func(r client.AssignableRole) bool { return r.Name == v.path("role") }); i >= 0 {
		data.Role = &all[i]
	}
	return data, held, nil
}

// heldPermissions are all that a role of an organization can grant, and
// whether the person at the browser holds it there.
func (v *visit) heldPermissions(ctx context.Context, p organizationPage, roles []client.AssignableRole) (map[string]bool, error) {
	site, err := v.api.SiteRoles(ctx)
	if err != nil {
		return nil, err
	}
	asked := checks{}
	for _, r := range append(slices.Clone(roles), site...) {
		if !r.BuiltIn || r.Name != client.RoleOrgAdmin && r.Name != client.RoleOwner {
			continue
		}
		for _, q := range slices.Concat(r.OrganizationPermissions, r.SitePermissions) {
			asked[permissionKey(q)] = inOrganization(p.Organization.ID, q.Action, q.ResourceType)
		}
	}
	return v.api.AuthCheck(ctx, client.AuthorizationRequest{Checks: asked})
}

func permissionKey(p client.Permission) string { return p.ResourceType + ":" + p.Action }

func splitPermission(key string) (resource, action string) {
	resource, action, _ = strings.Cut(key, ":")
	return resource, action
}

// lay puts the permissions in rows; ticked are those that the role has.
func (p *roleFormPage) lay(held map[string]bool, ticked []string) {
	rows := map[string]*gridRow{}
	for key := range held {
		resource, action := splitPermission(key)
		r, known := rows[resource]
		if !known {
			r = &gridRow{Resource: resource, Title: resourceTitle(resource), About: resourceTexts[resource], Columns: make([]gridBox, len(gridActions))}
			rows[resource] = r
		}
		box := gridBox{Action: action, Value: key, Ticked: slices.Contains(ticked, key), Held: held[key]}
		p.Foreign = p.Foreign || box.Ticked && !box.Held
		if i := slices.Index(gridActions, action); i >= 0 {
			r.Columns[i] = box
		} else {
			r.More = append(r.More, box)
		}
	}
	p.Common, p.Rest = nil, nil
	for _, resource := range slices.SortedFunc(maps.Keys(rows), compareResources) {
		r := rows[resource]
		slices.SortFunc(r.More, func(a, b gridBox) int { return cmp.Compare(a.Action, b.Action) })
		if slices.Contains(commonResources, resource) {
			p.Common = append(p.Common, *r)
		} else {
			p.Rest = append(p.Rest, *r)
		}
	}
}

// request is what the form asks for.
func (p *roleFormPage) request(values url.Values) client.CustomRoleRequest {
	req := client.CustomRoleRequest{
		Name: p.Form.value("name"), DisplayName: p.Form.value("display_name"),
		SitePermissions: []client.Permission{}, UserPermissions: []client.Permission{}, OrganizationPermissions: []client.Permission{},
	}
	for _, key := range values["permission"] {
		resource, action := splitPermission(key)
		req.OrganizationPermissions = append(req.OrganizationPermissions, client.Permission{ResourceType: resource, Action: action})
	}
	return req
}

func (u *UI) newRoleForm(ctx context.Context, v *visit) (reply, error) {
	p, held, err := v.roleFormPage(ctx, "New role")
	if err != nil {
		return nil, err
	}
	if !p.rights["create roles"] {
		return nil, errNotAllowed("roles")
	}
	p.Form = roleFields(client.Role{})
	p.lay(held, nil)
	return show("role_edit.html", p), nil
}

func (u *UI) createRole(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, held, err := v.roleFormPage(ctx, "New role")
	if err != nil {
		return nil, err
	}
	p.Role, p.Form = nil, roleFields(client.Role{})
	p.Form.read(values)
	r, err := v.api.CreateRole(ctx, p.Organization.Name, p.request(values))
	if status, ok := p.Form.refused(err); ok {
		p.lay(held, values["permission"])
		return showAs(status, "role_edit.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: p.Path("roles", r.Name), said: "The role " + r.Name + " was created. Give it to members on their pages."}, nil
}

// roleToEdit is the form of a role that the organization made.
func (v *visit) roleToEdit(ctx context.Context) (*roleFormPage, map[string]bool, error) {
	p, held, err := v.roleFormPage(ctx, v.path("role"))
	if err != nil {
		return nil, nil, err
	}
	if p.Role == nil {
		return nil, nil, errNoPage
	}
	if p.Role.BuiltIn || !p.rights["change roles"] {
		return nil, nil, &client.Error{StatusCode: http.StatusForbidden, Message: "This role cannot be changed by you.", Detail: "Built-in roles are the same everywhere; others are changed by an administrator."}
	}
	p.Form = roleFields(p.Role.Role).guardedByContent(slices.Sorted(slices.Values(permissionKeys(p.Role.OrganizationPermissions)))...)
	return p, held, nil
}

func (u *UI) roleForm(ctx context.Context, v *visit) (reply, error) {
	p, held, err := v.roleToEdit(ctx)
	if err != nil {
		return nil, err
	}
	p.lay(held, permissionKeys(p.Role.OrganizationPermissions))
	return show("role_edit.html", p), nil
}

func (u *UI) changeRole(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, held, err := v.roleToEdit(ctx)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	if err = p.Form.stale(); err == nil {
		_, err = v.api.UpdateRole(ctx, p.Organization.Name, p.request(values))
	}
	if status, ok := p.Form.refused(err); ok {
		p.lay(held, values["permission"])
		return showAs(status, "role_edit.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: p.Path("roles", p.Role.Name), said: "The role " + p.Role.Name + " was saved. It holds from the next request of its members on."}, nil
}

func permissionKeys(permissions []client.Permission) []string {
	keys := make([]string, len(permissions))
	for i, p := range permissions {
		keys[i] = permissionKey(p)
	}
	return keys
}
