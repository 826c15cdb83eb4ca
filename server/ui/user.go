package ui

import (
	"context"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
)

func (u *UI) userRoutes(on *table) {
	on.list("/users", u.users)
	on.page(get, "/users/new", u.newUserForm)
	on.page(post, "/users/new", u.createUser)
	on.page(get, "/users/{user}", u.user)
	on.page(post, "/users/{user}/profile", u.changeUserProfile)
	on.page(post, "/users/{user}/roles", u.changeUserRoles)
	on.page(post, "/users/{user}/password", u.changeUserPassword)
	on.page(post, "/users/{user}/status", u.changeUserStatus)
	on.page(get, "/users/{user}/delete", u.deleteUserForm)
	on.page(post, "/users/{user}/delete", u.deleteUser)
}

// userPath is the address of a page of a user.
func userPath(name string, parts ...string) string {
	path := "/users/" + url.PathEscape(name)
	for _, part := range parts {
		path += "/" + part
	}
	return path
}

type usersPage struct {
	page
	Users   []client.User
	Query   string
	Status  string
	Pager   pager
	Problem string
}

func (u *UI) users(ctx context.Context, v *visit) (reply, error) {
	p, err := v.page(ctx, "Users", checks{"create users": onSite("create", "user")})
	if err != nil {
		return nil, err
	}
	if !p.rights["read users"] {
		return nil, &client.Error{StatusCode: http.StatusForbidden, Message: "You may not read the users of this deployment.", Detail: "Members of your organizations are on the organizations' pages."}
	}
	data := &usersPage{page: p, Query: strings.TrimSpace(v.query("q")), Status: v.query("status")}
	q := data.Query
	if data.Status != "" {
		q += " status:" + data.Status
	}
	offset := v.offset()
	found, err := v.api.Users(ctx, client.UsersRequest{Query: q, Page: client.Page{Limit: listed, Offset: offset}})
	if client.StatusCode(err) == http.StatusBadRequest {
		data.Problem = refusalText(err)
		return showAs(http.StatusBadRequest, "users.html", data), nil
	}
	if err != nil {
		return nil, err
	}
	data.Users, data.Pager = found.Users, v.pager(offset, len(found.Users), found.Count)
	return show("users.html", data), nil
}

// Rows are those of the table.
func (p *usersPage) Rows() template.HTML {
	m := rowsOf(len(p.Users))
	for i := range p.Users {
		u := &p.Users[i]
		m.put("<tr>\n")
		m.person(userPath(u.Username), u.Username, u.Name, u.Email)
		m.put("<td>%</td>\n<td>", pill(u.Status))
		m.roles(u.Roles)
		m.put(`</td>
<td class="right" data-label="Organizations">%</td>
<td class="nowrap" data-label="Last seen">%</td>
</tr>
`, len(u.OrganizationIDs), p.since(u.LastSeenAt))
	}
	return m.html()
}

// onUser asks what the person at the browser may do to a user.
func onUser(id uuid.UUID, action string) client.AuthorizationCheck {
	return client.AuthorizationCheck{Action: action, Object: client.AuthorizationObject{ResourceType: "user", ResourceID: id.String(), OwnerID: id.String()}}
}

// joinable asks into which organizations the person at the browser may bring
// somebody.
func (v *visit) joinable(ctx context.Context) ([]client.Organization, error) {
	all, err := v.api.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	asked := checks{}
	for _, o := range all {
		asked[o.ID.String()] = inOrganization(o.ID, "create", "organization_member")
	}
	allowed, err := v.api.AuthCheck(ctx, client.AuthorizationRequest{Checks: asked})
	return slices.DeleteFunc(all, func(o client.Organization) bool { return !allowed[o.ID.String()] }), err
}

func newUserFields(organizations []client.Organization) form {
	join := field{Name: "organization_ids", Label: "Organizations", Kind: kindChecks, Required: true, Hint: "Where the user is a member from the start. Roles are given on the member's page."}
	for _, o := range organizations {
		join.Options = append(join.Options, fieldOption{Value: o.ID.String(), Label: roleLabel(o.Name, o.DisplayName)})
	}
	if len(organizations) == 1 {
		join.Values = []string{organizations[0].ID.String()}
	}
	return form{Fields: []field{
		{Name: "username", Label: "Username", Required: true, MaxLength: 32, Autofocus: true, Hint: "Letters, digits and single hyphens. It is part of the addresses of their workspaces."},
		{Name: "email", Label: "Email", Kind: "email", Required: true, MaxLength: 254, Hint: "They sign in with it."},
		{Name: "name", Label: "Full name", MaxLength: 128, Hint: "Optional."},
		{Name: "password", Label: "Password", Kind: "password", Required: true, MaxLength: 64, Autocomplete: "new-password", Hint: "Hand it over yourself: no email is sent. They change it on their account page."},
		join,
	}}
}

type userFormPage struct {
	page
	Form form
}

func (v *visit) newUserPage(ctx context.Context) (*userFormPage, error) {
	p, err := v.page(ctx, "New user", checks{"create users": onSite("create", "user")})
	if err != nil {
		return nil, err
	}
	if !p.rights["create users"] {
		return nil, errNotAllowed("users")
	}
	organizations, err := v.joinable(ctx)
	return &userFormPage{p, newUserFields(organizations)}, err
}

func (u *UI) newUserForm(ctx context.Context, v *visit) (reply, error) {
	p, err := v.newUserPage(ctx)
	if err != nil {
		return nil, err
	}
	return show("user_new.html", p), nil
}

func (u *UI) createUser(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := v.newUserPage(ctx)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	req := client.CreateUserRequest{Username: p.Form.value("username"), Email: p.Form.value("email"), Name: p.Form.value("name"), Password: p.Form.value("password")}
	for _, text := range p.Form.values("organization_ids") {
		id, err := uuid.Parse(text)
		if err != nil {
			return nil, badField("organization_ids", "This is no organization.")
		}
		req.OrganizationIDs = append(req.OrganizationIDs, id)
	}
	user, err := v.api.CreateUser(ctx, req)
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "user_new.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: userPath(user.Username), said: "The user " + user.Username + " was created. Tell them their password."}, nil
}

type userPage struct {
	page
	User          client.User
	Organizations []client.Organization
	// Profile, Roles and Password are the page's forms.
	Profile, Roles, Password form
	// Own is the page of whoever looks.
	Own bool
}

// Path is the address of a page of the user.
func (p userPage) Path(parts ...string) string { return userPath(p.User.Username, parts...) }

func (v *visit) userPage(ctx context.Context) (*userPage, error) {
	user, err := v.api.User(ctx, v.path("user"))
	if err != nil {
		return nil, err
	}
	p, err := v.page(ctx, user.Username, checks{
		"change user": onUser(user.ID, "update"), "change profile": onUser(user.ID, "update_personal"), "delete user": onUser(user.ID, "delete"),
		"assign site roles": onSite("assign", "assign_role"),
	})
	if err != nil {
		return nil, err
	}
	data := &userPage{page: p, User: user, Own: user.ID == p.Viewer.ID}
	if data.Organizations, err = v.api.UserOrganizations(ctx, user.ID.String()); err != nil {
		return nil, err
	}
	roles, err := v.api.SiteRoles(ctx)
	if err != nil {
		return nil, err
	}
	data.Profile, data.Password = profileFields(user, p.rights["change user"]), newPasswordFields()
	data.Roles = siteRoleFields(user, roles, data.MayAssign())
	return data, nil
}

// MayAssign tells whether roles of the deployment can be given to the user.
func (p userPage) MayAssign() bool { return !p.Own && p.rights["assign site roles"] }

// MaySuspend tells whether the user's status can be changed; an owner's cannot.
func (p userPage) MaySuspend() bool {
	return !p.Own && p.rights["change user"] && !slices.Contains(roleNames(p.User.Roles), client.RoleOwner)
}

func profileFields(user client.User, mayRename bool) form {
	f := form{Fields: []field{
		{Name: "username", Label: "Username", Value: user.Username, Required: true, MaxLength: 32, ReadOnly: !mayRename, Autocomplete: "username", Hint: "A new one changes the addresses of the workspaces: old links stop working."},
		{Name: "name", Label: "Full name", Value: user.Name, MaxLength: 128, Autocomplete: "name"},
	}}
	if !mayRename {
		f.Fields[0].Hint = "It is changed by an administrator of users."
	}
	return f
}

func newPasswordFields() form {
	return form{Fields: []field{
		{Name: "password", Label: "New password", Kind: "password", Required: true, MaxLength: 64, Autocomplete: "new-password", Hint: "Every session and token of the user ends."},
	}}
}

func siteRoleFields(user client.User, roles []client.AssignableRole, mayAssign bool) form {
	q := field{Name: "roles", Label: "Roles of the deployment", Kind: kindChecks, ReadOnly: !mayAssign, Values: roleNames(user.Roles), Hint: "They hold in every organization. Roles within one are given on the member's page."}
	for _, r := range roles {
		o := fieldOption{Value: r.Name, Label: roleLabel(r.Name, r.DisplayName), Hint: roleAbout(r), Disabled: !r.Assignable}
		if mayAssign && !r.Assignable {
			o.Hint += " You may not hand out this one, or take it away."
		}
		q.Options = append(q.Options, o)
	}
	return form{Fields: []field{q}}.guarded(user.UpdatedAt)
}

func (u *UI) user(ctx context.Context, v *visit) (reply, error) {
	p, err := v.userPage(ctx)
	if err != nil {
		return nil, err
	}
	return show("user.html", p), nil
}

// changed answers for a form on the user's page: with the page and what is
// wrong, or with the user's page again.
func (p *userPage) changed(f *form, err error, username, said string) (reply, error) {
	if status, ok := f.refused(err); ok {
		return showAs(status, "user.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: userPath(username), said: said}, nil
}

// postedOnUser reads what was sent, and loads the page that it was on.
func (v *visit) postedOnUser(ctx context.Context) (*userPage, url.Values, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, nil, err
	}
	p, err := v.userPage(ctx)
	return p, values, err
}

func (u *UI) changeUserProfile(ctx context.Context, v *visit) (reply, error) {
	p, values, err := v.postedOnUser(ctx)
	if err != nil {
		return nil, err
	}
	p.Profile.read(values)
	user, err := v.api.UpdateUserProfile(ctx, p.User.ID.String(), client.UpdateUserProfileRequest{Username: p.Profile.value("username"), Name: p.Profile.value("name")})
	return p.changed(&p.Profile, err, user.Username, "The profile was saved.")
}

func (u *UI) changeUserRoles(ctx context.Context, v *visit) (reply, error) {
	p, values, err := v.postedOnUser(ctx)
	if err != nil {
		return nil, err
	}
	p.Roles.read(values)
	if err = p.Roles.stale(); err == nil {
		_, err = v.api.UpdateUserRoles(ctx, p.User.ID.String(), client.UpdateRolesRequest{Roles: p.Roles.chosenRoles(roleNames(p.User.Roles))})
	}
	return p.changed(&p.Roles, err, p.User.Username, "The roles of "+p.User.Username+" were saved. They hold from the next request on.")
}

func (u *UI) changeUserPassword(ctx context.Context, v *visit) (reply, error) {
	p, values, err := v.postedOnUser(ctx)
	if err != nil {
		return nil, err
	}
	p.Password.read(values)
	err = v.api.UpdateUserPassword(ctx, p.User.ID.String(), client.UpdateUserPasswordRequest{Password: p.Password.value("password")})
	return p.changed(&p.Password, err, p.User.Username, "The password of "+p.User.Username+" was changed, and all their sessions have ended.")
}

// changeUserStatus suspends or activates.
func (u *UI) changeUserStatus(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	name := v.path("user")
	switch values.Get("status") {
	case client.UserSuspended:
		_, err = v.api.SuspendUser(ctx, name)
		return redirect{to: userPath(name), said: name + " is suspended: their sessions have ended, and they cannot sign in."}, err
	case client.UserActive:
		_, err = v.api.ActivateUser(ctx, name)
		return redirect{to: userPath(name), said: name + " is active again, and can sign in."}, err
	}
	return nil, &client.Error{StatusCode: http.StatusBadRequest, Message: "Choose to suspend or to activate."}
}

type userDeletePage struct {
	page
	User client.User
	// Workspaces stand in the way: nobody deletes what they cannot see, so the
	// list may be shorter than the count that the API refuses with.
	Workspaces []client.Workspace
	Form       form
}

// Path is the address of a page of the user.
func (p userDeletePage) Path(parts ...string) string { return userPath(p.User.Username, parts...) }

// Address is that of a workspace's page.
func (userDeletePage) Address(w client.Workspace) string { return workspacePath(w.OwnerName, w.Name) }

func (v *visit) userDeletePage(ctx context.Context) (*userDeletePage, error) {
	user, err := v.api.User(ctx, v.path("user"))
	if err != nil {
		return nil, err
	}
	p, err := v.page(ctx, "Delete "+user.Username)
	if err != nil {
		return nil, err
	}
	if user.ID == p.Viewer.ID {
		return nil, &client.Error{StatusCode: http.StatusForbidden, Message: "You cannot delete yourself.", Detail: "Ask another owner of the deployment."}
	}
	owned, err := v.api.Workspaces(ctx, client.WorkspacesRequest{Query: "owner:" + user.Username, Page: client.Page{Limit: listed}})
	if err != nil {
		return nil, err
	}
	return &userDeletePage{page: p, User: user, Workspaces: owned.Workspaces, Form: confirmation(user.Username)}, nil
}

func (u *UI) deleteUserForm(ctx context.Context, v *visit) (reply, error) {
	p, err := v.userDeletePage(ctx)
	if err != nil {
		return nil, err
	}
	return show("user_delete.html", p), nil
}

func (u *UI) deleteUser(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := v.userDeletePage(ctx)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	if err = p.Form.confirmed(p.User.Username); err == nil {
		err = v.api.DeleteUser(ctx, p.User.ID.String())
	}
	if client.StatusCode(err) == http.StatusExpectationFailed {
		p.Form.Problem = refusalText(err)
		return showAs(http.StatusConflict, "user_delete.html", p), nil
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "user_delete.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: "/users", said: "The user " + p.User.Username + " was deleted."}, nil
}
