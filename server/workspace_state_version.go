package server

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

func (a *api) workspaceStateVersionRoutes(r *router) {
	handle(r, get, "/workspaces/{workspace}/states", "List the versions of a workspace's Terraform state", onObject(authz.Update, authz.Template), a.listStateVersions)
	handle(r, get, "/workspaces/{workspace}/paginated-states", "List the versions of a workspace's Terraform state by pages", onObject(authz.Update, authz.Template), a.pageStateVersions)
	handleRaw(r, get, "/workspaces/{workspace}/states/{number}", "Read a version of the Terraform state", onObject(authz.Update, authz.Template), a.serveStateVersion)
	handle(r, post, "/workspaces/{workspace}/states/{number}/restore", "Make a version of the Terraform state the current one", onObject(authz.Update, authz.Template), a.restoreStateVersion, created)
}

type pageStateVersionsInput struct {
	WorkspacePath
	Limit  int `query:"limit" minimum:"0" doc:"0 is no limit"`
	Offset int `query:"offset" minimum:"0"`
}

type stateVersionInput struct {
	WorkspacePath
	Version int64 `path:"number" minimum:"1"`
}

// stateWorkspace loads a workspace, deleted or not, for a caller who may change
// its template: a state holds the template's secrets, so rights on the
// workspace are not enough.
func (a *api) stateWorkspace(ctx context.Context, id uuid.UUID) (store.Workspace, error) {
	w, err := a.workspace(ctx, authz.Read, id)
	if err != nil {
		return w, err
	}
	template, err := templateOf(ctx, a.store, w)
	if err == nil && !subjectFrom(ctx).Can(authz.Update, templateObject(template)) {
		err = errNotFound()
	}
	return w, err
}

func (a *api) listStateVersions(ctx context.Context, in *WorkspacePath) (*output[[]client.WorkspaceState], error) {
	w, err := a.stateWorkspace(ctx, in.Workspace)
	if err != nil {
		return nil, err
	}
	states, err := stateVersions(ctx, a.store, w)
	if err != nil {
		return nil, fmt.Errorf("list state versions: %w", err)
	}
	return reply(states), nil
}

// pageStateVersions cuts a page out of all versions: whether one is the current
// one shows beside the others only, and older ones are removed.
func (a *api) pageStateVersions(ctx context.Context, in *pageStateVersionsInput) (*output[client.WorkspaceStatesResponse], error) {
	all, err := a.listStateVersions(ctx, &in.WorkspacePath)
	if err != nil {
		return nil, err
	}
	states := all.Body
	out := client.WorkspaceStatesResponse{Count: len(states)}
	for _, s := range states {
		if s.Kind == client.StateSalvage {
			out.Salvage++
		}
	}
	states = states[min(in.Offset, len(states)):]
	if in.Limit > 0 {
		states = states[:min(in.Limit, len(states))]
	}
	out.States = states
	return reply(out), nil
}

// serveStateVersion sends the raw state.
func (a *api) serveStateVersion(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	state, err := a.readStateVersion(ctx, r.PathValue("workspace"), r.PathValue("number"))
	if err != nil {
		a.writeError(ctx, w, err)
		return
	}
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(state) // the client is gone; nobody is left to tell
}

func (a *api) readStateVersion(ctx context.Context, workspace, number string) ([]byte, error) {
	id, err := uuid.Parse(workspace)
	if err != nil {
		return nil, invalid("workspace", "%q is not a UUID.", workspace)
	}
	version, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return nil, invalid("number", "%q is not a whole number.", number)
	}
	w, err := a.stateWorkspace(ctx, id)
	if err != nil {
		return nil, err
	}
	row, err := stateVersion(ctx, a.store, w, version)
	if err != nil {
		return nil, err
	}
	return a.store.UnsealState(ctx, row.OrganizationID, row.Data)
}

// restoreStateVersion copies a version above all others, while no engine can
// write another. What a salvaged one holds is known from then on.
func (a *api) restoreStateVersion(ctx context.Context, in *stateVersionInput) (*output[client.WorkspaceState], error) {
	w, err := a.stateWorkspace(ctx, in.Workspace)
	if err != nil {
		return nil, err
	}
	var restored client.WorkspaceState
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		locked, err := tx.LockWorkspace(ctx, store.LockWorkspaceParams{OrganizationID: w.OrganizationID, ID: w.ID, UpdatedAt: store.At(a.now())})
		if err != nil {
			return err
		}
		if locked.Deleted {
			return errWorkspaceDeleted()
		}
		build, err := latestBuildOf(ctx, tx, locked)
		if err != nil {
			return err
		}
		if err := a.checkStateFree(ctx, tx, locked, build); err != nil {
			return err
		}
		from, err := a.copyStateVersion(ctx, tx, locked, build, in.Version)
		if err != nil {
			return err
		}
		states, err := stateVersions(ctx, tx, locked)
		if err != nil {
			return err
		}
		restored = states[0]
		return a.audit(ctx, tx, stateRestored(locked, build, from.Version, restored.Version))
	})
	if err != nil {
		return nil, fmt.Errorf("restore a state: %w", err)
	}
	a.workspaceChanged(w.ID)
	return reply(restored), nil
}

func (a *api) copyStateVersion(ctx context.Context, tx *store.Store, w store.Workspace, build store.WorkspaceBuild, version int64) (from store.WorkspaceState, err error) {
	if from, err = stateVersion(ctx, tx, w, version); err != nil {
		return from, err
	}
	latest, err := tx.GetLatestWorkspaceState(ctx, store.GetLatestWorkspaceStateParams{OrganizationID: w.OrganizationID, WorkspaceID: w.ID})
	if ignoreNotFound(err) != nil {
		return from, err
	}
	if err == nil && latest.Version == version {
		return from, conflict(fmt.Sprintf("Version %d is the current state already.", version))
	}
	content, err := tx.UnsealState(ctx, from.OrganizationID, from.Data)
	if err != nil {
		return from, err
	}
	packed, err := packState(content)
	if err != nil {
		return from, err
	}
	row, err := stateRow(ctx, tx, build, callerID(ctx))
	if err != nil {
		return from, err
	}
	row.RestoredFrom = version
	if _, err = a.putState(ctx, tx, packed, row); err != nil || !from.Salvage {
		return from, err
	}
	_, err = tx.MarkSalvageMerged(ctx, store.MarkSalvageMergedParams{
		OrganizationID: w.OrganizationID, WorkspaceID: w.ID, Fence: from.Fence, N: from.N, MergedAt: store.At(a.now()), MergedBuildID: &build.ID,
	})
	return from, err
}

// stateVersion finds a version of a workspace that was loaded.
func stateVersion(ctx context.Context, s *store.Store, w store.Workspace, version int64) (store.WorkspaceState, error) {
	return s.GetWorkspaceStateVersion(ctx, store.GetWorkspaceStateVersionParams{OrganizationID: w.OrganizationID, WorkspaceID: w.ID, Version: version})
}

// stateVersions lists those of a workspace that was loaded, newest first.
func stateVersions(ctx context.Context, s *store.Store, w store.Workspace) ([]client.WorkspaceState, error) {
	rows, err := s.ListWorkspaceStates(ctx, store.ListWorkspaceStatesParams{OrganizationID: w.OrganizationID, WorkspaceID: w.ID})
	if err != nil {
		return nil, err
	}
	states, current := make([]client.WorkspaceState, len(rows)), -1
	for i, row := range rows {
		states[i] = stateResponse(w, row)
		if row.Salvage {
			continue
		}
		if current < 0 || row.Fence > rows[current].Fence || (row.Fence == rows[current].Fence && row.N > rows[current].N) {
			current = i
		}
	}
	if current >= 0 {
		states[current].Kind = client.StateCurrent
	}
	return states, nil
}

func stateResponse(w store.Workspace, row store.ListWorkspaceStatesRow) client.WorkspaceState {
	s := client.WorkspaceState{
		Version: row.Version, WorkspaceID: w.ID, WorkspaceBuildID: row.WorkspaceBuildID, BuildNumber: row.BuildNumber, AttemptID: row.AttemptID, AttemptNumber: row.AttemptNumber,
		Fence: row.Fence, N: row.N, CreatedAt: row.CreatedAt.Time, Size: row.Size, SHA256: row.Sha256, Resources: row.Resources, Kind: client.StateEarlier,
		RestoredFrom: row.RestoredFrom, Merge: row.AttemptID != nil && row.N == 0, Recovered: row.Recovered,
	}
	if row.Salvage {
		s.Kind = client.StateSalvage
	}
	if !row.MergedAt.IsZero() {
		s.Kind, s.MergedAt, s.MergedBuildNumber = client.StateMerged, &row.MergedAt.Time, row.MergedBuildNumber
	}
	if row.CreatedBy != nil {
		s.CreatedBy = &client.MinimalUser{ID: *row.CreatedBy, Username: row.CreatedByName}
	}
	return s
}
