package server_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
)

// Whoever loses the right to see something is sent away from its streams, not
// only refused at the next request.
func TestStreamsEndWithTheRightToThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		take   func(t *testing.T, s *scene)
		status int
	}{
		"suspended": {func(t *testing.T, s *scene) {
			_, err := s.Client.SuspendUser(t.Context(), s.user.ID.String())
			require.NoError(t, err)
		}, http.StatusUnauthorized},
		"removed from the organization": {func(t *testing.T, s *scene) {
			require.NoError(t, s.Client.RemoveOrganizationMember(t.Context(), s.org.Name, s.user.ID.String()))
		}, http.StatusNotFound},
		"signed out": {func(t *testing.T, s *scene) {
			require.NoError(t, s.member.Logout(t.Context()))
		}, http.StatusUnauthorized},
		"password changed": {func(t *testing.T, s *scene) {
			require.NoError(t, s.Client.UpdateUserPassword(t.Context(), s.user.ID.String(), client.UpdateUserPasswordRequest{Password: "Another-long-password-2"}))
		}, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			w := s.create(t, "box")
			ctx, cancel := context.WithTimeout(t.Context(), waitLong)
			defer cancel()
			ended := make(chan error, 1)
			follow := func() {
				var last error
				for _, err := range s.member.FollowWorkspaceBuildLogs(ctx, w.LatestBuild.ID, 0) {
					last = err
				}
				ended <- last
			}
			go follow()
			j := s.worker.take(t)
			_, err := j.attempt.AppendLogs(t.Context(), client.AppendLogsRequest{Next: 2, Entries: []client.JobLogEntry{{CreatedAt: time.Now(), Source: "provisioner", Level: "info", Stage: "Plan", Output: "hello"}}})
			require.NoError(t, err)
			c.take(t, s)
			select {
			case err := <-ended:
				require.Equal(t, c.status, client.StatusCode(err), "%v", err)
			case <-time.After(waitLong):
				require.Fail(t, "the log is still followed")
			}
			j.succeed(t)
		})
	}
}
