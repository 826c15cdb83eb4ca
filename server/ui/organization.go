package ui

import (
	"cmp"
	"context"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"coder/client"
	"coder/internal/shell"
)

func (u *UI) organizationRoutes(on *table) {
	on.list("/organizations", u.organizations)
	on.page(get, "/organizations/new", u.newOrganizationForm)
	on.page(post, "/organizations/new", u.createOrganization)
	on.page(get, "/organizations/{organization}", u.organizationFront)
	on.page(get, "/organizations/{organization}/settings", u.organizationSettings)
	on.page(post, "/organizations/{organization}/settings", u.changeOrganization)
	on.page(get, "/organizations/{organization}/delete", u.deleteOrganizationForm)
	on.page(post, "/organizations/{organization}/delete", u.deleteOrganization)
}

// organizationPath is the address of a page of an organization.
func organizationPath(name string, parts ...string) string {
	path := "/organizations/" + url.PathEscape(name)
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// organizationPage is what every page of an organization shows, embedded in
// the page's own struct.
type organizationPage struct {
	page
	Organization client.Organization
	// Tab is the page's entry in the side navigation.
	Tab string
}

// Path is the address of a page of the organization.
func (p organizationPage) Path(parts ...string) string {
	return organizationPath(p.Organization.Name, parts...)
}

// Name is what people call the organization.
func (p organizationPage) Name() string {
	return cmp.Or(p.Organization.DisplayName, p.Organization.Name)
}

// organizationPage loads the organization of the page's path, and what its
// person may do in it.
func (v *visit) organizationPage(ctx context.Context, tab, title string, more ...checks) (organizationPage, error) {
	org, err := v.api.Organization(ctx, v.path("organization"))
	if err != nil {
		return organizationPage{}, err
	}
	p, err := v.page(ctx, title+" · "+cmp.Or(org.DisplayName, org.Name), append(more, organizationChecks(org.ID))...)
	return organizationPage{page: p, Organization: org, Tab: tab}, err
}

type organizationsPage struct {
	page
	Organizations []client.Organization
	Query         string
	Pager         pager
}

func (u *UI) organizations(ctx context.Context, v *visit) (reply, error) {
	p, err := v.page(ctx, "Organizations")
	if err != nil {
		return nil, err
	}
	all, err := v.api.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	q := strings.TrimSpace(v.query("q"))
	shown := slices.DeleteFunc(all, func(o client.Organization) bool { return !mentions(q, o.Name, o.DisplayName, o.Description) })
	offset := min(v.offset(), len(shown))
	listing := shown[offset:min(offset+listed, len(shown))]
	return show("organizations.html", &organizationsPage{page: p, Organizations: listing, Query: q, Pager: v.pager(offset, len(listing), len(shown))}), nil
}

// Cards are the organizations, one each.
func (p *organizationsPage) Cards() template.HTML {
	m := rowsOf(len(p.Organizations))
	for i := range p.Organizations {
		o := &p.Organizations[i]
		m.put(`<li><a class="card thing-card" href="%"><span class="thing">%<span><strong>%</strong><small class="quiet">%`,
			organizationPath(o.Name), squareAvatar(o.Name, o.Name), cmp.Or(o.DisplayName, o.Name), o.Name)
		if o.IsDefault {
			m.put(" · default")
		}
		m.put("</small></span></span>\n")
		if o.Description != "" {
			m.put(`<span class="soft">%</span>`, o.Description)
		}
		m.put("</a></li>\n")
	}
	return m.html()
}

// mentions tells whether one of the texts has what is looked for.
func mentions(q string, texts ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(q)) })
}

// organizationFront leads to what most people come for.
func (u *UI) organizationFront(ctx context.Context, v *visit) (reply, error) {
	p, err := v.organizationPage(ctx, "", "")
	if err != nil {
		return nil, err
	}
	first := "groups"
	if p.rights["read members"] {
		first = "members"
	}
	return redirect{to: p.Path(first)}, nil
}

func organizationFields(o client.Organization) form {
	return form{Fields: []field{
		{Name: "name", Label: "Name", Value: o.Name, Required: true, MaxLength: 32, Autofocus: o.Name == "", Hint: "Letters, digits and single hyphens. Commands and addresses use it: --org " + cmp.Or(o.Name, "data-platform")},
		{Name: "display_name", Label: "Display name", Value: o.DisplayName, MaxLength: 64, Hint: "What people read; the name when empty."},
		{Name: "description", Label: "Description", Kind: kindTextarea, Rows: 2, Value: o.Description},
		{Name: "icon", Label: "Icon", Value: o.Icon, Hint: "An address of a picture, for clients that show one."},
	}}
}

func (u *UI) newOrganizationPage(ctx context.Context, v *visit, f form) (*formPage, error) {
	p, err := v.page(ctx, "New organization")
	return &formPage{
		page: p, Form: f, Submit: "Create organization", Cancel: "/organizations",
		Intro:   "An organization has members, roles, groups, templates, provisioners and workspaces of its own. Others see nothing of it.",
		Command: "coder organizations create " + shell.Word(cmp.Or(f.value("name"), "data-platform")),
		Crumbs:  []crumb{{"Organizations", "/organizations"}},
	}, err
}

func (u *UI) newOrganizationForm(ctx context.Context, v *visit) (reply, error) {
	p, err := u.newOrganizationPage(ctx, v, organizationFields(client.Organization{}))
	if err != nil {
		return nil, err
	}
	if allowed, err := p.Can("create organizations"); err != nil || !allowed {
		return nil, cmp.Or(err, errNotAllowed("organizations"))
	}
	return show("form.html", p), nil
}

func (u *UI) createOrganization(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	f := organizationFields(client.Organization{})
	f.read(values)
	org, err := v.api.CreateOrganization(ctx, client.CreateOrganizationRequest{
		Name: f.value("name"), DisplayName: f.value("display_name"), Description: f.value("description"), Icon: f.value("icon"),
	})
	if status, ok := f.refused(err); ok {
		p, err := u.newOrganizationPage(ctx, v, f)
		return showAs(status, "form.html", p), err
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: organizationPath(org.Name, "provisioners"), said: "The organization " + org.Name + " was created. It needs a provisioner next."}, nil
}

type organizationSettingsPage struct {
	organizationPage
	Form form
}

func (u *UI) organizationSettings(ctx context.Context, v *visit) (reply, error) {
	p, err := v.organizationPage(ctx, "settings", "Settings")
	if err != nil {
		return nil, err
	}
	f := organizationFields(p.Organization).guarded(p.Organization.UpdatedAt)
	return show("organization_settings.html", &organizationSettingsPage{p, f}), nil
}

func (u *UI) changeOrganization(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := v.organizationPage(ctx, "settings", "Settings")
	if err != nil {
		return nil, err
	}
	f := organizationFields(p.Organization).guarded(p.Organization.UpdatedAt)
	f.read(values)
	var org client.Organization
	if err = f.stale(); err == nil {
		org, err = v.api.UpdateOrganization(ctx, p.Organization.Name, client.UpdateOrganizationRequest{
			Name: f.value("name"), DisplayName: f.value("display_name"), Description: new(f.value("description")), Icon: new(f.value("icon")),
		})
	}
	if status, ok := f.refused(err); ok {
		return showAs(status, "organization_settings.html", &organizationSettingsPage{p, f}), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: organizationPath(org.Name, "settings"), said: "The settings were saved."}, nil
}

type organizationDeletePage struct {
	organizationPage
	Contents client.OrganizationContents
	Form     form
}

// Where is the list of what stands in the way of the delete.
func (p organizationDeletePage) Where(kind string) string {
	narrowed := "organization=" + url.QueryEscape(p.Organization.Name)
	switch kind {
	case client.ContentWorkspace:
		return "/workspaces?q=&" + narrowed
	case client.ContentTemplate:
		return "/templates?" + narrowed
	case client.ContentProvisionerKey:
		return p.Path("keys")
	default:
		return p.Path(kind + "s")
	}
}

func (u *UI) organizationDeletePage(ctx context.Context, v *visit) (*organizationDeletePage, error) {
	p, err := v.organizationPage(ctx, "settings", "Delete")
	if err != nil {
		return nil, err
	}
	contents, err := v.api.OrganizationContents(ctx, p.Organization.Name)
	return &organizationDeletePage{p, contents, confirmation(p.Organization.Name)}, err
}

func (u *UI) deleteOrganizationForm(ctx context.Context, v *visit) (reply, error) {
	p, err := u.organizationDeletePage(ctx, v)
	if err != nil {
		return nil, err
	}
	return show("organization_delete.html", p), nil
}

func (u *UI) deleteOrganization(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := u.organizationDeletePage(ctx, v)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	if err = p.Form.confirmed(p.Organization.Name); err == nil {
		err = v.api.DeleteOrganization(ctx, p.Organization.ID.String())
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "organization_delete.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: "/organizations", said: "The organization " + p.Organization.Name + " was deleted. Its name is free again."}, nil
}

// errNotAllowed is for a page that only leads to a refusal.
func errNotAllowed(what string) error {
	return &client.Error{StatusCode: http.StatusForbidden, Message: "You may not create " + what + ".", Detail: "Ask an administrator."}
}
