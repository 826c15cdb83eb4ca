package server

import (
	"context"
	"math"

	"coder/store"
)

// pruneStates leaves one version of a finished build, and the newest of the
// workspace. Never touched are the newest of all, salvage that was not merged,
// and what an attempt needs that runs, or that has lost its job and may still
// hand in salvage: its base, and what came of the workspace since.
func (a *api) pruneStates(ctx context.Context, tx *store.Store, job store.ProvisionerJob) error {
	if job.WorkspaceID == nil {
		return nil
	}
	latest, err := tx.GetLatestWorkspaceState(ctx, store.GetLatestWorkspaceStateParams{OrganizationID: job.OrganizationID, WorkspaceID: *job.WorkspaceID})
	if store.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	protected, err := a.protectedFence(ctx, tx, job)
	if err != nil {
		return err
	}
	// What a person has replaced after an earlier build stays with the workspace's others.
	if job.WorkspaceBuildID != nil && latest.WorkspaceBuildID == *job.WorkspaceBuildID {
		if _, err := tx.PruneBuildStates(ctx, store.PruneBuildStatesParams{
			OrganizationID: job.OrganizationID, WorkspaceID: *job.WorkspaceID, WorkspaceBuildID: latest.WorkspaceBuildID, Fence: latest.Fence, N: latest.N, ProtectedFence: protected,
		}); err != nil {
			return err
		}
	}
	if _, err := tx.PruneMergedSalvage(ctx, store.PruneMergedSalvageParams{OrganizationID: job.OrganizationID, WorkspaceID: *job.WorkspaceID, ProtectedFence: protected}); err != nil {
		return err
	}
	_, err = tx.PruneWorkspaceStates(ctx, store.PruneWorkspaceStatesParams{
		OrganizationID: job.OrganizationID, WorkspaceID: *job.WorkspaceID, ProtectedFence: protected, Keep: int32(a.options.StatesKept),
	})
	return err
}

// protectedFence is from where on states are needed by an attempt that has not
// been heard to its end.
func (a *api) protectedFence(ctx context.Context, tx *store.Store, job store.ProvisionerJob) (int64, error) {
	floor, err := tx.GetWorkspaceStateFloor(ctx, store.GetWorkspaceStateFloorParams{OrganizationID: job.OrganizationID, WorkspaceID: *job.WorkspaceID, ExpiresAt: store.At(a.now())})
	if err != nil {
		return 0, err
	}
	if floor == 0 {
		return math.MaxInt64, nil
	}
	return baseFence(ctx, tx, store.WorkspaceBuild{OrganizationID: job.OrganizationID, WorkspaceID: *job.WorkspaceID}, floor)
}
