package server

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/store"
)

// daemonStale is when a daemon that was not seen counts as offline.
const daemonStale = 90 * time.Second

func (a *api) provisionerJobRoutes(r *router) {
	handle(r, get, "/organizations/{organization}/provisionerjobs", "List provisioner jobs", readJobs, a.listProvisionerJobs, strictQuery())
	handle(r, get, "/organizations/{organization}/provisionerjobs/{job}", "Get a provisioner job", readJobs, a.getProvisionerJob)
	handle(r, get, "/organizations/{organization}/provisionerjobs/{job}/explain", "Explain why a provisioner job is where it is", readJobs, a.explainProvisionerJob)
}

type jobListInput struct {
	OrganizationPath
	Limit     int      `query:"limit" minimum:"1" default:"50"`
	Status    []string `query:"status" enum:"pending,running,succeeded,canceling,canceled,failed,unknown"`
	IDs       []string `query:"ids" format:"uuid"`
	Tags      string   `query:"tags" doc:"A JSON object; jobs must carry these"`
	Initiator string   `query:"initiator" format:"uuid"`
}

type JobPath struct {
	OrganizationPath
	Job uuid.UUID `path:"job" format:"uuid"`
}

func jobTopic(id uuid.UUID) string                  { return "job:" + id.String() }
func attemptTopic(id uuid.UUID) string              { return "attempt:" + id.String() }
func recoveryTopic(organizationID uuid.UUID) string { return "recovery:" + organizationID.String() }
func workspaceTopic(id uuid.UUID) string            { return "workspace:" + id.String() }

// enqueueJob adds a pending job; call jobPosted once the transaction is in.
func (a *api) enqueueJob(ctx context.Context, tx *store.Store, p store.InsertProvisionerJobParams) (store.ProvisionerJob, error) {
	if p.ID == uuid.Nil {
		p.ID = uuid.New()
	}
	if p.Provisioner == "" {
		p.Provisioner = "terraform"
	}
	if p.Input == "" {
		p.Input = "{}"
	}
	p.CreatedAt = store.At(a.now())
	p.UpdatedAt = p.CreatedAt
	return tx.InsertProvisionerJob(ctx, p)
}

// jobPosted wakes a daemon for a job that has just become pending.
func (a *api) jobPosted(job store.ProvisionerJob) {
	a.jobChanged(job)
	a.dispatch.post(job.OrganizationID, job.Tags)
	a.bus.Publish(postedTopic + job.OrganizationID.String())
}

// postedTopic tells other replicas that an organization has a new job.
const postedTopic = "posted:"

// jobChanged wakes whoever watches the job or its workspace.
func (a *api) jobChanged(job store.ProvisionerJob) {
	a.queues.jobChanged(job.OrganizationID)
	a.bus.Publish(jobTopic(job.ID))
	if job.WorkspaceID != nil {
		a.bus.Publish(workspaceTopic(*job.WorkspaceID))
	}
}

// cancelJob asks for a gentle end, and the second time for a hard one. A
// pending job ends at once. It fails with 400 when there is nothing left to ask.
func (a *api) cancelJob(ctx context.Context, job store.ProvisionerJob) (store.ProvisionerJob, error) {
	var canceled store.ProvisionerJob
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		var err error
		canceled, err = a.cancelInTx(ctx, tx, job)
		return err
	})
	if err != nil {
		return store.ProvisionerJob{}, err
	}
	a.cancelPosted(canceled)
	return canceled, nil
}

func (a *api) cancelInTx(ctx context.Context, tx *store.Store, job store.ProvisionerJob) (canceled store.ProvisionerJob, err error) {
	now := store.At(a.now())
	current, err := tx.LockProvisionerJob(ctx, store.LockProvisionerJobParams{ID: job.ID, UpdatedAt: now})
	if err != nil {
		return canceled, err
	}
	cancel, err := nextCancel(current)
	if err != nil {
		return canceled, err
	}
	canceled, err = tx.CancelProvisionerJob(ctx, store.CancelProvisionerJobParams{
		OrganizationID: job.OrganizationID, ID: job.ID, CanceledAt: now.Micro(), Cancel: cancel, UpdatedAt: now,
	})
	if err != nil {
		return canceled, err
	}
	if canceled.CompletedAt.IsZero() {
		err = a.setWorkspaceStatus(ctx, tx, canceled)
	} else {
		err = a.jobEnded(ctx, tx, canceled, nil)
	}
	if err != nil {
		return canceled, err
	}
	return canceled, a.auditCancel(ctx, tx, current, canceled)
}

// cancelPosted tells whoever runs the job or looks at it.
func (a *api) cancelPosted(canceled store.ProvisionerJob) {
	if canceled.AttemptID != nil {
		a.bus.Publish(attemptTopic(*canceled.AttemptID))
	}
	a.jobChanged(canceled)
}

func nextCancel(job store.ProvisionerJob) (string, error) {
	switch {
	case !job.CompletedAt.IsZero():
		return "", badRequest("The job has ended already; there is nothing to cancel.")
	case job.Cancel == client.CancelHard:
		return "", badRequest("The job is being killed already.")
	case job.Cancel == client.CancelGentle:
		return client.CancelHard, nil
	}
	return client.CancelGentle, nil
}

// jobResult is what an ended job brought; nil fields where there is nothing.
type jobResult struct {
	// of is the build's row, where the transaction has read it.
	of       *store.WorkspaceBuild
	imported *client.ImportResult
	dryRun   *client.DryRunResult
	build    *client.BuildResult
	// standing is what a build that did not succeed has left, if that is known.
	standing *client.Standing
}

// jobEnded lets the job's subject know, in the transaction that ends it.
func (a *api) jobEnded(ctx context.Context, tx *store.Store, job store.ProvisionerJob, result *jobResult) error {
	if result == nil {
		result = &jobResult{}
	}
	switch job.Type {
	case client.JobTemplateVersionImport:
		return a.finishImport(ctx, tx, job, result.imported, job.Status == client.JobSucceeded)
	case client.JobTemplateVersionDryRun:
		if result.dryRun == nil {
			return nil
		}
		return a.finishDryRun(ctx, tx, job, result.dryRun)
	}
	return a.finishBuild(ctx, tx, job, result)
}

// setWorkspaceStatus keeps the status on the workspace's row true while its job runs.
func (a *api) setWorkspaceStatus(ctx context.Context, tx *store.Store, job store.ProvisionerJob) error {
	if job.WorkspaceID == nil || job.WorkspaceBuildID == nil {
		return nil
	}
	build, err := tx.GetWorkspaceBuild(ctx, *job.WorkspaceBuildID)
	if err != nil {
		return err
	}
	return tx.SetWorkspaceStatus(ctx, store.SetWorkspaceStatusParams{
		OrganizationID: job.OrganizationID, ID: *job.WorkspaceID, LatestBuildID: build.ID,
		LatestStatus: buildStatus(job.Status, build.Transition), UpdatedAt: store.At(a.now()),
	})
}

func (a *api) listProvisionerJobs(ctx context.Context, in *jobListInput) (*output[[]client.ProvisionerJob], error) {
	tags, err := parseTagsQuery(in.Tags)
	if err != nil {
		return nil, err
	}
	var filter store.Filter
	if len(in.Status) > 0 {
		filter.Where("j.status IN (SELECT value FROM json_list(?))", store.JSON(in.Status))
	}
	if len(in.IDs) > 0 {
		filter.Where("j.id IN (SELECT value FROM json_list(?))", store.JSON(in.IDs))
	}
	if in.Initiator != "" {
		filter.Where("j.initiator_id = ?", in.Initiator)
	}
	rows, err := a.jobsWithTags(ctx, filter, tags, in.Limit)
	if err != nil {
		return nil, err
	}
	jobs, err := a.listedJobs(ctx, rows)
	if err != nil {
		return nil, err
	}
	return reply(jobs), nil
}

// jobsWithTags are the newest jobs with tags, limit of them at most. The
// database keeps tags as JSON and looks for each in its text, which tells
// capitals from small letters on one database only: what it finds is looked at
// again, and as much more is read as that leaves out.
func (a *api) jobsWithTags(ctx context.Context, filter store.Filter, tags map[string]string, limit int) ([]store.ListProvisionerJobsRow, error) {
	for name, value := range tags {
		if value != "" { // which a job has that lacks the tag
			text := strings.Trim(store.JSON(map[string]string{name: value}), "{}")
			filter.Where(`j.tags LIKE ? ESCAPE '\'`, likePattern(text))
		}
	}
	limit = min(limit, math.MaxInt32)
	var found []store.ListProvisionerJobsRow
	for skip := 0; ; skip += limit {
		rows, err := a.store.Filtered(filter).ListProvisionerJobs(ctx, store.ListProvisionerJobsParams{
			OrganizationID: organizationFrom(ctx).ID, MaxRows: int32(limit), SkipRows: int32(skip),
		})
		if err != nil {
			return nil, err
		}
		last := len(rows) < limit || skip > math.MaxInt32-limit
		found = append(found, slices.DeleteFunc(rows, func(r store.ListProvisionerJobsRow) bool { return !hasTags(r.ProvisionerJob.Tags, tags) })...)
		if last || len(found) >= limit {
			return found[:min(len(found), limit)], nil
		}
	}
}

// jobRowsByID are those of an organization, the newest first.
func (a *api) jobRowsByID(ctx context.Context, organizationID uuid.UUID, ids []uuid.UUID) ([]store.ListProvisionerJobsRow, error) {
	var filter store.Filter
	filter.Where("j.id IN (SELECT value FROM json_list(?))", store.IDs(ids))
	return a.store.Filtered(filter).ListProvisionerJobs(ctx, store.ListProvisionerJobsParams{OrganizationID: organizationID, MaxRows: allRows})
}

func (a *api) getProvisionerJob(ctx context.Context, in *JobPath) (*output[client.ProvisionerJob], error) {
	_, job, err := a.listedJob(ctx, in.Job)
	if err != nil {
		return nil, err
	}
	return reply(job), nil
}

// listedJob finds a job of the organization in the path.
func (a *api) listedJob(ctx context.Context, id uuid.UUID) (store.ProvisionerJob, client.ProvisionerJob, error) {
	rows, err := a.jobRowsByID(ctx, organizationFrom(ctx).ID, []uuid.UUID{id})
	if err == nil && len(rows) == 0 {
		err = errNotFound()
	}
	if err != nil {
		return store.ProvisionerJob{}, client.ProvisionerJob{}, err
	}
	jobs, err := a.listedJobs(ctx, rows)
	if err != nil {
		return store.ProvisionerJob{}, client.ProvisionerJob{}, err
	}
	return rows[0].ProvisionerJob, jobs[0], nil
}

func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func hasTags(have, want map[string]string) bool {
	for key, value := range want {
		if have[key] != value {
			return false
		}
	}
	return true
}

// listedJobs fills what only the list of jobs shows: worker, metadata, and
// the daemons that could take a pending job.
func (a *api) listedJobs(ctx context.Context, rows []store.ListProvisionerJobsRow) ([]client.ProvisionerJob, error) {
	jobs := make([]*store.ProvisionerJob, len(rows))
	for i := range rows {
		jobs[i] = &rows[i].ProvisionerJob
	}
	out, err := a.jobResponses(ctx, jobs)
	if err != nil {
		return nil, err
	}
	for i, row := range rows {
		job := &out[i]
		job.WorkerName = row.WorkerName
		job.Metadata = jobMetadata(row)
		if job.Status == client.JobPending {
			q, err := a.queueOf(ctx, row.ProvisionerJob.OrganizationID)
			if err != nil {
				return nil, err
			}
			job.AvailableWorkers = q.availableWorkers(row.ProvisionerJob)
		}
	}
	return out, nil
}

func jobMetadata(row store.ListProvisionerJobsRow) client.ProvisionerJobMetadata {
	return client.ProvisionerJobMetadata{
		TemplateVersionName: row.TemplateVersionName, TemplateID: row.TemplateID, TemplateName: row.TemplateName, TemplateDisplayName: row.TemplateDisplayName,
		TemplateIcon: row.TemplateIcon, WorkspaceID: row.ProvisionerJob.WorkspaceID, WorkspaceName: row.WorkspaceName, WorkspaceBuildTransition: row.Transition,
	}
}

func (a *api) isOnline(lastSeen, stopped store.Time) bool {
	return stopped.IsZero() && a.now().Sub(lastSeen.Time) < daemonStale
}

// jobResponses converts jobs in their order, and reads the queue once for
// each organization that has pending ones, whatever their number.
func (a *api) jobResponses(ctx context.Context, jobs []*store.ProvisionerJob) ([]client.ProvisionerJob, error) {
	out := make([]client.ProvisionerJob, len(jobs))
	queues := map[uuid.UUID]*queue{}
	for i, job := range jobs {
		response := &out[i]
		*response = jobResponse(job)
		if job.Status == client.JobPending {
			q := queues[job.OrganizationID]
			if q == nil {
				var err error
				if q, err = a.queueOf(ctx, job.OrganizationID); err != nil {
					return nil, err
				}
				queues[job.OrganizationID] = q
			}
			response.QueuePosition, response.QueueSize = q.place(*job)
			response.WaitReason = q.waitReason(*job, response.QueuePosition)
		}
	}
	return out, nil
}

func (a *api) jobResponse(ctx context.Context, job store.ProvisionerJob) (client.ProvisionerJob, error) {
	responses, err := a.jobResponses(ctx, []*store.ProvisionerJob{&job})
	if err != nil {
		return client.ProvisionerJob{}, err
	}
	return responses[0], nil
}

func jobResponse(j *store.ProvisionerJob) client.ProvisionerJob {
	out := client.ProvisionerJob{
		ID: j.ID, CreatedAt: j.CreatedAt.Time, StartedAt: j.StartedAt.Ptr(), CompletedAt: j.CompletedAt.Ptr(), CanceledAt: j.CanceledAt.Ptr(),
		Error: j.Error, ErrorCode: j.ErrorCode, Status: j.Status, WorkerID: j.WorkerID, FileID: j.FileID, Tags: j.Tags,
		OrganizationID: j.OrganizationID, InitiatorID: j.InitiatorID, Type: j.Type, LogsOverflowed: j.LogsOverflowed,
	}
	if j.WorkspaceBuildID != nil {
		out.Input.WorkspaceBuildID = j.WorkspaceBuildID
	} else {
		out.Input.TemplateVersionID = &j.TemplateVersionID
	}
	return out
}

// matchedProvisioners counts who could take a job with these tags.
func (a *api) matchedProvisioners(ctx context.Context, organizationID uuid.UUID, tags map[string]string) (*client.MatchedProvisioners, error) {
	daemons, err := a.store.ListProvisionerDaemons(ctx, organizationID)
	if err != nil {
		return nil, err
	}
	m := &client.MatchedProvisioners{}
	for _, d := range daemons {
		if !tagsMatch(tags, d.Tags) {
			continue
		}
		m.Count++
		if d.DrainedAt.IsZero() && a.isOnline(d.LastSeenAt, d.StoppedAt) {
			m.Available++
		}
		if m.MostRecentlySeen == nil || d.LastSeenAt.After(*m.MostRecentlySeen) {
			m.MostRecentlySeen = d.LastSeenAt.Ptr()
		}
	}
	return m, nil
}

var readJobs = inOrganization("read", "provisioner_jobs")
