package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/internal/terraform"
	"coder/store"
)

// maxStateBody bounds a request that carries a state in base64: it is held in
// memory while it is read, unlike the states that engines hand in.
const maxStateBody = 64 << 20

func (a *api) workspaceStateRoutes(r *router) {
	handleRaw(r, get, "/workspacebuilds/{build}/state", "Read the Terraform state after a build", onObject(authz.Update, authz.Template), a.serveState)
	handle(r, put, "/workspacebuilds/{build}/state", "Replace the Terraform state of the newest build", onObject(authz.Update, authz.Template), a.updateState, noContent, body(maxStateBody))
}

type updateStateInput struct {
	BuildPath
	Body client.UpdateWorkspaceBuildStateRequest
}

// stateBuild loads a build for a caller who may change its template: a state
// holds the template's secrets, so rights on the workspace are not enough.
func (a *api) stateBuild(ctx context.Context, id uuid.UUID) (store.WorkspaceBuild, store.Workspace, error) {
	build, w, err := a.workspaceBuild(ctx, authz.Read, id)
	if err != nil {
		return build, w, err
	}
	template, err := templateOf(ctx, a.store, w)
	if err != nil {
		return build, w, err
	}
	if !subjectFrom(ctx).Can(authz.Update, templateObject(template)) {
		return build, w, errNotFound()
	}
	return build, w, nil
}

// serveState sends the raw state. A build that wrote none has that of the
// builds before it.
func (a *api) serveState(w http.ResponseWriter, r *http.Request) {
	state, err := a.readState(r.Context(), r.PathValue("build"))
	if err != nil {
		a.writeError(r.Context(), w, err)
		return
	}
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(state) // the client is gone; nobody is left to tell
}

func (a *api) readState(ctx context.Context, ref string) ([]byte, error) {
	id, err := uuid.Parse(ref)
	if err != nil {
		return nil, invalid("build", "%q is not a UUID.", ref)
	}
	build, w, err := a.stateBuild(ctx, id)
	if err != nil {
		return nil, err
	}
	row, err := a.store.GetWorkspaceStateAtBuild(ctx, store.GetWorkspaceStateAtBuildParams{
		OrganizationID: build.OrganizationID, WorkspaceID: w.ID, BuildNumber: build.BuildNumber,
	})
	if store.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	return a.store.UnsealState(ctx, build.OrganizationID, row.Data)
}

// updateState makes a new version of the state, above all earlier ones, while
// no engine can write another.
func (a *api) updateState(ctx context.Context, in *updateStateInput) (*empty, error) {
	build, w, err := a.stateBuild(ctx, in.Build)
	if err != nil {
		return nil, err
	}
	if err := checkState(in.Body.State); err != nil {
		return nil, err
	}
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		locked, err := tx.LockWorkspace(ctx, store.LockWorkspaceParams{OrganizationID: w.OrganizationID, ID: w.ID, UpdatedAt: store.At(a.now())})
		if err != nil {
			return err
		}
		if err := a.checkStateFree(ctx, tx, locked, build); err != nil {
			return err
		}
		if err := a.insertState(ctx, tx, build, in.Body.State, callerID(ctx)); err != nil {
			return err
		}
		return a.audit(ctx, tx, stateReplaced(w, build))
	})
	if err != nil {
		return nil, fmt.Errorf("replace state: %w", err)
	}
	a.workspaceChanged(w.ID)
	return &empty{}, nil
}

// checkStateFree: the state of a workspace has one writer at a time, and only
// its newest version can be replaced.
func (a *api) checkStateFree(ctx context.Context, tx *store.Store, w store.Workspace, build store.WorkspaceBuild) error {
	if w.LatestBuildID != build.ID {
		return conflict("Only the state of the newest build can be replaced; a newer one was made since.")
	}
	job, err := tx.GetProvisionerJob(ctx, build.JobID)
	if err != nil {
		return err
	}
	live, err := tx.CountLiveEngines(ctx, store.CountLiveEnginesParams{OrganizationID: w.OrganizationID, WorkspaceID: &w.ID})
	if err != nil {
		return err
	}
	if job.CompletedAt.IsZero() || live > 0 {
		return refuse(http.StatusConflict, "A build of this workspace may still be writing its state.", "Wait until it has ended, or cancel it.")
	}
	return nil
}

// checkState accepts an empty state, and one that an engine could start from.
func checkState(state []byte) error {
	if len(state) == 0 {
		return nil
	}
	if _, err := terraform.ParseState(state); err != nil {
		return invalid("state", "This is not a whole Terraform state: %s", err)
	}
	return nil
}

// insertState adds a version of the state under a raised fence, so that it
// stands above every one that an engine has written.
func (a *api) insertState(ctx context.Context, tx *store.Store, build store.WorkspaceBuild, state []byte, by uuid.UUID) error {
	packed, err := packState(state)
	if err != nil {
		return err
	}
	row, err := stateRow(ctx, tx, build, by)
	if err != nil {
		return err
	}
	_, err = a.putState(ctx, tx, packed, row)
	return err
}

// packedState is a whole state, ready to be sealed, and what its row tells of it.
type packedState struct {
	data            store.PackedState
	sha256          string
	size, resources int64
}

// packState reads and compresses a state, which takes longer than to store it:
// do it before the transaction where that is possible.
func packState(content []byte) (packedState, error) {
	state, err := terraform.ParseState(content)
	if err != nil {
		return packedState{}, err
	}
	packed, err := store.PackState(content)
	sum := sha256.Sum256(content)
	return packedState{data: packed, sha256: hex.EncodeToString(sum[:]), size: int64(len(content)), resources: int64(state.Managed())}, err
}

// putState seals a state and stores it as the workspace's next version.
func (a *api) putState(ctx context.Context, tx *store.Store, state packedState, row store.InsertWorkspaceStateParams) (version int64, err error) {
	if row.Data, err = tx.SealState(ctx, row.OrganizationID, state.data); err != nil {
		return 0, err
	}
	row.Sha256, row.Size, row.Resources, row.CreatedAt = state.sha256, state.size, &state.resources, store.At(a.now())
	return tx.InsertWorkspaceState(ctx, row)
}

// stateRow is a version that a person has put above all that engines wrote.
func stateRow(ctx context.Context, tx *store.Store, build store.WorkspaceBuild, by uuid.UUID) (store.InsertWorkspaceStateParams, error) {
	fence, err := tx.RaiseWorkspaceFence(ctx, store.RaiseWorkspaceFenceParams{OrganizationID: build.OrganizationID, ID: build.WorkspaceID})
	if err != nil {
		return store.InsertWorkspaceStateParams{}, fmt.Errorf("raise the fence: %w", err)
	}
	return store.InsertWorkspaceStateParams{
		WorkspaceID: build.WorkspaceID, OrganizationID: build.OrganizationID, Fence: fence, N: 1, WorkspaceBuildID: build.ID, CreatedBy: &by,
	}, nil
}
