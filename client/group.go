package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/google/uuid"
)

// EveryoneGroup is the name of the group that every member of an organization
// is in; its id is the organization's.
const EveryoneGroup = "Everyone"

// Group is a set of members of one organization. Members holds what the
// caller may read, TotalMemberCount counts all.
type Group struct {
	ID                      uuid.UUID     `json:"id"`
	Name                    string        `json:"name"`
	DisplayName             string        `json:"display_name"`
	OrganizationID          uuid.UUID     `json:"organization_id"`
	Members                 []ReducedUser `json:"members"`
	TotalMemberCount        int           `json:"total_member_count"`
	AvatarURL               string        `json:"avatar_url"`
	QuotaAllowance          int           `json:"quota_allowance"`
	Source                  string        `json:"source" enum:"user,oidc"`
	OrganizationName        string        `json:"organization_name"`
	OrganizationDisplayName string        `json:"organization_display_name"`
}

// GroupMembersResponse is one page; Count is the number of all that match.
type GroupMembersResponse struct {
	Users []ReducedUser `json:"users"`
	Count int           `json:"count"`
}

// PaginatedGroupsResponse is one page; Count is the number of all that match.
type PaginatedGroupsResponse struct {
	Groups []Group `json:"groups"`
	Count  int     `json:"count"`
}

// CreateGroupRequest makes a group without members.
type CreateGroupRequest struct {
	Name           string `json:"name"`
	DisplayName    string `json:"display_name,omitempty"`
	AvatarURL      string `json:"avatar_url,omitempty" maxLength:"2048"`
	QuotaAllowance int    `json:"quota_allowance,omitempty" minimum:"0" maximum:"2147483647" doc:"What each member's workspaces may cost a day"`
}

// UpdateGroupRequest changes what is given. Users are named by their ids.
type UpdateGroupRequest struct {
	AddUsers       []string `json:"add_users,omitempty"`
	RemoveUsers    []string `json:"remove_users,omitempty"`
	Name           string   `json:"name,omitempty" doc:"Empty leaves it as it is"`
	DisplayName    *string  `json:"display_name,omitempty" nullable:"true"`
	AvatarURL      *string  `json:"avatar_url,omitempty" nullable:"true" maxLength:"2048"`
	QuotaAllowance *int     `json:"quota_allowance,omitempty" nullable:"true" minimum:"0" maximum:"2147483647"`
}

// IsEveryone says whether this is the group of all members.
func (g Group) IsEveryone() bool { return g.ID == g.OrganizationID }

// OrganizationGroups lists the groups of an organization that the caller may read.
func (c *Client) OrganizationGroups(ctx context.Context, organization string) ([]Group, error) {
	return list[Group](ctx, c, apiPath("organizations", organization, "groups"))
}

// GroupByName reads a group of an organization.
func (c *Client) GroupByName(ctx context.Context, organization, name string) (Group, error) {
	return get[Group](ctx, c, apiPath("organizations", organization, "groups", name))
}

// GroupWithoutMembers is GroupByName with the count of the members alone.
func (c *Client) GroupWithoutMembers(ctx context.Context, organization, name string) (Group, error) {
	return get[Group](ctx, c, withQuery(apiPath("organizations", organization, "groups", name), url.Values{"exclude_members": {"true"}}))
}

// Group reads a group by id.
func (c *Client) Group(ctx context.Context, id uuid.UUID) (Group, error) {
	return get[Group](ctx, c, apiPath("groups", id))
}

// PaginatedGroups lists a page of the groups of an organization that the
// caller may read.
func (c *Client) PaginatedGroups(ctx context.Context, organization string, req MembersRequest) (PaginatedGroupsResponse, error) {
	return get[PaginatedGroupsResponse](ctx, c, withQuery(apiPath("organizations", organization, "paginated-groups"), req.values(searchQuery(req.Query))))
}

// PaginatedGroupsWithoutMembers is PaginatedGroups with the counts of the
// members alone.
func (c *Client) PaginatedGroupsWithoutMembers(ctx context.Context, organization string, req MembersRequest) (PaginatedGroupsResponse, error) {
	query := req.values(searchQuery(req.Query))
	query.Set("exclude_members", "true")
	return get[PaginatedGroupsResponse](ctx, c, withQuery(apiPath("organizations", organization, "paginated-groups"), query))
}

// CreateGroup makes a group of an organization.
func (c *Client) CreateGroup(ctx context.Context, organization string, req CreateGroupRequest) (Group, error) {
	return send[Group](ctx, c, http.MethodPost, apiPath("organizations", organization, "groups"), req)
}

// UpdateGroup changes a group and its members: all of it, or nothing.
func (c *Client) UpdateGroup(ctx context.Context, id uuid.UUID, req UpdateGroupRequest) (Group, error) {
	return send[Group](ctx, c, http.MethodPatch, apiPath("groups", id), req)
}

// DeleteGroup deletes a group, and takes it off every access list.
func (c *Client) DeleteGroup(ctx context.Context, id uuid.UUID) error {
	return c.exec(ctx, http.MethodDelete, apiPath("groups", id), nil)
}

// Groups lists groups across organizations; both filters may be empty.
func (c *Client) Groups(ctx context.Context, organization, hasMember string) ([]Group, error) {
	q := url.Values{}
	if organization != "" {
		q.Set("organization", organization)
	}
	if hasMember != "" {
		q.Set("has_member", hasMember)
	}
	return list[Group](ctx, c, withQuery(apiPath("groups"), q))
}

// GroupMembers lists a page of the members of a group that the caller may read.
func (c *Client) GroupMembers(ctx context.Context, id uuid.UUID, req MembersRequest) (GroupMembersResponse, error) {
	return get[GroupMembersResponse](ctx, c, withQuery(apiPath("groups", id, "members"), req.values(searchQuery(req.Query))))
}
