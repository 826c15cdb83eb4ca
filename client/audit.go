package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
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

// AuditLogsResponse is one page, the newest entries first. Count is of all
// that match; it stops at CountCap.
type AuditLogsResponse struct {
	AuditLogs []AuditLog `json:"audit_logs"`
	Count     int        `json:"count"`
	CountCap  int        `json:"count_cap"`
}

// AuditLogsRequest asks for a page. Limit 0 is the server's page size.
type AuditLogsRequest struct {
	Query         string
	Limit, Offset int
}

// AuditEntry is an entry with its place in the chain of its log.
type AuditEntry struct {
	AuditLog
	// Sequence counts from 1 within the log of one organization, or of the deployment.
	Sequence int64 `json:"sequence"`
	// Hash is in hexadecimal.
	Hash string `json:"hash"`
}

// AuditEntriesResponse is a part of an export. Cursor is what to give as
// After for the next part, now or at any later time; More tells whether there
// is one already.
type AuditEntriesResponse struct {
	Entries []AuditEntry `json:"entries"`
	Cursor  string       `json:"cursor"`
	More    bool         `json:"more"`
}

// AuditFromEnd as a cursor skips all entries that there are.
const AuditFromEnd = "end"

// AuditEntriesRequest asks for entries in the order in which they were
// written, log by log. An empty Organization is every log that the caller may
// read.
type AuditEntriesRequest struct {
	Organization, After, Query string
	Limit                      int
}

// AuditHead is how far a log has come.
type AuditHead struct {
	// OrganizationID is zero for the log of the deployment.
	OrganizationID uuid.UUID `json:"organization_id"`
	Count          int64     `json:"count"`
	Hash           string    `json:"hash"`
}

// String is the form in which a head is noted: COUNT:HASH.
func (h AuditHead) String() string { return strconv.FormatInt(h.Count, 10) + ":" + h.Hash }

// AuditVerification is the result of reading a whole log against its key.
// Count and Hash are as far as it is sound.
type AuditVerification struct {
	AuditHead
	Valid bool        `json:"valid"`
	Fault *AuditFault `json:"fault,omitempty"`
	// More: the log goes on where this part of it ended.
	More bool `json:"more,omitempty" doc:"The log goes on: ask again from COUNT:HASH"`
}

// AuditFault names the first entry that is not as it was written.
type AuditFault struct {
	Sequence int64  `json:"sequence"`
	Problem  string `json:"problem"`
}

// TestAuditLogRequest describes an entry of a test.
type TestAuditLogRequest struct {
	Action           string          `json:"action,omitempty"`
	ResourceType     string          `json:"resource_type,omitempty"`
	ResourceID       uuid.UUID       `json:"resource_id,omitzero"`
	AdditionalFields json.RawMessage `json:"additional_fields,omitempty"`
	Time             time.Time       `json:"time,omitzero"`
	BuildReason      string          `json:"build_reason,omitempty"`
	OrganizationID   uuid.UUID       `json:"organization_id,omitzero"`
	RequestID        uuid.UUID       `json:"request_id,omitzero"`
	Repeat           int             `json:"repeat,omitempty" doc:"How many such entries are added, 10,000 at most; 0 is one"`
}

// auditValues leaves out what is not set.
func auditValues(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" && pairs[i+1] != "0" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

// AuditLogs lists entries that the caller may read.
func (c *Client) AuditLogs(ctx context.Context, req AuditLogsRequest) (AuditLogsResponse, error) {
	q := auditValues("q", req.Query, "limit", strconv.Itoa(req.Limit), "offset", strconv.Itoa(req.Offset))
	return get[AuditLogsResponse](ctx, c, withQuery(apiPath("audit"), q))
}

// AuditEntries reads a part of the logs, in the order in which it was written.
func (c *Client) AuditEntries(ctx context.Context, req AuditEntriesRequest) (AuditEntriesResponse, error) {
	q := auditValues("organization", req.Organization, "after", req.After, "q", req.Query, "limit", strconv.Itoa(req.Limit))
	return get[AuditEntriesResponse](ctx, c, withQuery(apiPath("audit", "entries"), q))
}

// AuditHead reads how far the log of an organization has come; empty is the
// log of the deployment.
func (c *Client) AuditHead(ctx context.Context, organization string) (AuditHead, error) {
	return get[AuditHead](ctx, c, withQuery(apiPath("audit", "head"), auditValues("organization", organization)))
}

// auditPart is how many entries are verified by one request, so that a long
// log outlives no time-out on the way.
const auditPart = 100_000

// VerifyAudit has the server read a log against its key, and with a noted
// head (COUNT:HASH) against that too, part by part. It takes as long as the log is.
func (c *Client) VerifyAudit(ctx context.Context, organization, head string) (AuditVerification, error) {
	for from := ""; ; {
		q := auditValues("organization", organization, "head", head, "from", from, "most", strconv.Itoa(auditPart))
		part, err := get[AuditVerification](ctx, c, withQuery(apiPath("audit", "verify"), q))
		if err != nil || !part.More {
			return part, err
		}
		from = part.String()
	}
}

// GenerateTestAuditLog adds an entry for a test.
func (c *Client) GenerateTestAuditLog(ctx context.Context, req TestAuditLogRequest) error {
	return c.exec(ctx, http.MethodPost, apiPath("audit", "testgenerate"), req)
}
