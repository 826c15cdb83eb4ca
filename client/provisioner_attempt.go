package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-resty/resty/v2"
	"github.com/google/uuid"
)

// The wire of the job protocol, docs/jobs.md. Everything here is under
// /api/v2/provisionerdaemons and is our own: the reference's websocket is
// not spoken. Every call may be repeated byte for byte: it changes nothing
// the second time and gets the same answer.

// Names of the transitions of a workspace build, as the API spells them.
const (
	TransitionStart  = "start"
	TransitionStop   = "stop"
	TransitionDelete = "delete"
)

// Types of provisioner jobs.
const (
	JobTemplateVersionImport = "template_version_import"
	JobTemplateVersionDryRun = "template_version_dry_run"
	JobWorkspaceBuild        = "workspace_build"
)

// Codes of failed jobs, as the reference lists them.
const (
	JobErrorRequiredVariables = "REQUIRED_TEMPLATE_VARIABLES"
	JobErrorMissingParameter  = "MISSING_TEMPLATE_PARAMETER"
	JobErrorInsufficientQuota = "INSUFFICIENT_QUOTA"
)

// Limits of the protocol. Both sides hold them; the server refuses what is over.
const (
	// MaxLogLine is the longest log line in bytes; a longer one is cut and marked.
	MaxLogLine = 64 << 10
	// MaxJobLog is the size in bytes of all log lines of one job.
	MaxJobLog = 64 << 20
	// MaxState is the size in bytes of one Terraform state, uncompressed.
	MaxState = 256 << 20
)

// RegisterDaemonRequest joins a daemon. It is sent with a provisioner key, a
// session token or the built-in secret of the server's own daemons.
type RegisterDaemonRequest struct {
	// Organization is a name or an id. With a key it may be empty; if given
	// it must be the key's own.
	Organization string `json:"organization,omitempty"`
	Name         string `json:"name" maxLength:"64"`
	// Tags are refused next to a key, which carries its own.
	Tags         map[string]string `json:"tags,omitempty"`
	Provisioners []string          `json:"provisioners"`
	Version      string            `json:"version"`
	APIVersion   string            `json:"api_version"`
	// HostID identifies the spool directory, so that a successor on the same
	// host may attest that an engine is dead.
	HostID string `json:"host_id"`
	// Witnesses are the newest of what this spool remembers of its organizations:
	// docs/jobs.md, "After a restore".
	Witnesses []string `json:"witnesses,omitempty" maxItems:"100"`
}

// RegisteredDaemon is what a daemon learns when it has joined.
type RegisteredDaemon struct {
	ID               uuid.UUID         `json:"id"`
	Name             string            `json:"name"`
	OrganizationID   uuid.UUID         `json:"organization_id"`
	OrganizationName string            `json:"organization_name"`
	Tags             map[string]string `json:"tags"`
	KeyName          string            `json:"key_name"`
	ServerVersion    string            `json:"server_version"`
	// Recovery is as in AcquireReply.
	Recovery string `json:"recovery,omitempty"`
}

// AcquireJobRequest asks for one job and waits up to 30 s for it. A repeated
// RequestID gets the same job and the same secret.
type AcquireJobRequest struct {
	RequestID uuid.UUID `json:"request_id"`
	// Trouble, when set, is why the daemon can take no job now; it is shown,
	// and the answer comes at once, without one.
	Trouble string `json:"trouble,omitempty" maxLength:"1024"`
	// Witness is the newest that this spool has for the organization.
	Witness string `json:"witness,omitempty" maxLength:"16384"`
	// Recovery is the one in which the daemon has reported; nil where it knows
	// nothing of recoveries.
	Recovery *string `json:"recovery,omitempty"`
}

// AcquiredJob is one attempt at one job: all that a daemon needs to run it,
// except the template's source, which it fetches by its hash when it has no copy.
type AcquiredJob struct {
	ID        uuid.UUID `json:"id"`
	AttemptID uuid.UUID `json:"attempt_id"`
	// Secret authorizes this attempt's calls, and nothing else does.
	Secret string `json:"secret"`
	// Number counts the attempts of this job, from 1.
	Number int `json:"number"`
	// Fence orders all hand-outs of one workspace; 0 for jobs without one.
	Fence     int64     `json:"fence"`
	Type      string    `json:"type"`
	CreatedAt time.Time `json:"created_at"`

	OrganizationID   uuid.UUID `json:"organization_id"`
	OrganizationName string    `json:"organization_name"`

	// SourceHash is the hex SHA-256 of the template's tar archive.
	SourceHash string `json:"source_hash"`
	// AccessURL is where workspaces and daemons reach the server.
	AccessURL string `json:"access_url"`

	Metadata           JobMetadata         `json:"metadata"`
	Variables          []JobVariable       `json:"variables"`
	Parameters         []BuildParameter    `json:"parameters"`
	PreviousParameters []BuildParameter    `json:"previous_parameters"`
	ExternalAuth       []ExternalAuthToken `json:"external_auth"`

	// State is the newest acknowledged Terraform state; empty when there is none.
	State []byte `json:"state,omitempty"`
	// Graph is what the import stored for builds; empty for other jobs.
	Graph json.RawMessage `json:"graph,omitempty"`
	// Split asks for plan and apply as separate runs, and for Attempt.DecidePlan
	// between them. It is pinned at hand-out.
	Split bool `json:"split"`
	// LogLevel is "debug" where the build asked for Terraform's debug log.
	LogLevel string `json:"log_level,omitempty"`

	Clocks JobClocks `json:"clocks"`
}

// JobClocks are the times that decide over a silent daemon, in milliseconds.
// They hold for the attempt, whatever the server's options become.
type JobClocks struct {
	// Lease is how long the server waits for a renewal before the attempt is lost.
	Lease int64 `json:"lease_ms"`
	// Renew is how often the daemon renews.
	Renew int64 `json:"renew_ms"`
	// Horizon F: when another attempt may take over although an engine had
	// started, counted from the last renewal. 0 means never.
	Horizon int64 `json:"horizon_ms"`
	// InterruptAt and KillAt, both before Horizon: when the supervisor of a
	// daemon that hears nothing interrupts and kills the engine. 0 means never.
	InterruptAt int64 `json:"interrupt_at_ms"`
	KillAt      int64 `json:"kill_at_ms"`
}

// JobMetadata is the source of the environment of section 3.5 of the
// Terraform contract; empty strings are left out where the contract says so.
type JobMetadata struct {
	Transition           string      `json:"transition"`
	WorkspaceID          *uuid.UUID  `json:"workspace_id,omitempty"`
	WorkspaceName        string      `json:"workspace_name"`
	WorkspaceBuildID     *uuid.UUID  `json:"workspace_build_id,omitempty"`
	TemplateID           *uuid.UUID  `json:"template_id,omitempty"`
	TemplateName         string      `json:"template_name"`
	TemplateVersion      string      `json:"template_version"`
	OwnerID              *uuid.UUID  `json:"owner_id,omitempty"`
	OwnerName            string      `json:"owner_name"`
	OwnerFullName        string      `json:"owner_full_name"`
	OwnerEmail           string      `json:"owner_email"`
	OwnerGroups          []string    `json:"owner_groups"`
	OwnerRoles           []OwnerRole `json:"owner_roles"`
	OwnerLoginType       string      `json:"owner_login_type"`
	OwnerSSHPublicKey    string      `json:"owner_ssh_public_key"`
	OwnerSSHPrivateKey   string      `json:"owner_ssh_private_key"`
	OwnerSessionToken    string      `json:"owner_session_token"`
	OwnerOIDCAccessToken string      `json:"owner_oidc_access_token"`
	IsPrebuild           bool        `json:"is_prebuild"`
	IsPrebuildClaim      bool        `json:"is_prebuild_claim"`
}

// OwnerRole is one entry of CODER_WORKSPACE_OWNER_RBAC_ROLES.
type OwnerRole struct {
	Name  string `json:"name"`
	OrgID string `json:"org_id"`
}

// JobVariable is a template variable with its value.
type JobVariable struct {
	Name      string `json:"name"`
	Value     string `json:"value"`
	Sensitive bool   `json:"sensitive"`
}

// ExternalAuthToken is the owner's token of one external provider.
type ExternalAuthToken struct {
	ID          string `json:"id"`
	AccessToken string `json:"access_token"`
}

// RenewRequest keeps an attempt's lease and waits for news. Seen is the
// sequence number of the newest control message that the daemon has acted on;
// the answer comes at once when there is a newer one, else after at most
// WaitMS milliseconds.
type RenewRequest struct {
	Seen   int64 `json:"seen"`
	WaitMS int64 `json:"wait_ms"`
	// Witness is as in AcquireJobRequest.
	Witness string `json:"witness,omitempty" maxLength:"16384"`
	// Recovery is the one that the attempt was told of last; nil where it is
	// not to be told.
	Recovery *string `json:"recovery,omitempty"`
}

// Kinds of cancel in a RenewResponse.
const (
	CancelNone   = ""
	CancelGentle = "gentle" // one interrupt; the engine finishes what it began
	CancelHard   = "hard"   // kill the engine, report what is in doubt
)

// RenewResponse is the server's word to a running attempt.
type RenewResponse struct {
	Sequence int64  `json:"sequence"`
	Cancel   string `json:"cancel"`
	// Current is false once another attempt holds the job; what this one still
	// hands in is kept as salvage.
	Current bool `json:"current"`
	// Revoked: the credential is gone. No new secrets, interrupt what runs.
	Revoked bool `json:"revoked"`
	// Drain: finish this job and take no other.
	Drain bool `json:"drain"`
	// Recovery is as in AcquireReply: the daemon reports beside its job.
	Recovery string `json:"recovery,omitempty"`
}

// JobLogEntry is one line of a job's log. Offset is the byte offset in the
// attempt's own log where the line begins; the next line begins at
// Offset + len(Output) + 1. The server stores no gaps and no repeats.
type JobLogEntry struct {
	Offset    int64     `json:"offset"`
	CreatedAt time.Time `json:"created_at"`
	Source    string    `json:"log_source" enum:"provisioner_daemon,provisioner"`
	Level     string    `json:"log_level" enum:"trace,debug,info,warn,error"`
	Stage     string    `json:"stage"`
	Output    string    `json:"output"`
}

// Intent says that an engine began or finished to change one resource, or that
// its plan wants to.
type Intent struct {
	Address string `json:"address"`
	// Action is Terraform's word: create, update, delete, replace or read.
	Action string `json:"action"`
	// Wanted: the plan wants it, and nothing of it was begun yet.
	Wanted bool `json:"wanted,omitempty"`
	// Done is false for apply_start, and for apply_complete until the server
	// holds a state that records it; true then, and for apply_errored.
	Done bool `json:"done"`
	// ID is that of the made object, from apply_complete on.
	ID string `json:"id,omitempty"`
	// Planned are a few of the planned values, to find the thing by. Only
	// with Done false.
	Planned string `json:"planned,omitempty"`
}

// AppendLogsRequest adds log lines, and the intents that were read between
// them. Offset is the first entry's, Next the offset behind the last one.
type AppendLogsRequest struct {
	Offset  int64         `json:"offset"`
	Next    int64         `json:"next"`
	Entries []JobLogEntry `json:"entries"`
	Intents []Intent      `json:"intents,omitempty"`
	// PlanTold: with these intents, all that the plan wants to make is told.
	PlanTold bool `json:"plan_told,omitempty"`
	// Overflowed: the attempt dropped lines because MaxJobLog was reached.
	Overflowed bool `json:"overflowed,omitempty"`
}

// AppendLogsResponse answers 200, and 409 for a gap; both name the offset
// that the server expects next.
type AppendLogsResponse struct {
	Expected int64 `json:"expected"`
}

// StateRef names one uploaded state: upload number and hex SHA-256 of the
// uncompressed bytes.
type StateRef struct {
	N      int64  `json:"n"`
	SHA256 string `json:"sha256"`
}

// CompleteJobRequest ends a job well. Exactly one of Import, DryRun and Build is set.
type CompleteJobRequest struct {
	// State is the last state of a build; the server answers 412 until it has it.
	State *StateRef `json:"state,omitempty"`
	// Logs is the offset behind the last log line; 412 until those are stored.
	Logs    int64         `json:"logs"`
	Import  *ImportResult `json:"import,omitempty"`
	DryRun  *DryRunResult `json:"dry_run,omitempty"`
	Build   *BuildResult  `json:"build,omitempty"`
	Timings []StageTiming `json:"timings"`
	// PastFence: the engine ran on past the attempt's horizon, when another
	// attempt may have begun to work beside it.
	PastFence bool `json:"past_fence,omitempty"`
}

// FailJobRequest ends an attempt badly, and with it the job, unless the
// server may try again (Retryable and nothing in doubt or newly tainted).
type FailJobRequest struct {
	State *StateRef `json:"state,omitempty"`
	Logs  int64     `json:"logs"`
	Error string    `json:"error"`
	Code  string    `json:"code,omitempty"`
	// Canceled: the attempt ended because a cancel was asked.
	Canceled bool `json:"canceled"`
	// Retryable: the fault is the host's or the link's, not the template's.
	Retryable bool `json:"retryable"`
	// EngineDead attests that no process of this attempt's engine lives.
	EngineDead bool `json:"engine_dead"`
	// Standing is what a build has left, where the daemon can tell.
	Standing *Standing          `json:"standing,omitempty"`
	InDoubt  []DoubtfulResource `json:"in_doubt,omitempty"`
	Tainted  []string           `json:"tainted,omitempty"`
	// Import carries what an import could still read: the variables, above all.
	Import  *ImportResult `json:"import,omitempty"`
	Timings []StageTiming `json:"timings"`
	// PastFence: the engine ran on past the attempt's horizon, when another
	// attempt may have begun to work beside it.
	PastFence bool `json:"past_fence,omitempty"`
}

// Standing is what stands after a build that did not succeed.
type Standing struct {
	// Untouched: the engine had not begun to change anything; the rest is empty.
	Untouched bool `json:"untouched"`
	// Empty: nothing is in the state or in doubt.
	Empty bool `json:"empty"`
	// DailyCost of what is in the state or in doubt, in credits.
	DailyCost int `json:"daily_cost"`
}

// PlanRequest says what the workspace would cost a day after the apply of a plan.
type PlanRequest struct {
	DailyCost int `json:"daily_cost"`
}

// PlanDecision is the server's stored answer to a plan.
type PlanDecision struct {
	// Granted: the apply may begin. Else the attempt ends with JobErrorInsufficientQuota.
	Granted bool `json:"granted"`
	// Message is for the log, or the error of the job.
	Message string `json:"message"`
}

// Grounds of a DoubtfulResource, from the strongest to the weakest.
const (
	GroundsBegun    = "begun"
	GroundsPlanned  = "planned"
	GroundsTemplate = "template"
)

// EveryInstance ends an address that stands for all instances of a resource of
// the template, whichever keys they have in it and in the modules around it.
const EveryInstance = "[*]"

// DoubtfulResource may exist and is not in the state: it was begun and not
// finished when the engine was killed, or nobody knows how far the engine came.
type DoubtfulResource struct {
	Address string `json:"address"`
	Action  string `json:"action"`
	// Grounds: the engine had begun with it, also where it is empty; its plan
	// wanted it; or, the plan being unknown too, the template has it: then
	// the address ends with EveryInstance.
	Grounds string `json:"grounds,omitempty" enum:"begun,planned,template"`
	// ID is that of the object, where the engine has named it.
	ID      string `json:"id,omitempty"`
	Planned string `json:"planned,omitempty"`
}

// SettledJob is the stored reply to complete and fail.
type SettledJob struct {
	JobID  uuid.UUID `json:"job_id"`
	Status string    `json:"status"`
	// Retry: the job goes back into the queue for another attempt.
	Retry bool `json:"retry"`
}

// StageTiming is how long one stage or one resource took.
type StageTiming struct {
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	Stage     string    `json:"stage"`
	Source    string    `json:"source"`
	Action    string    `json:"action"`
	Resource  string    `json:"resource"`
}

// ImportResult is what an import found out about a template version.
type ImportResult struct {
	Readme         string                     `json:"readme"`
	Variables      []TemplateVersionVariable  `json:"variables"`
	Parameters     []TemplateVersionParameter `json:"parameters"`
	Presets        []ImportedPreset           `json:"presets"`
	ExternalAuth   []string                   `json:"external_auth"`
	StartResources []ProvisionedResource      `json:"start_resources"`
	StopResources  []ProvisionedResource      `json:"stop_resources"`
	// Graph is opaque to the server: it goes back to daemons with each build.
	Graph            json.RawMessage `json:"graph,omitempty"`
	HasExternalAgent bool            `json:"has_external_agent"`
	// StartCost and StopCost are the daily_cost of all metadata that the plans
	// hold. Priced: some values may give a cost, these or others.
	StartCost int  `json:"start_cost"`
	StopCost  int  `json:"stop_cost"`
	Priced    bool `json:"priced"`
}

// ImportedPreset is a preset as the template declares it.
type ImportedPreset struct {
	Name        string           `json:"name"`
	Description string           `json:"description"`
	Icon        string           `json:"icon"`
	Default     bool             `json:"default"`
	Parameters  []BuildParameter `json:"parameters"`
	Prebuilds   *int             `json:"prebuilds,omitempty"`
}

// DryRunResult is what a plan with given parameters would make.
type DryRunResult struct {
	Resources []ProvisionedResource `json:"resources"`
}

// BuildResult is what the state of a build holds.
type BuildResult struct {
	Resources []ProvisionedResource `json:"resources"`
	// Empty: the final state holds no managed resource. A delete needs it.
	Empty bool `json:"empty"`
	// DailyCost is that of all metadata in the state.
	DailyCost int `json:"daily_cost"`
}

// ProvisionedResource is a managed resource as read from plan or state.
type ProvisionedResource struct {
	Address      string                      `json:"address"`
	Type         string                      `json:"type"`
	Name         string                      `json:"name"`
	Hide         bool                        `json:"hide"`
	Icon         string                      `json:"icon"`
	DailyCost    int                         `json:"daily_cost"`
	InstanceType string                      `json:"instance_type,omitempty"`
	ModulePath   string                      `json:"module_path,omitempty"`
	Metadata     []WorkspaceResourceMetadata `json:"metadata"`
	Agents       []ProvisionedAgent          `json:"agents"`
}

// ProvisionedAgent is a coder_agent with what belongs to it.
type ProvisionedAgent struct {
	// ID and Token are empty in a plan.
	ID                       string                    `json:"id"`
	Name                     string                    `json:"name"`
	Token                    string                    `json:"token"`
	Auth                     string                    `json:"auth"`
	InstanceID               string                    `json:"instance_id,omitempty"`
	OperatingSystem          string                    `json:"operating_system"`
	Architecture             string                    `json:"architecture"`
	Directory                string                    `json:"directory"`
	Env                      map[string]string         `json:"env"`
	APIKeyScope              string                    `json:"api_key_scope"`
	StartupScriptBehavior    string                    `json:"startup_script_behavior"`
	ConnectionTimeoutSeconds int                       `json:"connection_timeout_seconds"`
	TroubleshootingURL       string                    `json:"troubleshooting_url"`
	MOTDFile                 string                    `json:"motd_file"`
	Order                    int                       `json:"order"`
	DisplayApps              []string                  `json:"display_apps"`
	Metadata                 []ProvisionedMetadata     `json:"metadata"`
	ResourcesMonitoring      json.RawMessage           `json:"resources_monitoring,omitempty"`
	Apps                     []ProvisionedApp          `json:"apps"`
	Scripts                  []ProvisionedScript       `json:"scripts"`
	Devcontainers            []ProvisionedDevcontainer `json:"devcontainers"`
}

// ProvisionedMetadata is a metadata block of an agent.
type ProvisionedMetadata struct {
	Key         string `json:"key"`
	DisplayName string `json:"display_name"`
	Script      string `json:"script"`
	Interval    int64  `json:"interval"`
	Timeout     int64  `json:"timeout"`
	Order       int    `json:"order"`
}

// ProvisionedApp is a coder_app.
type ProvisionedApp struct {
	ID          string          `json:"id"`
	Slug        string          `json:"slug"`
	DisplayName string          `json:"display_name"`
	Command     string          `json:"command"`
	URL         string          `json:"url"`
	Icon        string          `json:"icon"`
	Subdomain   bool            `json:"subdomain"`
	External    bool            `json:"external"`
	Share       string          `json:"share"`
	Hidden      bool            `json:"hidden"`
	OpenIn      string          `json:"open_in"`
	Group       string          `json:"group"`
	Tooltip     string          `json:"tooltip"`
	Order       int             `json:"order"`
	Healthcheck *AppHealthcheck `json:"healthcheck,omitempty"`
}

// AppHealthcheck is how an app's health is asked for; Interval in seconds.
type AppHealthcheck struct {
	URL       string `json:"url"`
	Interval  int    `json:"interval"`
	Threshold int    `json:"threshold"`
}

// ProvisionedScript is a coder_script, or the agent's start or stop script.
type ProvisionedScript struct {
	ID               string `json:"id"`
	DisplayName      string `json:"display_name"`
	Icon             string `json:"icon"`
	Script           string `json:"script"`
	LogPath          string `json:"log_path"`
	Cron             string `json:"cron"`
	RunOnStart       bool   `json:"run_on_start"`
	RunOnStop        bool   `json:"run_on_stop"`
	StartBlocksLogin bool   `json:"start_blocks_login"`
	TimeoutSeconds   int    `json:"timeout_seconds"`
}

// ProvisionedDevcontainer is a coder_devcontainer.
type ProvisionedDevcontainer struct {
	ID              string `json:"id"`
	Name            string `json:"name"`
	WorkspaceFolder string `json:"workspace_folder"`
	ConfigPath      string `json:"config_path"`
}

// RegisterDaemon joins a daemon with the client's credential: a provisioner
// key, a session token or the built-in secret. 401 and 403 are final.
func (c *Client) RegisterDaemon(ctx context.Context, req RegisterDaemonRequest) (RegisteredDaemon, error) {
	return send[RegisteredDaemon](ctx, c, http.MethodPost, apiPath("provisionerdaemons", "register"), req)
}

// AcquireJob waits up to 30 s for a job; nil means that there was none.
func (c *Client) AcquireJob(ctx context.Context, daemon uuid.UUID, req AcquireJobRequest) (*AcquiredJob, error) {
	reply, err := c.AskForJob(ctx, daemon, req)
	return reply.Job, err
}

// DeregisterDaemon says that a daemon has stopped: it shows offline at once.
func (c *Client) DeregisterDaemon(ctx context.Context, daemon uuid.UUID) error {
	return c.exec(ctx, http.MethodDelete, apiPath("provisionerdaemons", daemon), nil)
}

// Attempt calls the server for one attempt, with that attempt's secret and no
// other credential, so that it works whatever happens to the daemon's own.
type Attempt struct {
	client *Client
	id     uuid.UUID
}

// Attempt returns the caller of one attempt's routes.
func (c *Client) Attempt(id uuid.UUID, secret string) *Attempt {
	bare := new(*c)
	bare.header = c.header.Clone()
	for _, credential := range []string{HeaderSessionToken, HeaderDaemonKey, HeaderDaemonPSK} {
		bare.header.Del(credential)
	}
	bare.header.Set(HeaderAttempt, secret)
	bare.resty = resty.NewWithClient(c.http).SetDisableWarn(true)
	bare.resty.Header = bare.header
	return &Attempt{client: bare, id: id}
}

func (a *Attempt) path(verb string) string {
	return apiPath("provisionerdaemons", "attempts", a.id, verb)
}

// Confirm tells the server that the attempt is in the daemon's spool. Without
// it the job goes back to the queue 5 s after the hand-out.
func (a *Attempt) Confirm(ctx context.Context) error {
	return a.client.exec(ctx, http.MethodPost, a.path("confirm"), struct{}{})
}

// StartEngine is BeginEngine for who keeps no voucher.
func (a *Attempt) StartEngine(ctx context.Context) error {
	return a.client.exec(ctx, http.MethodPost, a.path("engine"), struct{}{})
}

// DecidePlan asks whether the apply of a split build may begin. A repeat gets
// the stored answer; 409 says that the attempt may not go on at all.
func (a *Attempt) DecidePlan(ctx context.Context, req PlanRequest) (PlanDecision, error) {
	return send[PlanDecision](ctx, a.client, http.MethodPost, a.path("plan"), req)
}

// Source streams the template's tar archive. The caller closes it.
func (a *Attempt) Source(ctx context.Context) (io.ReadCloser, error) {
	reply, err := a.client.resty.R().SetContext(ctx).SetDoNotParseResponse(true).Get(a.client.base.String() + a.path("source"))
	if err != nil {
		return nil, a.client.connectionError(ctx, err)
	}
	if reply.StatusCode() == http.StatusOK {
		return reply.RawBody(), nil
	}
	defer reply.RawBody().Close() //nolint:errcheck // it is read to its end, or given up
	body, err := io.ReadAll(io.LimitReader(reply.RawBody(), 1<<20))
	if err != nil {
		return nil, a.client.connectionError(ctx, err)
	}
	return nil, a.client.errorReply(http.MethodGet, a.path("source"), reply.RawResponse, body)
}

// Renew keeps the lease, and waits for news as long as the request says.
func (a *Attempt) Renew(ctx context.Context, req RenewRequest) (RenewResponse, error) {
	return send[RenewResponse](ctx, a.client, http.MethodPost, a.path("renew"), req)
}

// AppendLogs adds log lines. Both an accepted batch and one that leaves a gap
// or repeats lines answer with the offset that the server expects next.
func (a *Attempt) AppendLogs(ctx context.Context, req AppendLogsRequest) (AppendLogsResponse, error) {
	reply, err := a.client.resty.R().SetContext(ctx).SetHeader("Content-Type", "application/json").
		SetBody(req).Post(a.client.base.String() + a.path("logs"))
	if err != nil {
		return AppendLogsResponse{}, a.client.connectionError(ctx, err)
	}
	expected := struct {
		Expected *int64 `json:"expected"`
	}{}
	status := reply.StatusCode()
	if (status == http.StatusOK || status == http.StatusConflict) && isJSON(reply.Header()) &&
		json.Unmarshal(reply.Body(), &expected) == nil && expected.Expected != nil {
		return AppendLogsResponse{Expected: *expected.Expected}, nil
	}
	return AppendLogsResponse{}, a.client.errorReply(http.MethodPost, a.path("logs"), reply.RawResponse, reply.Body())
}

// PutState uploads one Terraform state, compressed. ref names its upload
// number and the hash of its uncompressed bytes.
func (a *Attempt) PutState(ctx context.Context, ref StateRef, state []byte) error {
	body, err := compressed(state)
	if err != nil {
		return err
	}
	query := url.Values{"n": {strconv.FormatInt(ref.N, 10)}, "sha256": {ref.SHA256}}
	_, err = a.client.request(ctx, http.MethodPut, withQuery(a.path("state"), query), body, gzipped())
	return err
}

// Complete ends the job well. A repeat gets the stored reply; 412 says that
// the state or the logs it names are not stored yet.
func (a *Attempt) Complete(ctx context.Context, req CompleteJobRequest) (SettledJob, error) {
	return send[SettledJob](ctx, a.client, http.MethodPost, a.path("complete"), req)
}

// Fail ends the attempt badly; statuses as with Complete.
func (a *Attempt) Fail(ctx context.Context, req FailJobRequest) (SettledJob, error) {
	return send[SettledJob](ctx, a.client, http.MethodPost, a.path("fail"), req)
}
