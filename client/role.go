package client

import (
	"context"

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

// SiteRoles lists the roles of the deployment.
func (c *Client) SiteRoles(ctx context.Context) ([]AssignableRole, error) {
	return list[AssignableRole](ctx, c, apiPath("users", "roles"))
}

// OrganizationRoles lists the roles of an organization.
func (c *Client) OrganizationRoles(ctx context.Context, organization string) ([]AssignableRole, error) {
	return list[AssignableRole](ctx, c, apiPath("organizations", organization, "members", "roles"))
}
