package ui

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"coder/client"
)

func (u *UI) templateVersionRoutes(on *table) {
	const template = "/templates/{organization}/{template}"
	on.list(template+"/versions", u.templateVersions)
	on.page(get, template+"/versions/{version}", u.templateVersion)
	on.page(post, template+"/versions/{version}/{action}", u.actOnTemplateVersion)
	on.page(get, template+"/versions/{version}/changes", u.templateVersionChanges)
	on.page(get, template+"/import", u.newVersionForm)
	on.page(post, template+"/import", u.importVersion)
}

// versionView is what pages show of an import: those of a template's version,
// and of one that is to become a template.
type versionView struct {
	Version client.TemplateVersion
	Log     jobLog
	// Running and Stopped are what a workspace would be made of, and Values
	// the version's Terraform variables; empty before the import has ended.
	Running, Stopped []client.WorkspaceResource
	Values           form
	// Parameters are what whoever makes a workspace is asked.
	Parameters []client.TemplateVersionParameter
	// AgainPath and CancelPath are where the view's forms go.
	AgainPath, CancelPath string

	variables []client.TemplateVersionVariable
}

// Busy tells whether the import is under way.
func (w versionView) Busy() bool { return !w.Version.Job.Ended() }

// Succeeded tells whether workspaces can be made of the version.
func (w versionView) Succeeded() bool { return w.Version.Job.Status == client.JobSucceeded }

// Lacking tells whether the import failed for want of values.
func (w versionView) Lacking() bool {
	return w.Version.Job.ErrorCode == client.JobErrorRequiredVariables
}

// Took is how long the import ran.
func (w versionView) Took() time.Duration { return jobTook(w.Version.Job) }

func (v *visit) versionView(ctx context.Context, version client.TemplateVersion) (versionView, error) {
	w := versionView{Version: version}
	rows, err := v.api.TemplateVersionLogTail(ctx, version.ID, logTail)
	if err != nil {
		return w, err
	}
	follow := ""
	if w.Busy() {
		follow = "/api/v2/templateversions/" + version.ID.String() + "/logs?follow"
	}
	w.Log = newJobLog(rows, follow, v.ui.options.Now())
	if w.Busy() {
		return w, nil
	}
	if w.variables, err = v.api.TemplateVersionVariables(ctx, version.ID); err != nil {
		return w, err
	}
	w.Values = variableFields(w.variables, version.TemplateID == nil)
	if w.Parameters, err = v.api.TemplateVersionParameters(ctx, version.ID); err != nil {
		return w, err
	}
	all, err := v.api.TemplateVersionResources(ctx, version.ID)
	w.Running, w.Stopped = byTransition(all)
	return w, err
}

// variablePrefix keeps the names of variables apart from a form's own fields.
const variablePrefix = "variable."

// variableFields ask for the values of Terraform variables. What is sensitive
// is never shown; only in a first version nothing can have been given before.
func variableFields(variables []client.TemplateVersionVariable, first bool) form {
	f := form{}
	for _, x := range variables {
		q := field{Name: variablePrefix + x.Name, Label: x.Name, Hint: x.Description, Value: x.Value, Required: x.Required && (first || !x.Sensitive)}
		switch {
		case x.Sensitive:
			q.Kind, q.Value, q.Autocomplete = "password", "", "new-password"
			q.Hint = strings.TrimSpace(q.Hint + " It is kept sealed and never shown.")
		case x.Type == typeBool:
			q.Kind, q.Options = kindSelect, []fieldOption{{Value: "true", Label: "true"}, {Value: "false", Label: "false"}}
			if x.Value == "" {
				q.Options = slices.Insert(q.Options, 0, fieldOption{Label: "Choose …"})
			}
		case x.Type == typeNumber:
			q.Kind = "number"
		}
		f.Fields = append(f.Fields, q)
	}
	return f
}

// variableValues are the values that were typed. One that is and was the
// default is left to it, and a sensitive one that is empty to the version before.
func variableValues(variables []client.TemplateVersionVariable, f form) []client.VariableValue {
	var values []client.VariableValue
	for _, x := range variables {
		typed := f.value(variablePrefix + x.Name)
		if typed != "" && (x.Sensitive || typed != x.DefaultValue || x.Value != x.DefaultValue) {
			values = append(values, client.VariableValue{Name: x.Name, Value: typed})
		}
	}
	return values
}

// importAgain imports a version's source once more, with the values typed.
func (v *visit) importAgain(ctx context.Context, w *versionView, values url.Values) (client.TemplateVersion, error) {
	w.Values.read(values)
	for _, x := range w.variables {
		kept := x.Sensitive && w.Version.TemplateID != nil
		if x.Required && !kept && w.Values.value(variablePrefix+x.Name) == "" {
			return client.TemplateVersion{}, inputError(variablePrefix+x.Name, "The template needs a value.")
		}
	}
	return v.api.CreateTemplateVersion(ctx, w.Version.OrganizationID.String(), client.CreateTemplateVersionRequest{
		TemplateID: w.Version.TemplateID, Message: w.Version.Message, StorageMethod: client.StorageFile, Provisioner: client.ProvisionerTerraform,
		FileID: &w.Version.Job.FileID, Tags: w.Version.Job.Tags, UserVariableValues: variableValues(w.variables, w.Values),
	})
}

// canceled asks an import to end, and says why where that cannot be.
func (v *visit) canceled(ctx context.Context, id uuid.UUID, back string) (reply, error) {
	said, err := "The import is asked to stop.", v.api.CancelTemplateVersion(ctx, id)
	if aboutInput(client.StatusCode(err)) {
		said, err = refusalText(err), nil
	}
	return redirect{to: back, said: said}, err
}

type templateVersionsPage struct {
	templatePage
	Versions []client.TemplateVersion
	Archived bool
	Pager    pager
}

func (u *UI) templateVersions(ctx context.Context, v *visit) (reply, error) {
	p, err := v.templatePage(ctx, "versions", "Versions")
	if err != nil {
		return nil, err
	}
	data := &templateVersionsPage{templatePage: p, Archived: v.query("archived") != ""}
	all, err := v.api.TemplateVersions(ctx, p.Template.ID, client.TemplateVersionsRequest{IncludeArchived: data.Archived})
	if err != nil {
		return nil, err
	}
	slices.Reverse(all) // the API has the oldest first
	offset := min(v.offset(), len(all))
	data.Versions = all[offset:min(offset+listed, len(all))]
	data.Pager = v.pager(offset, len(data.Versions), len(all))
	return show("template_versions.html", data), nil
}

type templateVersionPage struct {
	templatePage
	versionView
	// Active is what workspaces are made of now.
	Active bool
}

// templateVersionPage loads the version of the page's path.
func (u *UI) templateVersionPage(ctx context.Context, v *visit) (*templateVersionPage, error) {
	p, err := v.templatePage(ctx, "versions", v.path("version"))
	if err != nil {
		return nil, err
	}
	version, err := v.api.TemplateVersionByName(ctx, p.Template.ID, v.path("version"))
	if err != nil {
		return nil, err
	}
	w, err := v.versionView(ctx, version)
	w.AgainPath, w.CancelPath = p.Path("versions", version.Name, "again"), p.Path("versions", version.Name, "cancel")
	return &templateVersionPage{p, w, version.ID == p.Template.ActiveVersionID}, err
}

func (u *UI) templateVersion(ctx context.Context, v *visit) (reply, error) {
	p, err := u.templateVersionPage(ctx, v)
	if err != nil {
		return nil, err
	}
	return show("template_version.html", p), nil
}

// actOnTemplateVersion does what a button of the version's page says.
func (u *UI) actOnTemplateVersion(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := u.templateVersionPage(ctx, v)
	if err != nil {
		return nil, err
	}
	back := p.Path("versions", p.Version.Name)
	switch v.path("action") {
	case "cancel":
		return v.canceled(ctx, p.Version.ID, back)
	case "again":
		made, err := v.importAgain(ctx, &p.versionView, values)
		if status, ok := p.Values.refused(err); ok {
			return showAs(status, "template_version.html", p), nil
		}
		return redirect{to: p.Path("versions", made.Name), said: "The source is imported again, as " + made.Name + "."}, err
	}
	said, err := v.changeVersion(ctx, p, v.path("action"))
	if aboutInput(client.StatusCode(err)) {
		said, err = refusalText(err), nil
	}
	return redirect{to: localPath(cmp.Or(values.Get("back"), back)), said: said}, err
}

func (v *visit) changeVersion(ctx context.Context, p *templateVersionPage, action string) (string, error) {
	name := p.Version.Name
	switch action {
	case "promote":
		return fmt.Sprintf("New workspaces are made of %s now. Those that there are can be updated to it.", name),
			v.api.UpdateActiveTemplateVersion(ctx, p.Template.ID, client.UpdateActiveTemplateVersionRequest{ID: p.Version.ID})
	case "archive":
		return name + " is in the archive.", v.api.SetTemplateVersionArchived(ctx, p.Version.ID, true)
	case "unarchive":
		return name + " is out of the archive.", v.api.SetTemplateVersionArchived(ctx, p.Version.ID, false)
	}
	return "", errNoPage
}

// newVersionPage asks for the source of another version.
type newVersionPage struct {
	templatePage
	Form form
}

func newVersionFields(tags map[string]string) form {
	archive := archiveField()
	archive.Required = true
	return form{Fields: []field{
		archive,
		{Name: "name", Label: "Version", Value: newVersionName(), Required: true, MaxLength: 64, Hint: "Such as 1.2.0; no other version of the template has it."},
		{Name: "message", Label: "Message", Kind: kindTextarea, Rows: 2, Hint: "What is new, for people who look at the list of versions."},
		{Name: "tags", Label: "Provisioner tags", Kind: kindTextarea, Rows: 2, Value: strings.Join(tagList(tags), "\n"), Hint: tagsHint},
	}}
}

func (u *UI) newVersionPage(ctx context.Context, v *visit) (*newVersionPage, error) {
	p, err := v.templatePage(ctx, "versions", "New version")
	if err != nil {
		return nil, err
	}
	if allowed, err := p.Can("change"); err != nil || !allowed {
		return nil, cmp.Or(err, errNotAllowed("versions of this template"))
	}
	active, err := v.api.TemplateVersion(ctx, p.Template.ActiveVersionID)
	return &newVersionPage{p, newVersionFields(active.Job.Tags)}, err
}

func (u *UI) newVersionForm(ctx context.Context, v *visit) (reply, error) {
	p, err := u.newVersionPage(ctx, v)
	if err != nil {
		return nil, err
	}
	return show("template_import.html", p), nil
}

func (u *UI) importVersion(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsedUpload(ctx)
	if err != nil {
		return nil, err
	}
	p, err := u.newVersionPage(ctx, v)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	made, err := v.importedVersion(ctx, p)
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "template_import.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: p.Path("versions", made.Name)}, nil
}

func (v *visit) importedVersion(ctx context.Context, p *newVersionPage) (client.TemplateVersion, error) {
	tags, err := tagsOf(p.Form.value("tags"))
	if err != nil {
		return client.TemplateVersion{}, err
	}
	file, err := v.uploaded(ctx, "file")
	if err != nil {
		return client.TemplateVersion{}, err
	}
	return v.api.CreateTemplateVersion(ctx, p.Template.OrganizationID.String(), client.CreateTemplateVersionRequest{
		Name: p.Form.value("name"), Message: p.Form.value("message"), TemplateID: &p.Template.ID, FileID: &file,
		StorageMethod: client.StorageFile, Provisioner: client.ProvisionerTerraform, Tags: tags,
	})
}
