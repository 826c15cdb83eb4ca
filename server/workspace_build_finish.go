package server

import (
	"context"
	"fmt"

	"coder/client"
	"coder/store"
)

// finishBuild does what the end of a build means for its workspace, in the
// transaction that ends the job.
func (a *api) finishBuild(ctx context.Context, tx *store.Store, job store.ProvisionerJob, result *jobResult) error {
	build := result.of
	if build == nil {
		row, err := tx.GetWorkspaceBuildByJob(ctx, store.GetWorkspaceBuildByJobParams{OrganizationID: job.OrganizationID, JobID: job.ID})
		if err != nil {
			return fmt.Errorf("find the build of job %s: %w", job.ID, err)
		}
		build = &row
	}
	after, err := a.usageAfter(ctx, tx, job, *build, result)
	if err != nil {
		return err
	}
	now := store.At(a.now())
	end := store.EndWorkspaceBuildParams{
		OrganizationID: build.OrganizationID, ID: build.ID, DailyCost: after.cost, StandingCost: after.cost, StandingRunning: after.running,
		DeadlineAt: build.DeadlineAt, MaxDeadlineAt: build.MaxDeadlineAt, UpdatedAt: now,
	}
	left := store.EndBuildOfWorkspaceParams{
		OrganizationID: build.OrganizationID, ID: build.WorkspaceID, LatestBuildID: build.ID, LatestStatus: buildStatus(job.Status, build.Transition),
		DailyCost: after.cost, Running: after.running, UpdatedAt: now,
	}
	succeeded := job.Status == client.JobSucceeded
	if succeeded && build.Transition != client.TransitionDelete {
		if err := a.scheduleBuild(ctx, tx, *build, &end, &left); err != nil {
			return fmt.Errorf("read the schedule of workspace %s: %w", build.WorkspaceID, err)
		}
	}
	if err := tx.EndWorkspaceBuild(ctx, end); err != nil {
		return fmt.Errorf("end build %s: %w", build.ID, err)
	}
	if err := tx.EndBuildOfWorkspace(ctx, left); err != nil {
		return fmt.Errorf("end the build of workspace %s: %w", build.WorkspaceID, err)
	}
	// A build that was canceled while it waited has left a running workspace
	// running, and with it the session of its owner.
	if build.Transition != client.TransitionStart && (succeeded || !job.StartedAt.IsZero()) {
		if err := tx.DeleteAPIKeysOfWorkspace(ctx, &build.WorkspaceID); err != nil {
			return fmt.Errorf("remove the owner's session: %w", err)
		}
	}
	if !succeeded {
		return nil
	}
	return a.settleBuild(ctx, tx, *build, job, result.build)
}

// settleBuild records what a build that succeeded has made of its workspace.
func (a *api) settleBuild(ctx context.Context, tx *store.Store, build store.WorkspaceBuild, job store.ProvisionerJob, result *client.BuildResult) error {
	if result != nil {
		if err := a.insertResources(ctx, tx, job, build.Transition, result.Resources); err != nil {
			return err
		}
	}
	if build.Transition != client.TransitionDelete {
		return nil
	}
	w, err := workspaceOfLoop(ctx, tx, build.WorkspaceID)
	if err != nil {
		return err
	}
	err = tx.DeleteWorkspace(ctx, store.DeleteWorkspaceParams{OrganizationID: build.OrganizationID, ID: build.WorkspaceID, UpdatedAt: store.At(a.now())})
	if err != nil {
		return err
	}
	return a.audit(ctx, tx, workspaceChanged(client.AuditDelete, &w, nil))
}

// scheduleBuild says when the workspace starts by itself, and starts the
// countdown of one that runs from now on.
func (a *api) scheduleBuild(ctx context.Context, tx *store.Store, build store.WorkspaceBuild, end *store.EndWorkspaceBuildParams, left *store.EndBuildOfWorkspaceParams) error {
	s, err := tx.GetScheduleOfWorkspace(ctx, store.GetScheduleOfWorkspaceParams{OrganizationID: build.OrganizationID, ID: build.WorkspaceID, QuietHours: userQuietHours})
	if err != nil {
		return err
	}
	template := store.Template{
		AutostopDays: s.AutostopDays, AutostopWeeks: s.AutostopWeeks, AutostartDays: s.AutostartDays,
		AllowUserAutostart: s.AllowUserAutostart, AllowUserAutostop: s.AllowUserAutostop, DefaultTTLMs: s.DefaultTTLMs,
	}
	left.Scheduled = true
	if s.DormantAt.IsZero() {
		left.NextStartAt = nextStart(s.AutostartSchedule, template, a.now())
	}
	if build.Transition != client.TransitionStart {
		return nil
	}
	quiet, err := a.savedQuietHours(s.QuietHours)
	if err != nil {
		return err
	}
	end.DeadlineAt, end.MaxDeadlineAt = deadlines(store.Workspace{TTLMs: s.TTLMs}, template, quiet, end.UpdatedAt.Time)
	return nil
}

// buildVerbs are what a workspace does while its build runs, and has done after it.
var buildVerbs = map[string][2]string{
	client.TransitionStart:  {client.WorkspaceStarting, client.WorkspaceRunning},
	client.TransitionStop:   {client.WorkspaceStopping, client.WorkspaceStopped},
	client.TransitionDelete: {client.WorkspaceDeleting, client.WorkspaceDeleted},
}

// buildStatus is the table of section 2.8 of the reference.
func buildStatus(jobStatus, transition string) string {
	switch jobStatus {
	case client.JobRunning:
		return buildVerbs[transition][0]
	case client.JobSucceeded:
		return buildVerbs[transition][1]
	}
	return jobStatus
}
