package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Status values of daemons.
const (
	DaemonOffline = "offline"
	DaemonIdle    = "idle"
	DaemonBusy    = "busy"
)

// Tags that every daemon and job has, and their values.
const (
	TagScope          = "scope"
	TagOwner          = "owner"
	ScopeOrganization = "organization"
	ScopeUser         = "user"
)

// ProvisionerDaemon is a process that runs jobs of one organization. The key's
// name, status and jobs are filled by the list of daemons only.
type ProvisionerDaemon struct {
	ID             uuid.UUID         `json:"id"`
	OrganizationID uuid.UUID         `json:"organization_id"`
	KeyID          uuid.UUID         `json:"key_id"`
	CreatedAt      time.Time         `json:"created_at"`
	LastSeenAt     *time.Time        `json:"last_seen_at"`
	Name           string            `json:"name"`
	Version        string            `json:"version"`
	APIVersion     string            `json:"api_version"`
	Provisioners   []string          `json:"provisioners"`
	Tags           map[string]string `json:"tags"`

	KeyName     *string               `json:"key_name"`
	Status      *string               `json:"status" enum:"offline,idle,busy"`
	CurrentJob  *ProvisionerDaemonJob `json:"current_job"`
	PreviousJob *ProvisionerDaemonJob `json:"previous_job"`

	// Draining: it finishes its job and is handed no other. An addition to the
	// reference.
	Draining bool `json:"draining"`
	// Warnings are what somebody should look after. An addition to the
	// reference, filled by the list of daemons only.
	Warnings []ProvisionerWarning `json:"warnings"`
}

// Codes of warnings; the first two are those of the reference's health report.
const (
	// WarningVersion: its release differs from the server's, by major or minor version.
	WarningVersion = "EPD02"
	// WarningAPIVersion: its version of the job protocol is older than the server's.
	WarningAPIVersion = "EPD03"
	WarningDraining   = "draining"
	// WarningTrouble: it says itself what keeps it from taking jobs, such as a
	// spool without room.
	WarningTrouble = "trouble"
	// WarningNotSeen: it is silent, and did not leave in an orderly way.
	WarningNotSeen = "not_seen"
)

// ProvisionerWarning says what is the matter with a daemon, and what to do.
type ProvisionerWarning struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	// Since is when it began: the drain, or the silence.
	Since *time.Time `json:"since,omitempty"`
}

// ProvisionerDaemonJob is a job as the list of daemons mentions it.
type ProvisionerDaemonJob struct {
	ID                  uuid.UUID `json:"id"`
	Status              string    `json:"status"`
	TemplateName        string    `json:"template_name"`
	TemplateIcon        string    `json:"template_icon"`
	TemplateDisplayName string    `json:"template_display_name"`
}

// ProvisionerDaemonsRequest filters daemons; zero values filter nothing.
type ProvisionerDaemonsRequest struct {
	Limit   int
	IDs     []uuid.UUID
	Tags    map[string]string
	Status  []string
	Offline bool
	MaxAge  time.Duration
}

// ProvisionerDaemons lists the daemons of an organization. Offline ones are
// left out unless asked for.
func (c *Client) ProvisionerDaemons(ctx context.Context, organization string, req ProvisionerDaemonsRequest) ([]ProvisionerDaemon, error) {
	q := url.Values{}
	if req.Limit > 0 {
		q.Set("limit", strconv.Itoa(req.Limit))
	}
	setIDs(q, "ids", req.IDs)
	setTags(q, req.Tags)
	if len(req.Status) > 0 {
		q.Set("status", strings.Join(req.Status, ","))
	}
	if req.Offline {
		q.Set("offline", "true")
	}
	if req.MaxAge > 0 {
		q.Set("max_age", req.MaxAge.String())
	}
	return list[ProvisionerDaemon](ctx, c, withQuery(apiPath("organizations", organization, "provisionerdaemons"), q))
}

// DrainProvisionerDaemon lets a daemon finish its job; once this has returned,
// it is handed no other, until it is resumed.
func (c *Client) DrainProvisionerDaemon(ctx context.Context, organization string, id uuid.UUID) (ProvisionerDaemon, error) {
	return send[ProvisionerDaemon](ctx, c, http.MethodPost, apiPath("organizations", organization, "provisionerdaemons", id, "drain"), nil)
}

// ResumeProvisionerDaemon ends a drain.
func (c *Client) ResumeProvisionerDaemon(ctx context.Context, organization string, id uuid.UUID) (ProvisionerDaemon, error) {
	return send[ProvisionerDaemon](ctx, c, http.MethodPost, apiPath("organizations", organization, "provisionerdaemons", id, "resume"), nil)
}

func setIDs(q url.Values, name string, ids []uuid.UUID) {
	if len(ids) == 0 {
		return
	}
	text := make([]string, len(ids))
	for i, id := range ids {
		text[i] = id.String()
	}
	q.Set(name, strings.Join(text, ","))
}

func setTags(q url.Values, tags map[string]string) {
	if len(tags) == 0 {
		return
	}
	if text, err := json.Marshal(tags); err == nil {
		q.Set("tags", string(text))
	}
}
