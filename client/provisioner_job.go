package client

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Status values of jobs.
const (
	JobPending   = "pending"
	JobRunning   = "running"
	JobSucceeded = "succeeded"
	JobCanceling = "canceling"
	JobCanceled  = "canceled"
	JobFailed    = "failed"
	JobUnknown   = "unknown"
)

// ProvisionerJob is a run of the engine: asked for, waiting, running or over.
// Worker name, available workers and metadata are filled by the list of jobs only.
type ProvisionerJob struct {
	ID               uuid.UUID              `json:"id"`
	CreatedAt        time.Time              `json:"created_at"`
	StartedAt        *time.Time             `json:"started_at,omitempty"`
	CompletedAt      *time.Time             `json:"completed_at,omitempty"`
	CanceledAt       *time.Time             `json:"canceled_at,omitempty"`
	Error            string                 `json:"error,omitempty"`
	ErrorCode        string                 `json:"error_code,omitempty"`
	Status           string                 `json:"status" enum:"pending,running,succeeded,canceling,canceled,failed,unknown"`
	WorkerID         *uuid.UUID             `json:"worker_id,omitempty"`
	WorkerName       string                 `json:"worker_name,omitempty"`
	FileID           uuid.UUID              `json:"file_id"`
	Tags             map[string]string      `json:"tags"`
	QueuePosition    int                    `json:"queue_position"`
	QueueSize        int                    `json:"queue_size"`
	OrganizationID   uuid.UUID              `json:"organization_id"`
	InitiatorID      uuid.UUID              `json:"initiator_id"`
	Input            ProvisionerJobInput    `json:"input"`
	Type             string                 `json:"type" enum:"template_version_import,template_version_dry_run,workspace_build"`
	AvailableWorkers []uuid.UUID            `json:"available_workers,omitempty"`
	Metadata         ProvisionerJobMetadata `json:"metadata"`
	LogsOverflowed   bool                   `json:"logs_overflowed"`

	// WaitReason says in a sentence why a pending job does not start yet:
	// which tags it asks for, which daemons exist and what differs. An addition
	// to the reference; empty when there is nothing to explain.
	WaitReason string `json:"wait_reason,omitempty"`
}

// Ended says whether the job is over.
func (j ProvisionerJob) Ended() bool {
	return j.Status != JobPending && j.Status != JobRunning && j.Status != JobCanceling
}

// ProvisionerJobInput is what the job was asked to work on.
type ProvisionerJobInput struct {
	TemplateVersionID *uuid.UUID `json:"template_version_id,omitempty"`
	WorkspaceBuildID  *uuid.UUID `json:"workspace_build_id,omitempty"`
	Error             string     `json:"error,omitempty"`
}

// ProvisionerJobMetadata names what the job belongs to.
type ProvisionerJobMetadata struct {
	TemplateVersionName      string     `json:"template_version_name"`
	TemplateID               uuid.UUID  `json:"template_id"`
	TemplateName             string     `json:"template_name"`
	TemplateDisplayName      string     `json:"template_display_name"`
	TemplateIcon             string     `json:"template_icon"`
	WorkspaceID              *uuid.UUID `json:"workspace_id,omitempty"`
	WorkspaceName            string     `json:"workspace_name,omitempty"`
	WorkspaceBuildTransition string     `json:"workspace_build_transition,omitempty"`
}

// ProvisionerJobLog is one line of a job's log. IDs rise in the order of the lines.
type ProvisionerJobLog struct {
	ID        int64     `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	Source    string    `json:"log_source" enum:"provisioner_daemon,provisioner"`
	Level     string    `json:"log_level" enum:"trace,debug,info,warn,error"`
	Stage     string    `json:"stage"`
	Output    string    `json:"output"`
}

// StageLost is the stage of a job's log in which the server says that the
// job's provisioner has fallen silent, until when it is waited for, and what
// happens then.
const StageLost = "Waiting for the provisioner"

// MatchedProvisioners counts the daemons that could take a job: known ones,
// and those seen lately.
type MatchedProvisioners struct {
	Count            int        `json:"count"`
	Available        int        `json:"available"`
	MostRecentlySeen *time.Time `json:"most_recently_seen"`
}

// ProvisionerJobsRequest filters jobs; zero values filter nothing.
type ProvisionerJobsRequest struct {
	Limit     int
	Status    []string
	IDs       []uuid.UUID
	Tags      map[string]string
	Initiator uuid.UUID
}

// ProvisionerJobs lists the jobs of an organization, newest first.
func (c *Client) ProvisionerJobs(ctx context.Context, organization string, req ProvisionerJobsRequest) ([]ProvisionerJob, error) {
	q := url.Values{}
	if req.Limit > 0 {
		q.Set("limit", strconv.Itoa(req.Limit))
	}
	if len(req.Status) > 0 {
		q.Set("status", strings.Join(req.Status, ","))
	}
	setIDs(q, "ids", req.IDs)
	setTags(q, req.Tags)
	if req.Initiator != uuid.Nil {
		q.Set("initiator", req.Initiator.String())
	}
	return list[ProvisionerJob](ctx, c, withQuery(apiPath("organizations", organization, "provisionerjobs"), q))
}

// ProvisionerJob reads one job of an organization.
func (c *Client) ProvisionerJob(ctx context.Context, organization string, id uuid.UUID) (ProvisionerJob, error) {
	return get[ProvisionerJob](ctx, c, apiPath("organizations", organization, "provisionerjobs", id))
}
