package ui

import (
	"context"
	"net/http"
	"slices"

	"coder/client"
	"coder/internal/parameter"
)

func (u *UI) workspaceSettingRoutes(on *table) {
	on.page(get, "/workspaces/@/{owner}/{workspace}/parameters", u.workspaceParameters)
	on.page(post, "/workspaces/@/{owner}/{workspace}/parameters", u.changeParameters)
	on.page(post, "/workspaces/@/{owner}/{workspace}/parameters/check", u.checkParameters)
	on.page(get, "/workspaces/@/{owner}/{workspace}/settings", u.workspaceSettings)
	on.page(post, "/workspaces/@/{owner}/{workspace}/settings", u.changeWorkspace)
	on.page(get, "/workspaces/@/{owner}/{workspace}/delete", u.deleteWorkspaceForm)
	on.page(post, "/workspaces/@/{owner}/{workspace}/delete", u.deleteWorkspace)
}

// workspaceParametersPage changes what was answered when the workspace was made.
type workspaceParametersPage struct {
	workspacePage
	Form form
	// Version is the one whose questions these are; Newest tells that it is
	// another than the workspace has.
	Version client.TemplateVersion
	Newest  bool

	parameters []client.TemplateVersionParameter
	// before are the answers that the workspace has now.
	before []client.BuildParameter
}

// CheckPath is where a script asks what is wrong with what is typed.
func (p workspaceParametersPage) CheckPath() string {
	path := p.Path("parameters", "check")
	if p.Newest {
		path += "?version=newest"
	}
	return path
}

func (u *UI) workspaceParametersPage(ctx context.Context, v *visit, newest bool) (*workspaceParametersPage, error) {
	w, err := v.workspacePage(ctx, "parameters", "Parameters")
	if err != nil {
		return nil, err
	}
	p := &workspaceParametersPage{workspacePage: w, Newest: newest && w.Workspace.Outdated}
	version := w.Workspace.LatestBuild.TemplateVersionID
	if p.Newest {
		version = w.Workspace.TemplateActiveVersionID
	}
	if p.Version, err = v.api.TemplateVersion(ctx, version); err != nil {
		return nil, err
	}
	if p.parameters, err = v.api.TemplateVersionParameters(ctx, version); err != nil {
		return nil, err
	}
	values, err := v.api.WorkspaceBuildParameters(ctx, w.Workspace.LatestBuild.ID)
	if err != nil {
		return nil, err
	}
	p.before = values
	given := valuesByName(values)
	p.Form.Fields = parameterFields(p.parameters, given, func(q client.TemplateVersionParameter) bool {
		_, answered := given[q.Name]
		return !q.Mutable && answered
	})
	p.Form.checked()
	if len(p.Form.Fields) > 0 {
		p.Form = p.Form.guardedByContent(version.String())
	}
	return p, nil
}

func (u *UI) workspaceParameters(ctx context.Context, v *visit) (reply, error) {
	p, err := u.workspaceParametersPage(ctx, v, v.query("version") == "newest")
	if err != nil {
		return nil, err
	}
	return show("workspace_parameters.html", p), nil
}

// checkParameters says what the API would find wrong with what is typed.
func (u *UI) checkParameters(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := u.workspaceParametersPage(ctx, v, v.query("version") == "newest")
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	_, wrong := parameter.Resolve(p.parameters, parameterValues(p.parameters, p.Form), p.before, nil, false)
	return p.Form.faults(wrong), nil
}

// changeParameters builds the workspace with the answers: a start, or a stop
// and a start where it runs.
func (u *UI) changeParameters(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := u.workspaceParametersPage(ctx, v, v.query("version") == "newest")
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	if len(p.Form.Fields) == 0 {
		return nil, errNothingToChoose
	}
	if status, ok := p.Form.refused(p.Form.stale()); ok {
		return showAs(status, "workspace_parameters.html", p), nil
	}
	answers := parameterValues(p.parameters, p.Form)
	req := client.CreateWorkspaceBuildRequest{Transition: "start", TemplateVersionID: &p.Version.ID, RichParameterValues: answers, Reason: client.BuildReasonDashboard}
	if p.On() {
		req = client.CreateWorkspaceBuildRequest{Transition: "stop", Reason: client.BuildReasonDashboard, OnSuccess: &client.BuildOnSuccessRequest{
			Transition: "start", TemplateVersionID: &p.Version.ID, RichParameterValues: answers,
		}}
	}
	_, err = v.api.CreateWorkspaceBuild(ctx, p.Workspace.ID, req)
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "workspace_parameters.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: p.Path(), said: p.Workspace.Name + " is being built with these parameters.", underway: true}, nil
}

var errNothingToChoose = &client.Error{StatusCode: http.StatusConflict, Message: "The template has no parameters any more.", Detail: "Start or stop the workspace on its own page."}

type workspaceSettingsPage struct {
	workspacePage
	Form form
}

func (u *UI) workspaceSettingsPage(ctx context.Context, v *visit) (*workspaceSettingsPage, error) {
	w, err := v.workspacePage(ctx, "settings", "Settings")
	if err != nil {
		return nil, err
	}
	updates := ""
	if w.Workspace.AutomaticUpdates == client.AutomaticUpdatesAlways {
		updates = "on"
	}
	hint := "Letters, digits and single hyphens."
	if !w.Workspace.AllowRenames {
		hint = "Renaming is switched off on this deployment: names may be part of what templates made."
	}
	f := form{Fields: []field{
		{Name: "name", Label: "Name", Value: w.Workspace.Name, Required: true, MaxLength: 32, ReadOnly: !w.Workspace.AllowRenames, Hint: hint},
		{Name: "updates", Label: "Take the newest version of the template at every start", Kind: kindCheckbox, Value: updates},
	}}.guardedByContent()
	return &workspaceSettingsPage{w, f}, nil
}

func (u *UI) workspaceSettings(ctx context.Context, v *visit) (reply, error) {
	p, err := u.workspaceSettingsPage(ctx, v)
	if err != nil {
		return nil, err
	}
	return show("workspace_settings.html", p), nil
}

func (u *UI) changeWorkspace(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := u.workspaceSettingsPage(ctx, v)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	name, updates := p.Form.value("name"), client.AutomaticUpdatesNever
	if p.Form.on("updates") {
		updates = client.AutomaticUpdatesAlways
	}
	if err = p.Form.stale(); err == nil {
		err = v.api.UpdateWorkspace(ctx, p.Workspace.ID, client.UpdateWorkspaceRequest{Name: name, AutomaticUpdates: updates})
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "workspace_settings.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: workspacePath(p.Workspace.OwnerName, name, "settings"), said: "The settings were saved."}, nil
}

type workspaceDeletePage struct {
	workspacePage
	Form form
	// Gone is what will be destroyed.
	Gone []client.WorkspaceResource
}

func (u *UI) workspaceDeletePage(ctx context.Context, v *visit) (*workspaceDeletePage, error) {
	w, err := v.workspacePage(ctx, "settings", "Delete")
	if err != nil {
		return nil, err
	}
	p := &workspaceDeletePage{workspacePage: w, Form: confirmation(w.Workspace.Name), Gone: slices.Clone(w.Workspace.LatestBuild.Resources)}
	template, err := v.api.AuthCheck(ctx, client.AuthorizationRequest{Checks: checks{"orphan": onObject(w.Workspace.TemplateID, "update", "template")}})
	if err != nil {
		return nil, err
	}
	if template["orphan"] {
		p.Form.Fields = append(p.Form.Fields, field{
			Name: "orphan", Kind: kindCheckbox, Label: "Forget it without destroying anything",
			Hint: "For a workspace whose resources are gone already, or are taken over by hand. What still exists goes on costing.",
		})
	}
	return p, nil
}

func (u *UI) deleteWorkspaceForm(ctx context.Context, v *visit) (reply, error) {
	p, err := u.workspaceDeletePage(ctx, v)
	if err != nil {
		return nil, err
	}
	return show("workspace_delete.html", p), nil
}

func (u *UI) deleteWorkspace(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := u.workspaceDeletePage(ctx, v)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	if err = p.Form.confirmed(p.Workspace.Name); err == nil {
		_, err = v.api.CreateWorkspaceBuild(ctx, p.Workspace.ID, client.CreateWorkspaceBuildRequest{
			Transition: "delete", Orphan: p.Form.on("orphan"), Reason: client.BuildReasonDashboard,
		})
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "workspace_delete.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: p.Path(), said: p.Workspace.Name + " is being deleted.", underway: true}, nil
}
