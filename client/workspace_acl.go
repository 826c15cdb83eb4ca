package client

import (
	"context"
	"net/http"

	"github.com/google/uuid"
)

// Roles of a workspace's access list. An empty role in an update removes the
// entry.
const (
	// WorkspaceRoleUse lets see, enter, start and stop a workspace.
	WorkspaceRoleUse = "use"
	// WorkspaceRoleAdmin lets change and share it as well.
	WorkspaceRoleAdmin = "admin"
)

// WorkspaceACL is with whom a workspace is shared. The field of the groups is
// called group, as in the reference.
type WorkspaceACL struct {
	Users  []WorkspaceUser  `json:"users"`
	Groups []WorkspaceGroup `json:"group"`
}

// WorkspaceUser is a user with a role on a workspace.
type WorkspaceUser struct {
	MinimalUser
	Role string `json:"role" enum:"admin,use"`
}

// WorkspaceGroup is a group with a role on a workspace.
type WorkspaceGroup struct {
	Group
	Role string `json:"role" enum:"admin,use"`
}

// UpdateWorkspaceACLRequest changes the entries named, by user and group id,
// and keeps the others.
type UpdateWorkspaceACLRequest struct {
	UserRoles  map[string]string `json:"user_roles,omitempty" doc:"User id to admin, use, or empty to remove"`
	GroupRoles map[string]string `json:"group_roles,omitempty" doc:"Group id to admin, use, or empty to remove"`
}

// SharedWorkspaceActor is a user or a group that a workspace is shared with.
type SharedWorkspaceActor struct {
	ID        uuid.UUID `json:"id"`
	ActorType string    `json:"actor_type" enum:"user,group"`
	Name      string    `json:"name"`
	AvatarURL string    `json:"avatar_url,omitempty"`
	Roles     []string  `json:"roles"`
}

// WorkspaceACL reads with whom a workspace is shared.
func (c *Client) WorkspaceACL(ctx context.Context, workspace uuid.UUID) (WorkspaceACL, error) {
	return get[WorkspaceACL](ctx, c, apiPath("workspaces", workspace, "acl"))
}

// UpdateWorkspaceACL shares a workspace, or stops to.
func (c *Client) UpdateWorkspaceACL(ctx context.Context, workspace uuid.UUID, req UpdateWorkspaceACLRequest) error {
	return c.exec(ctx, http.MethodPatch, apiPath("workspaces", workspace, "acl"), req)
}

// DeleteWorkspaceACL stops to share a workspace with anybody.
func (c *Client) DeleteWorkspaceACL(ctx context.Context, workspace uuid.UUID) error {
	return c.exec(ctx, http.MethodDelete, apiPath("workspaces", workspace, "acl"), nil)
}
