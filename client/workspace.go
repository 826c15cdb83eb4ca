package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
)

// Status values of workspaces that no job status has.
const (
	WorkspaceStarting = "starting"
	WorkspaceRunning  = "running"
	WorkspaceStopping = "stopping"
	WorkspaceStopped  = "stopped"
	WorkspaceDeleting = "deleting"
	WorkspaceDeleted  = "deleted"
)

// Values of automatic updates.
const (
	AutomaticUpdatesAlways = "always"
	AutomaticUpdatesNever  = "never"
)

// Workspace is what a person works in: a chain of builds of a template.
type Workspace struct {
	ID                                   uuid.UUID              `json:"id"`
	CreatedAt                            time.Time              `json:"created_at"`
	UpdatedAt                            time.Time              `json:"updated_at"`
	OwnerID                              uuid.UUID              `json:"owner_id"`
	OwnerName                            string                 `json:"owner_name"`
	OwnerAvatarURL                       string                 `json:"owner_avatar_url"`
	OrganizationID                       uuid.UUID              `json:"organization_id"`
	OrganizationName                     string                 `json:"organization_name"`
	OrganizationDisplayName              string                 `json:"organization_display_name"`
	TemplateID                           uuid.UUID              `json:"template_id"`
	TemplateName                         string                 `json:"template_name"`
	TemplateDisplayName                  string                 `json:"template_display_name"`
	TemplateIcon                         string                 `json:"template_icon"`
	TemplateAllowUserCancelWorkspaceJobs bool                   `json:"template_allow_user_cancel_workspace_jobs"`
	TemplateActiveVersionID              uuid.UUID              `json:"template_active_version_id"`
	TemplateRequireActiveVersion         bool                   `json:"template_require_active_version"`
	TemplateUseClassicParameterFlow      bool                   `json:"template_use_classic_parameter_flow"`
	LatestBuild                          WorkspaceBuild         `json:"latest_build"`
	LatestAppStatus                      *WorkspaceAppStatus    `json:"latest_app_status"`
	Outdated                             bool                   `json:"outdated"`
	Name                                 string                 `json:"name"`
	AutostartSchedule                    *string                `json:"autostart_schedule,omitempty"`
	TTLMillis                            *int64                 `json:"ttl_ms,omitempty"`
	LastUsedAt                           time.Time              `json:"last_used_at"`
	DeletingAt                           *time.Time             `json:"deleting_at"`
	DormantAt                            *time.Time             `json:"dormant_at"`
	Health                               WorkspaceHealth        `json:"health"`
	AutomaticUpdates                     string                 `json:"automatic_updates" enum:"always,never"`
	AllowRenames                         bool                   `json:"allow_renames"`
	Favorite                             bool                   `json:"favorite"`
	NextStartAt                          *time.Time             `json:"next_start_at"`
	IsPrebuild                           bool                   `json:"is_prebuild"`
	TaskID                               *uuid.UUID             `json:"task_id,omitempty"`
	SharedWith                           []SharedWorkspaceActor `json:"shared_with,omitempty"`
	// Refusal says why the last automatic start was not made; nil when all is well.
	Refusal *WorkspaceRefusal `json:"refusal,omitempty"`
}

// FullName is owner/name.
func (w Workspace) FullName() string { return w.OwnerName + "/" + w.Name }

// WorkspaceHealth names the agents that are not well.
type WorkspaceHealth struct {
	Healthy       bool        `json:"healthy"`
	FailingAgents []uuid.UUID `json:"failing_agents"`
}

// WorkspacesResponse is one page; Count is the number of all that match.
type WorkspacesResponse struct {
	Workspaces []Workspace `json:"workspaces"`
	Count      int         `json:"count"`
}

// WorkspacesRequest searches and pages workspaces.
type WorkspacesRequest struct {
	Query string
	Page
}

// CreateWorkspaceRequest makes a workspace and its first build. Exactly one
// of TemplateID and TemplateVersionID is given.
type CreateWorkspaceRequest struct {
	TemplateID              *uuid.UUID       `json:"template_id,omitempty" format:"uuid"`
	TemplateVersionID       *uuid.UUID       `json:"template_version_id,omitempty" format:"uuid"`
	Name                    string           `json:"name" minLength:"1" maxLength:"32" doc:"1-32 letters and digits, joined by single hyphens"`
	AutostartSchedule       *string          `json:"autostart_schedule,omitzero"`
	TTLMillis               *int64           `json:"ttl_ms,omitzero"`
	RichParameterValues     []BuildParameter `json:"rich_parameter_values,omitempty"`
	AutomaticUpdates        string           `json:"automatic_updates,omitempty" doc:"always or never (default)"`
	TemplateVersionPresetID *uuid.UUID       `json:"template_version_preset_id,omitempty" format:"uuid"`
}

// UpdateWorkspaceRequest renames a workspace, and says whether its builds move
// to the active version: both, or neither. What is empty stays as it is.
type UpdateWorkspaceRequest struct {
	Name             string `json:"name,omitempty" maxLength:"32"`
	AutomaticUpdates string `json:"automatic_updates,omitempty" doc:"always or never: an addition to the reference"`
}

// UpdateWorkspaceAutostartRequest sets the schedule of automatic starts; null
// or empty clears it.
type UpdateWorkspaceAutostartRequest struct {
	Schedule *string `json:"schedule,omitzero" doc:"CRON_TZ=zone minute hour * * days"`
}

// UpdateWorkspaceTTLRequest sets after how long a started workspace stops;
// null or 0 clears it.
type UpdateWorkspaceTTLRequest struct {
	TTLMillis *int64 `json:"ttl_ms,omitzero"`
}

// UpdateWorkspaceScheduleRequest sets both at once; what is null is cleared.
type UpdateWorkspaceScheduleRequest struct {
	Schedule  *string `json:"schedule" nullable:"true" required:"false" doc:"CRON_TZ=zone minute hour * * days"`
	TTLMillis *int64  `json:"ttl_ms" nullable:"true" required:"false" doc:"After how long a started workspace stops"`
}

// ExtendWorkspaceRequest moves the deadline of the running build.
type ExtendWorkspaceRequest struct {
	Deadline time.Time `json:"deadline"`
}

// UpdateWorkspaceDormancyRequest puts a workspace to sleep or wakes it.
type UpdateWorkspaceDormancyRequest struct {
	Dormant bool `json:"dormant"`
}

// UpdateWorkspaceAutomaticUpdatesRequest says whether builds move to the
// active version by themselves.
type UpdateWorkspaceAutomaticUpdatesRequest struct {
	AutomaticUpdates string `json:"automatic_updates" enum:"always,never"`
}

// ResolveAutostartResponse says whether an automatic update would need values
// that nobody is there to give.
type ResolveAutostartResponse struct {
	ParameterMismatch bool `json:"parameter_mismatch"`
}

// Workspaces searches the workspaces that the caller may read.
func (c *Client) Workspaces(ctx context.Context, req WorkspacesRequest) (WorkspacesResponse, error) {
	return get[WorkspacesResponse](ctx, c, withQuery(apiPath("workspaces"), req.values(searchQuery(req.Query))))
}

// Workspace reads a workspace by id; 410 when it was deleted.
func (c *Client) Workspace(ctx context.Context, id uuid.UUID) (Workspace, error) {
	return get[Workspace](ctx, c, apiPath("workspaces", id))
}

// DeletedWorkspace reads a workspace by id, also when it was deleted.
func (c *Client) DeletedWorkspace(ctx context.Context, id uuid.UUID) (Workspace, error) {
	return get[Workspace](ctx, c, withQuery(apiPath("workspaces", id), url.Values{"include_deleted": {"true"}}))
}

// WorkspaceByOwnerAndName reads a workspace that is not deleted.
func (c *Client) WorkspaceByOwnerAndName(ctx context.Context, owner, name string) (Workspace, error) {
	return get[Workspace](ctx, c, apiPath("users", owner, "workspace", name))
}

// CreateWorkspace makes a workspace and starts its first build.
func (c *Client) CreateWorkspace(ctx context.Context, organization, owner string, req CreateWorkspaceRequest) (Workspace, error) {
	return send[Workspace](ctx, c, http.MethodPost, apiPath("organizations", organization, "members", owner, "workspaces"), req)
}

// CreateUserWorkspace is CreateWorkspace in the organization of the template.
func (c *Client) CreateUserWorkspace(ctx context.Context, owner string, req CreateWorkspaceRequest) (Workspace, error) {
	return send[Workspace](ctx, c, http.MethodPost, apiPath("users", owner, "workspaces"), req)
}

// UpdateWorkspace renames a workspace.
func (c *Client) UpdateWorkspace(ctx context.Context, id uuid.UUID, req UpdateWorkspaceRequest) error {
	return c.exec(ctx, http.MethodPatch, apiPath("workspaces", id), req)
}

// UpdateWorkspaceAutostart sets or clears the schedule of automatic starts.
func (c *Client) UpdateWorkspaceAutostart(ctx context.Context, id uuid.UUID, req UpdateWorkspaceAutostartRequest) error {
	return c.exec(ctx, http.MethodPut, apiPath("workspaces", id, "autostart"), req)
}

// UpdateWorkspaceTTL sets or clears the time to automatic stop, from the next start on.
func (c *Client) UpdateWorkspaceTTL(ctx context.Context, id uuid.UUID, req UpdateWorkspaceTTLRequest) error {
	return c.exec(ctx, http.MethodPut, apiPath("workspaces", id, "ttl"), req)
}

// UpdateWorkspaceSchedule sets or clears the schedule of automatic starts and the
// time to the automatic stop, both or neither.
func (c *Client) UpdateWorkspaceSchedule(ctx context.Context, id uuid.UUID, req UpdateWorkspaceScheduleRequest) error {
	return c.exec(ctx, http.MethodPut, apiPath("workspaces", id, "schedule"), req)
}

// ExtendWorkspace moves the deadline of the running build.
func (c *Client) ExtendWorkspace(ctx context.Context, id uuid.UUID, req ExtendWorkspaceRequest) error {
	return c.exec(ctx, http.MethodPut, apiPath("workspaces", id, "extend"), req)
}

// UpdateWorkspaceDormancy puts a workspace to sleep or wakes it.
func (c *Client) UpdateWorkspaceDormancy(ctx context.Context, id uuid.UUID, req UpdateWorkspaceDormancyRequest) error {
	return c.exec(ctx, http.MethodPut, apiPath("workspaces", id, "dormant"), req)
}

// SetWorkspaceFavorite marks a workspace of one's own, or unmarks it.
func (c *Client) SetWorkspaceFavorite(ctx context.Context, id uuid.UUID, favorite bool) error {
	method := http.MethodDelete
	if favorite {
		method = http.MethodPut
	}
	return c.exec(ctx, method, apiPath("workspaces", id, "favorite"), nil)
}

// UpdateWorkspaceAutomaticUpdates says whether builds move to the active version.
func (c *Client) UpdateWorkspaceAutomaticUpdates(ctx context.Context, id uuid.UUID, req UpdateWorkspaceAutomaticUpdatesRequest) error {
	return c.exec(ctx, http.MethodPut, apiPath("workspaces", id, "autoupdates"), req)
}

// ResolveAutostart asks whether an automatic update would go through.
func (c *Client) ResolveAutostart(ctx context.Context, id uuid.UUID) (ResolveAutostartResponse, error) {
	return get[ResolveAutostartResponse](ctx, c, apiPath("workspaces", id, "resolve-autostart"))
}
