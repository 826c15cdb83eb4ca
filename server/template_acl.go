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

func (a *api) templateACLRoutes(r *router) {
	update := onObject(authz.Update, authz.Template)
	handle(r, get, "/templates/{template}/acl", "Get the access list of a template", update, a.getTemplateACL)
	handle(r, patch, "/templates/{template}/acl", "Change the access list of a template", update, a.updateTemplateACL)
	handle(r, get, "/templates/{template}/acl/available", "List who could be put on the access list", update, a.listTemplateACLAvailable)
}

type updateTemplateACLInput struct {
	TemplatePath
	Body client.UpdateTemplateACLRequest
}

type templateACLAvailableInput struct {
	TemplatePath
	PageInput
}

func (a *api) getTemplateACL(ctx context.Context, in *TemplatePath) (*output[client.TemplateACL], error) {
	t, err := a.template(ctx, authz.Update, in.Template)
	if err != nil {
		return nil, err
	}
	users, err := a.templateUsers(ctx, t)
	if err != nil {
		return nil, err
	}
	groups, err := a.templateGroups(ctx, t)
	if err != nil {
		return nil, err
	}
	return reply(client.TemplateACL{Users: users, Groups: groups}), nil
}

// templateUsers leaves out users who were deleted since.
func (a *api) templateUsers(ctx context.Context, t store.Template) ([]client.TemplateUser, error) {
	ids := []uuid.UUID{}
	for text := range t.UserACL {
		if id, err := uuid.Parse(text); err == nil {
			ids = append(ids, id)
		}
	}
	rows, err := a.store.ListUsersByIDs(ctx, store.IDs(ids))
	if err != nil {
		return nil, err
	}
	users, err := a.userResponses(ctx, slices.DeleteFunc(rows, func(u store.User) bool { return u.Deleted }))
	if err != nil {
		return nil, err
	}
	out := make([]client.TemplateUser, len(users))
	for i, u := range users {
		out[i] = client.TemplateUser{User: u, Role: t.UserACL[u.ID.String()]}
	}
	slices.SortFunc(out, func(x, y client.TemplateUser) int { return strings.Compare(x.Username, y.Username) })
	return out, nil
}

func (a *api) templateGroups(ctx context.Context, t store.Template) ([]client.TemplateGroup, error) {
	groups, err := a.listedGroups(ctx, t.OrganizationID, func(id uuid.UUID) bool { return t.GroupACL[id.String()] != "" })
	if err != nil {
		return nil, err
	}
	out := make([]client.TemplateGroup, len(groups))
	for i, g := range groups {
		out[i] = client.TemplateGroup{Group: g, Role: t.GroupACL[g.ID.String()]}
	}
	return out, nil
}

// updateTemplateACL reads and writes the list in one transaction, so that two
// who change it at once both succeed.
func (a *api) updateTemplateACL(ctx context.Context, in *updateTemplateACLInput) (*output[message], error) {
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		t, err := a.withStore(tx).template(ctx, authz.Update, in.Template)
		if err != nil {
			return err
		}
		err = checkACL(ctx, tx, t.OrganizationID, aclEntries{"user_perms", "member", in.Body.UserPerms}, aclEntries{"group_perms", "group", in.Body.GroupPerms})
		if err != nil {
			return err
		}
		entry, err := a.withStore(tx).storeTemplateACL(ctx, t, mergeACL(t.UserACL, in.Body.UserPerms), mergeACL(t.GroupACL, in.Body.GroupPerms))
		if err != nil {
			return err
		}
		return a.audit(ctx, tx, entry)
	})
	if err != nil {
		return nil, err
	}
	return said("The access list of the template has been changed."), nil
}

// listTemplateACLAvailable searches the members and groups that the caller may see.
func (a *api) listTemplateACLAvailable(ctx context.Context, in *templateACLAvailableInput) (*output[client.TemplateACLAvailable], error) {
	t, err := a.template(ctx, authz.Update, in.Template)
	if err != nil {
		return nil, err
	}
	filter, err := userFilter(in.Query)
	if err != nil {
		return nil, err
	}
	rows, err := a.store.Filtered(in.afterMember(filter, t.OrganizationID)).ListMembers(ctx, store.ListMembersParams{OrganizationID: t.OrganizationID, MaxRows: in.rows(), SkipRows: in.Offset})
	if err != nil {
		return nil, err
	}
	out := client.TemplateACLAvailable{Users: []client.ReducedUser{}, Groups: []client.Group{}}
	for _, row := range rows {
		if subjectFrom(ctx).Can(authz.Read, memberObject(t.OrganizationID, row.User.ID)) {
			out.Users = append(out.Users, reducedUserResponse(row.User))
		}
	}
	org, err := a.store.GetOrganization(ctx, t.OrganizationID)
	if err != nil {
		return nil, err
	}
	groups, err := a.readableGroups(ctx, org)
	if err != nil {
		return nil, err
	}
	term := parseSearch(in.Query).term
	for _, g := range groups {
		if strings.Contains(strings.ToLower(g.Name), term) {
			out.Groups = append(out.Groups, g)
		}
	}
	return reply(out), nil
}
