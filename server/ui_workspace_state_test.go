package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
)

func TestAStateIsRestoredOnAPage(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := s.SignedIn(t, "owner@example.com")
	w := s.create(t, "box")
	require.Contains(t, b.Open("/@dev1/box").Click("States").Text, "No state yet")
	j := s.worker.take(t)
	j.succeed(t)
	_, err := s.Client.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStop})
	require.NoError(t, err)
	stop := s.worker.take(t)
	stop.fail(t, "the cloud said no")
	stop.putState(t, 1, string(objects(4, "late=7")))

	page := b.Open("/@dev1/box/builds/1").Click("All versions")
	require.Contains(t, page.Text, "has handed in 1 state")
	require.Contains(t, page.Links(), "/api/v2/workspaces/"+w.ID.String()+"/states/2")
	content := s.Response(t, s.Token, http.MethodGet, "/workspaces/"+w.ID.String()+"/states/2", "")
	require.Equal(t, string(objects(4, "late=7")), content.Body)

	form := page.Click("Restore").Form("Restore version 2")
	require.Contains(t, form.Fill("confirm", "bo").Submit().Text, "This is not the name")
	states, err := s.Client.WorkspaceStates(t.Context(), w.ID)
	require.NoError(t, err)
	require.Len(t, states, 2, "bad input changes nothing")
	done := form.Fill("confirm", "box").Submit()
	require.Equal(t, "/@dev1/box/states", done.URL.Path)
	require.Contains(t, done.Text, "Version 3, a copy of version 2, is the current state")
	require.Contains(t, done.Text, "Version 2, restored by "+s.owner(t))
	require.Contains(t, b.Open("/@dev1/box/states/3/restore").Text, "This is the current state already")

	_, err = s.Client.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStop})
	require.NoError(t, err)
	refused := b.Open("/@dev1/box/states/1/restore").Form("Restore version 1").Fill("confirm", "box").Submit()
	require.Equal(t, http.StatusConflict, refused.Status)
	require.Contains(t, refused.Text, "may still be writing its state")

	// A state holds the template's secrets.
	member := s.SignedIn(t, s.user.Email)
	require.NotContains(t, member.Open("/@dev1/box").Links(), "/@dev1/box/states")
	for _, path := range []string{"/@dev1/box/states", "/@dev1/box/states/1/restore"} {
		require.Equal(t, http.StatusNotFound, member.Open(path).Status, path)
	}
	for _, path := range []string{"/@dev1/box/states/9/restore", "/@dev1/box/states/x/restore"} {
		require.Equal(t, http.StatusNotFound, b.Open(path).Status, path)
	}
}

// Many versions come in pages, and what is said of all of them is said on each.
func TestManyStatesComeInPages(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := s.SignedIn(t, "owner@example.com")
	w := s.create(t, "box")
	s.worker.take(t).succeed(t)
	build, err := s.Client.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStop})
	require.NoError(t, err)
	stop := s.worker.take(t)
	stop.fail(t, "the cloud said no")
	stop.putState(t, 1, string(objects(4, "late=7")))
	for i := range 27 {
		state := client.UpdateWorkspaceBuildStateRequest{State: objects(5+i, "a=1")}
		require.NoError(t, s.Client.UpdateWorkspaceBuildState(t.Context(), build.ID, state))
	}
	states, err := s.Client.WorkspaceStates(t.Context(), w.ID)
	require.NoError(t, err)
	require.Len(t, states, 29)
	last, err := s.Client.PaginatedWorkspaceStates(t.Context(), w.ID, client.Page{Limit: 25, Offset: 25})
	require.NoError(t, err)
	require.Equal(t, client.WorkspaceStatesResponse{States: states[25:], Count: 29, Salvage: 1}, last)
	first := b.Open("/@dev1/box/states")
	require.Contains(t, first.Text, "1–25 of 29")
	require.Contains(t, first.Text, "has handed in 1 state", "it is on the next page")
	require.NotContains(t, first.Text, "Version 2 ")
	second := first.Click("Next")
	require.Contains(t, second.Text, "26–29 of 29")
	require.Contains(t, second.Text, "Version 2 ")
	require.Contains(t, second.Links(), "/@dev1/box/states/1/restore")
	require.Equal(t, http.StatusOK, b.Open("/@dev1/box/states?offset=999").Status)
}

// owner is the name of the deployment's first user.
func (s *scene) owner(t *testing.T) string {
	t.Helper()
	u, err := s.Client.User(t.Context(), client.Me)
	require.NoError(t, err)
	return u.Username
}
