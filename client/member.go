package client

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// OrganizationMember is a user's membership. Roles that every member has are
// not listed.
type OrganizationMember struct {
	UserID         uuid.UUID  `json:"user_id"`
	OrganizationID uuid.UUID  `json:"organization_id"`
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"`
	Roles          []SlimRole `json:"roles"`
}

// OrganizationMemberWithUserData is a membership with what is known of the user.
type OrganizationMemberWithUserData struct {
	OrganizationMember
	Username         string     `json:"username"`
	Name             string     `json:"name,omitempty"`
	AvatarURL        string     `json:"avatar_url,omitempty"`
	Email            string     `json:"email"`
	GlobalRoles      []SlimRole `json:"global_roles"`
	Status           string     `json:"status"`
	LoginType        string     `json:"login_type"`
	LastSeenAt       time.Time  `json:"last_seen_at,omitzero"`
	UserCreatedAt    time.Time  `json:"user_created_at"`
	UserUpdatedAt    time.Time  `json:"user_updated_at"`
	IsServiceAccount bool       `json:"is_service_account,omitempty"`
	HasAISeat        bool       `json:"has_ai_seat"`
}

// PaginatedMembersResponse is one page; Count is the number of all that match.
type PaginatedMembersResponse struct {
	Members []OrganizationMemberWithUserData `json:"members"`
	Count   int                              `json:"count"`
}

// MembersRequest filters and pages members.
type MembersRequest struct {
	Query string
	Page
}

// OrganizationMembers lists the members of an organization.
func (c *Client) OrganizationMembers(ctx context.Context, organization string) ([]OrganizationMemberWithUserData, error) {
	return list[OrganizationMemberWithUserData](ctx, c, apiPath("organizations", organization, "members"))
}

// PaginatedMembers lists a page of the members of an organization.
func (c *Client) PaginatedMembers(ctx context.Context, organization string, req MembersRequest) (PaginatedMembersResponse, error) {
	return get[PaginatedMembersResponse](ctx, c, withQuery(apiPath("organizations", organization, "paginated-members"), req.values(searchQuery(req.Query))))
}

// OrganizationMember reads one member by username, id or Me.
func (c *Client) OrganizationMember(ctx context.Context, organization, user string) (OrganizationMemberWithUserData, error) {
	return get[OrganizationMemberWithUserData](ctx, c, apiPath("organizations", organization, "members", user))
}

// AddOrganizationMember makes a user of the deployment a member.
func (c *Client) AddOrganizationMember(ctx context.Context, organization, user string) (OrganizationMember, error) {
	return send[OrganizationMember](ctx, c, http.MethodPost, apiPath("organizations", organization, "members", user), nil)
}

// RemoveOrganizationMember ends a membership; workspaces stay.
func (c *Client) RemoveOrganizationMember(ctx context.Context, organization, user string) error {
	return c.exec(ctx, http.MethodDelete, apiPath("organizations", organization, "members", user), nil)
}

// UpdateOrganizationMemberRoles replaces a member's roles in the organization.
func (c *Client) UpdateOrganizationMemberRoles(ctx context.Context, organization, user string, req UpdateRolesRequest) (OrganizationMember, error) {
	return send[OrganizationMember](ctx, c, http.MethodPut, apiPath("organizations", organization, "members", user, "roles"), req)
}
