package server_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

// watch reads what is new in all logs since the last call.
type watch struct {
	client *client.Client
	cursor string
}

func newWatch(t *testing.T, c *client.Client) *watch {
	t.Helper()
	w := &watch{client: c, cursor: client.AuditFromEnd}
	require.Empty(t, w.next(t))
	return w
}

func (w *watch) next(t *testing.T) []client.AuditEntry {
	t.Helper()
	var all []client.AuditEntry
	for {
		part, err := w.client.AuditEntries(t.Context(), client.AuditEntriesRequest{After: w.cursor, Limit: 3})
		require.NoError(t, err)
		require.NotNil(t, part.Entries)
		all, w.cursor = append(all, part.Entries...), part.Cursor
		if !part.More {
			return all
		}
	}
}

// said is an entry in one line: what was done, and which fields changed.
func said(e client.AuditEntry) string {
	line := fmt.Sprintf("%s %s %s", e.Action, e.ResourceType, e.ResourceTarget)
	for _, name := range slices.Sorted(maps.Keys(e.Diff)) {
		if e.Diff[name].Secret {
			name += "(secret)"
		}
		line += " " + name
	}
	return line
}

// what every operation leaves in the logs, on both databases.
func TestEveryChangeIsAudited(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := newScene(t, servertest.WithStore(st))
		owner, ctx, org := s.Client, t.Context(), s.org.Name
		log := newWatch(t, owner)
		audited := func(name string, change func() error, want ...string) {
			t.Helper()
			before := time.Now().Add(-time.Minute)
			require.NoError(t, change(), name)
			got := []string{}
			for _, e := range log.next(t) {
				got = append(got, said(e))
				require.NotEqual(t, uuid.Nil, e.RequestID, "%s: %s", name, said(e))
				require.WithinRange(t, e.Time, before, time.Now().Add(time.Second))
				require.Contains(t, e.Description, "{user} ")
				if e.User != nil {
					require.Equal(t, "127.0.0.1", e.IP)
					require.NotEmpty(t, e.UserAgent)
				}
				inOrg := !slices.Contains([]string{client.AuditUser, client.AuditAPIKey, client.AuditGitSSHKey}, e.ResourceType)
				require.Equal(t, inOrg, e.OrganizationID != uuid.Nil, said(e))
				require.Less(t, e.StatusCode, 300)
			}
			for i, line := range got { // the rest of a long one is not told
				for _, head := range want {
					if start, long := strings.CutSuffix(head, "…"); long && strings.HasPrefix(line, start) {
						got[i] = head
					}
				}
			}
			require.ElementsMatch(t, want, got, name)
		}

		var ann client.User
		audited("create user", func() (err error) {
			ann, err = owner.CreateUser(ctx, client.CreateUserRequest{Email: "ann@example.com", Username: "ann", Password: servertest.Password, OrganizationIDs: []uuid.UUID{s.org.ID}})
			return err
		}, "create user ann created_at email id login_type password(secret) status username", "create organization_member ann user_id username")
		audited("profile", func() error {
			_, err := owner.UpdateUserProfile(ctx, "ann", client.UpdateUserProfileRequest{Username: "anna", Name: "Anna"})
			return err
		}, "write user anna name username")
		audited("site roles", func() error {
			_, err := owner.UpdateUserRoles(ctx, "anna", client.UpdateRolesRequest{Roles: []string{"auditor"}})
			return err
		}, "write user anna roles")
		audited("suspend", func() error { _, err := owner.SuspendUser(ctx, "anna"); return err }, "write user anna status")
		audited("activate", func() error { _, err := owner.ActivateUser(ctx, "anna"); return err }, "write user anna status")
		audited("password", func() error {
			return owner.UpdateUserPassword(ctx, "anna", client.UpdateUserPasswordRequest{Password: "AnotherPassword!1"})
		}, "write user anna password(secret)")
		audited("ssh key", func() error { _, err := owner.RegenerateGitSSHKey(ctx, client.Me); return err }, "write git_ssh_key owner private_key(secret) public_key")
		audited("login", func() error {
			_, err := s.Anonymous(t).LoginWithPassword(ctx, client.LoginWithPasswordRequest{Email: "ann@example.com", Password: "AnotherPassword!1"})
			return err
		}, "login api_key anna allow_list expires_at login_type scopes")
		audited("logout", func() error {
			token := s.Login(t, "ann@example.com", "AnotherPassword!1")
			return s.WithToken(t, token).Logout(ctx)
		}, "login api_key anna allow_list expires_at login_type scopes", "logout api_key anna allow_list expires_at login_type scopes")
		audited("token", func() error {
			_, err := owner.CreateToken(ctx, client.Me, client.CreateTokenRequest{TokenName: "ci"})
			return err
		}, "create api_key ci allow_list expires_at login_type scopes token_name")
		key, err := owner.APIKeyByName(ctx, client.Me, "ci")
		require.NoError(t, err)
		audited("expire", func() error { return owner.ExpireAPIKey(ctx, client.Me, key.ID) }, "write api_key ci expires_at")
		audited("delete token", func() error { return owner.DeleteAPIKey(ctx, client.Me, key.ID) }, "delete api_key ci allow_list expires_at login_type scopes token_name")

		audited("organization", func() error {
			_, err := owner.CreateOrganization(ctx, client.CreateOrganizationRequest{Name: "web"})
			return err
		}, "create organization web created_at default_org_member_roles display_name id name", "create organization_member owner user_id username")
		audited("change organization", func() error {
			_, err := owner.UpdateOrganization(ctx, "web", client.UpdateOrganizationRequest{DisplayName: "The web"})
			return err
		}, "write organization web display_name")
		audited("add member", func() error { _, err := owner.AddOrganizationMember(ctx, "web", "anna"); return err }, "create organization_member anna user_id username")
		audited("member roles", func() error {
			_, err := owner.UpdateOrganizationMemberRoles(ctx, "web", "anna", client.UpdateRolesRequest{Roles: []string{client.RoleOrgAdmin}})
			return err
		}, "write organization_member anna roles")
		audited("remove member", func() error { return owner.RemoveOrganizationMember(ctx, "web", "anna") }, "delete organization_member anna roles user_id username")
		role := client.CustomRoleRequest{Name: "publisher", OrganizationPermissions: []client.Permission{{ResourceType: "template", Action: "read"}}}
		audited("role", func() error { _, err := owner.CreateRole(ctx, org, role); return err }, "create custom_role publisher name organization_permissions")
		role.DisplayName = "Publisher"
		audited("change role", func() error { _, err := owner.UpdateRole(ctx, org, role); return err }, "write custom_role publisher display_name")
		audited("hand out", func() error {
			_, err := owner.UpdateOrganizationMemberRoles(ctx, org, "anna", client.UpdateRolesRequest{Roles: []string{"publisher"}})
			return err
		}, "write organization_member anna roles")
		audited("delete role", func() error { return owner.DeleteRole(ctx, org, "publisher") },
			"write organization_member anna roles", "delete custom_role publisher display_name name organization_permissions")
		audited("provisioner key", func() error {
			_, err := owner.CreateProvisionerKey(ctx, org, client.CreateProvisionerKeyRequest{Name: "gpu"})
			return err
		}, "write organization "+org+" provisioner_keys")
		audited("delete provisioner key", func() error { return owner.DeleteProvisionerKey(ctx, org, "gpu") }, "write organization "+org+" provisioner_keys")

		auditWorkspaces(t, s, audited)
		audited("delete organization", func() error { return owner.DeleteOrganization(ctx, "web") },
			"delete organization web created_at default_org_member_roles display_name id name")
		audited("delete user", func() error { return owner.DeleteUser(ctx, "anna") },
			"delete organization_member anna user_id username", "delete user anna created_at email id login_type name roles status username")
		for _, log := range []string{"", org, ann.OrganizationIDs[0].String()} {
			result, err := owner.VerifyAudit(ctx, log, "")
			require.NoError(t, err)
			require.True(t, result.Valid, "%+v", result)
		}
	})
}

// auditWorkspaces goes on with templates, workspaces and builds.
func auditWorkspaces(t *testing.T, s *scene, audited func(string, func() error, ...string)) {
	owner, ctx := s.Client, t.Context()
	name := func(text string) *string { return &text }
	var template client.Template
	version := s.newVersion(t, nil, "", client.ImportResult{})
	audited("what came before", func() error { return nil }, "create template_version "+version.Name+" name")
	audited("template", func() (err error) {
		template, err = owner.CreateTemplate(ctx, s.org.Name, client.CreateTemplateRequest{Name: "box", VersionID: version.ID})
		return err
	}, "create template box …")
	audited("change template", func() error {
		_, err := owner.UpdateTemplate(ctx, template.ID, client.UpdateTemplateRequest{Description: name("A box")})
		return err
	}, "write template box description")
	next := s.newVersion(t, &template.ID, "", client.ImportResult{})
	audited("next version", func() error { return nil }, "create template_version "+next.Name+" name template_id")
	audited("rename version", func() error {
		_, err := owner.UpdateTemplateVersion(ctx, next.ID, client.UpdateTemplateVersionRequest{Name: name("second")})
		return err
	}, "write template_version second name")
	audited("archive version", func() error { return owner.SetTemplateVersionArchived(ctx, next.ID, true) }, "write template_version second archived")
	audited("unarchive version", func() error { return owner.SetTemplateVersionArchived(ctx, next.ID, false) }, "write template_version second archived")
	audited("promote version", func() error {
		return owner.UpdateActiveTemplateVersion(ctx, template.ID, client.UpdateActiveTemplateVersionRequest{ID: next.ID})
	}, "write template box active_version_id")
	audited("delete template", func() error { return owner.DeleteTemplate(ctx, template.ID) }, "delete template box …")

	var w client.Workspace
	audited("workspace", func() error { w = s.create(t, "dev"); return nil },
		"create workspace dev automatic_updates name owner_id template_id", "start workspace_build dev template_version_id transition")
	audited("cancel", func() error { return owner.CancelWorkspaceBuild(ctx, w.LatestBuild.ID) }, "write workspace_build dev cancel")
	audited("start", func() error { s.build(t, w.ID, client.TransitionStart); return nil }, "start workspace_build dev template_version_id transition")
	audited("rename", func() error { return owner.UpdateWorkspace(ctx, w.ID, client.UpdateWorkspaceRequest{Name: "dev2"}) }, "write workspace dev2 name")
	audited("autostart", func() error {
		return owner.UpdateWorkspaceAutostart(ctx, w.ID, client.UpdateWorkspaceAutostartRequest{Schedule: name("CRON_TZ=UTC 30 9 * * 1-5")})
	}, "write workspace dev2 autostart_schedule")
	audited("ttl", func() error {
		return owner.UpdateWorkspaceTTL(ctx, w.ID, client.UpdateWorkspaceTTLRequest{TTLMillis: pointer(int64(3_600_000))})
	}, "write workspace dev2 ttl_ms")
	audited("automatic updates", func() error {
		return owner.UpdateWorkspaceAutomaticUpdates(ctx, w.ID, client.UpdateWorkspaceAutomaticUpdatesRequest{AutomaticUpdates: "always"})
	}, "write workspace dev2 automatic_updates")
	audited("state", func() error {
		return owner.UpdateWorkspaceBuildState(ctx, s.read(t, w.ID).LatestBuild.ID, client.UpdateWorkspaceBuildStateRequest{State: []byte(stateOf(uuid.New()))})
	}, "write workspace_build dev2 state(secret)")
	audited("stop", func() error { s.build(t, w.ID, client.TransitionStop); return nil }, "stop workspace_build dev2 template_version_id transition")
	audited("sleep", func() error {
		return owner.UpdateWorkspaceDormancy(ctx, w.ID, client.UpdateWorkspaceDormancyRequest{Dormant: true})
	},
		"write workspace dev2 dormant_at")
	audited("delete", func() error { s.build(t, w.ID, client.TransitionDelete); return nil },
		"delete workspace_build dev2 template_version_id transition",
		"delete workspace dev2 automatic_updates autostart_schedule dormant_at name owner_id template_id ttl_ms")
}
