package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

// restart asks for a stop with a start behind it.
func (s *scene) restart(t *testing.T, w client.Workspace, follow client.BuildOnSuccessRequest) client.WorkspaceBuild {
	t.Helper()
	follow.Transition = client.TransitionStart
	b, err := s.member.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStop, OnSuccess: &follow})
	require.NoError(t, err)
	return b
}

func TestAStartFollowsAStop(t *testing.T) {
	t.Parallel()
	s := newScene(t, onTime(servertest.NewClock())...)
	s.template = s.newTemplate(t, "whole", wholeImport(), nil)
	s.allow(t, 100)
	w := s.running(t, "box")

	t.Run("with the values asked for", func(t *testing.T) {
		s.restart(t, w, client.BuildOnSuccessRequest{RichParameterValues: []client.BuildParameter{{Name: "size", Value: "2"}}})
		stop := s.worker.take(t)
		require.Equal(t, client.TransitionStop, stop.Metadata.Transition)
		stop.succeed(t)
		start := s.worker.take(t)
		require.Equal(t, client.TransitionStart, start.Metadata.Transition)
		require.Contains(t, start.Parameters, client.BuildParameter{Name: "size", Value: "2"})
		start.succeed(t)
		latest := s.read(t, w.ID).LatestBuild
		require.Equal(t, []any{int64(3), s.user.ID, client.BuildReasonInitiator}, []any{latest.BuildNumber, latest.InitiatorID, latest.Reason})
	})
	t.Run("but not one that failed", func(t *testing.T) {
		s.restart(t, w, client.BuildOnSuccessRequest{})
		s.worker.take(t).fail(t, "no")
		require.Equal(t, client.JobFailed, s.read(t, w.ID).LatestBuild.Job.Status)
		require.Equal(t, 4, s.builds(t, w.ID))
	})
	t.Run("and says why when it cannot", func(t *testing.T) {
		other := s.newVersion(t, &s.template.ID, "", wholeImport())
		stop := s.restart(t, w, client.BuildOnSuccessRequest{TemplateVersionID: &other.ID})
		require.NoError(t, s.Client.SetTemplateVersionArchived(t.Context(), other.ID, true))
		s.worker.take(t).succeed(t)
		logs, err := s.member.WorkspaceBuildLogs(t.Context(), stop.ID, 0)
		require.NoError(t, err)
		require.NotEmpty(t, logs)
		require.Contains(t, logs[len(logs)-1].Output, "is archived")
		require.Equal(t, 5, s.builds(t, w.ID), "it is not tried again")
	})
	t.Run("and is refused at once when it never could", func(t *testing.T) {
		for name, req := range map[string]client.CreateWorkspaceBuildRequest{
			"behind a start":      {Transition: client.TransitionStart, OnSuccess: &client.BuildOnSuccessRequest{Transition: client.TransitionStart}},
			"a stop":              {Transition: client.TransitionStop, OnSuccess: &client.BuildOnSuccessRequest{Transition: client.TransitionStop}},
			"with a wrong value":  {Transition: client.TransitionStop, OnSuccess: &client.BuildOnSuccessRequest{Transition: client.TransitionStart, RichParameterValues: []client.BuildParameter{{Name: "size", Value: "much"}}}},
			"of no known version": {Transition: client.TransitionStop, OnSuccess: &client.BuildOnSuccessRequest{Transition: client.TransitionStart, TemplateVersionID: &w.ID}},
		} {
			_, err := s.member.CreateWorkspaceBuild(t.Context(), w.ID, req)
			require.NotEmpty(t, refused(t, err, http.StatusBadRequest).Validations, name)
		}
		require.Equal(t, 5, s.builds(t, w.ID))
	})
}
