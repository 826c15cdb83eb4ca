package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

func TestGroupPages(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	_, ann := s.NamedMember(t, org, "ann")
	b := s.SignedIn(t, s.Person(t, org, client.RoleOrgAdmin).User.Email)

	list := b.Open("/organizations/data-platform/groups")
	require.Contains(t, list.Text, "Every member of data-platform, always")
	form := list.Click("New group").Form("Create group")
	wrong := form.Fill("name", "back end").Fill("display_name", "<i>Backend").Fill("quota_allowance", "20").Submit()
	require.Equal(t, http.StatusBadRequest, wrong.Status)
	require.Contains(t, wrong.Body, "aria-invalid")
	require.Equal(t, "back end", wrong.Form("Create group").Value("name"))
	require.Equal(t, http.StatusBadRequest, wrong.Form("Create group").Fill("name", "backend").Fill("quota_allowance", "many").Submit().Status)
	made := wrong.Form("Create group").Fill("name", "backend").Submit()
	require.Contains(t, made.Text, "was created")
	require.Contains(t, made.Text, "<i>Backend")
	require.Equal(t, http.StatusConflict, form.Fill("name", "backend").Submit().Status, "sent twice, made once")

	found := made.Form("Search").Fill("add", "ann").Submit()
	twice := found.Form("Add")
	require.Contains(t, found.Form("Add").Submit().Text, "Already in")
	require.Equal(t, http.StatusBadRequest, twice.Submit().Status)
	page := b.Open("/organizations/data-platform/groups/backend")
	require.Contains(t, page.Text, "ann@example.com")
	require.Contains(t, page.Text, "20 credits a day more")
	require.Contains(t, b.Open("/organizations/data-platform/members/ann").Text, "allows 20 credits a day")
	removed := page.Form("Remove from the group").Submit()
	require.Contains(t, removed.Text, "Nobody is in this group")

	saved := page.Click("Group settings").Form("Save").Fill("name", "platform").Fill("quota_allowance", "5").Submit()
	require.Equal(t, "/organizations/data-platform/groups/platform", saved.URL.Path)
	require.Contains(t, saved.Text, "5 credits a day")
	remove := saved.Click("Group settings").Click("Delete …")
	require.Equal(t, http.StatusBadRequest, remove.Form("Delete the group").Fill("confirm", "other").Submit().Status)
	require.Contains(t, remove.Form("Delete the group").Fill("confirm", "platform").Submit().Text, "was deleted")
	groups, err := s.Client.Groups(t.Context(), org.Name, ann.ID.String())
	require.NoError(t, err)
	require.Len(t, groups, 1)
}

func TestTheGroupOfAllMembersIsNotDeleted(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	s.Organization(t, "data-platform")
	b := s.SignedIn(t, "owner@example.com")
	page := b.Open("/organizations/data-platform/groups/Everyone")
	require.NotContains(t, page.Links(), "/organizations/data-platform/groups/Everyone?add=")
	settings := page.Click("Group settings")
	require.NotContains(t, settings.Text, "Delete …")
	require.Contains(t, settings.Form("Save").Fill("quota_allowance", "3").Submit().Text, "3 credits a day")
	require.Equal(t, http.StatusForbidden, b.Open("/organizations/data-platform/groups/Everyone/delete").Status)
}

func TestGroupPagesOfferNothingThatIsRefused(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	_, err := s.Client.CreateGroup(t.Context(), org.Name, client.CreateGroupRequest{Name: "backend"})
	require.NoError(t, err)
	b := s.SignedIn(t, s.Person(t, org).User.Email)
	require.NotContains(t, b.Open("/organizations/data-platform/groups").Text, "New group")
	page := b.Open("/organizations/data-platform/groups/backend?add=x")
	require.NotContains(t, page.Text, "Add members")
	require.NotContains(t, page.Text, "Group settings")
	for _, path := range []string{"/groups/new", "/groups/backend/settings", "/groups/backend/delete"} {
		require.Equal(t, http.StatusForbidden, b.Open("/organizations/data-platform"+path).Status, path)
	}
	outsider := s.SignedIn(t, s.Outsider(t).User.Email)
	for _, path := range []string{"/groups", "/groups/backend", "/groups/new", "/groups/backend/settings"} {
		require.Equal(t, http.StatusNotFound, outsider.Open("/organizations/data-platform"+path).Status, path)
	}
}
