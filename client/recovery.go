package client

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// What a server asks and daemons answer after the database was restored from
// an older copy: docs/jobs.md, "After a restore".

// Headers of the answer to AskForJob.
const (
	// HeaderWitness carries what the daemon is to keep, and to send next time.
	HeaderWitness = "Coder-Provisioner-Witness"
	// HeaderRecovery is set while the organization is in recovery, to its id.
	HeaderRecovery = "Coder-Provisioner-Recovery"
)

// Kinds of HistoryClaim. One is never taken for the other.
const (
	// ClaimWitness says that the numbers of an organization have come so far.
	ClaimWitness = "witness"
	// ClaimVoucher is of one attempt: with it its last state can be handed in
	// to a server that does not know the attempt.
	ClaimVoucher = "voucher"
)

const (
	// ClaimLife is how long a claim says anything.
	ClaimLife = 7 * 24 * time.Hour
	// MaxHistoryReports is how many attempts one call reports.
	MaxHistoryReports = 100
)

// HistoryClaim is what the server has signed about an engine start of a
// workspace build. Daemons keep the signed text and can read, but not change it.
type HistoryClaim struct {
	Kind           string    `json:"kind"`
	DeploymentID   string    `json:"deployment_id"`
	OrganizationID uuid.UUID `json:"organization_id"`
	// Number counts the engine starts of builds in the organization.
	Number    int64     `json:"number"`
	AttemptID uuid.UUID `json:"attempt_id"`
	At        time.Time `json:"at"`

	// The rest is of vouchers. Previous are numbers of the same workspace's
	// earlier engine starts, the newest first.
	WorkspaceID   uuid.UUID `json:"workspace_id,omitzero"`
	WorkspaceName string    `json:"workspace_name,omitempty"`
	OwnerID       uuid.UUID `json:"owner_id,omitzero"`
	OwnerName     string    `json:"owner_name,omitempty"`
	TemplateName  string    `json:"template_name,omitempty"`
	BuildID       uuid.UUID `json:"build_id,omitzero"`
	BuildNumber   int64     `json:"build_number,omitempty"`
	Transition    string    `json:"transition,omitempty"`
	Fence         int64     `json:"fence,omitempty"`
	Previous      []int64   `json:"previous,omitempty"`
}

// ReadHistoryClaim reads a signed text without asking whether it is genuine,
// which only the server can tell.
func ReadHistoryClaim(signed string) (HistoryClaim, error) {
	var claim HistoryClaim
	payload, _, _ := strings.Cut(signed, ".")
	content, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return claim, errors.New("this is no voucher of a server")
	}
	return claim, json.Unmarshal(content, &claim)
}

// EngineStart answers an attempt that is about to start its engine. Voucher
// is empty for jobs that are no builds.
type EngineStart struct {
	Voucher string `json:"voucher"`
}

// AcquireReply is what comes of asking for a job.
type AcquireReply struct {
	// Job is nil when there was none.
	Job *AcquiredJob
	// Witness is to be kept, and sent with the next question; empty says nothing.
	Witness string
	// Recovery is the id of the recovery that the organization is in, empty when
	// it is in none. The daemon reports what it remembers, and names the id in
	// its next question.
	Recovery string
}

// HistoryReport is what a daemon says of one attempt of its spool.
type HistoryReport struct {
	Voucher string `json:"voucher" maxLength:"16384"`
	// Running: its engine may live, or its end was not recorded yet.
	Running bool `json:"running"`
	// SHA256 is that of the attempt's last state in hex, empty when it left none.
	SHA256 string `json:"sha256,omitempty" maxLength:"64"`
}

// ReportHistoryRequest says what a daemon's spool remembers.
type ReportHistoryRequest struct {
	Reports []HistoryReport `json:"reports" maxItems:"100"`
}

// ReportHistoryResponse says what is to be done about it.
type ReportHistoryResponse struct {
	// Recovery is as in AcquireReply, after the reports.
	Recovery string `json:"recovery"`
	// Wanted are attempts whose last state the server asks for, Held running
	// ones for which it keeps the workspace, and Refused those whose voucher is
	// of no use here.
	Wanted  []uuid.UUID `json:"wanted"`
	Held    []uuid.UUID `json:"held"`
	Refused []uuid.UUID `json:"refused"`
}

// What became of the last state of an attempt that a copy of the database lacks.
const (
	// LostAwaited: a provisioner has it, and will hand it in.
	LostAwaited = "awaited"
	// LostRunning: its engine may still run.
	LostRunning = "running"
	// LostNone: it left no state.
	LostNone = "none"
	// LostCurrent: it was made the current state of its workspace.
	LostCurrent = "current"
	// LostSalvage: the workspace was built or changed since; the next build merges it.
	LostSalvage = "salvage"
	// LostKept: the workspace is not known here; the state can be downloaded.
	LostKept = "kept"
	// LostSuperseded: a later state of the same workspace is there.
	LostSuperseded = "superseded"
)

// Recovery is what is known of an organization's engine starts that a restored
// database lacks.
type Recovery struct {
	// Recovering: no build starts. Else the rest is of the last recovery, if
	// there was one.
	Recovering bool       `json:"recovering"`
	StartedAt  *time.Time `json:"started_at,omitempty"`
	EndedAt    *time.Time `json:"ended_at,omitempty"`
	// EndedBy is who ended it, empty when it ended by itself.
	EndedBy string `json:"ended_by,omitempty"`
	// CopyNumber is the last engine start that the database knew, Witnessed the
	// last one that a provisioner remembers.
	CopyNumber int64 `json:"copy_number"`
	Witnessed  int64 `json:"witnessed"`
	// Missing are the first 100 numbers between them of which nobody has told,
	// MissingCount is how many there are.
	Missing      []int64 `json:"missing"`
	MissingCount int64   `json:"missing_count"`
	// Reports are a part of all, of which there are ReportsCount. The states of
	// the first AwaitedCount have not come.
	Reports      []RecoveryReport `json:"reports"`
	ReportsCount int              `json:"reports_count"`
	AwaitedCount int              `json:"awaited_count"`
}

// RecoveryReport is an engine start that provisioners remember and the
// database did not.
type RecoveryReport struct {
	Number        int64     `json:"number"`
	AttemptID     uuid.UUID `json:"attempt_id" format:"uuid"`
	StartedAt     time.Time `json:"started_at"`
	WorkspaceID   uuid.UUID `json:"workspace_id" format:"uuid"`
	WorkspaceName string    `json:"workspace_name"`
	OwnerName     string    `json:"owner_name"`
	TemplateName  string    `json:"template_name"`
	BuildNumber   int64     `json:"build_number"`
	Transition    string    `json:"transition"`
	DaemonName    string    `json:"daemon_name"`
	// WorkspaceKnown: the database has the workspace.
	WorkspaceKnown bool `json:"workspace_known"`
	// State is what became of its last state.
	State string `json:"state" enum:"awaited,running,none,current,salvage,kept,superseded"`
	// Version is that of the workspace's state, where it was stored there.
	Version int64 `json:"version,omitempty"`
	// Size in bytes of the state, once it is in.
	Size int64 `json:"size,omitempty"`
}

// AskForJob waits up to 30 s for a job, and learns what the server has to say
// about the organization's history.
func (c *Client) AskForJob(ctx context.Context, daemon uuid.UUID, req AcquireJobRequest) (AcquireReply, error) {
	path := apiPath("provisionerdaemons", daemon, "acquire")
	reply, err := c.request(ctx, http.MethodPost, path, req, nil)
	if err != nil {
		return AcquireReply{}, err
	}
	out := AcquireReply{Witness: reply.Header().Get(HeaderWitness), Recovery: reply.Header().Get(HeaderRecovery)}
	if len(reply.Body()) == 0 {
		return out, nil
	}
	if !isJSON(reply.Header()) {
		return AcquireReply{}, c.foreignReply(http.MethodPost, path, reply.RawResponse)
	}
	return out, json.Unmarshal(reply.Body(), &out.Job)
}

// BeginEngine marks that the engine is about to start; 409 forbids it. The
// same call again gets the same voucher.
func (a *Attempt) BeginEngine(ctx context.Context) (EngineStart, error) {
	return send[EngineStart](ctx, a.client, http.MethodPost, a.path("engine"), struct{}{})
}

// ReportHistory tells the server of up to MaxHistoryReports attempts that a
// daemon's spool remembers.
func (c *Client) ReportHistory(ctx context.Context, daemon uuid.UUID, req ReportHistoryRequest) (ReportHistoryResponse, error) {
	return send[ReportHistoryResponse](ctx, c, http.MethodPost, apiPath("provisionerdaemons", daemon, "history"), req)
}

// PutLostState hands in the last state of an attempt that was reported and is wanted.
func (c *Client) PutLostState(ctx context.Context, daemon, attempt uuid.UUID, state []byte, sha256 string) error {
	body, err := compressed(state)
	if err != nil {
		return err
	}
	path := withQuery(apiPath("provisionerdaemons", daemon, "history", attempt, "state"), url.Values{"n": {"1"}, "sha256": {sha256}})
	_, err = c.request(ctx, http.MethodPut, path, body, gzipped())
	return err
}

// compressed is a state as it travels.
func compressed(state []byte) ([]byte, error) {
	var body bytes.Buffer
	compressor, err := gzip.NewWriterLevel(&body, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := compressor.Write(state); err != nil {
		return nil, err
	}
	if err := compressor.Close(); err != nil {
		return nil, err
	}
	return body.Bytes(), nil
}

func gzipped() http.Header {
	return http.Header{"Content-Type": {"application/octet-stream"}, "Content-Encoding": {"gzip"}}
}

// MaxRecoveryReports is how many reports Recovery answers at most.
const MaxRecoveryReports = 1000

// Recovery says whether an organization waits for what a restored database
// lacks, with a page of its reports: by limit and offset, 100 where none is given.
func (c *Client) Recovery(ctx context.Context, organization string, page Page) (Recovery, error) {
	return get[Recovery](ctx, c, withQuery(apiPath("organizations", organization, "recovery"), page.values(url.Values{})))
}

// EndRecovery lets builds start again although something is still missing.
func (c *Client) EndRecovery(ctx context.Context, organization string) (Recovery, error) {
	return send[Recovery](ctx, c, http.MethodPost, apiPath("organizations", organization, "recovery", "end"), nil)
}

// LostState reads the state that was handed in for an attempt whose workspace
// is not known.
func (c *Client) LostState(ctx context.Context, organization string, attempt uuid.UUID) ([]byte, error) {
	state, _, err := c.download(ctx, apiPath("organizations", organization, "recovery", "states", attempt))
	return state, err
}
