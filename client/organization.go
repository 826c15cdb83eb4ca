package client

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// DefaultOrganization names the default organization in paths, whatever its name is.
const DefaultOrganization = "default"

// Organization is a team's part of the deployment.
type Organization struct {
	MinimalOrganization
	Description           string    `json:"description"`
	CreatedAt             time.Time `json:"created_at"`
	UpdatedAt             time.Time `json:"updated_at"`
	IsDefault             bool      `json:"is_default"`
	DefaultOrgMemberRoles []string  `json:"default_org_member_roles"`
}

// MinimalOrganization is an organization as other things mention one.
type MinimalOrganization struct {
	ID          uuid.UUID `json:"id"`
	Name        string    `json:"name"`
	DisplayName string    `json:"display_name"`
	Icon        string    `json:"icon"`
}

// CreateOrganizationRequest makes an organization.
type CreateOrganizationRequest struct {
	Name                  string    `json:"name" minLength:"1" maxLength:"32" doc:"1-32 letters and digits, joined by single hyphens"`
	DisplayName           string    `json:"display_name,omitempty" maxLength:"64" doc:"The name when empty"`
	Description           string    `json:"description,omitempty"`
	Icon                  string    `json:"icon,omitempty"`
	DefaultOrgMemberRoles *[]string `json:"default_org_member_roles,omitempty" doc:"Roles that every member has; absent takes the default, empty gives none"`
}

// UpdateOrganizationRequest changes what is given and keeps the rest.
type UpdateOrganizationRequest struct {
	Name                  string    `json:"name,omitempty" maxLength:"32"`
	DisplayName           string    `json:"display_name,omitempty" maxLength:"64"`
	Description           *string   `json:"description,omitzero"`
	Icon                  *string   `json:"icon,omitzero"`
	DefaultOrgMemberRoles *[]string `json:"default_org_member_roles,omitempty"`
}

// What can stand in the way of deleting an organization.
const (
	ContentWorkspace      = "workspace"
	ContentTemplate       = "template"
	ContentProvisionerKey = "provisioner_key"
	ContentMember         = "member"
	ContentGroup          = "group"
)

// OrganizationContents say whether an organization could be deleted now.
type OrganizationContents struct {
	OrganizationID uuid.UUID             `json:"organization_id"`
	Deletable      bool                  `json:"deletable" doc:"False too for the default organization, which always stays"`
	InTheWay       []OrganizationContent `json:"in_the_way" doc:"Empty when nothing has to be deleted first"`
}

// OrganizationContent is one kind of what stands in the way.
type OrganizationContent struct {
	Kind  string   `json:"kind" doc:"workspace, template, provisioner_key, member or group"`
	Count int64    `json:"count"`
	Stay  int64    `json:"stay" doc:"How many of them may stay: the last member goes with the organization"`
	Names []string `json:"names" doc:"The first 50, in order; empty when the caller may not read this kind"`
}

// Whose workspaces may be shared in an organization.
const (
	ShareableNone            = "none"
	ShareableEveryone        = "everyone"
	ShareableServiceAccounts = "service_accounts"
)

// WorkspaceSharingSettings say whose workspaces may be shared in an
// organization. SharingGloballyDisabled is the server's, and overrides them.
type WorkspaceSharingSettings struct {
	SharingGloballyDisabled  bool   `json:"sharing_globally_disabled"`
	SharingDisabled          bool   `json:"sharing_disabled" doc:"Deprecated: true when shareable_workspace_owners is none"`
	ShareableWorkspaceOwners string `json:"shareable_workspace_owners" enum:"none,everyone,service_accounts"`
}

// UpdateWorkspaceSharingSettingsRequest changes whose workspaces may be
// shared. What may no longer be shared is shared no more from then on.
type UpdateWorkspaceSharingSettingsRequest struct {
	ShareableWorkspaceOwners string `json:"shareable_workspace_owners,omitempty" enum:"none,everyone,service_accounts"`
	SharingDisabled          *bool  `json:"sharing_disabled,omitempty" doc:"Deprecated: counts where shareable_workspace_owners is absent; true is none, false everyone"`
}

// Organizations lists the organizations that the caller may read.
func (c *Client) Organizations(ctx context.Context) ([]Organization, error) {
	return list[Organization](ctx, c, apiPath("organizations"))
}

// Organization reads one by name, id or DefaultOrganization.
func (c *Client) Organization(ctx context.Context, organization string) (Organization, error) {
	return get[Organization](ctx, c, apiPath("organizations", organization))
}

// CreateOrganization makes an organization; 409 when the name is taken.
func (c *Client) CreateOrganization(ctx context.Context, req CreateOrganizationRequest) (Organization, error) {
	return send[Organization](ctx, c, http.MethodPost, apiPath("organizations"), req)
}

// UpdateOrganization changes an organization.
func (c *Client) UpdateOrganization(ctx context.Context, organization string, req UpdateOrganizationRequest) (Organization, error) {
	return send[Organization](ctx, c, http.MethodPatch, apiPath("organizations", organization), req)
}

// DeleteOrganization deletes an organization; 409 says what is still in it.
func (c *Client) DeleteOrganization(ctx context.Context, organization string) error {
	return c.exec(ctx, http.MethodDelete, apiPath("organizations", organization), nil)
}

// OrganizationContents reads what stands in the way of DeleteOrganization.
func (c *Client) OrganizationContents(ctx context.Context, organization string) (OrganizationContents, error) {
	return get[OrganizationContents](ctx, c, apiPath("organizations", organization, "contents"))
}

// WorkspaceSharingSettings reads whose workspaces may be shared.
func (c *Client) WorkspaceSharingSettings(ctx context.Context, organization string) (WorkspaceSharingSettings, error) {
	return get[WorkspaceSharingSettings](ctx, c, apiPath("organizations", organization, "settings", "workspace-sharing"))
}

// UpdateWorkspaceSharingSettings changes whose workspaces may be shared.
func (c *Client) UpdateWorkspaceSharingSettings(ctx context.Context, organization string, req UpdateWorkspaceSharingSettingsRequest) (WorkspaceSharingSettings, error) {
	return send[WorkspaceSharingSettings](ctx, c, http.MethodPatch, apiPath("organizations", organization, "settings", "workspace-sharing"), req)
}
