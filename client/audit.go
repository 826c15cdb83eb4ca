package client

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Kinds of objects in the audit log.
const (
	AuditTemplate           = "template"
	AuditTemplateVersion    = "template_version"
	AuditUser               = "user"
	AuditWorkspace          = "workspace"
	AuditWorkspaceBuild     = "workspace_build"
	AuditGitSSHKey          = "git_ssh_key"
	AuditAPIKey             = "api_key"
	AuditGroup              = "group"
	AuditLicense            = "license"
	AuditOrganization       = "organization"
	AuditCustomRole         = "custom_role"
	AuditOrganizationMember = "organization_member"
	AuditIDPSyncOrg         = "idp_sync_settings_organization"
)

// AuditResourceTypes are all kinds that the API knows, recorded here or not.
func AuditResourceTypes() []string {
	return []string{
		AuditTemplate, AuditTemplateVersion, AuditUser, AuditWorkspace, AuditWorkspaceBuild, AuditGitSSHKey, AuditAPIKey, AuditGroup, AuditLicense,
		"convert_login", "health_settings", "notifications_settings", "prebuilds_settings", "workspace_proxy", AuditOrganization,
		"oauth2_provider_app", "oauth2_provider_app_secret", AuditCustomRole, AuditOrganizationMember, "notification_template",
		AuditIDPSyncOrg, "idp_sync_settings_group", "idp_sync_settings_role", "workspace_agent", "workspace_app", "task", "ai_seat",
		"ai_provider", "ai_provider_key", "ai_gateway_key", "group_ai_budget", "chat", "user_secret", "user_skill",
	}
}

// What is done in the audit log.
const (
	AuditCreate = "create"
	AuditWrite  = "write"
	AuditDelete = "delete"
	AuditStart  = "start"
	AuditStop   = "stop"
	AuditLogin  = "login"
	AuditLogout = "logout"
)

// AuditActions are all that the API knows, recorded here or not.
func AuditActions() []string {
	return []string{
		AuditCreate, AuditWrite, AuditDelete, AuditStart, AuditStop, AuditLogin, AuditLogout, "register", "request_password_reset",
		"connect", "disconnect", "open", "close",
	}
}

// AuditDiffField is the change of one field; a secret one has no values.
type AuditDiffField struct {
	Old    any  `json:"old,omitempty"`
	New    any  `json:"new,omitempty"`
	Secret bool `json:"secret"`
}

// AuditLog is one entry. User is nil for what the server did by itself, and
// has the name only where the reader may know no more.
type AuditLog struct {
	ID               uuid.UUID                 `json:"id"`
	RequestID        uuid.UUID                 `json:"request_id"`
	Time             time.Time                 `json:"time"`
	IP               string                    `json:"ip"`
	UserAgent        string                    `json:"user_agent"`
	ResourceType     string                    `json:"resource_type"`
	ResourceID       uuid.UUID                 `json:"resource_id"`
	ResourceTarget   string                    `json:"resource_target"`
	ResourceIcon     string                    `json:"resource_icon"`
	Action           string                    `json:"action"`
	Diff             map[string]AuditDiffField `json:"diff"`
	StatusCode       int                       `json:"status_code"`
	AdditionalFields json.RawMessage           `json:"additional_fields"`
	Description      string                    `json:"description"`
	ResourceLink     string                    `json:"resource_link"`
	IsDeleted        bool                      `json:"is_deleted"`
	OrganizationID   uuid.UUID                 `json:"organization_id"`
	Organization     *MinimalOrganization      `json:"organization,omitempty"`
	User             *User                     `json:"user"`
}
