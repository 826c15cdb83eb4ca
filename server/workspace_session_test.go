package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
)

// The daemons of an organization are handed the sessions of the owners of its
// workspaces, and its templates read them: such a session opens nothing that
// its owner has elsewhere.
func TestTheSessionOfAWorkspaceStaysInItsOrganization(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	other := s.Organization(t, "elsewhere")
	_, err := s.Client.AddOrganizationMember(t.Context(), other.Name, s.user.Username)
	require.NoError(t, err)
	_, err = s.Client.UpdateUserRoles(t.Context(), s.user.Username, client.UpdateRolesRequest{Roles: []string{"owner"}})
	require.NoError(t, err)
	private, err := s.member.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{TokenName: "elsewhere-ci"})
	require.NoError(t, err)
	require.NotEmpty(t, private.Key)

	w := s.create(t, "box")
	job := s.worker.take(t)
	session := s.WithToken(t, job.Metadata.OwnerSessionToken)
	token, err := session.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{TokenName: "inside"})
	require.NoError(t, err)

	for what, c := range map[string]*client.Client{"session": session, "a token made with it": s.WithToken(t, token.Key)} {
		t.Run(what, func(t *testing.T) {
			// What it is for works.
			read, err := c.Workspace(t.Context(), w.ID)
			require.NoError(t, err)
			require.Equal(t, w.ID, read.ID)
			organizations, err := c.Organizations(t.Context())
			require.NoError(t, err)
			require.Len(t, organizations, 1)
			require.Equal(t, s.org.ID, organizations[0].ID)

			// Other organizations do not exist, and the roles of the site do not count.
			_, err = c.Organization(t.Context(), other.Name)
			refused(t, err, http.StatusNotFound)
			_, err = c.CreateOrganization(t.Context(), client.CreateOrganizationRequest{Name: "mine"})
			refused(t, err, http.StatusForbidden)
			users, err := c.Users(t.Context(), client.UsersRequest{})
			require.NoError(t, err)
			require.Len(t, users.Users, 1, "a member reads nobody else")

			// It does not become a session without these limits, nor touch the owner's other keys.
			_, err = c.CreateAPIKey(t.Context(), client.Me)
			refused(t, err, http.StatusForbidden)
			tokens, err := c.Tokens(t.Context(), client.Me, client.TokensRequest{})
			require.NoError(t, err)
			require.Len(t, tokens, 1)
			require.Equal(t, "inside", tokens[0].TokenName)
			_, err = c.APIKeyByName(t.Context(), client.Me, "elsewhere-ci")
			refused(t, err, http.StatusNotFound)
		})
	}
	job.succeed(t)
	s.build(t, w.ID, client.TransitionStop)
	_, err = s.WithToken(t, token.Key).Workspace(t.Context(), w.ID)
	refused(t, err, http.StatusUnauthorized)
}

// Nobody gets the key by which somebody signs in to Git by making a workspace
// for them, nor from a workspace whose owner has left.
func TestTheGitKeyIsForWorkspacesThatTheirOwnerBuilds(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w, err := s.Client.CreateWorkspace(t.Context(), s.org.Name, s.user.Username, client.CreateWorkspaceRequest{TemplateID: &s.template.ID, Name: "trap"})
	require.NoError(t, err)
	job := s.worker.take(t)
	require.NotEmpty(t, job.Metadata.OwnerSSHPublicKey)
	require.Empty(t, job.Metadata.OwnerSSHPrivateKey)
	session := s.WithToken(t, job.Metadata.OwnerSessionToken)
	_, err = session.RegenerateGitSSHKey(t.Context(), client.Me)
	refused(t, err, http.StatusForbidden)
	job.succeed(t)

	s.ask(t, w.ID, client.TransitionStop)
	job = s.worker.take(t)
	require.Contains(t, job.Metadata.OwnerSSHPrivateKey, "PRIVATE KEY")
	job.succeed(t)

	require.NoError(t, s.Client.RemoveOrganizationMember(t.Context(), s.org.Name, s.user.Username))
	_, err = s.Client.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart})
	require.NoError(t, err)
	require.Empty(t, s.worker.take(t).Metadata.OwnerSSHPrivateKey)
}
