package ui

import (
	"context"
	"net/http"

	"coder/client"
)

func (u *UI) workspaceACLRoutes(on *table) {
	on.page(get, "/workspaces/@/{owner}/{workspace}/sharing", u.workspaceSharing)
	on.page(post, "/workspaces/@/{owner}/{workspace}/sharing", u.shareWorkspace)
}

type workspaceSharingPage struct {
	workspacePage
	ACL client.WorkspaceACL
	// People and Groups are with whom it could be shared.
	Form form
}

func (u *UI) workspaceSharingPage(ctx context.Context, v *visit) (*workspaceSharingPage, error) {
	w, err := v.workspacePage(ctx, "sharing", "Sharing")
	if err != nil {
		return nil, err
	}
	p := &workspaceSharingPage{workspacePage: w}
	if p.ACL, err = v.api.WorkspaceACL(ctx, w.Workspace.ID); err != nil {
		return nil, err
	}
	p.Form = form{Fields: []field{
		{Name: "who", Label: "User or group", Required: true, Placeholder: "dev2", Hint: "A username or the name of a group of " + w.Workspace.OrganizationName + "."},
		{Name: "role", Label: "May", Kind: kindSelect, Value: "use", Options: []fieldOption{{Value: "use", Label: "use it"}, {Value: "admin", Label: "use and manage it"}}},
	}}
	return p, nil
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
			{Field: "who", Detail: "No member and no group of " + w.OrganizationName + " is called that."},
		}}
	}
	return client.UpdateWorkspaceACLRequest{}, err
}
