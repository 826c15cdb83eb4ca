package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
)

// Reasons of builds.
const (
	BuildReasonInitiator = "initiator"
	BuildReasonAutostart = "autostart"
	BuildReasonAutostop  = "autostop"
	BuildReasonDormancy  = "dormancy"
	BuildReasonDashboard = "dashboard"
	BuildReasonCLI       = "cli"
)

// BuildParameter is the value of one rich parameter in one build.
type BuildParameter struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// WorkspaceBuild is one start, stop or deletion of a workspace. Numbers count
// from 1.
type WorkspaceBuild struct {
	ID                      uuid.UUID            `json:"id"`
	CreatedAt               time.Time            `json:"created_at"`
	UpdatedAt               time.Time            `json:"updated_at"`
	WorkspaceID             uuid.UUID            `json:"workspace_id"`
	WorkspaceName           string               `json:"workspace_name"`
	WorkspaceOwnerID        uuid.UUID            `json:"workspace_owner_id"`
	WorkspaceOwnerName      string               `json:"workspace_owner_name"`
	WorkspaceOwnerAvatarURL string               `json:"workspace_owner_avatar_url,omitempty"`
	TemplateVersionID       uuid.UUID            `json:"template_version_id"`
	TemplateVersionName     string               `json:"template_version_name"`
	BuildNumber             int64                `json:"build_number"`
	Transition              string               `json:"transition" enum:"start,stop,delete"`
	InitiatorID             uuid.UUID            `json:"initiator_id"`
	InitiatorName           string               `json:"initiator_name"`
	Job                     ProvisionerJob       `json:"job"`
	Reason                  string               `json:"reason"`
	Resources               []WorkspaceResource  `json:"resources"`
	Deadline                *time.Time           `json:"deadline,omitempty"`
	MaxDeadline             *time.Time           `json:"max_deadline,omitempty"`
	Status                  string               `json:"status"`
	DailyCost               int                  `json:"daily_cost"`
	MatchedProvisioners     *MatchedProvisioners `json:"matched_provisioners,omitempty"`
	TemplateVersionPresetID *uuid.UUID           `json:"template_version_preset_id"`
	HasAITask               *bool                `json:"has_ai_task,omitempty"`
	HasExternalAgent        *bool                `json:"has_external_agent,omitempty"`
}

// CreateWorkspaceBuildRequest asks for a transition.
type CreateWorkspaceBuildRequest struct {
	Transition              string                 `json:"transition" enum:"start,stop,delete"`
	TemplateVersionID       *uuid.UUID             `json:"template_version_id,omitempty" format:"uuid" doc:"The previous build's when absent"`
	DryRun                  bool                   `json:"dry_run,omitempty"`
	State                   []byte                 `json:"state,omitempty" doc:"Terraform state to start from instead of the newest, base64"`
	Orphan                  bool                   `json:"orphan,omitempty" doc:"Delete without destroying anything"`
	RichParameterValues     []BuildParameter       `json:"rich_parameter_values,omitempty"`
	LogLevel                string                 `json:"log_level,omitempty" doc:"debug asks for the engine's debug log"`
	TemplateVersionPresetID *uuid.UUID             `json:"template_version_preset_id,omitempty" format:"uuid"`
	Reason                  string                 `json:"reason,omitempty"`
	OnSuccess               *BuildOnSuccessRequest `json:"on_success,omitempty"`
}

// BuildOnSuccessRequest is a start that follows a stop once that succeeded.
type BuildOnSuccessRequest struct {
	Transition              string           `json:"transition" enum:"start"`
	TemplateVersionID       *uuid.UUID       `json:"template_version_id,omitempty" format:"uuid"`
	RichParameterValues     []BuildParameter `json:"rich_parameter_values,omitempty"`
	TemplateVersionPresetID *uuid.UUID       `json:"template_version_preset_id,omitempty" format:"uuid"`
}

// UpdateWorkspaceBuildStateRequest replaces the state of a build.
type UpdateWorkspaceBuildStateRequest struct {
	State []byte `json:"state" doc:"Terraform state, base64"`
}

// WorkspaceBuildTimings is how long the parts of a build took.
type WorkspaceBuildTimings struct {
	ProvisionerTimings     []ProvisionerTiming     `json:"provisioner_timings"`
	AgentScriptTimings     []AgentScriptTiming     `json:"agent_script_timings"`
	AgentConnectionTimings []AgentConnectionTiming `json:"agent_connection_timings"`
}

// ProvisionerTiming is one stage or resource of the engine's run.
type ProvisionerTiming struct {
	JobID     uuid.UUID `json:"job_id"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	Stage     string    `json:"stage"`
	Source    string    `json:"source"`
	Action    string    `json:"action"`
	Resource  string    `json:"resource"`
}

// AgentScriptTiming is one run of a script in a workspace.
type AgentScriptTiming struct {
	StartedAt          time.Time `json:"started_at"`
	EndedAt            time.Time `json:"ended_at"`
	ExitCode           int       `json:"exit_code"`
	Stage              string    `json:"stage"`
	Status             string    `json:"status"`
	DisplayName        string    `json:"display_name"`
	WorkspaceAgentID   string    `json:"workspace_agent_id"`
	WorkspaceAgentName string    `json:"workspace_agent_name"`
}

// AgentConnectionTiming is how long an agent took to connect.
type AgentConnectionTiming struct {
	StartedAt          time.Time `json:"started_at"`
	EndedAt            time.Time `json:"ended_at"`
	Stage              string    `json:"stage"`
	WorkspaceAgentID   string    `json:"workspace_agent_id"`
	WorkspaceAgentName string    `json:"workspace_agent_name"`
}

// WorkspaceBuildsRequest pages builds; a zero Since asks for all.
type WorkspaceBuildsRequest struct {
	Since time.Time
	Page
}

// CreateWorkspaceBuild asks for a transition; 409 while another build runs.
func (c *Client) CreateWorkspaceBuild(ctx context.Context, workspace uuid.UUID, req CreateWorkspaceBuildRequest) (WorkspaceBuild, error) {
	return send[WorkspaceBuild](ctx, c, http.MethodPost, apiPath("workspaces", workspace, "builds"), req)
}

// WorkspaceBuilds lists the builds of a workspace, newest first.
func (c *Client) WorkspaceBuilds(ctx context.Context, workspace uuid.UUID, req WorkspaceBuildsRequest) ([]WorkspaceBuild, error) {
	q := url.Values{}
	if !req.Since.IsZero() {
		q.Set("since", req.Since.Format(time.RFC3339Nano))
	}
	return list[WorkspaceBuild](ctx, c, withQuery(apiPath("workspaces", workspace, "builds"), req.values(q)))
}

// WorkspaceBuild reads a build by id.
func (c *Client) WorkspaceBuild(ctx context.Context, id uuid.UUID) (WorkspaceBuild, error) {
	return get[WorkspaceBuild](ctx, c, apiPath("workspacebuilds", id))
}

// WorkspaceBuildByNumber reads a build of a workspace by its number.
func (c *Client) WorkspaceBuildByNumber(ctx context.Context, owner, workspace string, number int64) (WorkspaceBuild, error) {
	return get[WorkspaceBuild](ctx, c, apiPath("users", owner, "workspace", workspace, "builds", number))
}

// CancelWorkspaceBuild asks a build to end: gently the first time, hard the second.
func (c *Client) CancelWorkspaceBuild(ctx context.Context, id uuid.UUID) error {
	return c.exec(ctx, http.MethodPatch, apiPath("workspacebuilds", id, "cancel"), nil)
}

// WorkspaceBuildParameters lists the values that a build was made with.
func (c *Client) WorkspaceBuildParameters(ctx context.Context, id uuid.UUID) ([]BuildParameter, error) {
	return list[BuildParameter](ctx, c, apiPath("workspacebuilds", id, "parameters"))
}

// WorkspaceBuildResources lists what a build made.
func (c *Client) WorkspaceBuildResources(ctx context.Context, id uuid.UUID) ([]WorkspaceResource, error) {
	return list[WorkspaceResource](ctx, c, apiPath("workspacebuilds", id, "resources"))
}

// WorkspaceBuildTimings reads how long the parts of a build took.
func (c *Client) WorkspaceBuildTimings(ctx context.Context, id uuid.UUID) (WorkspaceBuildTimings, error) {
	return get[WorkspaceBuildTimings](ctx, c, apiPath("workspacebuilds", id, "timings"))
}

// WorkspaceBuildState reads the Terraform state after a build; only who may
// change the template may.
func (c *Client) WorkspaceBuildState(ctx context.Context, id uuid.UUID) ([]byte, error) {
	state, _, err := c.download(ctx, apiPath("workspacebuilds", id, "state"))
	return state, err
}

// UpdateWorkspaceBuildState replaces the Terraform state of a build.
func (c *Client) UpdateWorkspaceBuildState(ctx context.Context, id uuid.UUID, req UpdateWorkspaceBuildStateRequest) error {
	return c.exec(ctx, http.MethodPut, apiPath("workspacebuilds", id, "state"), req)
}

// WorkspaceBuildLogs reads a build's log behind the row after.
func (c *Client) WorkspaceBuildLogs(ctx context.Context, id uuid.UUID, after int64) ([]ProvisionerJobLog, error) {
	return list[ProvisionerJobLog](ctx, c, logPath(after, "workspacebuilds", id, "logs"))
}

// WorkspaceBuildLogTail reads the last lines of a build's log.
func (c *Client) WorkspaceBuildLogTail(ctx context.Context, id uuid.UUID, lines int) ([]ProvisionerJobLog, error) {
	return list[ProvisionerJobLog](ctx, c, logTailPath(lines, "workspacebuilds", id, "logs"))
}

// FollowWorkspaceBuildLogs yields a build's log until the job ends.
func (c *Client) FollowWorkspaceBuildLogs(ctx context.Context, id uuid.UUID, after int64) iter.Seq2[ProvisionerJobLog, error] {
	return c.followLogs(ctx, apiPath("workspacebuilds", id, "logs"), after)
}
