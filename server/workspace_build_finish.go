package server

import (
	"context"
	"fmt"
	"time"

	"coder/client"
	"coder/store"
)

// finishBuild does what the end of a build means for its workspace, in the
// transaction that ends the job. The result is nil unless the job succeeded.
func (a *api) finishBuild(ctx context.Context, tx *store.Store, job store.ProvisionerJob, result *client.BuildResult, status string) error {
	build, err := tx.GetWorkspaceBuildByJob(ctx, store.GetWorkspaceBuildByJobParams{OrganizationID: job.OrganizationID, JobID: job.ID})
	if err != nil {
		return fmt.Errorf("find the build of job %s: %w", job.ID, err)
	}
	now := store.At(a.now())
	workspace, err := tx.LockWorkspace(ctx, store.LockWorkspaceParams{OrganizationID: build.OrganizationID, ID: build.WorkspaceID, UpdatedAt: now})
	if err != nil {
		return fmt.Errorf("lock the workspace of build %s: %w", build.ID, err)
	}
	err = tx.SetWorkspaceStatus(ctx, store.SetWorkspaceStatusParams{
		OrganizationID: build.OrganizationID, ID: build.WorkspaceID, LatestBuildID: build.ID,
		LatestStatus: buildStatus(status, build.Transition), UpdatedAt: now,
	})
	if err != nil {
		return err
	}
	if build.Transition != client.TransitionStart && (status == client.JobSucceeded || !job.StartedAt.IsZero()) {
		if err := tx.DeleteAPIKeysOfWorkspace(ctx, &build.WorkspaceID); err != nil {
			return fmt.Errorf("remove the owner's session token: %w", err)
		}
	}
	if status != client.JobSucceeded {
		return nil
	}
	return a.settleBuild(ctx, tx, workspace, build, job, result)
}

// settleBuild records what a build that succeeded has made.
func (a *api) settleBuild(ctx context.Context, tx *store.Store, w store.Workspace, b store.WorkspaceBuild, job store.ProvisionerJob, result *client.BuildResult) error {
	now := store.At(a.now())
	if result != nil {
		cost := 0
		for _, r := range result.Resources {
			cost += r.DailyCost
		}
		err := tx.SetWorkspaceBuildCost(ctx, store.SetWorkspaceBuildCostParams{OrganizationID: b.OrganizationID, ID: b.ID, DailyCost: int64(cost), UpdatedAt: now})
		if err != nil {
			return err
		}
	}
	switch b.Transition {
	case client.TransitionDelete:
		return tx.DeleteWorkspace(ctx, store.DeleteWorkspaceParams{OrganizationID: b.OrganizationID, ID: b.WorkspaceID, UpdatedAt: now})
	case client.TransitionStart:
		if w.TTLMs != nil && *w.TTLMs > 0 {
			_, err := tx.SetWorkspaceBuildDeadline(ctx, store.SetWorkspaceBuildDeadlineParams{
				OrganizationID: b.OrganizationID, ID: b.ID, DeadlineAt: store.At(a.now().Add(time.Duration(*w.TTLMs) * time.Millisecond)), UpdatedAt: now,
			})
			return err
		}
	}
	return nil
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
