package server_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

func TestMemberPages(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	_, ann := s.NamedMember(t, s.DefaultOrganization(t), "ann")
	admin := s.Person(t, org, client.RoleOrgAdmin)
	b := s.SignedIn(t, admin.User.Email)

	list := b.Open("/organizations/data-platform/members")
	require.Contains(t, list.Text, admin.User.Username)
	require.NotContains(t, list.Text, "ann@example.com")
	found := list.Click("Add a member").Form("Search").Fill("add", "ann@").Submit()
	require.Contains(t, found.Text, "ann@example.com")
	twice := found.Form("Add")
	added := found.Form("Add").Submit()
	require.Equal(t, http.StatusOK, added.Status, added.Text)
	require.Equal(t, "/organizations/data-platform/members/ann", added.URL.Path)
	require.Contains(t, added.Text, "ann is a member now")
	again := twice.Submit()
	require.Equal(t, http.StatusBadRequest, again.Status)
	require.Contains(t, again.Text, "already a member")
	require.Contains(t, b.Open("/organizations/data-platform/members?add=ann").Text, "Already in")

	stale := added.Form("Save roles")
	saved := added.Form("Save roles").Fill("roles", "organization-auditor", client.RoleOrgWorkspaceAccess).Submit()
	require.Contains(t, saved.Text, "were saved")
	member, err := s.Client.OrganizationMember(t.Context(), "data-platform", "ann")
	require.NoError(t, err)
	require.Len(t, member.Roles, 2)
	require.Contains(t, b.Open("/organizations/data-platform/members?q=ann").Text, "Organization Auditor")
	late := stale.Fill("roles").Submit()
	require.Equal(t, http.StatusConflict, late.Status)
	require.Contains(t, late.Text, "Somebody changed this")

	remove := saved.Click("Remove …")
	require.Equal(t, http.StatusBadRequest, remove.Form("Remove from the organization").Fill("confirm", "bob").Submit().Status)
	gone := remove.Form("Remove from the organization").Fill("confirm", "ann").Submit()
	require.Contains(t, gone.Text, "no longer a member")
	require.Equal(t, http.StatusNotFound, b.Open("/organizations/data-platform/members/"+ann.Username).Status)
}

func TestMembersAreAddedByAddress(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	s.Organization(t, "data-platform")
	s.NamedMember(t, s.DefaultOrganization(t), "ann")
	b := s.SignedIn(t, "owner@example.com")
	add := func(user string) *servertest.Page {
		return b.Open("/organizations/data-platform/members?add=ann").Form("Add").Fill("user", user).Submit()
	}
	unknown := add("nobody@example.com")
	require.Equal(t, http.StatusBadRequest, unknown.Status)
	require.Contains(t, unknown.Text, "There is no such user")
	require.Contains(t, add("Ann@Example.com").Text, "ann is a member now")
}

func TestRolesThatOneMayNotHandOutAreGrey(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	_, ann := s.NamedMember(t, org, "ann", client.RoleOrgAdmin)
	b := s.SignedIn(t, s.Person(t, org, "organization-user-admin").User.Email)
	page := b.Open("/organizations/data-platform/members/ann")
	require.Contains(t, page.Text, "You may not hand out this one")
	saved := page.Form("Save roles").Fill("roles", client.RoleOrgWorkspaceAccess).Submit()
	require.Equal(t, http.StatusOK, saved.Status, saved.Text)
	member, err := s.Client.OrganizationMember(t.Context(), org.Name, ann.ID.String())
	require.NoError(t, err)
	require.Len(t, member.Roles, 2, "what cannot be unticked stays")
	forced := saved.Form("Save roles").Fill("roles", "organization-auditor").Submit()
	require.Equal(t, http.StatusOK, forced.Status, "what is grey is not sent, whatever a browser says: "+forced.Text)
	member, err = s.Client.OrganizationMember(t.Context(), org.Name, ann.ID.String())
	require.NoError(t, err)
	require.Len(t, member.Roles, 1)
}

func TestMemberPagesOfferNothingThatIsRefused(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	admin := s.Person(t, org, client.RoleOrgAdmin)
	member := s.Person(t, org)
	own := s.SignedIn(t, admin.User.Email).Open("/organizations/data-platform/members/" + admin.User.Username)
	require.False(t, own.HasButton("Save roles"), "nobody changes their own roles")
	require.NotContains(t, own.Text, "Remove …")
	require.Equal(t, http.StatusBadRequest, s.SignedIn(t, admin.User.Email).Open("/organizations/data-platform/members/"+admin.User.Username+"/remove").Status)

	b := s.SignedIn(t, member.User.Email)
	list := b.Open("/organizations/data-platform/members?add=")
	require.NotContains(t, list.Text, "Add a member")
	page := b.Open("/organizations/data-platform/members/" + admin.User.Username)
	require.False(t, page.HasButton("Save roles"))
	require.NotContains(t, page.Text, "Remove …")
	for _, path := range []string{"/members", "/members/" + admin.User.Username, "/members/" + admin.User.Username + "/remove"} {
		outsider := s.SignedIn(t, s.Outsider(t).User.Email)
		require.Equal(t, http.StatusNotFound, outsider.Open("/organizations/data-platform"+path).Status, path)
	}
	for _, path := range []string{"/members", "/members/owner", "/members/owner/remove"} {
		posted := postForm(t, s, "/organizations/data-platform"+path, "same-origin", url.Values{"user": {"owner"}})
		require.Equal(t, http.StatusSeeOther, posted.Status, "a stranger is asked to sign in")
		require.Contains(t, posted.Header.Get("Location"), "/login?", path)
	}
}
