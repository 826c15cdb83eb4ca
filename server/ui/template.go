package ui

import (
	"cmp"
	"context"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
)

func (u *UI) templateRoutes(on *table) {
	const template = "/templates/{organization}/{template}"
	on.list("/templates", u.templates)
	on.page(get, template, u.template)
	on.page(get, template+"/resources", u.templateResources)
	on.page(get, template+"/parameters", u.templateParameters)
	u.templateCreateRoutes(on)
	u.templateVersionRoutes(on)
	u.templateSettingRoutes(on)
	u.templateACLRoutes(on)
}

// newVersionPath is the address of a version that is of no template yet.
func newVersionPath(id uuid.UUID) string { return "/templates/new/" + id.String() }

type templatesPage struct {
	page
	Templates []client.Template
	// Organizations are those that templates are of; a single one is not shown.
	Organizations       []namedOrganization
	Query, Organization string
	Pager               pager
	Problem             string
	// ForWorkspace is for whoever wants a new workspace, and is to choose of what.
	ForWorkspace bool
	// First is for whoever sees no template at all.
	First bool
}

// namedOrganization is an organization to narrow a list to.
type namedOrganization struct{ Name, Title string }

// organizationOptions are the options of a field that narrows a list to one.
func organizationOptions(organizations []namedOrganization, chosen string) template.HTML {
	var b strings.Builder
	for _, o := range organizations {
		selected := ""
		if o.Name == chosen {
			selected = " selected"
		}
		b.WriteString(`<option value="` + template.HTMLEscapeString(o.Name) + `"` + selected + `>` + template.HTMLEscapeString(o.Title) + "</option>\n")
	}
	return template.HTML(b.String())
}

// Rows are those of the table.
func (p *templatesPage) Rows() (template.HTML, error) {
	m := rowsOf(len(p.Templates))
	for i := range p.Templates {
		t := &p.Templates[i]
		title := cmp.Or(t.DisplayName, t.Name)
		m.put(`<tr>
<td><span class="thing">%<span><a class="row" href="%">%</a>`, squareAvatar(t.Name, title), templatePath(*t), title)
		if t.Deprecated {
			m.put(" %", pill("deprecated"))
		}
		if t.Description != "" || t.DisplayName != "" {
			m.put("<small>%</small>", cmp.Or(t.Description, t.Name))
		}
		m.put(`</span></span></td>
<td data-label="Organization"><a href="%">%</a></td>
<td class="nowrap" data-label="Used by">`, organizationPath(t.OrganizationName), cmp.Or(t.OrganizationDisplayName, t.OrganizationName))
		if t.ActiveUserCount > 0 {
			m.put("%", plural(t.ActiveUserCount, "user"))
		} else {
			m.put(`<span class="quiet">nobody yet</span>`)
		}
		m.put(`</td>
<td class="nowrap" data-label="Changed">%</td>
<td><div class="row-actions">`, p.since(t.UpdatedAt))
		may, err := p.MayUse(*t)
		if err != nil {
			return "", err
		}
		if may && !t.Deprecated {
			m.put(`<a class="button small" href="%" aria-label="Create a workspace of %">Create workspace</a>`, templatePath(*t, "workspace"), title)
		}
		m.put("</div></td>\n</tr>\n")
	}
	return m.html(), nil
}

// MayUse tells whether the person may make workspaces in the template's organization.
func (p *templatesPage) MayUse(t client.Template) (bool, error) {
	return p.Can("create workspaces in " + t.OrganizationID.String())
}

func (u *UI) templates(ctx context.Context, v *visit) (reply, error) {
	query, organization := strings.TrimSpace(v.query("q")), v.query("organization")
	found, err := v.api.PaginatedTemplates(ctx, client.TemplatesRequest{Query: query, Organization: organization, Page: client.Page{Limit: listed, Offset: v.offset()}})
	problem := ""
	if client.StatusCode(err) == http.StatusBadRequest {
		problem, err = refusalText(err), nil
	}
	if err != nil {
		return nil, err
	}
	data := &templatesPage{Templates: found.Templates, Query: query, Organization: organization, Problem: problem, ForWorkspace: v.query("for") == "workspace"}
	for _, o := range found.Organizations {
		data.Organizations = append(data.Organizations, namedOrganization{o.Name, cmp.Or(o.DisplayName, o.Name)})
	}
	data.First = found.Count == 0 && query == "" && organization == "" && problem == ""
	data.Pager = v.pager(min(v.offset(), found.Count), len(found.Templates), found.Count)
	if data.page, err = v.page(ctx, "Templates", useChecks(data.Templates)); err != nil {
		return nil, err
	}
	if problem != "" {
		return showAs(http.StatusBadRequest, "templates.html", data), nil
	}
	return show("templates.html", data), nil
}

// useChecks ask in which organizations of the templates one may make workspaces.
func useChecks(templates []client.Template) checks {
	asked := checks{}
	for _, t := range templates {
		asked["create workspaces in "+t.OrganizationID.String()] = ownWorkspace(t)
	}
	return asked
}

// ownWorkspace asks whether one may make a workspace of one's own.
func ownWorkspace(t client.Template) client.AuthorizationCheck {
	return client.AuthorizationCheck{Action: "create", Object: client.AuthorizationObject{ResourceType: "workspace", OrganizationID: t.OrganizationID.String(), OwnerID: client.Me}}
}

// templatePage is what every page of a template shows.
type templatePage struct {
	page
	Template client.Template
	// Tab is the page's entry in the navigation.
	Tab string
}

// Path is the address of a page of the template.
func (p templatePage) Path(parts ...string) string {
	return templatePath(p.Template, parts...)
}

// Name is what people call the template.
func (p templatePage) Name() string { return cmp.Or(p.Template.DisplayName, p.Template.Name) }

// OrganizationTitle is what people call the template's organization.
func (p templatePage) OrganizationTitle() string {
	return cmp.Or(p.Template.OrganizationDisplayName, p.Template.OrganizationName)
}

// templatePage loads the template of the page's path, and what its person may
// do with it.
func (v *visit) templatePage(ctx context.Context, tab, title string) (templatePage, error) {
	t, err := v.api.TemplateByName(ctx, v.path("organization"), v.path("template"))
	if err != nil {
		return templatePage{}, err
	}
	name := cmp.Or(t.DisplayName, t.Name)
	if title != "" {
		name = title + " · " + name
	}
	p, err := v.page(ctx, name, checks{
		"create workspaces": ownWorkspace(t),
		"change":            onObject(t.ID, "update", "template"),
		"import":            onObject(t.ID, "update", "template"),
		"delete":            onObject(t.ID, "delete", "template"),
	})
	return templatePage{page: p, Template: t, Tab: tab}, err
}

type templateFrontPage struct {
	templatePage
	Version client.TemplateVersion
	// Latest are the newest versions, newest first.
	Latest []client.TemplateVersion
}

// latestListed is how many of the newest versions the front page names.
const latestListed = 3

// Usual is the median time of a start in seconds; zero while it is not known.
func (p templateFrontPage) Usual() float64 {
	if ms := p.Template.BuildTimeStats[client.TransitionStart].P50; ms != nil {
		return float64(*ms) / 1000
	}
	return 0
}

// template is the template's own page: what its authors say of it.
func (u *UI) template(ctx context.Context, v *visit) (reply, error) {
	p, err := v.templatePage(ctx, "readme", "")
	if err != nil {
		return nil, err
	}
	version, err := v.api.TemplateVersion(ctx, p.Template.ActiveVersionID)
	if err != nil {
		return nil, err
	}
	all, err := v.api.TemplateVersions(ctx, p.Template.ID, client.TemplateVersionsRequest{})
	if err != nil {
		return nil, err
	}
	slices.Reverse(all) // the API has the oldest first
	return show("template.html", &templateFrontPage{p, version, all[:min(len(all), latestListed)]}), nil
}

type templateResourcesPage struct {
	templatePage
	// Running and Stopped are what a workspace is made of, by its state.
	Running, Stopped []client.WorkspaceResource
}

func (u *UI) templateResources(ctx context.Context, v *visit) (reply, error) {
	p, err := v.templatePage(ctx, "resources", "Resources")
	if err != nil {
		return nil, err
	}
	all, err := v.api.TemplateVersionResources(ctx, p.Template.ActiveVersionID)
	if err != nil {
		return nil, err
	}
	data := &templateResourcesPage{templatePage: p}
	data.Running, data.Stopped = byTransition(all)
	return show("template_resources.html", data), nil
}

// byTransition parts what is there while a workspace runs from what stays when
// it is stopped.
func byTransition(all []client.WorkspaceResource) (running, stopped []client.WorkspaceResource) {
	for _, r := range all {
		switch r.Transition {
		case client.TransitionStart:
			running = append(running, r)
		case client.TransitionStop:
			stopped = append(stopped, r)
		}
	}
	return running, stopped
}

type templateParametersPage struct {
	templatePage
	Form    form
	Presets []client.Preset
}

// templateParameters shows the questions that the template asks whoever makes
// a workspace, as they will be asked.
func (u *UI) templateParameters(ctx context.Context, v *visit) (reply, error) {
	p, err := v.templatePage(ctx, "parameters", "Parameters")
	if err != nil {
		return nil, err
	}
	parameters, err := v.api.TemplateVersionParameters(ctx, p.Template.ActiveVersionID)
	if err != nil {
		return nil, err
	}
	presets, err := v.api.TemplateVersionPresets(ctx, p.Template.ActiveVersionID)
	if err != nil {
		return nil, err
	}
	return show("template_parameters.html", &templateParametersPage{p, form{Fields: parameterFields(parameters, nil, nil)}, presets}), nil
}
