package server_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

func TestUserPages(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	b := s.SignedIn(t, "owner@example.com")
	form := b.Open("/users").Click("New user").Form("Create user")
	wrong := form.Fill("username", "ann").Fill("email", "ann@example.com").Fill("name", "Ann <b>Lee").Fill("password", "password").Fill("organization_ids", org.ID.String()).Submit()
	require.Equal(t, http.StatusBadRequest, wrong.Status)
	back := wrong.Form("Create user")
	require.Equal(t, "ann", back.Value("username"))
	require.Equal(t, []string{org.ID.String()}, back.Values("organization_ids"))
	require.Empty(t, back.Value("password"))
	made := back.Fill("password", servertest.Password).Submit()
	require.Contains(t, made.Text, "was created")
	require.Contains(t, made.Text, "Ann <b>Lee")
	require.Contains(t, made.Links(), "/organizations/data-platform/members/ann")
	twice := form.Fill("password", servertest.Password).Submit()
	require.Equal(t, http.StatusConflict, twice.Status, "sent twice, made once")
	require.Contains(t, b.Open("/users?q=ann&status=dormant").Text, "ann@example.com")
	require.Contains(t, b.Open("/users/ann").Text, "Dormant: ann has not signed in yet. Signing in makes them active.")
	require.NotContains(t, b.Open("/users?status=suspended").Text, "ann@example.com")
	require.Equal(t, http.StatusBadRequest, b.Open("/users?q=colour:blue").Status)

	require.Contains(t, made.Form("Save profile").Fill("name", "Ann").Submit().Text, "The profile was saved")
	stale := made.Form("Save roles")
	require.Equal(t, http.StatusConflict, stale.Submit().Status, "the profile was changed meanwhile")
	saved := b.Open("/users/ann").Form("Save roles").Fill("roles", client.RoleAuditor).Submit()
	require.Contains(t, saved.Text, "were saved")
	ann, err := s.Client.User(t.Context(), "ann")
	require.NoError(t, err)
	require.Equal(t, client.RoleAuditor, ann.Roles[0].Name)

	hers := s.SignedIn(t, "ann@example.com")
	changed := saved.Form("Change the password").Fill("password", "another long secret 42").Submit()
	require.Contains(t, changed.Text, "all their sessions have ended")
	require.Equal(t, "/login", hers.Open("/workspaces").URL.Path)

	suspended := b.Open("/users/ann").Form("Suspend").Submit()
	require.Contains(t, suspended.Text, "cannot sign in")
	require.Contains(t, suspended.Form("Activate").Submit().Text, "active again")

	remove := b.Open("/users/ann").Click("Delete …")
	require.Equal(t, http.StatusBadRequest, remove.Form("Delete the user").Fill("confirm", "bob").Submit().Status)
	gone := remove.Form("Delete the user").Fill("confirm", "ann").Submit()
	require.Equal(t, "/users", gone.URL.Path)
	require.Contains(t, gone.Text, "was deleted")
	require.Equal(t, http.StatusNotFound, b.Open("/users/ann").Status)
}

func TestAUserWithWorkspacesIsNotDeletedOnAPage(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.create(t, "dev")
	page := s.SignedIn(t, "owner@example.com").Open("/users/" + s.user.Username + "/delete")
	require.Contains(t, page.Text, "still owns workspaces")
	require.Contains(t, page.Links(), "/@"+s.user.Username+"/dev")
	require.False(t, page.HasButton("Delete the user"))
}

func TestUserPagesOfferNothingThatIsRefused(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	owner := s.SignedIn(t, "owner@example.com")
	own := owner.Open("/users/owner")
	for _, label := range []string{"Suspend", "Save roles", "Change the password"} {
		require.False(t, own.HasButton(label), label)
	}
	require.NotContains(t, own.Text, "Delete …")
	require.Equal(t, http.StatusForbidden, owner.Open("/users/owner/delete").Status)

	admin := s.SignedIn(t, s.Person(t, org, client.RoleOrgAdmin).User.Email)
	list := admin.Open("/users")
	require.Contains(t, list.Text, "owner@example.com")
	require.NotContains(t, list.Text, "New user")
	require.Equal(t, http.StatusForbidden, admin.Open("/users/new").Status)
	page := admin.Open("/users/owner")
	for _, label := range []string{"Suspend", "Save roles", "Save profile", "Change the password"} {
		require.False(t, page.HasButton(label), label)
	}

	member := s.SignedIn(t, s.Person(t, org).User.Email)
	require.Equal(t, http.StatusForbidden, member.Open("/users").Status)
	require.Equal(t, http.StatusNotFound, member.Open("/users/owner").Status)
}

func TestUserAdministratorsMeetTheAPIsBounds(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	person := s.Person(t, org)
	_, err := s.Client.UpdateUserRoles(t.Context(), person.User.ID.String(), client.UpdateRolesRequest{Roles: []string{client.RoleUserAdmin}})
	require.NoError(t, err)
	b := s.SignedIn(t, person.User.Email)
	page := b.Open("/users/owner")
	require.False(t, page.HasButton("Suspend"), "an owner cannot be suspended")
	require.Contains(t, page.Text, "You may not hand out this one")
	refused := page.Form("Change the password").Fill("password", "another long secret 42").Submit()
	require.Equal(t, http.StatusForbidden, refused.Status)
	require.Contains(t, refused.Text, "a role that you may not hand out")
	require.Empty(t, refused.Form("Change the password").Value("password"))
	forged := b.Open("/users/new").Form("Create user").Fill("organization_ids", uuid.NewString()).Fill("username", "x").Fill("email", "x@example.com").Fill("password", servertest.Password).Submit()
	require.Equal(t, http.StatusNotFound, forged.Status)
}
