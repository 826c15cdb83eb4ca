package client

import (
	"context"
	"net/http"

	"github.com/google/uuid"
)

// Names of built-in roles.
const (
	RoleOwner              = "owner"
	RoleMember             = "member"
	RoleTemplateAdmin      = "template-admin"
	RoleUserAdmin          = "user-admin"
	RoleAuditor            = "auditor"
	RoleOrgAdmin           = "organization-admin"
	RoleOrgMember          = "organization-member"
	RoleOrgWorkspaceAccess = "organization-workspace-access"
)

// SlimRole is a role as a user or member carries it; OrganizationID is set
// for roles of an organization only.
type SlimRole struct {
	Name           string `json:"name"`
	DisplayName    string `json:"display_name"`
	OrganizationID string `json:"organization_id,omitempty"`
}

// Permission allows, or with Negate forbids, one action on one kind of thing.
type Permission struct {
	Negate       bool   `json:"negate"`
	ResourceType string `json:"resource_type"`
	Action       string `json:"action"`
}

// Role is a set of permissions at several scopes.
type Role struct {
	Name                          string       `json:"name"`
	OrganizationID                *uuid.UUID   `json:"organization_id,omitempty"`
	DisplayName                   string       `json:"display_name"`
	SitePermissions               []Permission `json:"site_permissions"`
	UserPermissions               []Permission `json:"user_permissions"`
	OrganizationPermissions       []Permission `json:"organization_permissions"`
	OrganizationMemberPermissions []Permission `json:"organization_member_permissions"`
}

// AssignableRole is a role, and whether the caller may hand it out.
type AssignableRole struct {
	Role
	Assignable bool `json:"assignable"`
	BuiltIn    bool `json:"built_in"`
}

// CustomRoleRequest makes or changes a role of an organization. Only
// OrganizationPermissions may hold anything, nothing negated, and nothing
// that the caller does not hold there.
type CustomRoleRequest struct {
	Name                          string       `json:"name" doc:"Cannot be changed later"`
	DisplayName                   string       `json:"display_name"`
	SitePermissions               []Permission `json:"site_permissions"`
	UserPermissions               []Permission `json:"user_permissions"`
	OrganizationPermissions       []Permission `json:"organization_permissions"`
	OrganizationMemberPermissions []Permission `json:"organization_member_permissions,omitempty"`
}

// SiteRoles lists the roles of the deployment.
func (c *Client) SiteRoles(ctx context.Context) ([]AssignableRole, error) {
	return list[AssignableRole](ctx, c, apiPath("users", "roles"))
}

// OrganizationRoles lists the roles of an organization.
func (c *Client) OrganizationRoles(ctx context.Context, organization string) ([]AssignableRole, error) {
	return list[AssignableRole](ctx, c, apiPath("organizations", organization, "members", "roles"))
}

// CreateRole makes a custom role.
func (c *Client) CreateRole(ctx context.Context, organization string, req CustomRoleRequest) (Role, error) {
	return send[Role](ctx, c, http.MethodPost, apiPath("organizations", organization, "members", "roles"), req)
}

// UpdateRole changes the custom role of the request's name.
func (c *Client) UpdateRole(ctx context.Context, organization string, req CustomRoleRequest) (Role, error) {
	return send[Role](ctx, c, http.MethodPut, apiPath("organizations", organization, "members", "roles"), req)
}

// DeleteRole deletes a custom role, and takes it from its members.
func (c *Client) DeleteRole(ctx context.Context, organization, name string) error {
	return c.exec(ctx, http.MethodDelete, apiPath("organizations", organization, "members", "roles", name), nil)
}
