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

// templateSearch is a search string for templates: conditions on the table t.
type templateSearch struct {
	deleted bool
	// organization is a name or an id; empty is all of them.
	organization string
	filter       store.Filter
}

// searchTemplates lists the readable templates of readable organizations.
func (a *api) searchTemplates(ctx context.Context, orgs []store.Organization, q string) (*output[[]client.Template], error) {
	found, err := a.findTemplates(ctx, orgs, q)
	if err != nil {
		return nil, err
	}
	templates, err := a.foundTemplates(ctx, orgs, found)
	if err != nil {
		return nil, err
	}
	return reply(templates), nil
}

// findTemplates finds readable templates of readable organizations, the most
// used ones first, and reads of them no more than that takes.
func (a *api) findTemplates(ctx context.Context, orgs []store.Organization, q string) ([]store.ListTemplateUseRow, error) {
	search, err := a.parseTemplateSearch(ctx, q)
	if err != nil {
		return nil, err
	}
	ids := []uuid.UUID{}
	for _, org := range orgs {
		if isOrganization(org, search.organization) {
			ids = append(ids, org.ID)
		}
	}
	found, err := a.store.Filtered(search.filter).ListTemplateUse(ctx, store.ListTemplateUseParams{OrganizationIds: store.IDs(ids), Deleted: search.deleted})
	subject := subjectFrom(ctx)
	if err != nil || subject.All(authz.Read, authz.Template) {
		return found, err
	}
	rows, err := a.templatesFound(ctx, found)
	return slices.DeleteFunc(found, func(t store.ListTemplateUseRow) bool {
		row, ok := rows[t.ID]
		return !ok || !subject.Can(authz.Read, templateObject(row))
	}), err
}

// isOrganization tells whether this is the one that ref names; nothing names any.
func isOrganization(org store.Organization, ref string) bool {
	return ref == "" || strings.EqualFold(org.Name, ref) || org.ID.String() == ref
}

func (a *api) templatesFound(ctx context.Context, found []store.ListTemplateUseRow) (map[uuid.UUID]store.Template, error) {
	ids := make([]uuid.UUID, len(found))
	for i, t := range found {
		ids[i] = t.ID
	}
	rows, err := a.store.ListTemplatesByIDs(ctx, store.IDs(ids))
	byID := make(map[uuid.UUID]store.Template, len(rows))
	for _, t := range rows {
		byID[t.ID] = t
	}
	return byID, err
}

// foundTemplates reads the readable ones of what was found whole, in its order.
func (a *api) foundTemplates(ctx context.Context, orgs []store.Organization, found []store.ListTemplateUseRow) ([]client.Template, error) {
	rows, err := a.templatesFound(ctx, found)
	if err != nil {
		return nil, err
	}
	templates, active := make([]store.Template, 0, len(found)), make(map[uuid.UUID]int64, len(found))
	for _, t := range found {
		active[t.ID] = t.ActiveUsers
		if row, ok := rows[t.ID]; ok {
			templates = append(templates, row)
		}
	}
	return a.templateResponses(ctx, orgs, templates, active)
}

func (a *api) parseTemplateSearch(ctx context.Context, q string) (templateSearch, error) {
	s := parseSearch(q, "organization", "name", "exact_name", "ids", "deprecated", "deleted", "author", "has-ai-task", "has_external_agent")
	out := templateSearch{}
	f := &out.filter
	out.organization, _ = s.one("organization")
	out.deleted, _ = s.bool("deleted")
	name, _ := s.one("name")
	for _, part := range []string{s.term, name} {
		if part != "" {
			f.Where(`lower(t.name) LIKE lower(?) ESCAPE '\'`, likePattern(part))
		}
	}
	if exact, given := s.one("exact_name"); given {
		f.Where("lower(t.name) = lower(?)", exact)
	}
	if ids := s.ids("ids"); ids != nil {
		f.Where("t.id IN (SELECT value FROM json_list(?))", store.IDs(ids))
	}
	if wanted, given := s.bool("deprecated"); given {
		f.Where("(t.deprecation_message <> '') = ?", wanted)
	}
	if wanted, given := s.bool("has-ai-task"); given && wanted {
		f.Where("t.id = ''") // there are none
	}
	if author, given := s.one("author"); given {
		user, err := a.findUser(ctx, author)
		if err != nil && !store.IsNotFound(err) {
			return out, err
		}
		f.Where("t.created_by = ?", user.ID) // the zero id made none
	}
	if wanted, given := s.bool("has_external_agent"); given {
		f.Where("EXISTS (SELECT 1 FROM template_versions v WHERE v.id = t.active_version_id AND v.has_external_agent = TRUE) = ?", wanted)
	}
	return out, s.err()
}
