package ui

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
)

func (u *UI) templateACLRoutes(on *table) {
	const path = "/templates/{organization}/{template}/permissions"
	on.page(get, path, u.templatePermissions)
	on.page(post, path, u.changeTemplatePermission)
}

// candidatesListed is how many people and groups a search shows.
const candidatesListed = 10

type templatePermissionsPage struct {
	templatePage
	// Entries are people and groups with a role on the template.
	Entries []templateEntry
	// Everyone is the role of all members of the organization; empty is none.
	Everyone string
	// Query is who is looked for, and Candidates who was found.
	Query      string
	Candidates []templateEntry
	Problem    string
}

// templateEntry is a person or group, and what it may do with the template.
type templateEntry struct {
	Kind, Name, About, Role string
	ID                      uuid.UUID
}

// Kinds of entries.
const (
	entryUser  = "user"
	entryGroup = "group"
)

// OrganizationID stands for everyone of the organization among the groups.
func (p templatePermissionsPage) OrganizationID() uuid.UUID { return p.Template.OrganizationID }

func (u *UI) templatePermissionsPage(ctx context.Context, v *visit) (*templatePermissionsPage, error) {
	p, err := v.templatePage(ctx, "permissions", "Permissions")
	if err != nil {
		return nil, err
	}
	if allowed, err := p.Can("change"); err != nil || !allowed {
		return nil, cmp.Or(err, errTemplateStays)
	}
	data := &templatePermissionsPage{templatePage: p, Query: strings.TrimSpace(v.query("add"))}
	acl, err := v.api.TemplateACL(ctx, p.Template.ID)
	if err != nil {
		return nil, err
	}
	for _, g := range acl.Groups {
		if g.ID == p.Template.OrganizationID {
			data.Everyone = g.Role
			continue
		}
		data.Entries = append(data.Entries, templateEntry{entryGroup, cmp.Or(g.DisplayName, g.Name), plural(g.TotalMemberCount, "member"), g.Role, g.ID})
	}
	for _, person := range acl.Users {
		data.Entries = append(data.Entries, templateEntry{entryUser, person.Username, cmp.Or(person.Name, person.Email), person.Role, person.ID})
	}
	if data.Query != "" {
		data.Candidates, err = v.templateCandidates(ctx, data)
	}
	return data, err
}

// templateCandidates are members and groups that match what is looked for and
// have no entry of their own.
func (v *visit) templateCandidates(ctx context.Context, p *templatePermissionsPage) ([]templateEntry, error) {
	found, err := v.api.TemplateACLAvailable(ctx, p.Template.ID, p.Query)
	if aboutInput(client.StatusCode(err)) {
		p.Problem = refusalText(err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []templateEntry
	add := func(e templateEntry) {
		taken := slices.ContainsFunc(p.Entries, func(have templateEntry) bool { return have.ID == e.ID })
		if !taken && e.ID != p.Template.OrganizationID && len(out) < candidatesListed {
			out = append(out, e)
		}
	}
	for _, g := range found.Groups {
		add(templateEntry{Kind: entryGroup, Name: cmp.Or(g.DisplayName, g.Name), About: plural(g.TotalMemberCount, "member"), ID: g.ID})
	}
	for _, person := range found.Users {
		add(templateEntry{Kind: entryUser, Name: person.Username, About: cmp.Or(person.Name, person.Email), ID: person.ID})
	}
	return out, nil
}

func (u *UI) templatePermissions(ctx context.Context, v *visit) (reply, error) {
	p, err := u.templatePermissionsPage(ctx, v)
	if err != nil {
		return nil, err
	}
	return show("template_permissions.html", p), nil
}

// changeTemplatePermission sets the role of one person or group; an empty one
// takes it away.
func (u *UI) changeTemplatePermission(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	t, err := v.api.TemplateByName(ctx, v.path("organization"), v.path("template"))
	if err != nil {
		return nil, err
	}
	roles := map[string]string{values.Get("id"): values.Get("role")}
	req := client.UpdateTemplateACLRequest{UserPerms: roles}
	if values.Get("kind") == entryGroup {
		req = client.UpdateTemplateACLRequest{GroupPerms: roles}
	}
	said, err := "The permissions were saved.", v.api.UpdateTemplateACL(ctx, t.ID, req)
	if aboutInput(client.StatusCode(err)) {
		said, err = refusalText(err), nil
	}
	return redirect{to: templatePath(t, "permissions"), said: said}, err
}
