package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

// shareWith sets roles of users; an empty one ends it.
func (s *scene) shareWith(t *testing.T, w client.Workspace, role string, users ...uuid.UUID) {
	t.Helper()
	req := client.UpdateWorkspaceACLRequest{UserRoles: map[string]string{}}
	for _, id := range users {
		req.UserRoles[id.String()] = role
	}
	require.NoError(t, s.member.UpdateWorkspaceACL(t.Context(), w.ID, req))
}

func (s *scene) shareWithGroup(t *testing.T, w client.Workspace, role string, group uuid.UUID) {
	t.Helper()
	require.NoError(t, s.member.UpdateWorkspaceACL(t.Context(), w.ID, client.UpdateWorkspaceACLRequest{GroupRoles: map[string]string{group.String(): role}}))
}

// found is the names of the workspaces that a search lists.
func found(t *testing.T, c *client.Client, q string) []string {
	t.Helper()
	page, err := c.Workspaces(t.Context(), client.WorkspacesRequest{Query: q})
	require.NoError(t, err)
	require.Len(t, page.Workspaces, page.Count)
	names := []string{}
	for _, w := range page.Workspaces {
		names = append(names, w.Name)
	}
	return names
}

// What each role of the access list allows, and that it ends with the next
// request.
func TestRolesOfASharedWorkspace(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := newScene(t, servertest.WithStore(st))
		w := s.running(t, "box")
		bob := s.Person(t, s.org)
		for role, allowed := range map[string][]string{
			"": {}, client.WorkspaceRoleUse: {"read", "log", "usage"}, client.WorkspaceRoleAdmin: {"read", "log", "usage", "update", "share"},
		} {
			s.shareWith(t, w, role, bob.User.ID)
			path := "/workspaces/" + w.ID.String()
			for name, c := range map[string]struct {
				method, path, body string
				status             int
			}{
				"read":   {http.MethodGet, path, "", 200},
				"log":    {http.MethodGet, "/workspacebuilds/" + w.LatestBuild.ID.String() + "/logs", "", 200},
				"usage":  {http.MethodPost, path + "/usage", "", 204},
				"update": {http.MethodPut, path + "/autoupdates", `{"automatic_updates":"never"}`, 204},
				"share":  {http.MethodPatch, path + "/acl", `{}`, 204},
				"delete": {http.MethodPost, path + "/builds", `{"transition":"delete"}`, 201},
			} {
				want := c.status
				switch {
				case role == "":
					want = http.StatusNotFound
				case !slices.Contains(allowed, name):
					want = http.StatusForbidden
				}
				status, body := s.Raw(t, bob.Token, c.method, c.path, c.body)
				require.Equal(t, want, status, "%s with the role %q: %s", name, role, body)
			}
			require.Equal(t, role != "", slices.Contains(found(t, bob.Client, ""), "box"), role)
		}

		s.shareWith(t, w, client.WorkspaceRoleUse, bob.User.ID)
		for _, transition := range []string{client.TransitionStop, client.TransitionStart} {
			_, err := bob.Client.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: transition})
			require.NoError(t, err)
			s.worker.take(t).succeed(t)
		}
		status, _ := s.Raw(t, bob.Token, http.MethodGet, "/workspacebuilds/"+w.LatestBuild.ID.String()+"/state", "")
		require.Equal(t, http.StatusNotFound, status, "a state has secrets in it")
		require.NoError(t, s.member.DeleteWorkspaceACL(t.Context(), w.ID))
		_, err := bob.Client.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStop})
		refused(t, err, http.StatusNotFound)
		hiddenLikeMissing(t, s.Server, bob.Token, http.MethodGet, "/workspaces/"+w.ID.String(), "/workspaces/"+uuid.NewString(), "")
	})
}

func TestSharingWithGroupsAndSearch(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := newScene(t, servertest.WithStore(st))
		box, hut, den := s.running(t, "box"), s.running(t, "hut"), s.running(t, "den")
		bob, eve := s.Person(t, s.org), s.Person(t, s.org)
		devs := insertGroup(t, s.Server, s.org.ID, "devs", bob.User.ID)
		s.shareWithGroup(t, box, client.WorkspaceRoleUse, devs)
		s.shareWithGroup(t, hut, client.WorkspaceRoleUse, s.org.ID)
		s.shareWith(t, den, client.WorkspaceRoleUse, eve.User.ID)

		require.Equal(t, []string{"box", "hut"}, found(t, bob.Client, ""))
		require.Equal(t, []string{"den", "hut"}, found(t, eve.Client, ""))
		require.Empty(t, found(t, s.Outsider(t).Client, ""))
		for _, c := range []*client.Client{s.Client, s.member} {
			for q, want := range map[string][]string{
				"shared:true": {"box", "den", "hut"}, "shared:false": {}, "shared_with_user:" + eve.User.Username: {"den"}, "shared_with_user:" + eve.User.ID.String(): {"den"},
				"shared_with_user:" + bob.User.Username: {}, "shared_with_user:nobody": {}, "shared_with_user:me": {},
				"shared_with_group:DEVS": {"box"}, "shared_with_group:data-platform/devs": {"box"}, "shared_with_group:" + devs.String(): {"box"},
				"shared_with_group:everyone": {"hut"}, "shared_with_group:coder/everyone": {}, "shared:true name:de": {"den"},
			} {
				require.Equal(t, want, found(t, c, q), q)
			}
		}
		require.Equal(t, []string{"den"}, found(t, eve.Client, "shared_with_user:me"))
		_, err := s.member.Workspaces(t.Context(), client.WorkspacesRequest{Query: "shared:perhaps"})
		refused(t, err, http.StatusBadRequest, "shared")

		w, err := bob.Client.Workspace(t.Context(), box.ID)
		require.NoError(t, err)
		require.Equal(t, []client.SharedWorkspaceActor{{ID: devs, ActorType: "group", Name: "devs", Roles: []string{"use"}}}, w.SharedWith)
		acl, err := bob.Client.WorkspaceACL(t.Context(), den.ID)
		refused(t, err, http.StatusNotFound)
		require.Empty(t, acl.Users)

		// Out of the group, out of the workspace; a deleted group is on no list.
		_, err = s.Client.UpdateGroup(t.Context(), devs, client.UpdateGroupRequest{RemoveUsers: texts(bob.User.ID), AddUsers: texts(eve.User.ID)})
		require.NoError(t, err)
		require.Equal(t, []string{"hut"}, found(t, bob.Client, ""))
		require.Equal(t, []string{"box", "den", "hut"}, found(t, eve.Client, ""))
		require.NoError(t, s.Client.DeleteGroup(t.Context(), devs))
		_, err = eve.Client.Workspace(t.Context(), box.ID)
		refused(t, err, http.StatusNotFound)
		acl, err = s.member.WorkspaceACL(t.Context(), box.ID)
		require.NoError(t, err)
		require.Equal(t, client.WorkspaceACL{Users: []client.WorkspaceUser{}, Groups: []client.WorkspaceGroup{}}, acl)
	})
}

func TestSharingThatIsRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := newScene(t, servertest.WithStore(st))
		w := s.running(t, "box")
		bob, outsider := s.Person(t, s.org), s.Outsider(t)
		id := bob.User.ID.String()
		for name, body := range map[string]string{
			"no UUID":            `{"user_roles":{"` + id + `":"use","bob":"use"}}`,
			"no such user":       `{"user_roles":{"` + id + `":"use","` + uuid.NewString() + `":"use"}}`,
			"of elsewhere":       `{"user_roles":{"` + id + `":"use","` + outsider.User.ID.String() + `":"use"}}`,
			"no such role":       `{"user_roles":{"` + id + `":"owner"}}`,
			"the owner":          `{"user_roles":{"` + id + `":"use","` + s.user.ID.String() + `":"admin"}}`,
			"twice":              `{"user_roles":{"` + id + `":"use","` + strings.ToUpper(id) + `":"admin"}}`,
			"a group of another": `{"user_roles":{"` + id + `":"use"},"group_roles":{"` + s.DefaultOrganization(t).ID.String() + `":"use"}}`,
			"a user as a group":  `{"group_roles":{"` + id + `":"use"}}`,
			"a group as a user":  `{"user_roles":{"` + s.org.ID.String() + `":"use"}}`,
		} {
			status, reply := s.Raw(t, s.Token, http.MethodPatch, "/workspaces/"+w.ID.String()+"/acl", body)
			require.Equal(t, http.StatusBadRequest, status, "%s: %s", name, reply)
		}
		acl, err := s.member.WorkspaceACL(t.Context(), w.ID)
		require.NoError(t, err)
		require.Empty(t, acl.Users, "a refused request changes nothing")
		for _, method := range []string{http.MethodGet, http.MethodPatch, http.MethodDelete} {
			for _, body := range []string{"", "{}", "{", `{"user_roles":{"` + id + `":"use"}}`} {
				path := "/workspaces/" + w.ID.String() + "/acl"
				status, got := s.Raw(t, outsider.Token, method, path, body)
				missing, want := s.Raw(t, outsider.Token, method, "/workspaces/"+uuid.NewString()+"/acl", body)
				require.Equal(t, missing, status, "%s %q", method, body)
				require.Equal(t, want, got, "%s %q", method, body)
			}
		}
	})
}

// A member who leaves the organization is on no access list when they return.
func TestLeavingAnOrganizationEndsEveryAccess(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := newScene(t, servertest.WithStore(st))
		w := s.running(t, "box")
		bob := s.Person(t, s.org)
		s.shareWith(t, w, client.WorkspaceRoleAdmin, bob.User.ID)
		perms := client.UpdateTemplateACLRequest{UserPerms: map[string]string{bob.User.ID.String(): "admin"}}
		require.NoError(t, s.Client.UpdateTemplateACL(t.Context(), s.template.ID, perms))
		require.NoError(t, s.Client.RemoveOrganizationMember(t.Context(), s.org.Name, bob.User.Username))
		for _, returned := range []bool{false, true} {
			if returned {
				_, err := s.Client.AddOrganizationMember(t.Context(), s.org.Name, bob.User.Username)
				require.NoError(t, err)
			}
			_, err := bob.Client.Workspace(t.Context(), w.ID)
			refused(t, err, http.StatusNotFound)
			require.Empty(t, found(t, bob.Client, ""))
			_, err = bob.Client.TemplateACL(t.Context(), s.template.ID)
			refused(t, err, http.StatusNotFound)
		}
		acl, err := s.Client.TemplateACL(t.Context(), s.template.ID)
		require.NoError(t, err)
		require.Empty(t, acl.Users)

		s.shareWith(t, w, client.WorkspaceRoleUse, bob.User.ID)
		require.NoError(t, s.Client.DeleteUser(t.Context(), bob.User.ID.String()))
		list, err := s.Client.WorkspaceACL(t.Context(), w.ID)
		require.NoError(t, err)
		require.Empty(t, list.Users)
	})
}

func TestOrganizationsDecideWhoShares(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := newScene(t, servertest.WithStore(st))
		w := s.running(t, "box")
		bob, admin := s.Person(t, s.org), s.Person(t, s.org, client.RoleOrgAdmin)
		ctx, share := t.Context(), client.UpdateWorkspaceACLRequest{UserRoles: map[string]string{bob.User.ID.String(): "use"}}
		settings, err := bob.Client.WorkspaceSharingSettings(ctx, s.org.Name)
		require.NoError(t, err)
		require.Equal(t, client.WorkspaceSharingSettings{ShareableWorkspaceOwners: "everyone"}, settings)
		for body, want := range map[string]string{
			`{"shareable_workspace_owners":"none"}`: "none", `{"shareable_workspace_owners":"service_accounts"}`: "service_accounts", `{"sharing_disabled":true}`: "none",
		} {
			require.NoError(t, s.member.UpdateWorkspaceACL(ctx, w.ID, share), "everyone may share")
			status, text := s.Raw(t, admin.Token, http.MethodPatch, "/organizations/data-platform/settings/workspace-sharing", body)
			require.Equal(t, http.StatusOK, status, text)
			require.Equal(t, client.WorkspaceSharingSettings{ShareableWorkspaceOwners: want, SharingDisabled: want == "none"}, decode[client.WorkspaceSharingSettings](t, text))
			_, err := bob.Client.Workspace(ctx, w.ID)
			refused(t, err, http.StatusNotFound)
			require.Empty(t, found(t, bob.Client, ""))
			for _, c := range []*client.Client{s.member, admin.Client, s.Client} {
				refused(t, c.UpdateWorkspaceACL(ctx, w.ID, share), http.StatusForbidden)
			}
			// Where nothing is shared, nobody need know who else there is.
			_, err = bob.Client.OrganizationMember(ctx, s.org.Name, s.user.Username)
			require.Equal(t, want == "none", client.IsNotFound(err), want)
			status, _ = s.Raw(t, admin.Token, http.MethodPatch, "/organizations/data-platform/settings/workspace-sharing", `{"sharing_disabled":false}`)
			require.Equal(t, http.StatusOK, status)
		}
		for body, status := range map[string]int{`{}`: 400, `{"shareable_workspace_owners":"friends"}`: 400, `{"shareable_workspace_owners":""}`: 400} {
			got, text := s.Raw(t, admin.Token, http.MethodPatch, "/organizations/data-platform/settings/workspace-sharing", body)
			require.Equal(t, status, got, "%s: %s", body, text)
		}
		_, err = bob.Client.UpdateWorkspaceSharingSettings(ctx, s.org.Name, client.UpdateWorkspaceSharingSettingsRequest{ShareableWorkspaceOwners: "none"})
		refused(t, err, http.StatusForbidden)
	})
}

func TestTheDeploymentForbidsSharing(t *testing.T) {
	t.Parallel()
	st := storetest.New(t)
	s := newScene(t, servertest.WithStore(st))
	w := s.running(t, "box")
	bob := s.Person(t, s.org)
	s.shareWith(t, w, client.WorkspaceRoleAdmin, bob.User.ID)

	forbidding := servertest.New(t, servertest.WithStore(st), servertest.WithoutUsers(), servertest.WithoutLoops(), servertest.WithOptions(func(o *server.Options) { o.DisableWorkspaceSharing = true }))
	again := forbidding.WithToken(t, bob.Token)
	_, err := again.Workspace(t.Context(), w.ID)
	refused(t, err, http.StatusNotFound)
	require.Empty(t, found(t, again, ""))
	owner := forbidding.WithToken(t, s.Token)
	refused(t, owner.UpdateWorkspaceACL(t.Context(), w.ID, client.UpdateWorkspaceACLRequest{}), http.StatusForbidden)
	settings, err := owner.WorkspaceSharingSettings(t.Context(), s.org.Name)
	require.NoError(t, err)
	require.True(t, settings.SharingGloballyDisabled)
}

// The owner's own rights come from roles alone: a shared workspace is no way
// around one that was taken away.
func TestSharingWithOneselfGivesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.running(t, "box")
	s.shareWithGroup(t, w, client.WorkspaceRoleAdmin, s.org.ID)
	_, err := s.Client.UpdateOrganization(t.Context(), s.org.Name, client.UpdateOrganizationRequest{DefaultOrgMemberRoles: &[]string{}})
	require.NoError(t, err)
	_, err = s.member.Workspace(t.Context(), w.ID)
	refused(t, err, http.StatusNotFound)
	require.Empty(t, found(t, s.member, ""))
	bob := s.Person(t, s.org)
	require.Equal(t, []string{"box"}, found(t, bob.Client, ""), "sharing needs no role")
}

// Nobody joins a group by themselves through which they could do more.
func TestJoiningAGroupDoesNotRaiseOnesRights(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.running(t, "box")
	boss := s.Person(t, s.org, "organization-user-admin")
	join := client.UpdateGroupRequest{AddUsers: texts(boss.User.ID)}
	admins := insertGroup(t, s.Server, s.org.ID, "admins")
	users := insertGroup(t, s.Server, s.org.ID, "users")
	sharers := insertGroup(t, s.Server, s.org.ID, "sharers")
	perms := map[string]string{admins.String(): "admin", users.String(): "use"}
	require.NoError(t, s.Client.UpdateTemplateACL(t.Context(), s.template.ID, client.UpdateTemplateACLRequest{GroupPerms: perms}))
	s.shareWithGroup(t, w, client.WorkspaceRoleUse, sharers)

	_, err := boss.Client.UpdateGroup(t.Context(), users, join)
	require.NoError(t, err, "they may use the template anyway")
	for _, id := range []uuid.UUID{admins, sharers} {
		_, err = boss.Client.UpdateGroup(t.Context(), id, join)
		refused(t, err, http.StatusForbidden)
		_, err = s.Client.UpdateGroup(t.Context(), id, join)
		require.NoError(t, err, "somebody else may add them")
	}
	_, err = boss.Client.Workspace(t.Context(), w.ID)
	require.NoError(t, err)
}

// A template's access list acts with the next request, wherever the template
// is shown or used.
func TestATemplatesAccessListActsAtOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	hidden := s.newTemplate(t, "hidden", client.ImportResult{}, func(r *client.CreateTemplateRequest) { r.DisableEveryoneGroupAccess = true })
	p := s.Person(t, s.org)
	devs := insertGroup(t, s.Server, s.org.ID, "devs", p.User.ID)
	id, report := hidden.ID.String(), "start_time=2026-01-01T00:00:00Z&end_time=2026-01-02T00:00:00Z&template_ids="
	sees := func(may, admin bool) {
		for _, path := range []string{"/templates", "/templates?q=hidden", "/organizations/data-platform/templates"} {
			_, body := s.Raw(t, p.Token, http.MethodGet, path, "")
			require.Equal(t, may, strings.Contains(body, id), path)
		}
		for path, allowed := range map[string]bool{
			"/templates/" + id: may, "/templates/" + id + "/versions": may, "/templateversions/" + hidden.ActiveVersionID.String(): may, "/templates/" + id + "/daus": may,
			"/organizations/data-platform/templates/hidden": may, "/templates/" + id + "/acl": admin, "/insights/templates?" + report + id: admin,
		} {
			status, body := s.Raw(t, p.Token, http.MethodGet, path, "")
			want := map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[allowed]
			require.Equal(t, want, status, "%s: %s", path, body)
		}
		status, _ := s.Raw(t, p.Token, http.MethodPost, "/organizations/data-platform/members/me/workspaces", `{"template_id":"`+id+`","name":"w-`+uuid.NewString()[:8]+`"}`)
		require.Equal(t, map[bool]int{true: http.StatusCreated, false: http.StatusBadRequest}[may], status)
	}
	sees(false, false)
	for _, kind := range []string{"user", "group"} {
		for _, role := range []string{client.TemplateRoleUse, client.TemplateRoleAdmin, ""} {
			req := client.UpdateTemplateACLRequest{UserPerms: map[string]string{p.User.ID.String(): role}}
			if kind == "group" {
				req = client.UpdateTemplateACLRequest{GroupPerms: map[string]string{devs.String(): role}}
			}
			require.NoError(t, s.Client.UpdateTemplateACL(t.Context(), hidden.ID, req))
			sees(role != "", role == client.TemplateRoleAdmin)
		}
	}
	listed := client.UpdateTemplateACLRequest{GroupPerms: map[string]string{devs.String(): client.TemplateRoleUse}}
	require.NoError(t, s.Client.UpdateTemplateACL(t.Context(), hidden.ID, listed))
	sees(true, false)
	require.NoError(t, s.Client.DeleteGroup(t.Context(), devs))
	sees(false, false)
	acl, err := s.Client.TemplateACL(t.Context(), hidden.ID)
	require.NoError(t, err)
	require.Empty(t, acl.Groups, "a deleted group is on no list")
}
