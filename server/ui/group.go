package ui

import (
	"cmp"
	"context"
	"html/template"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"coder/client"
)

func (u *UI) groupRoutes(on *table) {
	on.list("/organizations/{organization}/groups", u.groups)
	on.page(get, "/organizations/{organization}/groups/new", u.newGroupForm)
	on.page(post, "/organizations/{organization}/groups/new", u.createGroup)
	on.list("/organizations/{organization}/groups/{group}", u.group)
	on.page(post, "/organizations/{organization}/groups/{group}", u.changeGroupMembers)
	on.page(get, "/organizations/{organization}/groups/{group}/settings", u.groupSettings)
	on.page(post, "/organizations/{organization}/groups/{group}/settings", u.changeGroup)
	on.page(get, "/organizations/{organization}/groups/{group}/delete", u.deleteGroupForm)
	on.page(post, "/organizations/{organization}/groups/{group}/delete", u.deleteGroup)
}

type groupsPage struct {
	organizationPage
	Groups  []client.Group
	Query   string
	Pager   pager
	Problem string
}

func (u *UI) groups(ctx context.Context, v *visit) (reply, error) {
	p, err := v.organizationPage(ctx, "groups", "Groups")
	if err != nil {
		return nil, err
	}
	data := &groupsPage{organizationPage: p, Query: strings.TrimSpace(v.query("q"))}
	offset := v.offset()
	found, err := v.api.PaginatedGroupsWithoutMembers(ctx, p.Organization.Name, client.MembersRequest{Query: data.Query, Page: client.Page{Limit: listed, Offset: offset}})
	if client.StatusCode(err) == http.StatusBadRequest {
		data.Problem = refusalText(err)
		return showAs(http.StatusBadRequest, "groups.html", data), nil
	}
	if err != nil {
		return nil, err
	}
	data.Groups, data.Pager = found.Groups, v.pager(offset, len(found.Groups), found.Count)
	return show("groups.html", data), nil
}

// Rows are those of the table.
func (p *groupsPage) Rows() template.HTML {
	m := rowsOf(len(p.Groups))
	for i := range p.Groups {
		g := &p.Groups[i]
		title := cmp.Or(g.DisplayName, g.Name)
		m.put(`<tr>
<td><span class="thing"><span class="avatar hue-%" aria-hidden="true">%</span><span><a class="row" href="%">%</a>`, hue(g.Name), initial(title), p.Path("groups", g.Name), title)
		switch {
		case g.IsEveryone():
			m.put("<small>Every member of %, always</small>", p.Name())
		case g.DisplayName != "":
			m.put("<small>%</small>", g.Name)
		}
		m.put(`</span></span></td>
<td class="right" data-label="Members">%</td>
<td class="right" data-label="Allowance a day">`, g.TotalMemberCount)
		if g.QuotaAllowance == 0 {
			m.put(`<span class="quiet">none</span>`)
		} else {
			m.put("%", plural(g.QuotaAllowance, "credit"))
		}
		m.put("</td>\n</tr>\n")
	}
	return m.html()
}

func groupFields(g client.Group) form {
	everyone := g.IsEveryone() && g.Name != ""
	return form{Fields: []field{
		{Name: "name", Label: "Name", Value: g.Name, Required: true, MaxLength: 255, Autofocus: g.Name == "", ReadOnly: everyone, Hint: "Letters, digits and single hyphens."},
		{Name: "display_name", Label: "Display name", Value: g.DisplayName, MaxLength: 64, ReadOnly: everyone, Hint: "What people read; the name when empty."},
		{Name: "quota_allowance", Label: "Quota allowance", Kind: "number", Value: strconv.Itoa(g.QuotaAllowance), Min: "0", Max: strconv.Itoa(math.MaxInt32), Hint: "Credits a day that the workspaces of each member may cost. What all groups of a member allow is added up; 0 adds nothing."},
		{Name: "avatar_url", Label: "Picture", Value: g.AvatarURL, MaxLength: 2048, Hint: "An address of a picture, for clients that show one."},
	}}
}

// number reads a field that holds a whole number; empty is 0.
func (f *form) number(name string) (int, error) {
	n, err := strconv.Atoi(cmp.Or(f.value(name), "0"))
	if err == nil {
		return n, nil
	}
	return 0, badField(name, "This is not a whole number.")
}

// badField is a refusal of the page's own.
func badField(name, text string) error {
	return &client.Error{StatusCode: http.StatusBadRequest, Message: "Nothing was saved.", Validations: []client.ValidationError{{Field: name, Detail: text}}}
}

type groupFormPage struct {
	organizationPage
	Group client.Group
	Form  form
}

func (v *visit) newGroupPage(ctx context.Context) (*groupFormPage, error) {
	p, err := v.organizationPage(ctx, "groups", "New group")
	if err == nil && !p.rights["create groups"] {
		err = errNotAllowed("groups")
	}
	return &groupFormPage{organizationPage: p, Form: groupFields(client.Group{})}, err
}

func (u *UI) newGroupForm(ctx context.Context, v *visit) (reply, error) {
	p, err := v.newGroupPage(ctx)
	if err != nil {
		return nil, err
	}
	return show("group_settings.html", p), nil
}

func (u *UI) createGroup(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := v.newGroupPage(ctx)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	allowance, err := p.Form.number("quota_allowance")
	var g client.Group
	if err == nil {
		g, err = v.api.CreateGroup(ctx, p.Organization.Name, client.CreateGroupRequest{
			Name: p.Form.value("name"), DisplayName: p.Form.value("display_name"), AvatarURL: p.Form.value("avatar_url"), QuotaAllowance: allowance,
		})
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "group_settings.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: p.Path("groups", g.Name) + "?add=", said: "The group " + g.Name + " was created. Add its members."}, nil
}

type groupPage struct {
	organizationPage
	Group   client.Group
	Members []client.ReducedUser
	Query   string
	Pager   pager
	Adder   *adder
	Problem string
}

// MayChange tells whether members can be added and removed: every member of
// the organization is in Everyone.
func (p groupPage) MayChange() bool { return p.rights["change groups"] && !p.Group.IsEveryone() }

// Rows are those of the table.
func (p *groupPage) Rows() template.HTML {
	m := rowsOf(len(p.Members))
	mayChange := p.MayChange()
	for i := range p.Members {
		u := &p.Members[i]
		m.put("<tr>\n")
		m.person(p.Path("members", u.Username), u.Username, u.Name, u.Email)
		m.put("<td class=\"nowrap\" data-label=\"Last seen\">%</td>\n", p.since(u.LastSeenAt))
		if mayChange {
			m.put(`<td><details class="sure"><summary class="button small" aria-label="Remove % …">Remove …</summary><form method="post" data-once><input type="hidden" name="remove" value="%"><button class="small danger" aria-label="Remove % from the group">Remove from the group</button></form></details></td>
`, u.Username, u.ID, u.Username)
		}
		m.put("</tr>\n")
	}
	return m.html()
}

func (v *visit) groupPage(ctx context.Context) (*groupPage, error) {
	p, err := v.organizationPage(ctx, "groups", v.path("group"))
	if err != nil {
		return nil, err
	}
	g, err := v.api.GroupWithoutMembers(ctx, p.Organization.Name, v.path("group"))
	return &groupPage{organizationPage: p, Group: g}, err
}

func (u *UI) group(ctx context.Context, v *visit) (reply, error) {
	p, err := v.groupPage(ctx)
	if err != nil {
		return nil, err
	}
	if v.r.URL.Query().Has("add") && p.MayChange() {
		return u.groupMembersToAdd(ctx, v, p, "")
	}
	p.Query = strings.TrimSpace(v.query("q"))
	offset := v.offset()
	found, err := v.api.GroupMembers(ctx, p.Group.ID, client.MembersRequest{Query: p.Query, Page: client.Page{Limit: listed, Offset: offset}})
	if client.StatusCode(err) == http.StatusBadRequest {
		p.Problem = refusalText(err)
		return showAs(http.StatusBadRequest, "group.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	p.Members, p.Pager = found.Users, v.pager(offset, len(found.Users), found.Count)
	return show("group.html", p), nil
}

// groupMembersToAdd lists members of the organization. Both lists are in one
// order, so that whoever of them is in the group is in its first rows too.
func (u *UI) groupMembersToAdd(ctx context.Context, v *visit, p *groupPage, problem string) (reply, error) {
	path := p.Path("groups", p.Group.Name)
	p.Adder = &adder{
		Path: path, Cancel: path, Query: strings.TrimSpace(v.query("add")), Problem: problem,
		Label: "Username or email of the member to add", Hint: "Members of " + p.Name() + ".",
	}
	req := client.MembersRequest{Query: plainWords(p.Adder.Query), Page: client.Page{Limit: shownCandidates}}
	found, err := v.api.PaginatedMembers(ctx, p.Organization.Name, req)
	if err != nil {
		return nil, err
	}
	in, err := v.api.GroupMembers(ctx, p.Group.ID, req)
	if err != nil {
		return nil, err
	}
	for _, m := range found.Members {
		p.Adder.Candidates = append(p.Adder.Candidates, candidate{
			ID: m.UserID.String(), Username: m.Username, About: aboutPerson(m.Name, m.Email),
			In: slices.ContainsFunc(in.Users, func(user client.ReducedUser) bool { return user.ID == m.UserID }),
		})
	}
	if problem != "" {
		return showAs(http.StatusBadRequest, "group.html", p), nil
	}
	return show("group.html", p), nil
}

// changeGroupMembers adds one user, or removes one.
func (u *UI) changeGroupMembers(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := v.groupPage(ctx)
	if err != nil {
		return nil, err
	}
	path := p.Path("groups", p.Group.Name)
	if id := values.Get("remove"); id != "" {
		_, err = v.api.UpdateGroup(ctx, p.Group.ID, client.UpdateGroupRequest{RemoveUsers: []string{id}})
		return redirect{to: path, said: "One member less."}, err
	}
	_, err = v.api.UpdateGroup(ctx, p.Group.ID, client.UpdateGroupRequest{AddUsers: []string{values.Get("user")}})
	if aboutInput(client.StatusCode(err)) && p.MayChange() {
		return u.groupMembersToAdd(ctx, v, p, refusalText(err))
	}
	return redirect{to: path + "?add=", said: "Added to " + p.Group.Name + "."}, err
}

func (v *visit) groupFormPage(ctx context.Context) (*groupFormPage, error) {
	p, err := v.groupPage(ctx)
	if err != nil {
		return nil, err
	}
	if !p.rights["change groups"] {
		return nil, &client.Error{StatusCode: http.StatusForbidden, Message: "You may not change groups.", Detail: "Ask an administrator."}
	}
	return &groupFormPage{organizationPage: p.organizationPage, Group: p.Group, Form: groupFields(p.Group).guardedByContent()}, nil
}

func (u *UI) groupSettings(ctx context.Context, v *visit) (reply, error) {
	p, err := v.groupFormPage(ctx)
	if err != nil {
		return nil, err
	}
	return show("group_settings.html", p), nil
}

func (u *UI) changeGroup(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := v.groupFormPage(ctx)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	allowance, err := p.Form.number("quota_allowance")
	if err == nil {
		err = p.Form.stale()
	}
	var g client.Group
	if err == nil {
		g, err = v.api.UpdateGroup(ctx, p.Group.ID, client.UpdateGroupRequest{
			Name: p.Form.value("name"), DisplayName: new(p.Form.value("display_name")), AvatarURL: new(p.Form.value("avatar_url")), QuotaAllowance: &allowance,
		})
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "group_settings.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: p.Path("groups", g.Name), said: "The settings of " + g.Name + " were saved."}, nil
}

func (v *visit) groupDeletePage(ctx context.Context) (*groupFormPage, error) {
	p, err := v.groupPage(ctx)
	if err != nil {
		return nil, err
	}
	if !p.rights["delete groups"] || p.Group.IsEveryone() {
		return nil, &client.Error{StatusCode: http.StatusForbidden, Message: "This group cannot be deleted by you.", Detail: "The group of all members always stays; others are deleted by an administrator."}
	}
	return &groupFormPage{organizationPage: p.organizationPage, Group: p.Group, Form: confirmation(p.Group.Name)}, nil
}

func (u *UI) deleteGroupForm(ctx context.Context, v *visit) (reply, error) {
	p, err := v.groupDeletePage(ctx)
	if err != nil {
		return nil, err
	}
	return show("group_delete.html", p), nil
}

func (u *UI) deleteGroup(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := v.groupDeletePage(ctx)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	if err = p.Form.confirmed(p.Group.Name); err == nil {
		err = v.api.DeleteGroup(ctx, p.Group.ID)
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "group_delete.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: p.Path("groups"), said: "The group " + p.Group.Name + " was deleted."}, nil
}
