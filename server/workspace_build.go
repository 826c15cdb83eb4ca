package server

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

func (a *api) workspaceBuildRoutes(r *router) {
	handle(r, get, "/workspaces/{workspace}/builds", "List the builds of a workspace", onObject(authz.Read, authz.Workspace), a.listWorkspaceBuilds)
	handle(r, post, "/workspaces/{workspace}/builds", "Start, stop or delete a workspace", onObject(authz.Read, authz.Workspace), a.createWorkspaceBuild, created, body(maxStateBody))
	handle(r, get, "/users/{user}/workspace/{name}/builds/{number}", "Get a build by its number", onObject(authz.Read, authz.Workspace), a.getWorkspaceBuildByNumber)
	handle(r, get, "/workspacebuilds/{build}", "Get a build", onObject(authz.Read, authz.Workspace), a.getWorkspaceBuild)
	handle(r, patch, "/workspacebuilds/{build}/cancel", "Cancel a build", onObject(authz.Update, authz.Workspace), a.cancelWorkspaceBuild, evenFull())
	handle(r, get, "/workspacebuilds/{build}/parameters", "List the parameter values of a build", onObject(authz.Read, authz.Workspace), a.listBuildParameters)
	handle(r, get, "/workspacebuilds/{build}/resources", "List what a build made", onObject(authz.Read, authz.Workspace), a.listBuildResources, deprecated())
	handle(r, get, "/workspacebuilds/{build}/timings", "Get how long the parts of a build took", onObject(authz.Read, authz.Workspace), a.getBuildTimings)
	handleRaw(r, get, "/workspacebuilds/{build}/logs", "Read or follow the log of a build", onObject(authz.Read, authz.Workspace), a.serveBuildLogs)
}

type BuildPath struct {
	Build uuid.UUID `path:"build" format:"uuid"`
}

type listBuildsInput struct {
	WorkspacePath
	Since   time.Time `query:"since"`
	Limit   int32     `query:"limit" minimum:"0" maximum:"2147483647" doc:"0 is no limit"`
	Offset  int32     `query:"offset" minimum:"0" maximum:"2147483647"`
	AfterID string    `query:"after_id" format:"uuid" doc:"Builds older than this one"`
}

type buildNumberInput struct {
	WorkspaceNamePath
	Number string `path:"number"`
}

type cancelBuildInput struct {
	BuildPath
	ExpectStatus string `query:"expect_status" enum:"pending,running" doc:"Cancel only in this status"`
}

// shownBuild is a build with all that its response needs.
type shownBuild struct {
	*store.BuildDetail
	workspaceName  string
	ownerID        uuid.UUID
	ownerName      string
	ownerAvatarURL string
}

func (a *api) listWorkspaceBuilds(ctx context.Context, in *listBuildsInput) (*output[[]client.WorkspaceBuild], error) {
	w, err := a.liveWorkspace(ctx, authz.Read, in.Workspace)
	if err != nil {
		return nil, err
	}
	before := int64(math.MaxInt64)
	if in.AfterID != "" {
		if before, err = a.buildNumber(ctx, w, in.AfterID); err != nil {
			return nil, err
		}
	}
	rows, err := a.store.ListBuildDetails(ctx, store.ListBuildDetailsParams{
		OrganizationID: w.OrganizationID, WorkspaceID: w.ID, SinceAt: store.At(in.Since).Micro(), BeforeNumber: before,
		MaxRows: rowLimit(in.Limit), SkipRows: in.Offset,
	})
	if err != nil {
		return nil, fmt.Errorf("list builds: %w", err)
	}
	owner, err := a.store.GetUserIncludingDeleted(ctx, w.OwnerID)
	if err != nil {
		return nil, err
	}
	shown := make([]shownBuild, len(rows))
	for i := range rows {
		shown[i] = shownOf(&rows[i], w, owner)
	}
	builds, err := a.buildResponses(ctx, shown)
	if err != nil {
		return nil, err
	}
	return reply(builds), nil
}

// buildNumber is that of a build of this workspace, for paging.
func (a *api) buildNumber(ctx context.Context, w store.Workspace, id string) (int64, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return 0, invalid("after_id", "%q is not a UUID.", id)
	}
	row, err := a.store.GetBuildDetail(ctx, store.GetBuildDetailParams{OrganizationID: w.OrganizationID, ID: parsed})
	if store.IsNotFound(err) || (err == nil && row.WorkspaceID != w.ID) {
		return 0, invalid("after_id", "This workspace has no such build.")
	}
	return row.BuildNumber, err
}

func (a *api) getWorkspaceBuild(ctx context.Context, in *BuildPath) (*output[client.WorkspaceBuild], error) {
	build, w, err := a.workspaceBuild(ctx, authz.Read, in.Build)
	if err != nil {
		return nil, err
	}
	return a.buildReply(ctx, w, build.ID)
}

func (a *api) getWorkspaceBuildByNumber(ctx context.Context, in *buildNumberInput) (*output[client.WorkspaceBuild], error) {
	number, err := strconv.ParseInt(in.Number, 10, 64)
	if err != nil {
		return nil, invalid("number", "%q is not a whole number.", in.Number)
	}
	w, err := a.workspaceByName(ctx, in.User, in.Name, false)
	if err != nil {
		return nil, err
	}
	build, err := a.store.GetWorkspaceBuildByNumber(ctx, store.GetWorkspaceBuildByNumberParams{OrganizationID: w.OrganizationID, WorkspaceID: w.ID, BuildNumber: number})
	if err != nil {
		return nil, err
	}
	return a.buildReply(ctx, w, build.ID)
}

// cancelWorkspaceBuild is for the owner where the template allows it, and
// always for those who may change workspaces everywhere.
func (a *api) cancelWorkspaceBuild(ctx context.Context, in *cancelBuildInput) (*output[message], error) {
	build, w, err := a.workspaceBuild(ctx, authz.Update, in.Build)
	if err != nil {
		return nil, err
	}
	template, err := templateOf(ctx, a.store, w)
	if err != nil {
		return nil, err
	}
	if !template.AllowUserCancel && !subjectFrom(ctx).Everywhere(authz.Update, authz.Workspace) {
		return nil, forbidden("The template does not let users cancel builds; ask an owner of the deployment.")
	}
	job, err := a.store.GetProvisionerJob(ctx, build.JobID)
	if err != nil {
		return nil, err
	}
	if in.ExpectStatus != "" && job.Status != in.ExpectStatus {
		return nil, refuse(http.StatusPreconditionFailed, fmt.Sprintf("The build is %s, not %s; it was not canceled.", job.Status, in.ExpectStatus), "")
	}
	job, err = a.cancelJob(ctx, job)
	if err != nil {
		return nil, err
	}
	switch {
	case !job.CompletedAt.IsZero():
		return said("The build has been canceled."), nil
	case job.Cancel == client.CancelHard:
		return said("The build is being killed."), nil
	}
	return said("The build is being canceled; cancel it again to kill it."), nil
}

func (a *api) listBuildParameters(ctx context.Context, in *BuildPath) (*output[[]client.BuildParameter], error) {
	build, _, err := a.workspaceBuild(ctx, authz.Read, in.Build)
	if err != nil {
		return nil, err
	}
	parameters, err := decode[[]client.BuildParameter](build.Parameters, "build parameters")
	if err != nil {
		return nil, err
	}
	return reply(parameters), nil
}

func (a *api) listBuildResources(ctx context.Context, in *BuildPath) (*output[[]client.WorkspaceResource], error) {
	build, _, err := a.workspaceBuild(ctx, authz.Read, in.Build)
	if err != nil {
		return nil, err
	}
	resources, err := a.resourceResponses(ctx, []uuid.UUID{build.JobID})
	if err != nil {
		return nil, err
	}
	return reply(nonNil(resources[build.JobID])), nil
}

func (a *api) getBuildTimings(ctx context.Context, in *BuildPath) (*output[client.WorkspaceBuildTimings], error) {
	build, _, err := a.workspaceBuild(ctx, authz.Read, in.Build)
	if err != nil {
		return nil, err
	}
	job, err := a.store.GetProvisionerJob(ctx, build.JobID)
	if err != nil {
		return nil, err
	}
	stages, err := decode[[]client.StageTiming](job.Timings, "timings")
	if err != nil {
		return nil, err
	}
	out := client.WorkspaceBuildTimings{
		ProvisionerTimings: []client.ProvisionerTiming{}, AgentScriptTimings: []client.AgentScriptTiming{}, AgentConnectionTimings: []client.AgentConnectionTiming{},
	}
	for _, s := range stages {
		out.ProvisionerTimings = append(out.ProvisionerTimings, client.ProvisionerTiming{
			JobID: job.ID, StartedAt: s.StartedAt, EndedAt: s.EndedAt, Stage: s.Stage, Source: s.Source, Action: s.Action, Resource: s.Resource,
		})
	}
	return reply(out), nil
}

func (a *api) serveBuildLogs(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	id, err := uuid.Parse(r.PathValue("build"))
	if err != nil {
		a.writeError(ctx, w, invalid("build", "%q is not a UUID.", r.PathValue("build")))
		return
	}
	a.serveJobLogs(w, r, func(ctx context.Context) (store.ProvisionerJob, error) {
		build, _, err := a.workspaceBuild(ctx, authz.Read, id)
		if err != nil {
			return store.ProvisionerJob{}, err
		}
		return a.store.GetProvisionerJob(ctx, build.JobID)
	})
}

// decode reads a JSON column.
func decode[T any](text, what string) (T, error) {
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return v, fmt.Errorf("read stored %s: %w", what, err)
	}
	return v, nil
}

func (a *api) buildReply(ctx context.Context, w store.Workspace, id uuid.UUID) (*output[client.WorkspaceBuild], error) {
	build, err := a.buildResponse(ctx, w, id)
	if err != nil {
		return nil, err
	}
	return reply(build), nil
}

// buildResponse is one build, with the daemons that match while it waits.
func (a *api) buildResponse(ctx context.Context, w store.Workspace, id uuid.UUID) (client.WorkspaceBuild, error) {
	row, err := a.store.GetBuildDetail(ctx, store.GetBuildDetailParams{OrganizationID: w.OrganizationID, ID: id})
	if err != nil {
		return client.WorkspaceBuild{}, fmt.Errorf("read build: %w", err)
	}
	owner, err := a.store.GetUserIncludingDeleted(ctx, w.OwnerID)
	if err != nil {
		return client.WorkspaceBuild{}, err
	}
	builds, err := a.buildResponses(ctx, []shownBuild{shownOf(&row, w, owner)})
	if err != nil {
		return client.WorkspaceBuild{}, err
	}
	out := builds[0]
	if row.JobStatus == client.JobPending {
		out.MatchedProvisioners, err = a.matchedProvisioners(ctx, w.OrganizationID, row.Tags)
	}
	return out, err
}

func shownOf(row *store.BuildDetail, w store.Workspace, owner store.User) shownBuild {
	return shownBuild{BuildDetail: row, workspaceName: w.Name, ownerID: owner.ID, ownerName: owner.Username, ownerAvatarURL: owner.AvatarURL}
}

// buildResponses converts builds in their order, with as many queries for a
// thousand as for one.
func (a *api) buildResponses(ctx context.Context, builds []shownBuild) ([]client.WorkspaceBuild, error) {
	jobs, ended := make([]*store.ProvisionerJob, len(builds)), []uuid.UUID{}
	for i, b := range builds {
		if jobs[i] = b.job(); !b.CompletedAt.IsZero() { // before that a job has no resources
			ended = append(ended, b.JobID)
		}
	}
	jobResponses, err := a.jobResponses(ctx, jobs)
	if err != nil {
		return nil, fmt.Errorf("read jobs of builds: %w", err)
	}
	resources, err := a.resourceResponses(ctx, ended)
	if err != nil {
		return nil, fmt.Errorf("read resources of builds: %w", err)
	}
	out := make([]client.WorkspaceBuild, len(builds))
	for i, b := range builds {
		out[i] = buildResponse(b, jobResponses[i], resources[b.JobID])
	}
	return out, nil
}

// job is the build's job as far as it is shown.
func (b shownBuild) job() *store.ProvisionerJob {
	return &store.ProvisionerJob{
		ID: b.JobID, OrganizationID: b.OrganizationID, Type: client.JobWorkspaceBuild, Provisioner: b.Provisioner, Status: b.JobStatus, Tags: b.Tags, FileID: b.FileID,
		InitiatorID: b.JobInitiatorID, TemplateVersionID: b.TemplateVersionID, WorkspaceID: &b.WorkspaceID, WorkspaceBuildID: &b.ID,
		Error: b.Error, ErrorCode: b.ErrorCode, WorkerID: b.WorkerID, LogsOverflowed: b.LogsOverflowed,
		CreatedAt: b.JobCreatedAt, StartedAt: b.StartedAt, CanceledAt: b.CanceledAt, CompletedAt: b.CompletedAt,
	}
}

func buildResponse(b shownBuild, job client.ProvisionerJob, resources []client.WorkspaceResource) client.WorkspaceBuild {
	return client.WorkspaceBuild{
		ID: b.ID, CreatedAt: b.CreatedAt.Time, UpdatedAt: b.UpdatedAt.Time, WorkspaceID: b.WorkspaceID, WorkspaceName: b.workspaceName,
		WorkspaceOwnerID: b.ownerID, WorkspaceOwnerName: b.ownerName, WorkspaceOwnerAvatarURL: b.ownerAvatarURL,
		TemplateVersionID: b.TemplateVersionID, TemplateVersionName: b.VersionName, BuildNumber: b.BuildNumber, Transition: b.Transition,
		InitiatorID: b.InitiatorID, InitiatorName: b.InitiatorName, Job: job, Reason: b.Reason, Resources: nonNil(resources),
		Deadline: b.DeadlineAt.Ptr(), MaxDeadline: b.MaxDeadlineAt.Ptr(), Status: buildStatus(job.Status, b.Transition),
		DailyCost: int(b.DailyCost), TemplateVersionPresetID: b.PresetID, HasExternalAgent: &b.HasExternalAgent,
	}
}
