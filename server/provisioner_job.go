package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/fairness"
	"coder/store"
)

// daemonStale is when a daemon that was not seen counts as offline.
const daemonStale = 90 * time.Second

func (a *api) provisionerJobRoutes(r *router) {
	handle(r, get, "/organizations/{organization}/provisionerjobs", "List provisioner jobs", readJobs, a.listProvisionerJobs, strictQuery())
	handle(r, get, "/organizations/{organization}/provisionerjobs/{job}", "Get a provisioner job", readJobs, a.getProvisionerJob)
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

func jobTopic(id uuid.UUID) string       { return "job:" + id.String() }
func attemptTopic(id uuid.UUID) string   { return "attempt:" + id.String() }
func workspaceTopic(id uuid.UUID) string { return "workspace:" + id.String() }

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
	a.dispatch.post(job.OrganizationID, job.Tags)
	a.bus.Publish(postedTopic + job.OrganizationID.String())
	a.jobChanged(job)
}

// postedTopic tells other replicas that an organization has a new job.
const postedTopic = "posted:"

// jobChanged wakes whoever watches the job or its workspace.
func (a *api) jobChanged(job store.ProvisionerJob) {
	a.queues.forget(job.OrganizationID)
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
	rows, err := a.store.ListProvisionerJobs(ctx, store.ListProvisionerJobsParams{
		OrganizationID: organizationFrom(ctx).ID, Statuses: store.JSON(nonNil(in.Status)), Ids: store.JSON(nonNil(in.IDs)), Initiator: in.Initiator,
	})
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r store.ListProvisionerJobsRow) bool {
		return len(tags) > 0 && !hasTags(r.ProvisionerJob.Tags, tags)
	})
	jobs, err := a.listedJobs(ctx, rows[:min(len(rows), in.Limit)])
	if err != nil {
		return nil, err
	}
	return reply(jobs), nil
}

func (a *api) getProvisionerJob(ctx context.Context, in *JobPath) (*output[client.ProvisionerJob], error) {
	rows, err := a.store.ListProvisionerJobs(ctx, store.ListProvisionerJobsParams{
		OrganizationID: organizationFrom(ctx).ID, Statuses: "[]", Ids: store.IDs([]uuid.UUID{in.Job}),
	})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errNotFound()
	}
	jobs, err := a.listedJobs(ctx, rows)
	if err != nil {
		return nil, err
	}
	return reply(jobs[0]), nil
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
			job.AvailableWorkers, err = a.availableWorkers(ctx, row.ProvisionerJob)
			if err != nil {
				return nil, err
			}
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

func (a *api) availableWorkers(ctx context.Context, job store.ProvisionerJob) ([]uuid.UUID, error) {
	daemons, err := a.store.ListProvisionerDaemons(ctx, job.OrganizationID)
	if err != nil {
		return nil, err
	}
	ids := []uuid.UUID{}
	for _, d := range daemons {
		if tagsMatch(job.Tags, d.Tags) && a.isOnline(d.LastSeenAt, d.StoppedAt) {
			ids = append(ids, d.ID)
		}
	}
	return ids, nil
}

func (a *api) isOnline(lastSeen, stopped store.Time) bool {
	return stopped.IsZero() && a.now().Sub(lastSeen.Time) < daemonStale
}

// jobResponses converts jobs in their order, with two queries at most per
// organization that has pending ones, whatever their number.
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
			response.WaitReason = q.reason(*job)
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

// queue is an organization's pending jobs in the order in which they will be
// handed out, with its daemons.
type queue struct {
	jobs    []store.ProvisionerJob
	daemons []store.ListProvisionerDaemonsRow
	online  func(last, stopped store.Time) bool
	now     time.Time
}

// queueOf reads an organization's queue, or takes the one that was read a
// moment ago: a list that shows many waiting jobs must not read it for each
// request. What happens to a job on this replica forgets it at once.
func (a *api) queueOf(ctx context.Context, organizationID uuid.UUID) (*queue, error) {
	if q := a.queues.get(organizationID); q != nil {
		return q, nil
	}
	q, err := a.readQueue(ctx, organizationID)
	if err == nil {
		a.queues.put(organizationID, q)
	}
	return q, err
}

func (a *api) readQueue(ctx context.Context, organizationID uuid.UUID) (*queue, error) {
	jobs, err := a.rankedJobs(ctx, a.store, organizationID)
	if err != nil {
		return nil, err
	}
	daemons, err := a.store.ListProvisionerDaemons(ctx, organizationID)
	if err != nil {
		return nil, err
	}
	return &queue{jobs: jobs, daemons: daemons, online: a.isOnline, now: a.now()}, nil
}

// rankedJobs are the pending jobs in the order in which they are handed out.
func (a *api) rankedJobs(ctx context.Context, s *store.Store, organizationID uuid.UUID) ([]store.ProvisionerJob, error) {
	jobs, err := s.ListPendingJobs(ctx, organizationID)
	if err != nil || len(jobs) < 2 {
		return jobs, err
	}
	rows, err := s.ListUsageOfWaiting(ctx, organizationID)
	if err != nil {
		return nil, err
	}
	usage := map[uuid.UUID]fairness.Usage{}
	for _, r := range rows {
		usage[r.InitiatorID] = fairness.Usage{Running: int(r.Running), LastStarted: time.UnixMicro(r.LastStarted)}
	}
	waiting := make([]fairness.Job[uuid.UUID], len(jobs))
	for i, j := range jobs {
		waiting[i] = fairness.Job[uuid.UUID]{Owner: j.InitiatorID, Automated: j.Automated, Created: j.CreatedAt.Time}
	}
	ranked := make([]store.ProvisionerJob, len(jobs))
	for place, i := range fairness.Rank(waiting, usage, a.now()) {
		ranked[place] = jobs[i]
	}
	return ranked, nil
}

// place is the rank among the pending jobs that share a daemon with this one.
func (q *queue) place(job store.ProvisionerJob) (position, size int) {
	for _, other := range q.jobs {
		if !q.compete(job, other) {
			continue
		}
		size++
		if other.ID == job.ID {
			position = size
		}
	}
	return position, size
}

func (q *queue) compete(x, y store.ProvisionerJob) bool {
	if x.ID == y.ID {
		return true
	}
	return slices.ContainsFunc(q.daemons, func(d store.ListProvisionerDaemonsRow) bool {
		return tagsMatch(x.Tags, d.Tags) && tagsMatch(y.Tags, d.Tags)
	})
}

// reason explains why a pending job does not start; empty when a daemon that
// is there will take it.
func (q *queue) reason(job store.ProvisionerJob) string {
	var matching, different []store.ListProvisionerDaemonsRow
	for _, d := range q.daemons {
		switch {
		case tagsMatch(job.Tags, d.Tags) && q.online(d.LastSeenAt, d.StoppedAt):
			return ""
		case tagsMatch(job.Tags, d.Tags):
			matching = append(matching, d)
		case q.online(d.LastSeenAt, d.StoppedAt):
			different = append(different, d)
		}
	}
	asked := showTags(job.Tags)
	switch {
	case len(matching) > 0:
		last := slices.MaxFunc(matching, func(x, y store.ListProvisionerDaemonsRow) int { return x.LastSeenAt.Compare(y.LastSeenAt.Time) })
		return fmt.Sprintf("The job asks for a provisioner with %s. %s has these tags but was last seen %s ago; start it again.", asked, last.Name, q.now.Sub(last.LastSeenAt.Time).Round(time.Second))
	case len(different) > 0:
		var lines []string
		for _, d := range different[:min(len(different), 5)] {
			lines = append(lines, d.Name+" "+tagDifference(job.Tags, d.Tags))
		}
		return fmt.Sprintf("The job asks for a provisioner with %s. None of the %s matches: %s.", asked, plural(int64(len(different)), "running provisioner"), strings.Join(lines, "; "))
	}
	return fmt.Sprintf("The job asks for a provisioner with %s, and this organization has none running. Start one with: coder provisioner start --org ORGANIZATION", asked)
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
		if a.isOnline(d.LastSeenAt, d.StoppedAt) {
			m.Available++
		}
		if m.MostRecentlySeen == nil || d.LastSeenAt.After(*m.MostRecentlySeen) {
			m.MostRecentlySeen = d.LastSeenAt.Ptr()
		}
	}
	return m, nil
}

var readJobs = inOrganization("read", "provisioner_jobs")
