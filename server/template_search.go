package server

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// templateSearch is a search string for templates: what a row must satisfy.
type templateSearch struct {
	deleted bool
	// organization is a name or an id; empty is all of them.
	organization  string
	externalAgent *bool
	conditions    []func(store.Template) bool
}

// searchTemplates lists the readable templates of readable organizations.
func (a *api) searchTemplates(ctx context.Context, orgs []store.Organization, q string) (*output[[]client.Template], error) {
	search, err := a.parseTemplateSearch(ctx, q)
	if err != nil {
		return nil, err
	}
	ids := []uuid.UUID{}
	for _, org := range orgs {
		if search.organization == "" || strings.EqualFold(org.Name, search.organization) || org.ID.String() == search.organization {
			ids = append(ids, org.ID)
		}
	}
	rows, err := a.store.ListTemplates(ctx, store.ListTemplatesParams{OrganizationIds: store.IDs(ids), Deleted: search.deleted})
	if err != nil {
		return nil, err
	}
	subject := subjectFrom(ctx)
	all := subject.All(authz.Read, authz.Template)
	rows = slices.DeleteFunc(rows, func(t store.Template) bool {
		return !all && !subject.Can(authz.Read, templateObject(t)) || slices.ContainsFunc(search.conditions, func(matches func(store.Template) bool) bool { return !matches(t) })
	})
	if search.externalAgent != nil {
		if rows, err = a.keepExternalAgents(ctx, rows, *search.externalAgent); err != nil {
			return nil, err
		}
	}
	templates, err := a.templateResponses(ctx, orgs, rows)
	if err != nil {
		return nil, err
	}
	return reply(templates), nil
}

func (a *api) parseTemplateSearch(ctx context.Context, q string) (templateSearch, error) {
	s := parseSearch(q, "organization", "name", "exact_name", "ids", "deprecated", "deleted", "author", "has-ai-task", "has_external_agent")
	out := templateSearch{}
	keep := func(condition func(store.Template) bool) { out.conditions = append(out.conditions, condition) }
	out.organization, _ = s.one("organization")
	out.deleted, _ = s.bool("deleted")
	name, _ := s.one("name")
	for _, part := range []string{s.term, name} {
		if part != "" {
			keep(func(t store.Template) bool { return strings.Contains(strings.ToLower(t.Name), part) })
		}
	}
	if exact, given := s.one("exact_name"); given {
		keep(func(t store.Template) bool { return strings.EqualFold(t.Name, exact) })
	}
	if ids := s.ids("ids"); ids != nil {
		keep(func(t store.Template) bool { return slices.Contains(ids, t.ID) })
	}
	if wanted, given := s.bool("deprecated"); given {
		keep(func(t store.Template) bool { return (t.DeprecationMessage != "") == wanted })
	}
	if wanted, given := s.bool("has-ai-task"); given && wanted {
		keep(func(store.Template) bool { return false }) // there are none
	}
	if author, given := s.one("author"); given {
		user, err := a.findUser(ctx, author)
		if err != nil && !store.IsNotFound(err) {
			return out, err
		}
		keep(func(t store.Template) bool { return err == nil && t.CreatedBy == user.ID })
	}
	if wanted, given := s.bool("has_external_agent"); given {
		out.externalAgent = &wanted
	}
	return out, s.err()
}

// keepExternalAgents looks at the active versions.
func (a *api) keepExternalAgents(ctx context.Context, rows []store.Template, wanted bool) ([]store.Template, error) {
	ids := make([]uuid.UUID, len(rows))
	for i, t := range rows {
		ids[i] = t.ActiveVersionID
	}
	versions, err := a.store.ListTemplateVersionsByIDs(ctx, store.IDs(ids))
	if err != nil {
		return nil, err
	}
	external := map[uuid.UUID]bool{}
	for _, v := range versions {
		external[v.ID] = v.HasExternalAgent
	}
	return slices.DeleteFunc(rows, func(t store.Template) bool { return external[t.ActiveVersionID] != wanted }), nil
}
