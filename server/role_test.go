package server_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"coder/client"
	"coder/server/servertest"
)

func TestRolesThatCanBeHandedOut(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	builtIn := []string{
		"organization-admin", "organization-user-admin", "organization-template-admin", "organization-auditor",
		"organization-workspace-creation-ban", "organization-workspace-access",
	}
	for name, c := range map[string]struct {
		client    *client.Client
		site, org []string
	}{
		"owner":                   {s.Client, []string{"owner", "template-admin", "user-admin", "auditor"}, append(slices.Clone(builtIn), "publisher")},
		"organization admin":      {s.Member(t, org, client.RoleOrgAdmin), nil, append(slices.Clone(builtIn), "publisher")},
		"organization user admin": {s.Member(t, org, "organization-user-admin"), nil, []string{"organization-workspace-access"}},
		"member":                  {s.Member(t, org), nil, nil},
	} {
		_, err := s.Client.CreateRole(t.Context(), "team", client.CustomRoleRequest{Name: "publisher", DisplayName: "Publisher"})
		if err != nil {
			require.ErrorContains(t, err, "already")
		}
		t.Run(name, func(t *testing.T) {
			site, err := c.client.SiteRoles(t.Context())
			require.NoError(t, err)
			require.Equal(t, []string{"owner", "template-admin", "user-admin", "auditor"}, roleNames(site))
			require.Equal(t, c.site, assignable(site))
			require.NotEmpty(t, site[0].SitePermissions)
			require.NotNil(t, site[0].OrganizationPermissions)
			require.Nil(t, site[0].OrganizationID)

			roles, err := c.client.OrganizationRoles(t.Context(), "team")
			require.NoError(t, err)
			require.Equal(t, append(slices.Clone(builtIn), "publisher"), roleNames(roles))
			require.Equal(t, c.org, assignable(roles))
			for _, r := range roles {
				require.Equal(t, org.ID, *r.OrganizationID)
				require.NotEmpty(t, r.DisplayName)
				require.Equal(t, r.Name != "publisher", r.BuiltIn)
			}
		})
	}
}

func roleNames(roles []client.AssignableRole) []string {
	var names []string
	for _, r := range roles {
		names = append(names, r.Name)
	}
	return names
}

func assignable(roles []client.AssignableRole) []string {
	return roleNames(slices.DeleteFunc(slices.Clone(roles), func(r client.AssignableRole) bool { return !r.Assignable }))
}

func may(resource, action string) client.Permission {
	return client.Permission{ResourceType: resource, Action: action}
}

func TestCustomRole(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	team, other := s.Organization(t, "team"), s.Organization(t, "other")
	admin := s.Member(t, team, client.RoleOrgAdmin)
	member, user := s.MemberUser(t, team)
	checks := func(t *testing.T, org client.Organization) map[string]bool {
		answer, err := member.AuthCheck(t.Context(), client.AuthorizationRequest{Checks: map[string]client.AuthorizationCheck{
			"template": {Action: "update", Object: client.AuthorizationObject{ResourceType: "template", OrganizationID: org.ID.String()}},
			"key":      {Action: "create", Object: client.AuthorizationObject{ResourceType: "provisioner_daemon", OrganizationID: org.ID.String()}},
		}})
		require.NoError(t, err)
		return answer
	}

	made, err := admin.CreateRole(t.Context(), "team", client.CustomRoleRequest{
		Name: "publisher", DisplayName: "Publisher", OrganizationPermissions: []client.Permission{may("template", "update"), may("template", "update")},
	})
	require.NoError(t, err)
	require.Equal(t, client.Role{
		Name: "publisher", OrganizationID: &team.ID, DisplayName: "Publisher", SitePermissions: []client.Permission{}, UserPermissions: []client.Permission{},
		OrganizationPermissions: []client.Permission{may("template", "update")}, OrganizationMemberPermissions: []client.Permission{},
	}, made)
	require.Equal(t, map[string]bool{"template": false, "key": false}, checks(t, team))

	given, err := admin.UpdateOrganizationMemberRoles(t.Context(), "team", user.ID.String(), client.UpdateRolesRequest{Roles: []string{"publisher"}})
	require.NoError(t, err)
	require.Equal(t, []client.SlimRole{{Name: "publisher", DisplayName: "Publisher", OrganizationID: team.ID.String()}}, given.Roles)
	require.Equal(t, map[string]bool{"template": true, "key": false}, checks(t, team))
	require.Equal(t, map[string]bool{"template": false, "key": false}, checks(t, other))

	_, err = admin.UpdateRole(t.Context(), "team", client.CustomRoleRequest{
		Name: "publisher", OrganizationPermissions: []client.Permission{may("provisioner_daemon", "create"), may("spaceship", "fly")},
	})
	require.NoError(t, err, "what is not known is dropped on an update")
	require.Equal(t, map[string]bool{"template": false, "key": true}, checks(t, team), "the change acts on the next request")

	require.NoError(t, admin.DeleteRole(t.Context(), "team", "publisher"))
	require.Equal(t, map[string]bool{"template": false, "key": false}, checks(t, team))
	_, err = admin.CreateRole(t.Context(), "team", client.CustomRoleRequest{Name: "publisher", OrganizationPermissions: []client.Permission{may("template", "update")}})
	require.NoError(t, err)
	require.False(t, checks(t, team)["template"], "a new role of an old name is nobody's")
}

func TestCustomRoleThatCannotBe(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	s.Organization(t, "other")
	admin, member := s.Member(t, org, client.RoleOrgAdmin), s.Member(t, org, "organization-user-admin")
	_, err := admin.CreateRole(t.Context(), "team", client.CustomRoleRequest{Name: "taken"})
	require.NoError(t, err)
	role := func(permissions ...client.Permission) client.CustomRoleRequest {
		return client.CustomRoleRequest{Name: "mine", OrganizationPermissions: permissions}
	}
	for name, c := range map[string]struct {
		client *client.Client
		org    string
		role   client.CustomRoleRequest
		status int
		says   string
	}{
		"no name":                   {admin, "team", client.CustomRoleRequest{}, http.StatusBadRequest, "is empty"},
		"a bad name":                {admin, "team", client.CustomRoleRequest{Name: "a b"}, http.StatusBadRequest, "letters and digits"},
		"a built-in name":           {admin, "team", client.CustomRoleRequest{Name: "organization-admin"}, http.StatusBadRequest, "built-in"},
		"a built-in site name":      {admin, "team", client.CustomRoleRequest{Name: "owner"}, http.StatusBadRequest, "built-in"},
		"a retired name":            {admin, "team", client.CustomRoleRequest{Name: "agents-access"}, http.StatusBadRequest, "built-in"},
		"a name that is taken":      {admin, "team", client.CustomRoleRequest{Name: "taken"}, http.StatusBadRequest, "already"},
		"site permissions":          {s.Client, "team", client.CustomRoleRequest{Name: "mine", SitePermissions: []client.Permission{may("user", "read")}}, http.StatusBadRequest, "organization_permissions only"},
		"user permissions":          {s.Client, "team", client.CustomRoleRequest{Name: "mine", UserPermissions: []client.Permission{may("user", "read")}}, http.StatusBadRequest, "organization_permissions only"},
		"member permissions":        {s.Client, "team", client.CustomRoleRequest{Name: "mine", OrganizationMemberPermissions: []client.Permission{may("workspace", "read")}}, http.StatusBadRequest, "organization_permissions only"},
		"a negated permission":      {admin, "team", role(client.Permission{Negate: true, ResourceType: "workspace", Action: "read"}), http.StatusBadRequest, "only allow"},
		"every resource":            {s.Client, "team", role(may("*", "read")), http.StatusBadRequest, "name every"},
		"every action":              {s.Client, "team", role(may("workspace", "*")), http.StatusBadRequest, "name every"},
		"an unknown resource":       {admin, "team", role(may("spaceship", "read")), http.StatusBadRequest, "no such resource"},
		"an unknown action":         {admin, "team", role(may("workspace", "fly")), http.StatusBadRequest, "no such action"},
		"more than the maker has":   {admin, "team", role(may("workspace", "ssh")), http.StatusBadRequest, "you do not hold"},
		"without the right":         {member, "team", role(), http.StatusNotFound, ""},
		"in a foreign organization": {admin, "other", role(), http.StatusNotFound, ""},
		"in none":                   {admin, "nowhere", role(), http.StatusNotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := c.client.CreateRole(t.Context(), c.org, c.role)
			require.Equal(t, c.status, client.StatusCode(err), "%v", err)
			require.ErrorContains(t, err, c.says)
			if c.says != "already" {
				_, err = c.client.UpdateRole(t.Context(), c.org, c.role)
				require.Error(t, err)
			}
		})
	}
	require.Equal(t, http.StatusNotFound, client.StatusCode(admin.DeleteRole(t.Context(), "team", "nothing")))
	require.Equal(t, http.StatusBadRequest, client.StatusCode(admin.DeleteRole(t.Context(), "team", "organization-admin")))
	require.Equal(t, http.StatusForbidden, client.StatusCode(member.DeleteRole(t.Context(), "team", "taken")))
	require.Equal(t, http.StatusNotFound, client.StatusCode(admin.DeleteRole(t.Context(), "other", "taken")))
}

// Whatever roles somebody who is no owner makes, changes, deletes and hands
// out: they never may more than before.
func TestNoRoleEditRaisesItsAuthor(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	curator := client.CustomRoleRequest{Name: "curator", OrganizationPermissions: []client.Permission{
		may("assign_org_role", "create"), may("assign_org_role", "update"), may("assign_org_role", "delete"), may("assign_org_role", "assign"),
		may("assign_org_role", "unassign"), may("organization", "update"), may("template", "read"),
	}}
	noDefaults := []string{}
	roles := []string{"organization-admin", "organization-user-admin", "organization-auditor", "organization-workspace-creation-ban", "organization-workspace-access", "curator"}
	custom := []string{"curator", "one", "two"}
	all, err := s.Client.OrganizationRoles(t.Context(), "team")
	require.NoError(t, err)
	everything := append(slices.Clone(all[0].OrganizationPermissions), may("workspace", "ssh"), may("workspace", "application_connect"))
	questions := map[string]client.AuthorizationCheck{}
	for _, p := range everything {
		for _, owner := range []string{"", client.Me} {
			questions[p.ResourceType+":"+p.Action+" "+owner] = client.AuthorizationCheck{
				Action: p.Action, Object: client.AuthorizationObject{ResourceType: p.ResourceType, OrganizationID: org.ID.String(), OwnerID: owner},
			}
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		// What an earlier run has left behind is put back.
		_, _ = s.Client.CreateRole(t.Context(), "team", curator)
		_, err := s.Client.UpdateRole(t.Context(), "team", curator)
		require.NoError(t, err)
		_, err = s.Client.UpdateOrganization(t.Context(), "team", client.UpdateOrganizationRequest{DefaultOrgMemberRoles: &noDefaults})
		require.NoError(t, err)
		held := rapid.SliceOfNDistinct(rapid.SampledFrom(roles), 1, 3, rapid.ID).Draw(r, "held")
		if !slices.Contains(held, "organization-admin") {
			held = append(held, "curator")
		}
		author, self := s.MemberUser(t, org, held...)
		_, friend := s.MemberUser(t, org)
		before, err := author.AuthCheck(t.Context(), client.AuthorizationRequest{Checks: questions})
		require.NoError(t, err)
		for range rapid.IntRange(1, 6).Draw(r, "edits") {
			name := rapid.SampledFrom(custom).Draw(r, "role")
			request := client.CustomRoleRequest{Name: name, OrganizationPermissions: rapid.SliceOfN(rapid.SampledFrom(everything), 0, 4).Draw(r, "permissions")}
			names := rapid.SliceOfNDistinct(rapid.SampledFrom(append(slices.Clone(roles), "one", "two")), 0, 3, rapid.ID).Draw(r, "names")
			// Most of these are refused; what is asked is what they leave behind.
			switch rapid.IntRange(0, 5).Draw(r, "edit") {
			case 0:
				_, _ = author.CreateRole(t.Context(), "team", request)
			case 1:
				_, _ = author.UpdateRole(t.Context(), "team", request)
			case 2:
				_ = author.DeleteRole(t.Context(), "team", name)
			case 3:
				_, _ = author.UpdateOrganizationMemberRoles(t.Context(), "team", self.ID.String(), client.UpdateRolesRequest{Roles: names})
			case 4:
				_, _ = author.UpdateOrganizationMemberRoles(t.Context(), "team", friend.ID.String(), client.UpdateRolesRequest{Roles: names})
			case 5:
				_, _ = author.UpdateOrganization(t.Context(), "team", client.UpdateOrganizationRequest{DefaultOrgMemberRoles: &names})
			}
			after, err := author.AuthCheck(t.Context(), client.AuthorizationRequest{Checks: questions})
			require.NoError(t, err)
			for question, can := range after {
				if can && !before[question] {
					r.Fatalf("%v now may %s", held, question)
				}
			}
		}
	})
}
