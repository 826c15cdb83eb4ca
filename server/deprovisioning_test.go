package server_test

import (
	"bytes"
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/store"
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

// helper is a person with a daemon that joined by their token.
type helper struct {
	servertest.Person
	worker
	key string
}

func (s *scene) newHelper(t *testing.T, name string) *helper {
	t.Helper()
	h := &helper{Person: s.Person(t, s.org, "organization-template-admin")}
	made, err := h.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{TokenName: name})
	require.NoError(t, err)
	h.key = made.Key[:10]
	h.worker = worker{client: s.WithToken(t, made.Key)}
	d, err := h.client.RegisterDaemon(t.Context(), client.RegisterDaemonRequest{
		Organization: s.org.Name, Name: name, Provisioners: []string{client.ProvisionerTerraform}, Version: servertest.Version, APIVersion: "1.0", HostID: name,
		Tags: map[string]string{"of": name},
	})
	require.NoError(t, err)
	h.id = d.ID
	return h
}

// A daemon that joined by a user's token has no more right than that user and
// that token have now: it gets no job and no secret, what it runs is
// interrupted, and the state and the end of that are still taken.
func TestADaemonHasTheRightsOfItsUser(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(t *testing.T, s *scene, h *helper) error{
		"suspended": func(t *testing.T, s *scene, h *helper) error {
			_, err := s.Client.SuspendUser(t.Context(), h.User.Username)
			return err
		},
		"deleted": func(t *testing.T, s *scene, h *helper) error {
			return s.Client.DeleteUser(t.Context(), h.User.Username)
		},
		"removed from the organization": func(t *testing.T, s *scene, h *helper) error {
			return s.Client.RemoveOrganizationMember(t.Context(), s.org.Name, h.User.Username)
		},
		"without the role": func(t *testing.T, s *scene, h *helper) error {
			_, err := s.Client.UpdateOrganizationMemberRoles(t.Context(), s.org.Name, h.User.Username, client.UpdateRolesRequest{Roles: []string{}})
			return err
		},
		"without the token": func(t *testing.T, _ *scene, h *helper) error {
			return h.Client.DeleteAPIKey(t.Context(), client.Me, h.key)
		},
		"whose token was ended": func(t *testing.T, _ *scene, h *helper) error {
			return h.Client.ExpireAPIKey(t.Context(), client.Me, h.key)
		},
		"with another password": func(t *testing.T, s *scene, h *helper) error {
			return s.Client.UpdateUserPassword(t.Context(), h.User.Username, client.UpdateUserPasswordRequest{Password: otherPassword})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			h := s.newHelper(t, "helper")
			template := s.newHelperTemplate(t, h)
			box := s.create(t, "box", func(r *client.CreateWorkspaceRequest) { r.TemplateID = &template.ID })
			j := h.take(t)
			idle := make(chan error, 1)
			go func() { idle <- acquireUntilRefused(h.client, h.id) }()

			require.NoError(t, take(t, s, h))
			car := s.create(t, "car", func(r *client.CreateWorkspaceRequest) { r.TemplateID = &template.ID })
			select {
			case err := <-idle:
				require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, client.StatusCode(err), "%v", err)
			case <-time.After(waitLong):
				require.Fail(t, "the daemon still waits for jobs")
			}
			waiting, err := s.Store.GetProvisionerJob(t.Context(), car.LatestBuild.Job.ID)
			require.NoError(t, err)
			require.Zero(t, waiting.Attempts, "the job was handed out")
			_, err = h.client.RegisterDaemon(t.Context(), client.RegisterDaemonRequest{
				Organization: s.org.Name, Name: "again", Provisioners: []string{client.ProvisionerTerraform}, Version: servertest.Version, APIVersion: "1.0", HostID: "again",
			})
			require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound}, client.StatusCode(err), "%v", err)
			s.isInterrupted(t, j, box)
		})
	}
}

// isInterrupted asserts that an attempt is told of its revocation, gets no
// more of the template, and hands in what it has.
func (s *scene) isInterrupted(t *testing.T, j *taken, box client.Workspace) {
	t.Helper()
	require.Eventually(t, func() bool {
		word, err := j.attempt.Renew(t.Context(), client.RenewRequest{WaitMS: 8000})
		return err == nil && word.Revoked && word.Current
	}, waitLong, 10*time.Millisecond, "the attempt is told")
	_, err := j.attempt.Source(t.Context())
	refused(t, err, http.StatusConflict)
	_, err = j.attempt.AppendLogs(t.Context(), client.AppendLogsRequest{Next: 2, Entries: []client.JobLogEntry{{CreatedAt: time.Now(), Source: "provisioner", Level: "info", Stage: "Apply", Output: "interrupted"}}})
	require.NoError(t, err)
	state := j.putState(t, 1, stateOf(j.ID))
	_, err = j.attempt.Fail(t.Context(), client.FailJobRequest{Error: "revoked", EngineDead: true, State: state, Logs: 2})
	require.NoError(t, err)
	build, err := s.Client.WorkspaceBuild(t.Context(), box.LatestBuild.ID)
	require.NoError(t, err)
	require.Equal(t, client.JobFailed, build.Job.Status)
	require.Equal(t, "revoked", build.Job.Error)
	require.Equal(t, state.SHA256, s.latestState(t, box).Sha256)
	logs, err := s.Client.WorkspaceBuildLogs(t.Context(), build.ID, 0)
	require.NoError(t, err)
	require.Equal(t, "interrupted", logs[len(logs)-1].Output)
}

// newHelperTemplate is a template whose jobs are for the helper alone.
func (s *scene) newHelperTemplate(t *testing.T, h *helper) client.Template {
	t.Helper()
	file, err := s.Client.Upload(t.Context(), client.ContentTypeTar, bytes.NewReader(archiveOf(t, map[string]string{"main.tf": plainSource})))
	require.NoError(t, err)
	v, err := s.Client.CreateTemplateVersion(t.Context(), s.org.Name, client.CreateTemplateVersionRequest{
		StorageMethod: client.StorageFile, FileID: &file.ID, Provisioner: client.ProvisionerTerraform, Tags: map[string]string{"of": "helper"},
	})
	require.NoError(t, err)
	_, err = h.take(t).attempt.Complete(t.Context(), client.CompleteJobRequest{Import: &client.ImportResult{}})
	require.NoError(t, err)
	template, err := s.Client.CreateTemplate(t.Context(), s.org.Name, client.CreateTemplateRequest{Name: "helped", VersionID: v.ID})
	require.NoError(t, err)
	return template
}

// An owner may serve an organization without being a member of it, and a
// session that ends with time lets what runs come to its end.
func TestADaemonKeepsWhatItsUserKeeps(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	h := s.newHelper(t, "helper")
	template := s.newHelperTemplate(t, h)
	_, err := s.Client.UpdateUserRoles(t.Context(), h.User.Username, client.UpdateRolesRequest{Roles: []string{"owner"}})
	require.NoError(t, err)
	require.NoError(t, s.Client.RemoveOrganizationMember(t.Context(), s.org.Name, h.User.Username))
	s.create(t, "box", func(r *client.CreateWorkspaceRequest) { r.TemplateID = &template.ID })
	j := h.take(t)
	key, err := s.Store.GetAPIKey(t.Context(), h.key)
	require.NoError(t, err)
	past := store.At(time.Now().Add(-time.Minute))
	require.NoError(t, s.Store.TouchAPIKey(t.Context(), store.TouchAPIKeyParams{ID: key.ID, LastUsedAt: key.LastUsedAt, ExpiresAt: past, UpdatedAt: store.At(past.Add(-time.Hour))}))
	_, err = h.client.AcquireJob(t.Context(), h.id, client.AcquireJobRequest{RequestID: uuid.New()})
	refused(t, err, http.StatusUnauthorized)
	for range 3 { // the server has looked at the attempt by then
		word, err := j.attempt.Renew(t.Context(), client.RenewRequest{WaitMS: 1100})
		require.NoError(t, err)
		require.False(t, word.Revoked)
	}
	j.succeed(t)
}
