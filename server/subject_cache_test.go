package server_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

// A person asks at one replica while everything that decides about them is
// changed at another: each next answer, and each next page, is of that change.
func TestTheNextRequestFollowsEveryChange(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	replica := servertest.New(t, servertest.WithStore(s.Store), servertest.WithoutUsers(), servertest.WithoutLoops())
	ctx, org := t.Context(), s.org.Name
	p := s.Person(t, s.DefaultOrganization(t))
	here, browser, boss := replica.WithToken(t, p.Token), replica.SignedIn(t, p.User.Email), replica.SignedIn(t, "owner@example.com")
	joined := func() (names []string) {
		t.Helper()
		orgs, err := here.UserOrganizations(ctx, client.Me)
		require.NoError(t, err)
		for _, o := range orgs {
			names = append(names, o.Name)
		}
		return names
	}
	page := func(path string) int {
		t.Helper()
		return browser.Open("/" + path).Status
	}
	may := func(action, resource string) bool {
		t.Helper()
		answers, err := here.AuthCheck(ctx, client.AuthorizationRequest{Checks: map[string]client.AuthorizationCheck{
			"it": {Action: action, Object: client.AuthorizationObject{ResourceType: resource, OrganizationID: s.org.ID.String()}},
		}})
		require.NoError(t, err)
		return answers["it"]
	}
	templates := func() int {
		t.Helper()
		all, err := here.Templates(ctx, "")
		require.NoError(t, err)
		return len(all)
	}
	all := func() {
		joined()
		templates()
		_, err := here.Organizations(ctx)
		require.NoError(t, err)
		_, err = replica.WithToken(t, s.Token).Organizations(ctx)
		require.NoError(t, err)
	}
	all()
	require.NotContains(t, joined(), org)
	require.Equal(t, http.StatusNotFound, page("organizations/"+org+"/members"))

	_, err := s.Client.AddOrganizationMember(ctx, org, p.User.Username)
	require.NoError(t, err)
	require.Contains(t, joined(), org)
	require.Equal(t, http.StatusOK, page("organizations/"+org+"/members"))
	require.Equal(t, 1, templates(), "everybody may use it")

	roles := func(names ...string) {
		t.Helper()
		_, err := s.Client.UpdateOrganizationMemberRoles(ctx, org, p.User.Username, client.UpdateRolesRequest{Roles: names})
		require.NoError(t, err)
	}
	require.False(t, may("create", "template"))
	roles(client.RoleOrgAdmin)
	require.True(t, may("create", "template"), "an administrator")
	require.Equal(t, http.StatusOK, page("organizations/"+org+"/audit"))
	roles()
	require.False(t, may("create", "template"), "no administrator any more")
	require.Equal(t, http.StatusNotFound, page("organizations/"+org+"/audit"))

	role := client.CustomRoleRequest{Name: "author", OrganizationPermissions: []client.Permission{{ResourceType: "template", Action: "create"}}}
	_, err = s.Client.CreateRole(ctx, org, role)
	require.NoError(t, err)
	roles("author")
	require.True(t, may("create", "template"), "a role of the organization's own")
	role.OrganizationPermissions[0].Action = "read"
	_, err = s.Client.UpdateRole(ctx, org, role)
	require.NoError(t, err)
	require.False(t, may("create", "template"), "the role is another one now")
	require.NoError(t, s.Client.DeleteRole(ctx, org, "author"))
	roles()

	group, err := s.Client.CreateGroup(ctx, org, client.CreateGroupRequest{Name: "builders"})
	require.NoError(t, err)
	require.NoError(t, s.Client.UpdateTemplateACL(ctx, s.template.ID, client.UpdateTemplateACLRequest{GroupPerms: map[string]string{s.org.ID.String(): "", group.ID.String(): client.TemplateRoleUse}}))
	require.Equal(t, 0, templates(), "only that group's")
	_, err = s.Client.UpdateGroup(ctx, group.ID, client.UpdateGroupRequest{AddUsers: []string{p.User.ID.String()}})
	require.NoError(t, err)
	require.Equal(t, 1, templates(), "in the group")
	require.NoError(t, s.Client.DeleteGroup(ctx, group.ID))
	require.Equal(t, 0, templates(), "the group is gone")

	require.False(t, may("read", "audit_log"))
	_, err = s.Client.UpdateOrganization(ctx, org, client.UpdateOrganizationRequest{DefaultOrgMemberRoles: &[]string{"organization-auditor"}})
	require.NoError(t, err)
	require.True(t, may("read", "audit_log"), "a role of all members")

	all()
	_, err = s.Client.UpdateOrganization(ctx, org, client.UpdateOrganizationRequest{Name: "renamed"})
	require.NoError(t, err)
	require.NotContains(t, joined(), org)
	require.Contains(t, joined(), "renamed")
	require.Equal(t, http.StatusNotFound, page("organizations/"+org+"/members"))
	require.Equal(t, http.StatusOK, page("organizations/renamed/members"))

	_, err = s.Client.UpdateUserRoles(ctx, p.User.Username, client.UpdateRolesRequest{Roles: []string{"owner"}})
	require.NoError(t, err)
	require.True(t, may("create", "template"), "an owner")
	_, err = s.Client.UpdateUserRoles(ctx, p.User.Username, client.UpdateRolesRequest{Roles: []string{}})
	require.NoError(t, err)
	require.False(t, may("create", "template"), "no owner any more")

	all()
	require.NoError(t, s.Client.RemoveOrganizationMember(ctx, "renamed", p.User.Username))
	require.NotContains(t, joined(), "renamed")
	require.False(t, may("read", "audit_log"))
	require.Equal(t, http.StatusNotFound, page("organizations/renamed/members"))

	made := s.Organization(t, "made-later")
	seen := func() bool {
		t.Helper()
		orgs, err := replica.WithToken(t, s.Token).Organizations(ctx)
		require.NoError(t, err)
		return slices.ContainsFunc(orgs, func(o client.Organization) bool { return o.ID == made.ID })
	}
	require.True(t, seen())
	require.Equal(t, http.StatusOK, boss.Open("/organizations/made-later/members").Status)
	require.NoError(t, s.Client.DeleteOrganization(ctx, made.Name))
	require.False(t, seen(), "deleted")
	require.Equal(t, http.StatusNotFound, boss.Open("/organizations/made-later/members").Status)
}
