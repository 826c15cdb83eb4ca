package server

import (
	"bytes"
	"cmp"
	"context"
	"maps"
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

// foundTemplate is one that a search has found, and how many people use it.
type foundTemplate struct {
	store.ListTemplateNamesRow
	activeUsers int64
}

// findTemplates finds readable templates of readable organizations, the most
// used ones first, and reads of them no more than that takes.
func (a *api) findTemplates(ctx context.Context, orgs []store.Organization, q string) ([]foundTemplate, error) {
	search, err := a.parseTemplateSearch(ctx, q)
	if err != nil {
		return nil, err
	}
	among := map[uuid.UUID]bool{}
	for _, org := range orgs {
		if isOrganization(org, search.organization) {
			among[org.ID] = true
		}
	}
	var used store.Filter
	subject := subjectFrom(ctx)
	if search.organization != "" || !subject.All(authz.Read, authz.Organization) { // which would only name them all
		ids := store.IDs(slices.Collect(maps.Keys(among)))
		search.filter.Where("t.organization_id IN (SELECT value FROM json_list(?))", ids)
		used.Where("c.organization_id IN (SELECT value FROM json_list(?))", ids)
	}
	names, err := a.store.Filtered(search.filter).ListTemplateNames(ctx, search.deleted)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(t store.ListTemplateNamesRow) bool { return !among[t.OrganizationID] })
	if !subject.All(authz.Read, authz.Template) {
		if names, err = a.readableTemplates(ctx, names); err != nil {
			return nil, err
		}
	}
	use, err := a.store.Filtered(used).ListTemplateUse(ctx)
	return mostUsed(names, use), err
}

// readableTemplates asks for each, by its access list.
func (a *api) readableTemplates(ctx context.Context, names []store.ListTemplateNamesRow) ([]store.ListTemplateNamesRow, error) {
	ids := make([]uuid.UUID, len(names))
	for i, t := range names {
		ids[i] = t.ID
	}
	rows, err := a.store.ListTemplatesByIDs(ctx, store.IDs(ids))
	readable, subject := map[uuid.UUID]bool{}, subjectFrom(ctx)
	for _, t := range rows {
		readable[t.ID] = subject.Can(authz.Read, templateObject(t))
	}
	return slices.DeleteFunc(names, func(t store.ListTemplateNamesRow) bool { return !readable[t.ID] }), err
}

// mostUsed puts templates into the order of lists.
func mostUsed(names []store.ListTemplateNamesRow, use []store.ListTemplateUseRow) []foundTemplate {
	active := make(map[uuid.UUID]int64, len(use))
	for _, u := range use {
		active[u.TemplateID] += u.Users
	}
	found := make([]foundTemplate, len(names))
	for i, t := range names {
		found[i] = foundTemplate{t, active[t.ID]}
	}
	slices.SortFunc(found, func(x, y foundTemplate) int {
		if byUse := cmp.Compare(y.activeUsers, x.activeUsers); byUse != 0 {
			return byUse
		}
		return cmp.Or(strings.Compare(strings.ToLower(x.Name), strings.ToLower(y.Name)), bytes.Compare(x.ID[:], y.ID[:]))
	})
	return found
}

// isOrganization tells whether this is the one that ref names; nothing names any.
func isOrganization(org store.Organization, ref string) bool {
	return ref == "" || strings.EqualFold(org.Name, ref) || strings.EqualFold(org.ID.String(), ref)
}

// foundTemplates reads what was found whole, in its order.
func (a *api) foundTemplates(ctx context.Context, orgs []store.Organization, found []foundTemplate) ([]client.Template, error) {
	ids := make([]uuid.UUID, len(found))
	for i, t := range found {
		ids[i] = t.ID
	}
	rows, err := a.store.ListTemplatesByIDs(ctx, store.IDs(ids))
	if err != nil {
		return nil, err
	}
	byID := make(map[uuid.UUID]store.Template, len(rows))
	for _, t := range rows {
		byID[t.ID] = t
	}
	templates, active := make([]store.Template, 0, len(found)), make(map[uuid.UUID]int64, len(found))
	for _, t := range found {
		active[t.ID] = t.activeUsers
		if row, ok := byID[t.ID]; ok {
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
