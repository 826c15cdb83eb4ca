package client

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Codes of ProvisionerJobExplanation: where a job is, or the first thing that
// keeps it from starting.
const (
	// ExplainNoProvisioner: the organization has none running, and none that
	// is known has the job's tags.
	ExplainNoProvisioner = "no_provisioner"
	// ExplainTagsDiffer: none that is running has the job's tags, and none that is offline.
	ExplainTagsDiffer = "tags_differ"
	// ExplainEngineUnsupported: those with the job's tags do not run its type.
	ExplainEngineUnsupported = "engine_unsupported"
	// ExplainOffline: those that could take it are not connected.
	ExplainOffline = "provisioners_offline"
	// ExplainDraining: those that could take it are there and drain.
	ExplainDraining = "provisioners_draining"
	// ExplainTrouble: those that could take it are there and say what keeps
	// them from taking jobs.
	ExplainTrouble = "provisioners_in_trouble"
	// ExplainServerFull: the server's disk is full, and no job is handed out.
	ExplainServerFull = "server_full"
	// ExplainRecovering: the database was restored from an older copy, and it is
	// not known yet what it lacks.
	ExplainRecovering = "recovering"
	// ExplainOlderEngine: an engine of an earlier attempt may still touch the workspace.
	ExplainOlderEngine = "older_engine"
	// ExplainBusy: those that could take it have jobs.
	ExplainBusy = "provisioners_busy"
	// ExplainQueued: one that is free takes it next, or what waits before it.
	ExplainQueued  = "queued"
	ExplainRunning = "running"
	ExplainEnded   = "ended"
)

// What a daemon would do with a job: the first thing that keeps it from it.
const (
	VerdictWouldTake         = "would_take"
	VerdictTagsDiffer        = "tags_differ"
	VerdictEngineUnsupported = "engine_unsupported"
	VerdictOffline           = "offline"
	VerdictDraining          = "draining"
	VerdictTrouble           = "trouble"
	VerdictBusy              = "busy"
)

// How an attempt ended that ended otherwise than its job; else it is the
// job's status.
const (
	// OutcomeRunning: it has not ended.
	OutcomeRunning = "running"
	// OutcomeLost: it has not ended, and its daemon is silent.
	OutcomeLost = "lost"
	// OutcomeRetried: it failed, and the job went back into the queue.
	OutcomeRetried = "retried"
	// OutcomeUnconfirmed: the daemon did not say that it has the job, which
	// went back without counting.
	OutcomeUnconfirmed = "unconfirmed"
	// OutcomeTakenBack: the daemon fell silent before its engine had started.
	OutcomeTakenBack = "taken_back"
	// OutcomeTakenOver: the daemon fell silent for the whole horizon, with its
	// engine started.
	OutcomeTakenOver = "taken_over"
)

// MaxJobsAhead is how many jobs an explanation names in front of one; the
// position says how many there are.
const MaxJobsAhead = 10

// ProvisionerJobExplanation says why a job is where it is.
type ProvisionerJobExplanation struct {
	Job ProvisionerJob `json:"job"`
	// Code is one word of the list above, Reason the same in a sentence, and
	// Action what to do about it; empty when there is nothing to do.
	Code   string `json:"code" enum:"no_provisioner,tags_differ,engine_unsupported,provisioners_offline,provisioners_draining,provisioners_in_trouble,server_full,recovering,older_engine,provisioners_busy,queued,running,ended"`
	Reason string `json:"reason"`
	Action string `json:"action"`
	// JobsAhead are those that are handed out before a pending one, up to MaxJobsAhead.
	JobsAhead []ProvisionerJobAhead `json:"jobs_ahead"`
	// Daemons are all of the organization, those that come closest first.
	Daemons []ProvisionerVerdict `json:"daemons"`
	// Attempts are in their order; those that ended more than a week ago are gone.
	Attempts []ProvisionerJobAttempt `json:"attempts"`
	// OlderEngine is what a pending build waits for, if it does.
	OlderEngine *OlderEngine `json:"older_engine"`
	// InDoubt are the resources that may exist and are in no state.
	InDoubt []DoubtfulResource `json:"in_doubt"`
}

// ProvisionerJobAhead is a job that is handed out before another one.
type ProvisionerJobAhead struct {
	ID            uuid.UUID `json:"id"`
	CreatedAt     time.Time `json:"created_at"`
	Type          string    `json:"type"`
	InitiatorID   uuid.UUID `json:"initiator_id"`
	TemplateName  string    `json:"template_name"`
	WorkspaceName string    `json:"workspace_name"`
}

// ProvisionerVerdict is a daemon, and what it would do with the job.
type ProvisionerVerdict struct {
	ID   uuid.UUID `json:"id"`
	Name string    `json:"name"`
	// Trouble is what the daemon says that keeps it from taking jobs.
	Trouble string            `json:"trouble,omitempty"`
	Verdict string            `json:"verdict" enum:"would_take,tags_differ,engine_unsupported,offline,draining,trouble,busy"`
	Tags    map[string]string `json:"tags"`
	// Provisioners are the types that it runs.
	Provisioners []string  `json:"provisioners"`
	LastSeenAt   time.Time `json:"last_seen_at"`
	Online       bool      `json:"online"`
	Draining     bool      `json:"draining"`
	// CurrentJobID is what it does now.
	CurrentJobID *uuid.UUID `json:"current_job_id"`
	// Differences are the tags that keep it from the job.
	Differences []TagDifference `json:"tag_differences"`
}

// TagDifference is a tag that a daemon lacks, has with another value, or has
// where the job asks for none at all.
type TagDifference struct {
	Tag    string  `json:"tag"`
	Wanted *string `json:"wanted"`
	Has    *string `json:"has"`
}

// ProvisionerJobAttempt is one hand-out of a job.
type ProvisionerJobAttempt struct {
	ID       uuid.UUID `json:"id"`
	Number   int       `json:"number"`
	DaemonID uuid.UUID `json:"daemon_id"`
	// DaemonName is empty when the daemon is not known any more.
	DaemonName      string     `json:"daemon_name"`
	HandedAt        time.Time  `json:"handed_at"`
	ConfirmedAt     *time.Time `json:"confirmed_at"`
	EngineStartedAt *time.Time `json:"engine_started_at"`
	LostAt          *time.Time `json:"lost_at"`
	EndedAt         *time.Time `json:"ended_at"`
	Outcome         string     `json:"outcome" enum:"running,lost,retried,unconfirmed,taken_back,taken_over,succeeded,canceled,failed"`
}

// OlderEngine is an engine that may still run for a workspace.
type OlderEngine struct {
	JobID      uuid.UUID `json:"job_id"`
	AttemptID  uuid.UUID `json:"attempt_id"`
	DaemonName string    `json:"daemon_name"`
	StartedAt  time.Time `json:"started_at"`
	// Until is when its job is taken from it at the latest, if it is not heard
	// of any more; null when it is never.
	Until *time.Time `json:"until"`
}

// ExplainProvisionerJob says why a job is where it is.
func (c *Client) ExplainProvisionerJob(ctx context.Context, organization string, id uuid.UUID) (ProvisionerJobExplanation, error) {
	return get[ProvisionerJobExplanation](ctx, c, apiPath("organizations", organization, "provisionerjobs", id, "explain"))
}
