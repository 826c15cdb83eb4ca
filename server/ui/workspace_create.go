package ui

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"slices"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/parameter"
)

func (u *UI) workspaceCreateRoutes(on *table) {
	on.page(get, "/templates/{organization}/{template}/workspace", u.newWorkspaceForm)
	on.page(post, "/templates/{organization}/{template}/workspace", u.createWorkspace)
	on.page(post, "/templates/{organization}/{template}/workspace/check", u.checkNewWorkspace)
}

// newWorkspacePage asks what a template wants to know.
type newWorkspacePage struct {
	page
	Template client.Template
	Version  client.TemplateVersion
	Form     form
	Presets  []client.Preset
	// Preset is the one that was chosen.
	Preset *client.Preset
	Quota  client.WorkspaceQuota

	parameters []client.TemplateVersionParameter
	// asked is the query of the page's address.
	asked url.Values
}

// CheckPath is where a script asks what is wrong with what is typed.
func (p newWorkspacePage) CheckPath() string {
	return templatePath(p.Template, "workspace", "check") + "?" + url.Values{"version": {p.asked.Get("version")}}.Encode()
}

// PresetPath is this page with another preset, or none.
func (p newWorkspacePage) PresetPath(id string) string {
	q := maps.Clone(p.asked)
	q.Set("preset", id)
	return templatePath(p.Template, "workspace") + "?" + q.Encode()
}

// Limited tells whether costs count against anything.
func (p newWorkspacePage) Limited() bool { return p.Quota.Budget > 0 || p.Quota.CreditsConsumed > 0 }

// newWorkspacePage loads the template's questions; given are answers that are
// known already.
func (u *UI) newWorkspacePage(ctx context.Context, v *visit, preset string, given map[string]string) (*newWorkspacePage, error) {
	template, err := v.api.TemplateByName(ctx, v.path("organization"), v.path("template"))
	if err != nil {
		return nil, err
	}
	p := &newWorkspacePage{Template: template, asked: v.r.URL.Query()}
	if p.page, err = v.page(ctx, "New workspace"); err != nil {
		return nil, err
	}
	versionID := template.ActiveVersionID
	if id, err := uuid.Parse(v.query("version")); err == nil {
		versionID = id
	}
	if p.Version, err = v.api.TemplateVersion(ctx, versionID); err != nil {
		return nil, err
	}
	if p.parameters, err = v.api.TemplateVersionParameters(ctx, versionID); err != nil {
		return nil, err
	}
	if p.Presets, err = v.api.TemplateVersionPresets(ctx, versionID); err != nil {
		return nil, err
	}
	if p.Quota, err = v.api.WorkspaceQuota(ctx, template.OrganizationID.String(), client.Me); err != nil {
		return nil, err
	}
	p.choose(preset, given)
	return p, nil
}

// choose lays a preset's values over the given ones; they cannot be changed
// while it is chosen.
func (p *newWorkspacePage) choose(preset string, given map[string]string) {
	set := map[string]string{}
	if i := slices.IndexFunc(p.Presets, func(o client.Preset) bool { return o.ID.String() == preset }); i >= 0 {
		p.Preset = &p.Presets[i]
		for _, value := range p.Preset.Parameters {
			set[value.Name], given[value.Name] = value.Value, value.Value
		}
	}
	fixed := func(q client.TemplateVersionParameter) bool { _, ok := set[q.Name]; return ok }
	p.Form.Fields = append([]field{
		{Name: "name", Label: "Name", Required: true, MaxLength: 32, Autofocus: true, Hint: "Letters, digits and single hyphens."},
		{Name: "preset", Kind: "hidden", Value: preset},
	}, parameterFields(p.parameters, given, fixed)...)
	p.Form.checked()
}

func (u *UI) newWorkspaceForm(ctx context.Context, v *visit) (reply, error) {
	p, err := u.newWorkspacePage(ctx, v, v.query("preset"), linked(v.r.URL.Query()))
	if err != nil {
		return nil, err
	}
	p.Form.Fields[0].Value = v.query("name")
	if !v.r.URL.Query().Has("preset") {
		if i := slices.IndexFunc(p.Presets, func(o client.Preset) bool { return o.Default }); i >= 0 {
			q := v.r.URL.Query()
			q.Set("preset", p.Presets[i].ID.String())
			return redirect{to: templatePath(p.Template, "workspace") + "?" + q.Encode()}, nil
		}
	}
	return show("workspace_new.html", p), nil
}

// createWorkspace makes the workspace; a second one of the name is refused, so
// a form that is sent twice makes one.
func (u *UI) createWorkspace(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := u.newWorkspacePage(ctx, v, values.Get("preset"), map[string]string{})
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	req := client.CreateWorkspaceRequest{
		TemplateVersionID: &p.Version.ID, Name: p.Form.value("name"), RichParameterValues: parameterValues(p.parameters, p.Form),
	}
	if p.Version.ID == p.Template.ActiveVersionID {
		req.TemplateID, req.TemplateVersionID = &p.Template.ID, nil
	}
	if p.Preset != nil {
		req.TemplateVersionPresetID = &p.Preset.ID
	}
	w, err := v.api.CreateWorkspace(ctx, p.Template.OrganizationID.String(), client.Me, req)
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "workspace_new.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: workspacePath(w.OwnerName, w.Name), said: w.Name + " is being made.", underway: true}, nil
}

// checkNewWorkspace says what the API would find wrong with what is typed.
func (u *UI) checkNewWorkspace(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := u.newWorkspacePage(ctx, v, values.Get("preset"), map[string]string{})
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	var preset []client.BuildParameter
	if p.Preset != nil {
		preset = presetValues(*p.Preset)
	}
	_, wrong := parameter.Resolve(p.parameters, parameterValues(p.parameters, p.Form), nil, preset, true)
	name, err := v.nameFault(ctx, p.Viewer.Username, p.Form.value("name"))
	if err != nil {
		return nil, err
	}
	return p.Form.faults(append(wrong, name...)), nil
}

// nameFault is what keeps a workspace of its owner from having a name.
func (v *visit) nameFault(ctx context.Context, owner, name string) ([]client.ValidationError, error) {
	if err := client.CheckName(client.NameWorkspace, name); err != nil {
		return []client.ValidationError{{Field: "name", Detail: err.Error()}}, nil
	}
	_, err := v.api.WorkspaceByOwnerAndName(ctx, owner, name)
	switch {
	case err == nil:
		return []client.ValidationError{{Field: "name", Detail: "There is a workspace of this name already; choose another one."}}, nil
	case client.IsNotFound(err):
		return nil, nil
	}
	return nil, err
}

// templatePath is the address of a page of a template.
func templatePath(t client.Template, parts ...string) string {
	path := "/templates/" + url.PathEscape(t.OrganizationName) + "/" + url.PathEscape(t.Name)
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// Path is the address of a page of the template.
func (p newWorkspacePage) Path(parts ...string) string { return templatePath(p.Template, parts...) }

// TemplateName is what people call the template.
func (p newWorkspacePage) TemplateName() string {
	return cmp.Or(p.Template.DisplayName, p.Template.Name)
}
