package client

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// Provisioner types.
const (
	ProvisionerTerraform = "terraform"
	ProvisionerEcho      = "echo"
)

// Template is a set of versions of which one is active. Fields that end in
// MS are milliseconds.
type Template struct {
	ID                      uuid.UUID `json:"id"`
	CreatedAt               time.Time `json:"created_at"`
	UpdatedAt               time.Time `json:"updated_at"`
	OrganizationID          uuid.UUID `json:"organization_id"`
	OrganizationName        string    `json:"organization_name"`
	OrganizationDisplayName string    `json:"organization_display_name"`
	OrganizationIcon        string    `json:"organization_icon"`
	Name                    string    `json:"name"`
	DisplayName             string    `json:"display_name"`
	Provisioner             string    `json:"provisioner"`
	ActiveVersionID         uuid.UUID `json:"active_version_id"`
	// ActiveUserCount is -1 while it is not known.
	ActiveUserCount    int                        `json:"active_user_count"`
	BuildTimeStats     map[string]TransitionStats `json:"build_time_stats"`
	Description        string                     `json:"description"`
	Deprecated         bool                       `json:"deprecated"`
	DeprecationMessage string                     `json:"deprecation_message"`
	Deleted            bool                       `json:"deleted"`
	Icon               string                     `json:"icon"`
	CreatedByID        uuid.UUID                  `json:"created_by_id"`
	CreatedByName      string                     `json:"created_by_name"`

	DefaultTTLMS                 int64                `json:"default_ttl_ms"`
	ActivityBumpMS               int64                `json:"activity_bump_ms"`
	TimeTilAutostopNotifyMS      int64                `json:"time_til_autostop_notify_ms"`
	AutostopRequirement          AutostopRequirement  `json:"autostop_requirement"`
	AutostartRequirement         AutostartRequirement `json:"autostart_requirement"`
	AllowUserAutostart           bool                 `json:"allow_user_autostart"`
	AllowUserAutostop            bool                 `json:"allow_user_autostop"`
	AllowUserCancelWorkspaceJobs bool                 `json:"allow_user_cancel_workspace_jobs"`
	FailureTTLMS                 int64                `json:"failure_ttl_ms"`
	TimeTilDormantMS             int64                `json:"time_til_dormant_ms"`
	TimeTilDormantAutoDeleteMS   int64                `json:"time_til_dormant_autodelete_ms"`
	RequireActiveVersion         bool                 `json:"require_active_version"`
	MaxPortShareLevel            string               `json:"max_port_share_level"`
	CORSBehavior                 string               `json:"cors_behavior"`
	UseClassicParameterFlow      bool                 `json:"use_classic_parameter_flow"`
	DisableModuleCache           bool                 `json:"disable_module_cache"`
}

// TransitionStats are percentiles of build times in milliseconds.
type TransitionStats struct {
	P50 *int64 `json:"P50"`
	P95 *int64 `json:"P95"`
}

// AutostopRequirement is when workspaces must stop: on these days (monday …
// sunday) of every n-th week; 0 and 1 both mean every week.
type AutostopRequirement struct {
	DaysOfWeek []string `json:"days_of_week"`
	Weeks      int64    `json:"weeks" minimum:"0" maximum:"16" required:"false"`
}

// AutostartRequirement is on which days workspaces may start by themselves.
type AutostartRequirement struct {
	DaysOfWeek []string `json:"days_of_week"`
}

// CreateTemplateRequest makes a template of an imported version. Some names
// differ from those that Template has, as in the reference.
type CreateTemplateRequest struct {
	Name                            string                `json:"name" minLength:"1" maxLength:"32" doc:"1-32 letters and digits, joined by single hyphens"`
	VersionID                       uuid.UUID             `json:"template_version_id" format:"uuid"`
	DisplayName                     string                `json:"display_name,omitempty" maxLength:"64"`
	Description                     string                `json:"description,omitempty" maxLength:"127"`
	Icon                            string                `json:"icon,omitempty"`
	DefaultTTLMS                    *int64                `json:"default_ttl_ms,omitzero"`
	ActivityBumpMS                  *int64                `json:"activity_bump_ms,omitzero" doc:"One hour when absent, 0 is off"`
	TimeTilAutostopNotifyMS         *int64                `json:"time_til_autostop_notify_ms,omitzero"`
	AutostopRequirement             *AutostopRequirement  `json:"autostop_requirement,omitempty"`
	AutostartRequirement            *AutostartRequirement `json:"autostart_requirement,omitempty"`
	AllowUserCancelWorkspaceJobs    *bool                 `json:"allow_user_cancel_workspace_jobs,omitzero" doc:"true when absent"`
	AllowUserAutostart              *bool                 `json:"allow_user_autostart,omitzero" doc:"true when absent"`
	AllowUserAutostop               *bool                 `json:"allow_user_autostop,omitzero" doc:"true when absent"`
	FailureTTLMS                    *int64                `json:"failure_ttl_ms,omitzero"`
	DormantTTLMS                    *int64                `json:"dormant_ttl_ms,omitzero"`
	DeleteTTLMS                     *int64                `json:"delete_ttl_ms,omitzero"`
	DisableEveryoneGroupAccess      bool                  `json:"disable_everyone_group_access,omitempty"`
	RequireActiveVersion            bool                  `json:"require_active_version,omitempty"`
	MaxPortShareLevel               *string               `json:"max_port_share_level,omitzero"`
	TemplateUseClassicParameterFlow *bool                 `json:"template_use_classic_parameter_flow,omitzero"`
	CORSBehavior                    *string               `json:"cors_behavior,omitzero"`
}

// UpdateTemplateRequest changes what is given and keeps the rest.
type UpdateTemplateRequest struct {
	Name                         *string               `json:"name,omitzero" minLength:"1" maxLength:"32"`
	DisplayName                  *string               `json:"display_name,omitzero" maxLength:"64"`
	Description                  *string               `json:"description,omitzero" maxLength:"127"`
	Icon                         *string               `json:"icon,omitzero"`
	DefaultTTLMS                 *int64                `json:"default_ttl_ms,omitzero"`
	ActivityBumpMS               *int64                `json:"activity_bump_ms,omitzero"`
	TimeTilAutostopNotifyMS      *int64                `json:"time_til_autostop_notify_ms,omitzero"`
	AutostopRequirement          *AutostopRequirement  `json:"autostop_requirement,omitempty"`
	AutostartRequirement         *AutostartRequirement `json:"autostart_requirement,omitempty"`
	AllowUserAutostart           *bool                 `json:"allow_user_autostart,omitzero"`
	AllowUserAutostop            *bool                 `json:"allow_user_autostop,omitzero"`
	AllowUserCancelWorkspaceJobs *bool                 `json:"allow_user_cancel_workspace_jobs,omitzero"`
	FailureTTLMS                 *int64                `json:"failure_ttl_ms,omitzero"`
	TimeTilDormantMS             *int64                `json:"time_til_dormant_ms,omitzero"`
	TimeTilDormantAutoDeleteMS   *int64                `json:"time_til_dormant_autodelete_ms,omitzero"`
	UpdateWorkspaceLastUsedAt    bool                  `json:"update_workspace_last_used_at,omitempty"`
	UpdateWorkspaceDormantAt     bool                  `json:"update_workspace_dormant_at,omitempty"`
	RequireActiveVersion         *bool                 `json:"require_active_version,omitzero"`
	DeprecationMessage           *string               `json:"deprecation_message,omitzero" doc:"Empty lifts the deprecation"`
	DisableEveryoneGroupAccess   *bool                 `json:"disable_everyone_group_access,omitzero"`
	MaxPortShareLevel            *string               `json:"max_port_share_level,omitzero"`
	CORSBehavior                 *string               `json:"cors_behavior,omitzero"`
	UseClassicParameterFlow      *bool                 `json:"use_classic_parameter_flow,omitzero"`
	DisableModuleCache           *bool                 `json:"disable_module_cache,omitzero"`
}

// UpdateActiveTemplateVersionRequest names the version that becomes active.
type UpdateActiveTemplateVersionRequest struct {
	ID uuid.UUID `json:"id" format:"uuid"`
}

// ArchiveTemplateVersionsRequest archives failed versions, or with All every
// version that is not active and not used.
type ArchiveTemplateVersionsRequest struct {
	All bool `json:"all,omitempty"`
}

// ArchiveTemplateVersionsResponse names what was archived.
type ArchiveTemplateVersionsResponse struct {
	TemplateID  uuid.UUID   `json:"template_id"`
	ArchivedIDs []uuid.UUID `json:"archived_ids"`
}

// TemplateExample is a starter template that the server carries.
type TemplateExample struct {
	ID          string   `json:"id"`
	URL         string   `json:"url"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Icon        string   `json:"icon"`
	Tags        []string `json:"tags"`
	Markdown    string   `json:"markdown"`
}

// TemplatesRequest asks for a page of templates.
type TemplatesRequest struct {
	Query string
	// Organization narrows what the query finds to one: a name or an id.
	Organization string
	Page
}

// PaginatedTemplatesResponse is one page; Count is the number of all that match.
type PaginatedTemplatesResponse struct {
	Templates []Template `json:"templates"`
	Count     int        `json:"count"`
	// Organizations are those of all that the query finds, whatever it is narrowed to.
	Organizations []MinimalOrganization `json:"organizations"`
}

// Templates lists templates across organizations that match the search.
func (c *Client) Templates(ctx context.Context, query string) ([]Template, error) {
	return list[Template](ctx, c, withQuery(apiPath("templates"), searchQuery(query)))
}

// PaginatedTemplates lists a page of the templates that match the search.
func (c *Client) PaginatedTemplates(ctx context.Context, req TemplatesRequest) (PaginatedTemplatesResponse, error) {
	query := req.values(searchQuery(req.Query))
	if req.Organization != "" {
		query.Set("organization", req.Organization)
	}
	return get[PaginatedTemplatesResponse](ctx, c, withQuery(apiPath("paginated-templates"), query))
}

// OrganizationTemplates lists the templates of an organization.
func (c *Client) OrganizationTemplates(ctx context.Context, organization string) ([]Template, error) {
	return list[Template](ctx, c, apiPath("organizations", organization, "templates"))
}

// Template reads a template by id.
func (c *Client) Template(ctx context.Context, id uuid.UUID) (Template, error) {
	return get[Template](ctx, c, apiPath("templates", id))
}

// TemplateByName reads a template of an organization.
func (c *Client) TemplateByName(ctx context.Context, organization, name string) (Template, error) {
	return get[Template](ctx, c, apiPath("organizations", organization, "templates", name))
}

// CreateTemplate makes a template; 409 when the organization has one of that name.
func (c *Client) CreateTemplate(ctx context.Context, organization string, req CreateTemplateRequest) (Template, error) {
	return send[Template](ctx, c, http.MethodPost, apiPath("organizations", organization, "templates"), req)
}

// UpdateTemplate changes a template; one that would not change comes back as it is.
func (c *Client) UpdateTemplate(ctx context.Context, id uuid.UUID, req UpdateTemplateRequest) (Template, error) {
	t, err := send[Template](ctx, c, http.MethodPatch, apiPath("templates", id), req)
	if err == nil && t.ID == uuid.Nil {
		return c.Template(ctx, id)
	}
	return t, err
}

// DeleteTemplate deletes a template; 400 while workspaces use it.
func (c *Client) DeleteTemplate(ctx context.Context, id uuid.UUID) error {
	return c.exec(ctx, http.MethodDelete, apiPath("templates", id), nil)
}

// UpdateActiveTemplateVersion makes a version of the template the active one.
func (c *Client) UpdateActiveTemplateVersion(ctx context.Context, template uuid.UUID, req UpdateActiveTemplateVersionRequest) error {
	return c.exec(ctx, http.MethodPatch, apiPath("templates", template, "versions"), req)
}

// ArchiveTemplateVersions archives versions of a template in bulk.
func (c *Client) ArchiveTemplateVersions(ctx context.Context, template uuid.UUID, req ArchiveTemplateVersionsRequest) (ArchiveTemplateVersionsResponse, error) {
	return send[ArchiveTemplateVersionsResponse](ctx, c, http.MethodPost, apiPath("templates", template, "versions", "archive"), req)
}

// TemplateExamples lists the starter templates of the server.
func (c *Client) TemplateExamples(ctx context.Context) ([]TemplateExample, error) {
	return list[TemplateExample](ctx, c, apiPath("templates", "examples"))
}
