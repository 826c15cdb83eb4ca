package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

func TestADeploymentStartsWithOneOrganization(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	orgs, err := s.Client.Organizations(t.Context())
	require.NoError(t, err)
	require.Len(t, orgs, 1)
	require.Equal(t, "coder", orgs[0].Name)
	require.Equal(t, "Coder", orgs[0].DisplayName)
	require.True(t, orgs[0].IsDefault)
	require.Equal(t, []string{client.RoleOrgWorkspaceAccess}, orgs[0].DefaultOrgMemberRoles)
	for _, ref := range []string{"default", "coder", "CODER", orgs[0].ID.String(), uuid.Nil.String()} {
		org, err := s.Client.Organization(t.Context(), ref)
		require.NoError(t, err, ref)
		require.Equal(t, orgs[0], org)
	}
	status, body := s.Raw(t, s.Token, http.MethodDelete, "/organizations/default", "")
	require.Equal(t, http.StatusBadRequest, status, body)
}

func TestCreatingAnOrganization(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org, err := s.Client.CreateOrganization(t.Context(), client.CreateOrganizationRequest{Name: "data-platform", Description: "d", Icon: "/i.png"})
	require.NoError(t, err)
	require.Equal(t, "data-platform", org.DisplayName, "it defaults to the name")
	require.Equal(t, "d", org.Description)
	require.False(t, org.IsDefault)
	members, err := s.Client.OrganizationMembers(t.Context(), org.Name)
	require.NoError(t, err)
	require.Len(t, members, 1)
	require.Empty(t, members[0].Roles, "its maker is a plain member")
	group, err := s.Client.Group(t.Context(), org.ID)
	require.NoError(t, err)
	require.True(t, group.IsEveryone())

	closed, err := s.Client.CreateOrganization(t.Context(), client.CreateOrganizationRequest{Name: "closed", DefaultOrgMemberRoles: &[]string{}})
	require.NoError(t, err)
	require.Empty(t, closed.DefaultOrgMemberRoles)

	for field, reqs := range map[string][]client.CreateOrganizationRequest{
		"name": {
			{}, {Name: "default"}, {Name: "new"}, {Name: "create"}, {Name: "-a"}, {Name: "a--b"}, {Name: "a b"}, {Name: "ü"}, {Name: strings.Repeat("a", 33)}, {Name: "a_b"},
		},
		"display_name":             {{Name: "x", DisplayName: strings.Repeat("a", 65)}, {Name: "x", DisplayName: " a "}},
		"default_org_member_roles": {{Name: "x", DefaultOrgMemberRoles: &[]string{"king"}}, {Name: "x", DefaultOrgMemberRoles: &[]string{"owner"}}},
	} {
		for _, req := range reqs {
			_, err := s.Client.CreateOrganization(t.Context(), req)
			refused(t, err, http.StatusBadRequest, field)
		}
	}
	_, err = s.Client.CreateOrganization(t.Context(), client.CreateOrganizationRequest{Name: "Data-Platform"})
	refused(t, err, http.StatusConflict, "name")
	_, err = s.Member(t, org, client.RoleOrgAdmin).CreateOrganization(t.Context(), client.CreateOrganizationRequest{Name: "mine"})
	refused(t, err, http.StatusForbidden)
}

func TestChangingAnOrganization(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	admin := s.Member(t, org, client.RoleOrgAdmin)
	changed, err := admin.UpdateOrganization(t.Context(), "team", client.UpdateOrganizationRequest{
		Name: "crew", DisplayName: "The Crew", Description: new("all"), DefaultOrgMemberRoles: &[]string{},
	})
	require.NoError(t, err)
	require.Equal(t, "crew", changed.Name)
	require.Equal(t, "The Crew", changed.DisplayName)
	require.Empty(t, changed.DefaultOrgMemberRoles)
	same, err := admin.UpdateOrganization(t.Context(), "crew", client.UpdateOrganizationRequest{})
	require.NoError(t, err)
	require.Equal(t, "all", same.Description, "what is absent stays")
	cleared, err := admin.UpdateOrganization(t.Context(), "crew", client.UpdateOrganizationRequest{Description: new("")})
	require.NoError(t, err)
	require.Empty(t, cleared.Description)

	for _, name := range []string{"default", "a b"} {
		_, err = admin.UpdateOrganization(t.Context(), "crew", client.UpdateOrganizationRequest{Name: name})
		refused(t, err, http.StatusBadRequest, "name")
	}
	_, err = admin.UpdateOrganization(t.Context(), "crew", client.UpdateOrganizationRequest{Name: "coder"})
	refused(t, err, http.StatusConflict, "name")
	_, err = admin.UpdateOrganization(t.Context(), "crew", client.UpdateOrganizationRequest{DefaultOrgMemberRoles: &[]string{"king"}})
	refused(t, err, http.StatusBadRequest, "default_org_member_roles")
	_, err = s.Member(t, org).UpdateOrganization(t.Context(), "crew", client.UpdateOrganizationRequest{Name: "mine"})
	refused(t, err, http.StatusNotFound)
}

func TestDeletingAnOrganization(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	p := s.Person(t, org, client.RoleOrgAdmin)
	insertWorkspace(t, s, org.ID, p.User.ID)
	_, err := s.Client.CreateProvisionerKey(t.Context(), "team", client.CreateProvisionerKeyRequest{Name: "k"})
	require.NoError(t, err)
	e := refused(t, s.Client.DeleteOrganization(t.Context(), "team"), http.StatusConflict)
	for _, what := range []string{"1 workspace", "1 template", "1 provisioner key", "2 members"} {
		require.Contains(t, e.Detail, what)
	}

	s.Organization(t, "empty")
	require.NoError(t, s.Client.DeleteOrganization(t.Context(), "empty"))
	_, err = s.Client.Organization(t.Context(), "empty")
	refused(t, err, http.StatusNotFound)
	refused(t, s.Client.DeleteOrganization(t.Context(), "empty"), http.StatusNotFound)
	s.Organization(t, "empty") // the name is free again
	me, err := s.Client.User(t.Context(), client.Me)
	require.NoError(t, err)
	require.Len(t, me.OrganizationIDs, 3, "the deleted one is gone from the memberships")
}

func TestOrganizationsAreHiddenFromOutsiders(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	insider, outsider := s.Person(t, org), s.Outsider(t)
	own, err := outsider.Client.Organizations(t.Context())
	require.NoError(t, err)
	require.Len(t, own, 1)
	for _, method := range []string{http.MethodGet, http.MethodPatch, http.MethodDelete} {
		hiddenLikeMissing(t, s, outsider.Token, method, "/organizations/team", "/organizations/missing", "{}")
		hiddenLikeMissing(t, s, outsider.Token, method, "/organizations/"+org.ID.String(), "/organizations/"+uuid.NewString(), "{}")
	}
	hiddenLikeMissing(t, s, outsider.Token, http.MethodGet, "/users/me/organizations/team", "/users/me/organizations/missing", "")
	// The outsider is an organization administrator and may read the user, but not where else they belong.
	of, err := outsider.Client.UserOrganizations(t.Context(), insider.User.Username)
	require.NoError(t, err)
	require.Empty(t, of)
	of, err = insider.Client.UserOrganizations(t.Context(), client.Me)
	require.NoError(t, err)
	require.Len(t, of, 1)
	_, err = s.Anonymous(t).Organizations(t.Context())
	refused(t, err, http.StatusUnauthorized)
}
