package ui

import (
	"cmp"
	"context"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"coder/client"
)

func (u *UI) memberRoutes(on *table) {
	on.list("/organizations/{organization}/members", u.members)
	on.page(post, "/organizations/{organization}/members", u.addMember)
	on.page(get, "/organizations/{organization}/members/{user}", u.member)
	on.page(post, "/organizations/{organization}/members/{user}", u.changeMemberRoles)
	on.page(get, "/organizations/{organization}/members/{user}/remove", u.removeMemberForm)
	on.page(post, "/organizations/{organization}/members/{user}/remove", u.removeMember)
}

type membersPage struct {
	organizationPage
	Members []client.OrganizationMemberWithUserData
	Query   string
	Pager   pager
	// Adder is set while somebody to add is looked for; the members are not
	// listed then.
	Adder   *adder
	Problem string
}

func (u *UI) members(ctx context.Context, v *visit) (reply, error) {
	p, err := v.organizationPage(ctx, "members", "Members")
	if err != nil {
		return nil, err
	}
	if v.r.URL.Query().Has("add") && p.rights["add members"] {
		return u.membersToAdd(ctx, v, p, "")
	}
	data := &membersPage{organizationPage: p, Query: strings.TrimSpace(v.query("q"))}
	offset := v.offset()
	found, err := v.api.PaginatedMembers(ctx, p.Organization.Name, client.MembersRequest{Query: data.Query, Page: client.Page{Limit: listed, Offset: offset}})
	if client.StatusCode(err) == http.StatusBadRequest {
		data.Problem = refusalText(err)
		return showAs(http.StatusBadRequest, "members.html", data), nil
	}
	if err != nil {
		return nil, err
	}
	data.Members, data.Pager = found.Members, v.pager(offset, len(found.Members), found.Count)
	return show("members.html", data), nil
}

// Rows are those of the table.
func (p *membersPage) Rows() template.HTML {
	m := rowsOf(len(p.Members))
	for i := range p.Members {
		u := &p.Members[i]
		m.put("<tr>\n")
		m.person(p.Path("members", u.Username), u.Username, u.Name, u.Email)
		m.put("<td>")
		if u.Status != client.UserActive {
			m.put("% ", pill(u.Status))
		}
		m.roles(u.Roles)
		m.put(`</td>
<td class="nowrap" data-label="Last seen">%</td>
<td class="nowrap" data-label="Joined">%</td>
</tr>
`, p.since(u.LastSeenAt), p.since(u.CreatedAt))
	}
	return m.html()
}

// person is a cell that names somebody.
func (m *markup) person(path, username, name, email string) {
	m.put(`<td class="whose"><span class="thing">%<span><a class="row" href="%">%</a><small>%</small></span></span></td>
`, avatar(username), path, username, aboutPerson(name, email))
}

// membersToAdd lists users of the deployment, where their person may see them.
func (u *UI) membersToAdd(ctx context.Context, v *visit, p organizationPage, problem string) (reply, error) {
	data := &membersPage{organizationPage: p, Adder: &adder{
		Path: p.Path("members"), Cancel: p.Path("members"), Query: strings.TrimSpace(v.query("add")), Problem: problem,
		Label: "Username or email of the new member", Hint: "Users of this deployment. They get no role until you give them one.",
	}}
	status := http.StatusOK
	if problem != "" {
		status = http.StatusBadRequest
	}
	if !p.rights["read users"] {
		data.Adder.Exact = true
		return showAs(status, "members.html", data), nil
	}
	found, err := v.api.Users(ctx, client.UsersRequest{Query: plainWords(data.Adder.Query), Page: client.Page{Limit: shownCandidates}})
	if err != nil {
		return nil, err
	}
	for _, user := range found.Users {
		data.Adder.Candidates = append(data.Adder.Candidates, candidate{
			ID: user.ID.String(), Username: user.Username, About: aboutPerson(user.Name, user.Email),
			In: slices.Contains(user.OrganizationIDs, p.Organization.ID),
		})
	}
	return showAs(status, "members.html", data), nil
}

// shownCandidates is how many people are offered; whoever is not among them is
// found by typing more.
const shownCandidates = 10

// plainWords is typed text that no search takes for keys.
func plainWords(text string) string {
	text = strings.TrimSpace(strings.ReplaceAll(text, `"`, ""))
	if text == "" {
		return ""
	}
	return `search:"` + text + `"`
}

// aboutPerson tells people of one name apart.
func aboutPerson(name, email string) string {
	if name == "" {
		return email
	}
	return name + " · " + email
}

func (u *UI) addMember(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := v.organizationPage(ctx, "members", "Members")
	if err != nil {
		return nil, err
	}
	user, err := v.someUser(ctx, strings.TrimSpace(values.Get("user")))
	if err == nil {
		_, err = v.api.AddOrganizationMember(ctx, p.Organization.Name, user)
	}
	switch {
	case client.IsNotFound(err) && p.rights["add members"]:
		return u.membersToAdd(ctx, v, p, "There is no such user in this deployment, or you may not see them.")
	case err != nil && aboutInput(client.StatusCode(err)) && p.rights["add members"]:
		return u.membersToAdd(ctx, v, p, refusalText(err))
	case err != nil:
		return nil, err
	}
	member, err := v.api.OrganizationMember(ctx, p.Organization.Name, user)
	if err != nil {
		return nil, err
	}
	return redirect{to: p.Path("members", member.Username), said: member.Username + " is a member now."}, nil
}

// someUser finds whom a person typed: a name, an id, or a whole address.
func (v *visit) someUser(ctx context.Context, typed string) (string, error) {
	if !strings.Contains(typed, "@") {
		return typed, nil
	}
	found, err := v.api.Users(ctx, client.UsersRequest{Query: plainWords(typed)})
	if err != nil {
		return "", err
	}
	for _, user := range found.Users {
		if strings.EqualFold(user.Email, typed) {
			return user.ID.String(), nil
		}
	}
	return "", errNoPage
}

type memberPage struct {
	organizationPage
	Member client.OrganizationMemberWithUserData
	Groups []client.Group
	Form   form
	// Own is the membership of whoever looks: nobody changes their own.
	Own bool
}

// MayEdit tells whether anything can be chosen in the form.
func (p memberPage) MayEdit() bool { return !p.Own && p.rights["assign roles"] }

func (v *visit) memberPage(ctx context.Context) (*memberPage, error) {
	p, err := v.organizationPage(ctx, "members", v.path("user"))
	if err != nil {
		return nil, err
	}
	data := &memberPage{organizationPage: p}
	if data.Member, err = v.api.OrganizationMember(ctx, p.Organization.Name, v.path("user")); err != nil {
		return nil, err
	}
	data.Own = data.Member.UserID == p.Viewer.ID
	if data.Groups, err = v.api.Groups(ctx, p.Organization.Name, data.Member.UserID.String()); err != nil && !aboutInput(client.StatusCode(err)) {
		return nil, err
	}
	roles, err := v.api.OrganizationRoles(ctx, p.Organization.Name)
	if err != nil {
		return nil, err
	}
	data.Form = memberRoleFields(data.Member, roles, data.MayEdit())
	return data, nil
}

// memberRoleFields offers every role, those that cannot be handed out too.
func memberRoleFields(m client.OrganizationMemberWithUserData, roles []client.AssignableRole, mayEdit bool) form {
	q := field{Name: "roles", Label: "Roles", Kind: kindChecks, ReadOnly: !mayEdit, Values: roleNames(m.Roles)}
	for _, r := range roles {
		o := fieldOption{Value: r.Name, Label: roleLabel(r.Name, r.DisplayName), Hint: roleAbout(r), Disabled: !r.Assignable}
		if mayEdit && !r.Assignable {
			o.Hint = strings.TrimSpace(o.Hint + " You may not hand out this one, or take it away.")
		}
		q.Options = append(q.Options, o)
	}
	return form{Fields: []field{q}}.guarded(m.UpdatedAt)
}

// roleNames are the names of roles as the API takes them.
func roleNames(roles []client.SlimRole) []string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = r.Name
	}
	return names
}

// roleLabel is what people call a role.
func roleLabel(name, displayName string) string { return cmp.Or(displayName, name) }

// chosenRoles are the roles that were ticked, and those held that cannot be
// unticked: a browser leaves these out.
func (f form) chosenRoles(held []string) []string {
	q := f.Fields[f.index("roles")]
	chosen := q.Values
	for _, o := range q.Options {
		if o.Disabled {
			chosen = slices.DeleteFunc(slices.Clone(chosen), func(name string) bool { return name == o.Value })
			if slices.Contains(held, o.Value) {
				chosen = append(chosen, o.Value)
			}
		}
	}
	if chosen == nil {
		return []string{}
	}
	return chosen
}

func (u *UI) member(ctx context.Context, v *visit) (reply, error) {
	p, err := v.memberPage(ctx)
	if err != nil {
		return nil, err
	}
	return show("member.html", p), nil
}

func (u *UI) changeMemberRoles(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := v.memberPage(ctx)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	if err = p.Form.stale(); err == nil {
		_, err = v.api.UpdateOrganizationMemberRoles(ctx, p.Organization.Name, p.Member.UserID.String(), client.UpdateRolesRequest{Roles: p.Form.chosenRoles(roleNames(p.Member.Roles))})
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "member.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: p.Path("members", p.Member.Username), said: "The roles of " + p.Member.Username + " were saved. They hold from the next request on."}, nil
}

func (v *visit) memberRemovePage(ctx context.Context) (*memberPage, error) {
	p, err := v.memberPage(ctx)
	if err != nil {
		return nil, err
	}
	if p.Own {
		return nil, &client.Error{StatusCode: http.StatusBadRequest, Message: "You cannot remove yourself from an organization.", Detail: "Ask another administrator of it."}
	}
	p.Form = confirmation(p.Member.Username)
	return p, nil
}

func (u *UI) removeMemberForm(ctx context.Context, v *visit) (reply, error) {
	p, err := v.memberRemovePage(ctx)
	if err != nil {
		return nil, err
	}
	return show("member_remove.html", p), nil
}

func (u *UI) removeMember(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := v.memberRemovePage(ctx)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	if err = p.Form.confirmed(p.Member.Username); err == nil {
		err = v.api.RemoveOrganizationMember(ctx, p.Organization.Name, p.Member.UserID.String())
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "member_remove.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: p.Path("members"), said: p.Member.Username + " is no longer a member."}, nil
}
