package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
)

// Kinds of state versions.
const (
	StateCurrent = "current" // what the next build starts from
	StateEarlier = "earlier"
	StateSalvage = "salvage" // from an attempt that had lost its build; the next build merges it
	StateMerged  = "merged"  // salvage that a build was given, or that was restored
)

// WorkspaceState is one version of a workspace's Terraform state.
type WorkspaceState struct {
	// Version numbers the states of a workspace in the order in which they came.
	Version          int64     `json:"version"`
	WorkspaceID      uuid.UUID `json:"workspace_id" format:"uuid"`
	WorkspaceBuildID uuid.UUID `json:"workspace_build_id" format:"uuid"`
	BuildNumber      int64     `json:"build_number"`
	// AttemptID is that of the provisioner's attempt, nil where a person put
	// the state. AttemptNumber is 0 for those, and once the attempt is forgotten.
	AttemptID     *uuid.UUID `json:"attempt_id,omitempty" format:"uuid"`
	AttemptNumber int64      `json:"attempt_number,omitempty"`
	// Fence and N order the states: the current one has the largest.
	Fence     int64     `json:"fence"`
	N         int64     `json:"n"`
	CreatedAt time.Time `json:"created_at"`
	// Size in bytes, and SHA256 in hex, of the state itself.
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// Resources is how many managed objects it holds; nil for states that an
	// earlier release has stored.
	Resources *int64 `json:"resources,omitempty"`
	Kind      string `json:"kind" enum:"current,earlier,salvage,merged"`
	// Merge: it was made when a build was handed out, of the state before it
	// and of salvage.
	Merge bool `json:"merge"`
	// MergedAt and MergedBuildNumber say when salvage was merged, and for which
	// build.
	MergedAt          *time.Time `json:"merged_at,omitempty"`
	MergedBuildNumber int64      `json:"merged_build_number,omitempty"`
	// Recovered: a provisioner handed it in after the database was restored from
	// an older copy.
	Recovered bool `json:"recovered,omitempty"`
	// RestoredFrom is the version of which it is a copy, 0 for none.
	RestoredFrom int64 `json:"restored_from,omitempty"`
	// CreatedBy pushed or restored it; nil for states of provisioners.
	CreatedBy *MinimalUser `json:"created_by,omitempty"`
}

// WorkspaceStates lists the versions of a workspace's state, newest first; only
// who may change the template may. Those of a deleted workspace stay.
func (c *Client) WorkspaceStates(ctx context.Context, workspace uuid.UUID) ([]WorkspaceState, error) {
	return list[WorkspaceState](ctx, c, apiPath("workspaces", workspace, "states"))
}

// WorkspaceStatesResponse is a page of the versions of a workspace's state.
type WorkspaceStatesResponse struct {
	States []WorkspaceState `json:"states"`
	// Count is how many versions there are, and Salvage how many of them the
	// next build merges.
	Count   int `json:"count"`
	Salvage int `json:"salvage"`
}

// PaginatedWorkspaceStates lists a page of what WorkspaceStates lists, by limit
// and offset.
func (c *Client) PaginatedWorkspaceStates(ctx context.Context, workspace uuid.UUID, req Page) (WorkspaceStatesResponse, error) {
	return get[WorkspaceStatesResponse](ctx, c, withQuery(apiPath("workspaces", workspace, "paginated-states"), req.values(url.Values{})))
}

// WorkspaceState reads a version of the state itself.
func (c *Client) WorkspaceState(ctx context.Context, workspace uuid.UUID, version int64) ([]byte, error) {
	state, _, err := c.download(ctx, apiPath("workspaces", workspace, "states", version))
	return state, err
}

// RestoreWorkspaceState makes a copy of a version the current state.
func (c *Client) RestoreWorkspaceState(ctx context.Context, workspace uuid.UUID, version int64) (WorkspaceState, error) {
	return send[WorkspaceState](ctx, c, http.MethodPost, apiPath("workspaces", workspace, "states", version, "restore"), nil)
}
