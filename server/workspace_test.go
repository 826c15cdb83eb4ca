package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
)

func TestAWorkspaceFromCreateToDelete(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.create(t, "dev1-box")
	require.Equal(t, "dev1", w.OwnerName)
	require.Equal(t, "data-platform", w.OrganizationName)
	require.Equal(t, "docker", w.TemplateName)
	require.Equal(t, int64(1), w.LatestBuild.BuildNumber)
	require.Equal(t, client.JobPending, w.LatestBuild.Status)
	require.Equal(t, client.BuildReasonInitiator, w.LatestBuild.Reason)
	require.False(t, w.Outdated)
	require.True(t, w.Health.Healthy)

	j := s.worker.take(t)
	require.Equal(t, client.WorkspaceStarting, s.read(t, w.ID).LatestBuild.Status)
	require.Equal(t, "dev1-box", j.Metadata.WorkspaceName)
	require.Empty(t, j.State)
	require.NotEmpty(t, j.Metadata.OwnerSessionToken)
	mine, err := s.WithToken(t, j.Metadata.OwnerSessionToken).User(t.Context(), client.Me)
	require.NoError(t, err)
	require.Equal(t, s.user.ID, mine.ID)
	j.succeed(t, agentResource(7))

	w = s.read(t, w.ID)
	require.Equal(t, client.WorkspaceRunning, w.LatestBuild.Status)
	require.Equal(t, 7, w.LatestBuild.DailyCost)
	require.Len(t, w.LatestBuild.Resources, 1)
	agent := w.LatestBuild.Resources[0].Agents[0]
	require.Equal(t, client.AgentConnecting, agent.Status)
	again, err := s.member.WorkspaceAgent(t.Context(), agent.ID)
	require.NoError(t, err)
	require.Equal(t, agent, again)
	_, err = s.Outsider(t).Client.WorkspaceAgent(t.Context(), agent.ID)
	refused(t, err, http.StatusNotFound)

	s.ask(t, w.ID, client.TransitionStop)
	stop := s.worker.take(t)
	require.Contains(t, string(stop.State), j.ID.String(), "each build starts from the state of the one before")
	require.Empty(t, stop.Metadata.OwnerSessionToken)
	stop.succeed(t)
	require.Equal(t, client.WorkspaceStopped, s.read(t, w.ID).LatestBuild.Status)
	_, err = s.WithToken(t, j.Metadata.OwnerSessionToken).User(t.Context(), client.Me)
	refused(t, err, http.StatusUnauthorized)

	w = s.build(t, w.ID, client.TransitionDelete)
	require.Equal(t, client.WorkspaceDeleted, w.LatestBuild.Status)
	_, err = s.member.Workspace(t.Context(), w.ID)
	refused(t, err, http.StatusGone)
	_, err = s.member.WorkspaceByOwnerAndName(t.Context(), "dev1", "dev1-box")
	refused(t, err, http.StatusNotFound)
	_, err = s.member.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart})
	refused(t, err, http.StatusGone)
	refused(t, s.member.UpdateWorkspace(t.Context(), w.ID, client.UpdateWorkspaceRequest{Name: "other"}), http.StatusMethodNotAllowed)
	require.Equal(t, "dev1-box", s.create(t, "dev1-box").Name, "the name is free again")
}
