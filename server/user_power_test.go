package server_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

const otherPassword = "AnotherGoodPassword!7"

// siteAdmin is a person with a role of the deployment.
func siteAdmin(t *testing.T, s *servertest.Server, roles ...string) servertest.Person {
	t.Helper()
	p := s.Person(t, s.DefaultOrganization(t))
	_, err := s.Client.UpdateUserRoles(t.Context(), p.User.ID.String(), client.UpdateRolesRequest{Roles: roles})
	require.NoError(t, err)
	return p
}

// Whoever sets a password can sign in with it: a user administrator gets no
// further by way of somebody else's account.
func TestNobodyActsAsSomebodyWhoMayDoMore(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	closed, err := s.Client.CreateOrganization(t.Context(), client.CreateOrganizationRequest{Name: "closed", DefaultOrgMemberRoles: &[]string{client.RoleOrgAdmin}})
	require.NoError(t, err)
	_, err = s.Client.CreateRole(t.Context(), org.Name, client.CustomRoleRequest{Name: "publisher", OrganizationPermissions: []client.Permission{may("template", "create")}})
	require.NoError(t, err)
	caller := siteAdmin(t, s, "user-admin")

	for name, c := range map[string]struct {
		target client.User
		may    bool
	}{
		"a plain member":                        {s.Person(t, org).User, true},
		"a member with access to workspaces":    {s.Person(t, org, client.RoleOrgWorkspaceAccess).User, true},
		"an owner":                              {siteAdmin(t, s, "owner").User, false},
		"another user administrator":            {siteAdmin(t, s, "user-admin").User, false},
		"a template administrator":              {siteAdmin(t, s, "template-admin").User, false},
		"an auditor":                            {siteAdmin(t, s, "auditor").User, false},
		"an organization's administrator":       {s.Person(t, org, client.RoleOrgAdmin).User, false},
		"an organization's user administrator":  {s.Person(t, org, "organization-user-admin").User, false},
		"an organization's auditor":             {s.Person(t, org, "organization-auditor").User, false},
		"a holder of a role of an organization": {s.Person(t, org, "publisher").User, false},
		"who is an administrator by default":    {s.Person(t, closed).User, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user := c.target.Username
			attempts := map[string]error{
				"password":     caller.Client.UpdateUserPassword(t.Context(), user, client.UpdateUserPasswordRequest{Password: otherPassword}),
				"old password": caller.Client.UpdateUserPassword(t.Context(), user, client.UpdateUserPasswordRequest{OldPassword: otherPassword, Password: servertest.Password + "x"}),
			}
			_, attempts["git key"] = caller.Client.RegenerateGitSSHKey(t.Context(), user)
			_, attempts["name"] = caller.Client.UpdateUserProfile(t.Context(), user, client.UpdateUserProfileRequest{Username: user, Name: "Changed"})
			for what, err := range attempts {
				if c.may {
					require.NoError(t, err, what)
					continue
				}
				require.Contains(t, refused(t, err, http.StatusForbidden).Message, "role that you may not hand out", what)
			}
			// Sessions and tokens of others are for owners alone.
			_, err := caller.Client.CreateAPIKey(t.Context(), user)
			refused(t, err, http.StatusNotFound)
			_, err = caller.Client.CreateToken(t.Context(), user, client.CreateTokenRequest{})
			refused(t, err, http.StatusNotFound)
			if !c.may {
				s.Login(t, c.target.Email, servertest.Password)
				now, err := s.Client.User(t.Context(), user)
				require.NoError(t, err)
				require.Equal(t, c.target.Name, now.Name)
			}
		})
	}
}

func TestOwnersAreLeftToOwners(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	caller, owner := siteAdmin(t, s, "user-admin"), siteAdmin(t, s, "owner")
	refused(t, caller.Client.DeleteUser(t.Context(), owner.User.Username), http.StatusForbidden)
	_, err := caller.Client.ActivateUser(t.Context(), owner.User.Username)
	refused(t, err, http.StatusForbidden)
	for _, c := range []*client.Client{caller.Client, s.Client} {
		_, err = c.SuspendUser(t.Context(), owner.User.Username)
		refused(t, err, http.StatusBadRequest)
	}
	_, err = caller.Client.UpdateUserRoles(t.Context(), owner.User.Username, client.UpdateRolesRequest{Roles: []string{}})
	refused(t, err, http.StatusBadRequest, "roles")
	_, err = owner.Client.Users(t.Context(), client.UsersRequest{})
	require.NoError(t, err)

	// Who leaves is stopped by a user administrator at once, whatever they hold in an organization.
	leaving := s.Person(t, s.Organization(t, "team"), client.RoleOrgAdmin)
	_, err = caller.Client.SuspendUser(t.Context(), leaving.User.Username)
	require.NoError(t, err)
	require.NoError(t, caller.Client.DeleteUser(t.Context(), leaving.User.Username))
	require.NoError(t, s.Client.DeleteUser(t.Context(), owner.User.Username))
}

// Where every member holds a role, adding somebody hands that role out.
func TestAddingAMemberHandsOutTheRolesOfAllMembers(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org, err := s.Client.CreateOrganization(t.Context(), client.CreateOrganizationRequest{
		Name: "open", DefaultOrgMemberRoles: &[]string{client.RoleOrgWorkspaceAccess, "organization-template-admin"},
	})
	require.NoError(t, err)
	caller, plain := siteAdmin(t, s, "user-admin"), s.Person(t, s.DefaultOrganization(t))
	for _, user := range []string{plain.User.Username, client.Me} {
		_, err = caller.Client.AddOrganizationMember(t.Context(), org.Name, user)
		require.Contains(t, refused(t, err, http.StatusForbidden).Message, "organization-template-admin")
	}
	_, err = caller.Client.CreateUser(t.Context(), client.CreateUserRequest{Email: "puppet@example.com", Username: "puppet", Password: otherPassword, OrganizationIDs: []uuid.UUID{org.ID}})
	refused(t, err, http.StatusForbidden)
	_, err = s.Client.User(t.Context(), "puppet")
	refused(t, err, http.StatusNotFound)
	// Its own user administrator holds that role like everybody, and may.
	_, err = s.Person(t, org, "organization-user-admin").Client.AddOrganizationMember(t.Context(), org.Name, plain.User.Username)
	require.NoError(t, err)
	_, err = caller.Client.AddOrganizationMember(t.Context(), s.Organization(t, "usual").Name, plain.User.Username)
	require.NoError(t, err)
}

// A role may be deleted while it is given to somebody: nobody is left with a
// name that a later role of that name would fill.
func TestARoleThatIsDeletedWhileItIsGiven(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := servertest.New(t, servertest.WithStore(st))
		org := s.Organization(t, "team")
		var people []servertest.Person
		for range 6 {
			people = append(people, s.Person(t, org))
		}
		for round := range 8 {
			name := fmt.Sprintf("role-%d", round)
			_, err := s.Client.CreateRole(t.Context(), org.Name, client.CustomRoleRequest{Name: name, OrganizationPermissions: []client.Permission{may("template", "read")}})
			require.NoError(t, err)
			var all sync.WaitGroup
			errs := make([]error, len(people))
			give := func(ctx context.Context, user string) error {
				_, err := s.Client.UpdateOrganizationMemberRoles(ctx, org.Name, user, client.UpdateRolesRequest{Roles: []string{name}})
				return err
			}
			for i, p := range people {
				all.Go(func() { errs[i] = give(t.Context(), p.User.ID.String()) })
			}
			var deleted error
			all.Go(func() { deleted = s.Client.DeleteRole(t.Context(), org.Name, name) })
			all.Wait()
			require.NoError(t, deleted)
			for _, err := range errs {
				if err != nil {
					refused(t, err, http.StatusBadRequest, "roles")
				}
			}
			members, err := s.Client.OrganizationMembers(t.Context(), org.Name)
			require.NoError(t, err)
			for _, m := range members {
				require.False(t, slices.ContainsFunc(m.Roles, func(r client.SlimRole) bool { return r.Name == name }), "%s still has %s", m.Username, name)
			}
		}
	})
}

// Clear errors that change nothing: about oneself, the last owner and the
// roles that everybody holds.
func TestRefusalsChangeNothing(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	admin := s.Person(t, org, client.RoleOrgAdmin)
	everything := func() (all []string) {
		for _, path := range []string{"/users", "/organizations", "/organizations/team/members", "/organizations/team/members/roles", "/organizations/team/groups", "/organizations/team/quota"} {
			status, body := s.Raw(t, s.Token, http.MethodGet, path, "")
			require.Equal(t, http.StatusOK, status, path)
			all = append(all, body)
		}
		return all
	}
	_, err := admin.Client.User(t.Context(), client.Me)
	require.NoError(t, err, "and is seen now, not later")
	before := everything()
	for name, c := range map[string]struct {
		token, method, path, body string
		status                    int
	}{
		"the last owner's role":      {s.Token, http.MethodPut, "/users/owner/roles", `{"roles":[]}`, 400},
		"the last owner":             {s.Token, http.MethodDelete, "/users/owner", "", 403},
		"suspending oneself":         {s.Token, http.MethodPut, "/users/me/status/suspend", "", 400},
		"one's own roles":            {admin.Token, http.MethodPut, "/organizations/team/members/me/roles", `{"roles":[]}`, 400},
		"removing oneself":           {admin.Token, http.MethodDelete, "/organizations/team/members/me", "", 400},
		"an unknown role":            {admin.Token, http.MethodPut, "/organizations/team/members/owner/roles", `{"roles":["organization-auditor","king"]}`, 400},
		"a site role in a team":      {admin.Token, http.MethodPut, "/organizations/team/members/owner/roles", `{"roles":["owner"]}`, 400},
		"a role of all":              {admin.Token, http.MethodPut, "/organizations/team/members/owner/roles", `{"roles":["organization-member"]}`, 400},
		"a role that is no text":     {admin.Token, http.MethodPut, "/organizations/team/members/owner/roles", `{"roles":[1]}`, 400},
		"an unknown resource":        {admin.Token, http.MethodPost, "/organizations/team/members/roles", `{"name":"x","organization_permissions":[{"resource_type":"spaceship","action":"read"}]}`, 400},
		"an unknown default role":    {admin.Token, http.MethodPatch, "/organizations/team", `{"default_org_member_roles":["organization-auditor","king"],"display_name":"Changed"}`, 400},
		"a negative allowance":       {admin.Token, http.MethodPost, "/organizations/team/groups", `{"name":"crew","quota_allowance":-1}`, 400},
		"a negative budget":          {admin.Token, http.MethodPut, "/organizations/team/quota", `{"max_daily_cost":-1,"max_running_workspaces":null}`, 400},
		"the Everyone group":         {admin.Token, http.MethodDelete, "/groups/" + org.ID.String(), "", 400},
		"renaming Everyone":          {admin.Token, http.MethodPatch, "/groups/" + org.ID.String(), `{"name":"all","add_users":[],"remove_users":[]}`, 400},
		"a group inside a group":     {admin.Token, http.MethodPatch, "/groups/" + org.ID.String(), `{"add_users":["` + org.ID.String() + `"],"remove_users":[]}`, 403},
		"the default organization":   {s.Token, http.MethodDelete, "/organizations/default", "", 400},
		"a user of no organization":  {s.Token, http.MethodPost, "/users", `{"email":"x@example.com","username":"xx","password":"` + otherPassword + `","organization_ids":[]}`, 400},
		"a user with unknown roles":  {s.Token, http.MethodPost, "/users", `{"email":"x@example.com","username":"xx","password":"` + otherPassword + `","organization_ids":["` + org.ID.String() + `"],"roles":["king"]}`, 400},
		"a name that is a reserved":  {s.Token, http.MethodPatch, "/organizations/team", `{"name":"default"}`, 400},
		"a group with a wrong user":  {admin.Token, http.MethodPost, "/organizations/team/groups", `{"name":"Everyone"}`, 400},
		"a role with a wildcard":     {s.Token, http.MethodPost, "/organizations/team/members/roles", `{"name":"x","organization_permissions":[{"resource_type":"*","action":"*"}]}`, 400},
		"more than its maker has":    {admin.Token, http.MethodPost, "/organizations/team/members/roles", `{"name":"x","organization_permissions":[{"resource_type":"workspace","action":"ssh"}]}`, 400},
		"changing a built-in role":   {s.Token, http.MethodPut, "/organizations/team/members/roles", `{"name":"organization-auditor","organization_permissions":[]}`, 400},
		"a member who is one":        {admin.Token, http.MethodPost, "/organizations/team/members/owner", "", 400},
		"a status that is none":      {s.Token, http.MethodPost, "/users", `{"email":"x@example.com","username":"xx","password":"` + otherPassword + `","user_status":"suspended","organization_ids":["` + org.ID.String() + `"]}`, 400},
		"a budget that is too large": {admin.Token, http.MethodPut, "/organizations/team/quota", `{"max_daily_cost":1e30,"max_running_workspaces":null}`, 400},
	} {
		status, body := s.Raw(t, c.token, c.method, c.path, c.body)
		require.Equal(t, c.status, status, "%s: %s", name, body)
		require.Contains(t, body, `"message":"`, name)
	}
	require.Equal(t, before, everything())
}
