package server

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
)

func (a *api) workspaceAgentRoutes(r *router) {
	handle(r, get, "/workspaceagents/{agent}", "Get an agent", onObject(authz.Read, authz.Workspace), a.getWorkspaceAgent)
}

type AgentPath struct {
	Agent uuid.UUID `path:"agent" format:"uuid"`
}

// getWorkspaceAgent reads an agent by way of its workspace. Agents that an
// import found belong to none.
func (a *api) getWorkspaceAgent(ctx context.Context, in *AgentPath) (*output[client.WorkspaceAgent], error) {
	row, err := a.store.GetWorkspaceAgent(ctx, in.Agent)
	if err != nil {
		return nil, err
	}
	job, err := a.store.GetProvisionerJob(ctx, row.JobID)
	if err != nil {
		return nil, err
	}
	if job.WorkspaceID == nil {
		return nil, errNotFound()
	}
	if _, err := a.liveWorkspace(ctx, authz.Read, *job.WorkspaceID); err != nil {
		return nil, err
	}
	found, err := a.readAgent(ctx, row)
	if err != nil {
		return nil, err
	}
	return reply(a.agentResponse(found)), nil
}

// portShares is empty until workspaces can be entered.
type portShares struct {
	Shares []struct{} `json:"shares"`
}

func (a *api) listPortShares(ctx context.Context, in *WorkspacePath) (*output[portShares], error) {
	if _, err := a.liveWorkspace(ctx, authz.Read, in.Workspace); err != nil {
		return nil, err
	}
	return reply(portShares{Shares: []struct{}{}}), nil
}

func (a *api) sharePort(ctx context.Context, in *WorkspacePath) (*output[message], error) {
	if _, err := a.liveWorkspace(ctx, authz.Update, in.Workspace); err != nil {
		return nil, err
	}
	return nil, refuse(http.StatusBadRequest, "This server does not share the ports of workspaces.", "Its agents do not forward connections.")
}

func (a *api) unsharePort(ctx context.Context, in *WorkspacePath) (*empty, error) {
	if _, err := a.liveWorkspace(ctx, authz.Update, in.Workspace); err != nil {
		return nil, err
	}
	return nil, errNotFound()
}
