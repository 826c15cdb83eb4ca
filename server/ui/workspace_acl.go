package ui

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"coder/client"
)

func (u *UI) workspaceACLRoutes(on *table) {
	on.page(get, "/workspaces/@/{owner}/{workspace}/sharing", u.workspaceSharing)
	on.page(post, "/workspaces/@/{owner}/{workspace}/sharing", u.shareWorkspace)
}

type workspaceSharingPage struct {
	workspacePage
	ACL  client.WorkspaceACL
	Form form
}

// May is what a role on a workspace lets somebody do.
func (workspaceSharingPage) May(role string) string { return workspaceRoles[role] }

var workspaceRoles = map[string]string{client.WorkspaceRoleUse: "use it", client.WorkspaceRoleAdmin: "use and manage it"}

// suggested is how many members and how many groups a form names.
const suggested = 20

func (u *UI) workspaceSharingPage(ctx context.Context, v *visit) (*workspaceSharingPage, error) {
	w, err := v.workspacePage(ctx, "sharing", "Sharing")
	if err != nil {
		return nil, err
	}
	p := &workspaceSharingPage{workspacePage: w}
	if p.ACL, err = v.api.WorkspaceACL(ctx, w.Workspace.ID); err != nil {
		return nil, err
	}
	who := field{Name: "who", Label: "Member or group", Required: true, Value: v.query("who"), MaxLength: 254, SuggestPath: p.Path("sharing")}
	others := false
	if who.Suggestions, others, err = v.sharingSuggestions(ctx, p, strings.TrimSpace(v.query("who"))); err != nil {
		return nil, err
	}
	who.Hint = "A username, or the name of a group, of " + w.OrganizationTitle + "; begin to type to choose one."
	if !others {
		who.Hint = "You see no other member of " + w.OrganizationTitle + ": type the exact username, which they or an administrator of the organization can tell you, or the name of a group."
	}
	p.Form = form{Fields: []field{
		who,
		{Name: "role", Label: "May", Kind: kindSelect, Value: client.WorkspaceRoleUse, Options: []fieldOption{
			{Value: client.WorkspaceRoleUse, Label: workspaceRoles[client.WorkspaceRoleUse]}, {Value: client.WorkspaceRoleAdmin, Label: workspaceRoles[client.WorkspaceRoleAdmin]},
		}},
	}}
	return p, nil
}

// sharingSuggestions are members and groups that the person may see, whom a
// text may mean, and with whom the workspace is not shared yet. others tells
// whether the person sees members at all.
func (v *visit) sharingSuggestions(ctx context.Context, p *workspaceSharingPage, text string) (out []fieldOption, others bool, err error) {
	req := client.MembersRequest{Query: strings.ReplaceAll(text, ":", " "), Page: client.Page{Limit: suggested}}
	org := p.Workspace.OrganizationID.String()
	groups, err := v.api.PaginatedGroups(ctx, org, req)
	if err != nil && !unseen(err) {
		return nil, false, err
	}
	members, err := v.api.PaginatedMembers(ctx, org, req)
	if err != nil && !unseen(err) {
		return nil, false, err
	}
	for _, g := range groups.Groups {
		if !slices.ContainsFunc(p.ACL.Groups, func(have client.WorkspaceGroup) bool { return have.ID == g.ID }) {
			out = append(out, fieldOption{Value: g.Name, Label: cmp.Or(g.DisplayName, g.Name) + " · group of " + plural(g.TotalMemberCount, "member")})
		}
	}
	for _, m := range members.Members {
		if m.UserID != p.Workspace.OwnerID && !slices.ContainsFunc(p.ACL.Users, func(have client.WorkspaceUser) bool { return have.ID == m.UserID }) {
			out = append(out, fieldOption{Value: m.Username, Label: cmp.Or(m.Name, m.Username)})
		}
	}
	return out, text != "" || members.Count > 1, nil
}

// unseen tells whether a list is not for the person, or cannot be searched for that.
func unseen(err error) bool {
	return client.IsNotFound(err) || aboutInput(client.StatusCode(err))
}

func (u *UI) workspaceSharing(ctx context.Context, v *visit) (reply, error) {
	p, err := u.workspaceSharingPage(ctx, v)
	if err != nil {
		return nil, err
	}
	return show("workspace_sharing.html", p), nil
}

// shareWorkspace adds a user or a group, or takes one away.
func (u *UI) shareWorkspace(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := u.workspaceSharingPage(ctx, v)
	if err != nil {
		return nil, err
	}
	var req client.UpdateWorkspaceACLRequest
	said := "It is no longer shared with them."
	switch {
	case values.Has("user"):
		req.UserRoles = map[string]string{values.Get("user"): ""}
	case values.Has("group"):
		req.GroupRoles = map[string]string{values.Get("group"): ""}
	default:
		p.Form.read(values)
		said = "It is shared with " + p.Form.value("who") + "."
		req, err = v.sharing(ctx, p.Workspace, p.Form)
	}
	if err == nil {
		err = v.api.UpdateWorkspaceACL(ctx, p.Workspace.ID, req)
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "workspace_sharing.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: p.Path("sharing"), said: said}, nil
}

// sharing finds whom a name means: a member of the organization, or a group.
func (v *visit) sharing(ctx context.Context, w client.Workspace, f form) (client.UpdateWorkspaceACLRequest, error) {
	who, role := f.value("who"), f.value("role")
	member, err := v.api.OrganizationMember(ctx, w.OrganizationID.String(), who)
	if err == nil {
		return client.UpdateWorkspaceACLRequest{UserRoles: map[string]string{member.UserID.String(): role}}, nil
	}
	group, groupErr := v.api.GroupByName(ctx, w.OrganizationID.String(), who)
	if groupErr == nil {
		return client.UpdateWorkspaceACLRequest{GroupRoles: map[string]string{group.ID.String(): role}}, nil
	}
	if client.StatusCode(err) == http.StatusNotFound || client.StatusCode(err) == http.StatusBadRequest {
		err = &client.Error{StatusCode: http.StatusBadRequest, Message: "Nothing was shared.", Validations: []client.ValidationError{
			{Field: "who", Detail: "No member and no group of " + w.OrganizationName + " that you may see is called that. Names are exact, and an email address is none."},
		}}
	}
	return client.UpdateWorkspaceACLRequest{}, err
}
