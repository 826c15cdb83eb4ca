package server

import (
	"context"
	"fmt"
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
	org, err := a.store.GetOrganization(ctx, t.OrganizationID)
	if err != nil {
		return nil, err
	}
	groups, err := a.store.ListGroups(ctx, org.ID)
	if err != nil {
		return nil, err
	}
	members, err := a.store.ListMembersOfGroups(ctx, store.ListMembersOfGroupsParams{OrganizationID: org.ID})
	if err != nil {
		return nil, err
	}
	out := []client.TemplateGroup{}
	for _, g := range groups {
		if role, ok := t.GroupACL[g.ID.String()]; ok {
			out = append(out, client.TemplateGroup{Group: groupResponse(ctx, org, g, members), Role: role})
		}
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
		if err := checkACL(ctx, tx, t.OrganizationID, in.Body); err != nil {
			return err
		}
		return tx.UpdateTemplateACL(ctx, store.UpdateTemplateACLParams{
			OrganizationID: t.OrganizationID, ID: t.ID, UserACL: mergeACL(t.UserACL, in.Body.UserPerms), GroupACL: mergeACL(t.GroupACL, in.Body.GroupPerms),
			UpdatedAt: store.At(a.now()),
		})
	})
	if err != nil {
		return nil, err
	}
	return said("The access list of the template has been changed."), nil
}

func mergeACL(acl store.StringMap, changes map[string]string) store.StringMap {
	out := cloneMap(acl)
	for text, role := range changes {
		id, err := uuid.Parse(text)
		if err != nil {
			continue // checkACL has refused it
		}
		if role == "" {
			delete(out, id.String())
		} else {
			out[id.String()] = role
		}
	}
	return out
}

// checkACL wants members and groups of the template's organization. Entries
// that only go away are not looked up: their user or group may be gone.
func checkACL(ctx context.Context, tx *store.Store, organizationID uuid.UUID, req client.UpdateTemplateACLRequest) error {
	groups, err := tx.ListGroups(ctx, organizationID)
	if err != nil {
		return err
	}
	isGroup := func(id uuid.UUID) (bool, error) {
		return slices.ContainsFunc(groups, func(g store.Group) bool { return g.ID == id }), nil
	}
	isMember := func(id uuid.UUID) (bool, error) {
		_, err := tx.GetMember(ctx, store.GetMemberParams{OrganizationID: organizationID, UserID: id})
		if store.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	}
	var wrong []client.ValidationError
	for _, list := range []struct {
		field, what string
		entries     map[string]string
		known       func(uuid.UUID) (bool, error)
	}{{"user_perms", "member", req.UserPerms, isMember}, {"group_perms", "group", req.GroupPerms, isGroup}} {
		for text, role := range list.entries {
			id, err := uuid.Parse(text)
			if err != nil {
				wrong = append(wrong, client.ValidationError{Field: list.field, Detail: fmt.Sprintf("%q is not a UUID.", text)})
				continue
			}
			problem, err := aclProblem(id, role, list.what, list.known)
			if err != nil {
				return err
			}
			if problem != "" {
				wrong = append(wrong, client.ValidationError{Field: list.field, Detail: problem})
			}
		}
	}
	if wrong != nil {
		return badRequest("The request is not valid.", wrong...)
	}
	return nil
}

func aclProblem(id uuid.UUID, role, what string, known func(uuid.UUID) (bool, error)) (string, error) {
	switch {
	case role == "":
		return "", nil
	case role != client.TemplateRoleUse && role != client.TemplateRoleAdmin:
		return fmt.Sprintf("%q is not a role; use %s, %s, or nothing to remove the entry.", role, client.TemplateRoleAdmin, client.TemplateRoleUse), nil
	}
	ok, err := known(id)
	if err != nil || ok {
		return "", err
	}
	return fmt.Sprintf("The organization has no %s %s.", what, id), nil
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
	rows, err := a.store.Filtered(in.after(filter)).ListMembers(ctx, store.ListMembersParams{OrganizationID: t.OrganizationID, MaxRows: in.rows(), SkipRows: in.Offset})
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
