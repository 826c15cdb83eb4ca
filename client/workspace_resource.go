package client

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Connection status of agents.
const (
	AgentConnecting   = "connecting"
	AgentConnected    = "connected"
	AgentDisconnected = "disconnected"
	AgentTimeout      = "timeout"
)

// WorkspaceResource is something that a build or import found in the template.
// Agents and apps come in the order in which they are shown.
type WorkspaceResource struct {
	ID         uuid.UUID                   `json:"id"`
	CreatedAt  time.Time                   `json:"created_at"`
	JobID      uuid.UUID                   `json:"job_id"`
	Transition string                      `json:"workspace_transition"`
	Type       string                      `json:"type"`
	Name       string                      `json:"name"`
	Hide       bool                        `json:"hide"`
	Icon       string                      `json:"icon"`
	Agents     []WorkspaceAgent            `json:"agents,omitempty"`
	Metadata   []WorkspaceResourceMetadata `json:"metadata,omitempty"`
	DailyCost  int                         `json:"daily_cost"`
}

// WorkspaceResourceMetadata is an item of a coder_metadata block. Sensitive
// values are in the API in clear, as in the reference; pages hide them.
type WorkspaceResourceMetadata struct {
	Key       string `json:"key"`
	Value     string `json:"value"`
	Sensitive bool   `json:"sensitive"`
}

// WorkspaceAgent is the process inside a resource that lets people in.
type WorkspaceAgent struct {
	ID                       uuid.UUID                    `json:"id"`
	ParentID                 *uuid.UUID                   `json:"parent_id"`
	CreatedAt                time.Time                    `json:"created_at"`
	UpdatedAt                time.Time                    `json:"updated_at"`
	FirstConnectedAt         *time.Time                   `json:"first_connected_at,omitempty"`
	LastConnectedAt          *time.Time                   `json:"last_connected_at,omitempty"`
	DisconnectedAt           *time.Time                   `json:"disconnected_at,omitempty"`
	StartedAt                *time.Time                   `json:"started_at,omitempty"`
	ReadyAt                  *time.Time                   `json:"ready_at,omitempty"`
	Status                   string                       `json:"status"`
	LifecycleState           string                       `json:"lifecycle_state"`
	Name                     string                       `json:"name"`
	ResourceID               uuid.UUID                    `json:"resource_id"`
	InstanceID               string                       `json:"instance_id,omitempty"`
	Architecture             string                       `json:"architecture"`
	EnvironmentVariables     map[string]string            `json:"environment_variables"`
	OperatingSystem          string                       `json:"operating_system"`
	LogsLength               int                          `json:"logs_length"`
	LogsOverflowed           bool                         `json:"logs_overflowed"`
	Directory                string                       `json:"directory,omitempty"`
	ExpandedDirectory        string                       `json:"expanded_directory,omitempty"`
	Version                  string                       `json:"version"`
	APIVersion               string                       `json:"api_version"`
	Apps                     []WorkspaceApp               `json:"apps"`
	Latency                  map[string]DERPRegionLatency `json:"latency,omitempty"`
	ConnectionTimeoutSeconds int                          `json:"connection_timeout_seconds"`
	TroubleshootingURL       string                       `json:"troubleshooting_url"`
	Subsystems               []string                     `json:"subsystems"`
	Health                   WorkspaceAgentHealth         `json:"health"`
	DisplayApps              []string                     `json:"display_apps"`
	LogSources               []AgentLogSource             `json:"log_sources"`
	Scripts                  []AgentScript                `json:"scripts"`
	StartupScriptBehavior    string                       `json:"startup_script_behavior"`
}

// WorkspaceAgentHealth is whether an agent is well, and why not.
type WorkspaceAgentHealth struct {
	Healthy bool   `json:"healthy"`
	Reason  string `json:"reason,omitempty"`
}

// DERPRegionLatency is how far an agent is from a relay.
type DERPRegionLatency struct {
	Preferred           bool    `json:"preferred"`
	LatencyMilliseconds float64 `json:"latency_ms"`
}

// AgentLogSource is where lines of an agent's log come from.
type AgentLogSource struct {
	WorkspaceAgentID uuid.UUID `json:"workspace_agent_id"`
	ID               uuid.UUID `json:"id"`
	CreatedAt        time.Time `json:"created_at"`
	DisplayName      string    `json:"display_name"`
	Icon             string    `json:"icon"`
}

// AgentScript is a script of an agent; its timeout is in seconds.
type AgentScript struct {
	ID               uuid.UUID `json:"id"`
	LogSourceID      uuid.UUID `json:"log_source_id"`
	LogPath          string    `json:"log_path"`
	Script           string    `json:"script"`
	Cron             string    `json:"cron"`
	RunOnStart       bool      `json:"run_on_start"`
	RunOnStop        bool      `json:"run_on_stop"`
	StartBlocksLogin bool      `json:"start_blocks_login"`
	TimeoutSeconds   int       `json:"timeout"`
	DisplayName      string    `json:"display_name"`
	ExitCode         *int      `json:"exit_code,omitempty"`
	Status           *string   `json:"status,omitempty"`
}

// WorkspaceApp is something that runs in a workspace and can be opened.
type WorkspaceApp struct {
	ID            uuid.UUID            `json:"id"`
	URL           string               `json:"url,omitempty"`
	External      bool                 `json:"external"`
	Slug          string               `json:"slug"`
	DisplayName   string               `json:"display_name,omitempty"`
	Command       string               `json:"command,omitempty"`
	Icon          string               `json:"icon,omitempty"`
	Subdomain     bool                 `json:"subdomain"`
	SubdomainName string               `json:"subdomain_name,omitempty"`
	SharingLevel  string               `json:"sharing_level"`
	Healthcheck   *AppHealthcheck      `json:"healthcheck,omitempty"`
	Health        string               `json:"health"`
	Group         string               `json:"group,omitempty"`
	Hidden        bool                 `json:"hidden"`
	OpenIn        string               `json:"open_in"`
	Tooltip       string               `json:"tooltip,omitempty"`
	Statuses      []WorkspaceAppStatus `json:"statuses"`
}

// WorkspaceAppStatus is what an app last said of itself.
type WorkspaceAppStatus struct {
	ID                 uuid.UUID `json:"id"`
	CreatedAt          time.Time `json:"created_at"`
	WorkspaceID        uuid.UUID `json:"workspace_id"`
	AgentID            uuid.UUID `json:"agent_id"`
	AppID              uuid.UUID `json:"app_id"`
	State              string    `json:"state"`
	Message            string    `json:"message"`
	URI                string    `json:"uri"`
	Icon               string    `json:"icon"`
	NeedsUserAttention bool      `json:"needs_user_attention"`
}

// WorkspaceAgent reads an agent by id.
func (c *Client) WorkspaceAgent(ctx context.Context, id uuid.UUID) (WorkspaceAgent, error) {
	return get[WorkspaceAgent](ctx, c, apiPath("workspaceagents", id))
}
