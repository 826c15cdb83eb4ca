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

type listGroupsInput struct {
	Organization string   `query:"organization" doc:"Name or id"`
	HasMember    string   `query:"has_member" doc:"Username or id"`
	GroupIDs     []string `query:"group_ids" format:"uuid"`
}

type groupNameInput struct {
	OrganizationPath
	Group          string `path:"groupName"`
	ExcludeMembers bool   `query:"exclude_members" doc:"Leave the members out and keep their count"`
}

type GroupPath struct {
	Group uuid.UUID `path:"group" format:"uuid"`
}

type groupInput struct {
	GroupPath
	ExcludeMembers bool `query:"exclude_members" doc:"Leave the members out and keep their count"`
}

type groupMembersInput struct {
	GroupPath
	PageInput
}

type groupNameMembersInput struct {
	OrganizationPath
	Group string `path:"groupName"`
	PageInput
}

func (a *api) listOrganizationGroups(ctx context.Context, _ *OrganizationPath) (*output[[]client.Group], error) {
	groups, err := a.readableGroups(ctx, organizationFrom(ctx))
	if err != nil {
		return nil, err
	}
	return reply(groups), nil
}

func (a *api) listGroups(ctx context.Context, in *listGroupsInput) (*output[[]client.Group], error) {
	organizations, err := a.groupOrganizations(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	var member store.User
	if in.HasMember != "" {
		if member, err = a.user(ctx, authz.Read, in.HasMember); err != nil {
			return nil, invalid("has_member", "There is no user %q, or you may not see them.", in.HasMember)
		}
	}
	out := []client.Group{}
	for _, org := range organizations {
		groups, err := a.readableGroups(ctx, org)
		if err != nil {
			return nil, err
		}
		out = append(out, groups...)
	}
	return reply(slices.DeleteFunc(out, func(g client.Group) bool {
		return (in.HasMember != "" && !hasMember(g, member.ID)) || (len(in.GroupIDs) > 0 && !containsID(in.GroupIDs, g.ID))
	})), nil
}

func (a *api) groupOrganizations(ctx context.Context, ref string) ([]store.Organization, error) {
	if ref == "" {
		orgs, err := a.store.ListOrganizations(ctx)
		return readableOrganizations(ctx, orgs), err
	}
	org, err := a.organization(ctx, ref)
	if err != nil {
		return nil, invalid("organization", "There is no organization %q, or you may not see it.", ref)
	}
	return []store.Organization{org}, nil
}

// hasMember looks at the members that the caller may see, no others.
func hasMember(g client.Group, id uuid.UUID) bool {
	return slices.ContainsFunc(g.Members, func(u client.ReducedUser) bool { return u.ID == id })
}

func containsID(ids []string, id uuid.UUID) bool {
	return slices.ContainsFunc(ids, func(text string) bool { return strings.EqualFold(text, id.String()) })
}

func (a *api) getGroupByName(ctx context.Context, in *groupNameInput) (*output[client.Group], error) {
	g, err := a.groupByName(ctx, in.Group)
	if err != nil {
		return nil, err
	}
	return a.replyGroup(ctx, g, in.ExcludeMembers)
}

// groupByName finds one in the organization in the path.
func (a *api) groupByName(ctx context.Context, name string) (store.Group, error) {
	g, err := a.store.GetGroupByName(ctx, store.GetGroupByNameParams{OrganizationID: organizationFrom(ctx).ID, Name: name})
	if err != nil {
		return store.Group{}, err
	}
	if !subjectFrom(ctx).Can(authz.Read, groupObject(g)) {
		return store.Group{}, errNotFound()
	}
	return g, nil
}

func (a *api) getGroup(ctx context.Context, in *groupInput) (*output[client.Group], error) {
	g, err := a.group(ctx, authz.Read, in.Group)
	if err != nil {
		return nil, err
	}
	return a.replyGroup(ctx, g, in.ExcludeMembers)
}

func (a *api) replyGroup(ctx context.Context, g store.Group, withoutMembers bool) (*output[client.Group], error) {
	org, err := a.store.GetOrganization(ctx, g.OrganizationID)
	if err != nil {
		return nil, err
	}
	rows, err := a.store.ListMembersOfGroups(ctx, store.ListMembersOfGroupsParams{OrganizationID: org.ID, GroupID: g.ID.String()})
	if err != nil {
		return nil, err
	}
	response := groupResponse(ctx, org, g, rows)
	if withoutMembers {
		response.Members = []client.ReducedUser{}
	}
	return reply(response), nil
}

func (a *api) listGroupMembers(ctx context.Context, in *groupMembersInput) (*output[client.GroupMembersResponse], error) {
	g, err := a.group(ctx, authz.Read, in.Group)
	if err != nil {
		return nil, err
	}
	return a.pageGroupMembers(ctx, g, in.PageInput)
}

func (a *api) listGroupMembersByName(ctx context.Context, in *groupNameMembersInput) (*output[client.GroupMembersResponse], error) {
	g, err := a.groupByName(ctx, in.Group)
	if err != nil {
		return nil, err
	}
	return a.pageGroupMembers(ctx, g, in.PageInput)
}

func (a *api) pageGroupMembers(ctx context.Context, g store.Group, page PageInput) (*output[client.GroupMembersResponse], error) {
	filter, err := userFilter(page.Query)
	if err != nil {
		return nil, err
	}
	if !subjectFrom(ctx).Can(authz.Read, groupMemberObject(g.OrganizationID, uuid.Nil)) {
		filter.Where("u.id = ?", callerID(ctx).String())
	}
	count, err := a.store.Filtered(filter).CountGroupMembers(ctx, store.CountGroupMembersParams{OrganizationID: g.OrganizationID, GroupID: g.ID.String()})
	if err != nil {
		return nil, err
	}
	users, err := a.store.Filtered(page.after(filter)).ListGroupMembers(ctx, store.ListGroupMembersParams{
		OrganizationID: g.OrganizationID, GroupID: g.ID.String(), MaxRows: page.rows(), SkipRows: page.Offset,
	})
	if err != nil {
		return nil, err
	}
	out := []client.ReducedUser{}
	for _, u := range users {
		if subjectFrom(ctx).Can(authz.Read, groupMemberObject(g.OrganizationID, u.ID)) {
			out = append(out, reducedUserResponse(u))
		}
	}
	return reply(client.GroupMembersResponse{Users: out, Count: int(count)}), nil
}

func groupMemberObject(organizationID, userID uuid.UUID) authz.Object {
	return authz.Object{Type: authz.GroupMember, OrganizationID: organizationID, OwnerID: userID}
}

func (a *api) readableGroups(ctx context.Context, org store.Organization) ([]client.Group, error) {
	groups, err := a.store.ListGroups(ctx, org.ID)
	if err != nil {
		return nil, err
	}
	rows, err := a.store.ListMembersOfGroups(ctx, store.ListMembersOfGroupsParams{OrganizationID: org.ID})
	if err != nil {
		return nil, err
	}
	out := []client.Group{}
	for _, g := range groups {
		if subjectFrom(ctx).Can(authz.Read, groupObject(g)) {
			out = append(out, groupResponse(ctx, org, g, rows))
		}
	}
	return out, nil
}

// groupResponse shows the members that the caller may read, and counts all.
func groupResponse(ctx context.Context, org store.Organization, g store.Group, rows []store.ListMembersOfGroupsRow) client.Group {
	out := client.Group{
		ID: g.ID, Name: g.Name, DisplayName: g.DisplayName, OrganizationID: g.OrganizationID, Members: []client.ReducedUser{},
		AvatarURL: g.AvatarURL, QuotaAllowance: int(g.QuotaAllowance), Source: g.Source,
		OrganizationName: org.Name, OrganizationDisplayName: org.DisplayName,
	}
	for _, row := range rows {
		if row.GroupID != g.ID {
			continue
		}
		out.TotalMemberCount++
		if subjectFrom(ctx).Can(authz.Read, groupMemberObject(g.OrganizationID, row.User.ID)) {
			out.Members = append(out.Members, reducedUserResponse(row.User))
		}
	}
	return out
}
