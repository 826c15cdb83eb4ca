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

type pageGroupsInput struct {
	OrganizationPath
	PageInput
	ExcludeMembers bool `query:"exclude_members" doc:"Leave the members out and keep their counts"`
}

type createGroupInput struct {
	OrganizationPath
	Body client.CreateGroupRequest
}

type updateGroupInput struct {
	GroupPath
	Body client.UpdateGroupRequest
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
		orgs, err := a.organizations(ctx)
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
	groups, err := a.groupsShown(ctx, org, []store.Group{g}, withoutMembers)
	if err != nil {
		return nil, err
	}
	return reply(groups[0]), nil
}

// pageGroups searches the readable groups of an organization by their names.
func (a *api) pageGroups(ctx context.Context, in *pageGroupsInput) (*output[client.PaginatedGroupsResponse], error) {
	org := organizationFrom(ctx)
	filter, err := groupFilter(subjectFrom(ctx), org.ID, in.Query)
	if err != nil {
		return nil, err
	}
	count, err := a.store.Filtered(filter).CountGroups(ctx, org.ID)
	if err != nil {
		return nil, err
	}
	if in.AfterID != "" {
		filter.Where("(lower(g.name), g.id) > (SELECT lower(x.name), x.id FROM groups x WHERE x.id = ? AND x.organization_id = g.organization_id)", strings.ToLower(in.AfterID))
	}
	rows, err := a.store.Filtered(filter).ListGroupsPage(ctx, store.ListGroupsPageParams{OrganizationID: org.ID, MaxRows: in.rows(), SkipRows: in.Offset})
	if err != nil {
		return nil, err
	}
	groups, err := a.groupsShown(ctx, org, rows, in.ExcludeMembers)
	if err != nil {
		return nil, err
	}
	return reply(client.PaginatedGroupsResponse{Groups: groups, Count: int(count)}), nil
}

// groupFilter turns a search for groups into conditions on the table g, and
// leaves only those that the subject may read.
func groupFilter(subject *authz.Subject, organizationID uuid.UUID, q string) (store.Filter, error) {
	var filter store.Filter
	s := parseSearch(q, "search", "name")
	words := []string{s.words}
	for _, key := range []string{"search", "name"} {
		text, _ := s.text(key)
		words = append(words, text)
	}
	for _, text := range words {
		if text != "" {
			filter.Where(`lower(g.name) LIKE lower(?) ESCAPE '\' OR lower(g.display_name) LIKE lower(?) ESCAPE '\'`, likePattern(text), likePattern(text))
		}
	}
	if !subject.Can(authz.Read, authz.Object{Type: authz.Group, OrganizationID: organizationID}) {
		own := slices.DeleteFunc(slices.Clone(subject.Organizations[organizationID].Groups), func(id uuid.UUID) bool {
			return !subject.Can(authz.Read, groupObject(store.Group{ID: id, OrganizationID: organizationID}))
		})
		filter.Where("g.id IN (SELECT value FROM json_list(?))", store.IDs(own))
	}
	if only := subject.Only(authz.Group); only != nil {
		filter.Where("g.id IN (SELECT value FROM json_list(?))", store.JSON(only))
	}
	return filter, s.err()
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
	users, err := a.store.Filtered(page.afterMember(filter, g.OrganizationID)).ListGroupMembers(ctx, store.ListGroupMembersParams{
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
	return a.groupResponses(ctx, org, slices.DeleteFunc(groups, func(g store.Group) bool { return !subjectFrom(ctx).Can(authz.Read, groupObject(g)) }))
}

// groupsShown converts groups of one organization, with their members or
// without: those of Everyone are all of the organization.
func (a *api) groupsShown(ctx context.Context, org store.Organization, groups []store.Group, withoutMembers bool) ([]client.Group, error) {
	if !withoutMembers {
		return a.groupResponses(ctx, org, groups)
	}
	counts, err := a.store.CountMembersOfGroups(ctx, store.CountMembersOfGroupsParams{OrganizationID: org.ID, Ids: groupIDs(groups)})
	if err != nil {
		return nil, err
	}
	members := make(map[uuid.UUID]int, len(counts))
	for _, row := range counts {
		members[row.GroupID] = int(row.Members)
	}
	out := make([]client.Group, len(groups))
	for i, g := range groups {
		out[i] = groupResponse(ctx, org, g, nil)
		out[i].TotalMemberCount = members[g.ID]
	}
	return out, nil
}

func groupIDs(groups []store.Group) string {
	ids := make([]uuid.UUID, len(groups))
	for i, g := range groups {
		ids[i] = g.ID
	}
	return store.IDs(ids)
}

// groupResponses converts groups of one organization with two queries, however
// many they are.
func (a *api) groupResponses(ctx context.Context, org store.Organization, groups []store.Group) ([]client.Group, error) {
	rows, err := a.store.ListMembersOfGroups(ctx, store.ListMembersOfGroupsParams{OrganizationID: org.ID, Ids: groupIDs(groups)})
	if err != nil {
		return nil, err
	}
	members := map[uuid.UUID][]store.User{}
	for _, row := range rows {
		members[row.GroupID] = append(members[row.GroupID], row.User)
	}
	out := make([]client.Group, len(groups))
	for i, g := range groups {
		out[i] = groupResponse(ctx, org, g, members[g.ID])
	}
	return out, nil
}

// groupResponse shows the members that the caller may read, and counts all.
func groupResponse(ctx context.Context, org store.Organization, g store.Group, members []store.User) client.Group {
	out := client.Group{
		ID: g.ID, Name: g.Name, DisplayName: g.DisplayName, OrganizationID: g.OrganizationID, Members: []client.ReducedUser{}, TotalMemberCount: len(members),
		AvatarURL: g.AvatarURL, QuotaAllowance: int(g.QuotaAllowance), Source: g.Source,
		OrganizationName: org.Name, OrganizationDisplayName: org.DisplayName,
	}
	for _, u := range members {
		if subjectFrom(ctx).Can(authz.Read, groupMemberObject(g.OrganizationID, u.ID)) {
			out.Members = append(out.Members, reducedUserResponse(u))
		}
	}
	return out
}
