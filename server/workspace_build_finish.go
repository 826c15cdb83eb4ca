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
	build, err := tx.GetWorkspaceBuildByJob(ctx, store.GetWorkspaceBuildByJobParams{OrganizationID: job.OrganizationID, JobID: job.ID})
	if err != nil {
		return fmt.Errorf("find the build of job %s: %w", job.ID, err)
	}
	now := store.At(a.now())
	w, err := tx.LockWorkspace(ctx, store.LockWorkspaceParams{OrganizationID: build.OrganizationID, ID: build.WorkspaceID, UpdatedAt: now})
	if err != nil {
		return fmt.Errorf("lock the workspace of build %s: %w", build.ID, err)
	}
	err = tx.SetWorkspaceStatus(ctx, store.SetWorkspaceStatusParams{
		OrganizationID: build.OrganizationID, ID: build.WorkspaceID, LatestBuildID: build.ID,
		LatestStatus: buildStatus(job.Status, build.Transition), UpdatedAt: now,
	})
	if err != nil {
		return err
	}
	after, err := a.usageAfter(ctx, tx, job, build, result)
	if err != nil {
		return err
	}
	if err := a.setUsage(ctx, tx, build, after, after); err != nil {
		return err
	}
	// A build that was canceled while it waited has left a running workspace
	// running, and with it the session of its owner.
	if build.Transition != client.TransitionStart && (job.Status == client.JobSucceeded || !job.StartedAt.IsZero()) {
		if err := tx.DeleteAPIKeysOfWorkspace(ctx, &build.WorkspaceID); err != nil {
			return fmt.Errorf("remove the owner's session: %w", err)
		}
	}
	if job.Status != client.JobSucceeded {
		return nil
	}
	return a.settleBuild(ctx, tx, w, build, job, result.build)
}

// settleBuild records what a build that succeeded has made of its workspace.
func (a *api) settleBuild(ctx context.Context, tx *store.Store, w store.Workspace, build store.WorkspaceBuild, job store.ProvisionerJob, result *client.BuildResult) error {
	now := store.At(a.now())
	if result != nil {
		if err := a.insertResources(ctx, tx, job, build.Transition, result.Resources); err != nil {
			return err
		}
	}
	if build.Transition == client.TransitionDelete {
		err := tx.DeleteWorkspace(ctx, store.DeleteWorkspaceParams{OrganizationID: build.OrganizationID, ID: build.WorkspaceID, UpdatedAt: now})
		if err != nil {
			return err
		}
		return a.audit(ctx, tx, workspaceChanged(client.AuditDelete, &w, nil))
	}
	template, err := tx.GetTemplate(ctx, w.TemplateID)
	if err != nil {
		return fmt.Errorf("read the template's schedule: %w", err)
	}
	if build.Transition == client.TransitionStart {
		if err := a.setDeadlines(ctx, tx, w, template, build, now); err != nil {
			return err
		}
	}
	next := nextStart(w.AutostartSchedule, template, a.now())
	if !w.DormantAt.IsZero() {
		next = store.Time{}
	}
	return tx.SetWorkspaceNextStart(ctx, store.SetWorkspaceNextStartParams{OrganizationID: w.OrganizationID, ID: w.ID, NextStartAt: next})
}

// setDeadlines starts the countdown of a workspace that runs from now on.
func (a *api) setDeadlines(ctx context.Context, tx *store.Store, w store.Workspace, template store.Template, build store.WorkspaceBuild, now store.Time) error {
	quiet, err := a.quietHoursOf(ctx, tx, w.OwnerID)
	if err != nil {
		return err
	}
	deadline, maximum := deadlines(w, template, quiet, now.Time)
	_, err = tx.SetWorkspaceBuildDeadline(ctx, store.SetWorkspaceBuildDeadlineParams{
		OrganizationID: build.OrganizationID, ID: build.ID, DeadlineAt: deadline, MaxDeadlineAt: maximum, UpdatedAt: now,
	})
	return err
}

// buildStatus is the table of section 2.8 of the reference.
func buildStatus(jobStatus, transition string) string {
	verbs := map[string][2]string{
		client.TransitionStart:  {client.WorkspaceStarting, client.WorkspaceRunning},
		client.TransitionStop:   {client.WorkspaceStopping, client.WorkspaceStopped},
		client.TransitionDelete: {client.WorkspaceDeleting, client.WorkspaceDeleted},
	}
	switch jobStatus {
	case client.JobRunning:
		return verbs[transition][0]
	case client.JobSucceeded:
		return verbs[transition][1]
	}
	return jobStatus
}
