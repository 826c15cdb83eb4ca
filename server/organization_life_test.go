package server_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

// What stands in the way is counted and named, and a delete that is refused
// changes nothing.
func TestContentsOfAnOrganizationAreNamed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := newScene(t, servertest.WithStore(st))
		box := s.running(t, "box")
		require.NoError(t, s.member.UpdateWorkspaceDormancy(t.Context(), box.ID, client.UpdateWorkspaceDormancyRequest{Dormant: true}))
		s.running(t, "car")
		_, err := s.Client.CreateGroup(t.Context(), s.org.Name, client.CreateGroupRequest{Name: "crew"})
		require.NoError(t, err)
		s.pendingVersion(t, nil, "") // a job is not in the way: it ends with the organization

		want := []client.OrganizationContent{
			{Kind: client.ContentWorkspace, Count: 2, Names: []string{"dev1/box", "dev1/car"}},
			{Kind: client.ContentTemplate, Count: 1, Names: []string{"docker"}},
			{Kind: client.ContentProvisionerKey, Count: 1, Names: []string{"worker"}},
			{Kind: client.ContentMember, Count: 2, Stay: 1, Names: []string{"dev1", "owner"}},
			{Kind: client.ContentGroup, Count: 1, Names: []string{"crew"}},
		}
		contents, err := s.Client.OrganizationContents(t.Context(), s.org.Name)
		require.NoError(t, err)
		require.Equal(t, client.OrganizationContents{OrganizationID: s.org.ID, InTheWay: want}, contents)
		e := refused(t, s.Client.DeleteOrganization(t.Context(), s.org.Name), http.StatusConflict)
		for _, what := range []string{"2 workspaces", "1 template", "1 provisioner key", "2 members (one may stay)", "1 group", "--dry-run"} {
			require.Contains(t, e.Detail, what)
		}
		again, err := s.Client.OrganizationContents(t.Context(), s.org.Name)
		require.NoError(t, err)
		require.Equal(t, contents, again)

		empty := s.Organization(t, "empty")
		contents, err = s.Client.OrganizationContents(t.Context(), "empty")
		require.NoError(t, err)
		require.Equal(t, client.OrganizationContents{OrganizationID: empty.ID, Deletable: true, InTheWay: []client.OrganizationContent{}}, contents)
		contents, err = s.Client.OrganizationContents(t.Context(), client.DefaultOrganization)
		require.NoError(t, err)
		require.False(t, contents.Deletable, "the default organization always stays")
		require.Empty(t, contents.InTheWay)
	})
}

// The right to delete is not the right to read: names are for who may read them.
func TestContentsAreNamedToReadersOnly(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.running(t, "box")
	_, err := s.Client.CreateRole(t.Context(), s.org.Name, client.CustomRoleRequest{
		Name: "closer", OrganizationPermissions: []client.Permission{may("organization", "delete"), may("template", "read")},
	})
	require.NoError(t, err)
	names := func(c *client.Client) map[string]int {
		contents, err := c.OrganizationContents(t.Context(), s.org.Name)
		require.NoError(t, err)
		found := map[string]int{}
		for _, content := range contents.InTheWay {
			require.Positive(t, content.Count, content.Kind)
			found[content.Kind] = len(content.Names)
		}
		return found
	}
	closer := s.Person(t, s.org, "closer")
	require.Equal(t, map[string]int{client.ContentWorkspace: 0, client.ContentTemplate: 1, client.ContentProvisionerKey: 1, client.ContentMember: 3}, names(closer.Client))
	limited, err := s.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{
		AllowList: []string{"organization:" + s.org.ID.String(), "workspace:" + uuid.NewString(), "template:*"},
	})
	require.NoError(t, err)
	require.Equal(t, map[string]int{client.ContentWorkspace: 0, client.ContentTemplate: 1, client.ContentProvisionerKey: 0, client.ContentMember: 0}, names(s.WithToken(t, limited.Key)))
	_, err = s.member.OrganizationContents(t.Context(), s.org.Name)
	refused(t, err, http.StatusNotFound)
	hiddenLikeMissing(t, s.Server, s.Outsider(t).Token, http.MethodGet, "/organizations/"+s.org.Name+"/contents", "/organizations/missing/contents", "")
}

func TestNamesOfContentsAreBounded(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	for i := range 60 {
		_, err := s.Client.CreateGroup(t.Context(), "team", client.CreateGroupRequest{Name: fmt.Sprintf("crew-%02d", i)})
		require.NoError(t, err)
	}
	contents, err := s.Client.OrganizationContents(t.Context(), org.ID.String())
	require.NoError(t, err)
	require.EqualValues(t, 60, contents.InTheWay[0].Count)
	require.Len(t, contents.InTheWay[0].Names, 50)
	require.Equal(t, "crew-00", contents.InTheWay[0].Names[0])
}

// An organization of the same name begins with nothing of the old one, and
// nothing of the old one comes up anywhere.
func TestAnOrganizationLeavesItsNameBehind(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := newScene(t, servertest.WithStore(st))
		ctx, name, old := t.Context(), s.org.Name, s.org
		box := s.running(t, "box")
		group, err := s.Client.CreateGroup(ctx, name, client.CreateGroupRequest{Name: "crew", QuotaAllowance: 5})
		require.NoError(t, err)
		_, err = s.Client.UpdateGroup(ctx, group.ID, client.UpdateGroupRequest{AddUsers: []string{s.user.ID.String()}, RemoveUsers: []string{}})
		require.NoError(t, err)
		_, err = s.Client.CreateRole(ctx, name, client.CustomRoleRequest{Name: "publisher", OrganizationPermissions: []client.Permission{may("template", "create")}})
		require.NoError(t, err)
		_, err = s.Client.UpdateOrganizationQuota(ctx, name, client.UpdateOrganizationQuotaRequest{MaxRunningWorkspaces: pointer[int64](3)})
		require.NoError(t, err)
		byUser, err := s.Client.RegisterDaemon(ctx, client.RegisterDaemonRequest{
			Organization: name, Name: "mine", Provisioners: []string{client.ProvisionerTerraform}, Version: servertest.Version, APIVersion: "1.0", HostID: "mine",
			Tags: map[string]string{"only": "mine"},
		})
		require.NoError(t, err)
		polled := make(chan error, 1)
		go func() { polled <- acquireUntilRefused(s.Client, byUser.ID) }()

		s.build(t, box.ID, client.TransitionDelete)
		s.pendingVersion(t, nil, "")
		running := s.worker.take(t)
		waiting := s.pendingVersion(t, nil, "")
		require.NoError(t, s.Client.DeleteTemplate(ctx, s.template.ID))
		require.NoError(t, s.Client.DeleteProvisionerKey(ctx, name, "worker"))
		require.NoError(t, s.Client.DeleteGroup(ctx, group.ID))
		require.NoError(t, s.Client.RemoveOrganizationMember(ctx, name, s.user.Username))
		contents, err := s.Client.OrganizationContents(ctx, name)
		require.NoError(t, err)
		require.True(t, contents.Deletable, "%+v", contents)
		head, err := s.Client.AuditHead(ctx, name)
		require.NoError(t, err)
		require.NoError(t, s.Client.DeleteOrganization(ctx, name))

		select {
		case err := <-polled:
			refused(t, err, http.StatusNotFound)
		case <-time.After(waitLong):
			require.Fail(t, "the daemon of a deleted organization still waits for jobs")
		}
		s.jobsEnd(t, running, waiting.Job.ID)
		fresh := s.Organization(t, name)
		require.NotEqual(t, old.ID, fresh.ID)
		s.isPristine(t, fresh)
		s.isGone(t, old, box.ID)
		result, err := s.Client.VerifyAudit(ctx, old.ID.String(), head.String())
		require.NoError(t, err)
		require.True(t, result.Valid, "%+v", result)
	})
}

// jobsEnd asserts that what waited is canceled, and that what runs is told to
// stop and may say how it ended.
func (s *scene) jobsEnd(t *testing.T, running *taken, waiting uuid.UUID) {
	t.Helper()
	job, err := s.Store.GetProvisionerJob(t.Context(), waiting)
	require.NoError(t, err)
	require.Equal(t, client.JobCanceled, job.Status)
	word, err := running.attempt.Renew(t.Context(), client.RenewRequest{})
	require.NoError(t, err)
	require.Equal(t, client.CancelGentle, word.Cancel)
	running.fail(t, "interrupted")
	job, err = s.Store.GetProvisionerJob(t.Context(), running.ID)
	require.NoError(t, err)
	require.Equal(t, client.JobFailed, job.Status)
	require.Contains(t, job.Error, "interrupted")
}

// acquireUntilRefused asks for jobs as a daemon does.
func acquireUntilRefused(c *client.Client, daemon uuid.UUID) error {
	for {
		if _, err := c.AcquireJob(context.Background(), daemon, client.AcquireJobRequest{RequestID: uuid.New()}); err != nil {
			return err
		}
	}
}

// isPristine asserts that an organization is as a new one.
func (s *scene) isPristine(t *testing.T, org client.Organization) {
	t.Helper()
	ctx := t.Context()
	members, err := s.Client.OrganizationMembers(ctx, org.Name)
	require.NoError(t, err)
	require.Len(t, members, 1)
	groups, err := s.Client.OrganizationGroups(ctx, org.Name)
	require.NoError(t, err)
	require.Len(t, groups, 1)
	keys, err := s.Client.ProvisionerKeys(ctx, org.Name)
	require.NoError(t, err)
	require.Empty(t, keys)
	daemons, err := s.Client.ProvisionerDaemons(ctx, org.Name, client.ProvisionerDaemonsRequest{Offline: true})
	require.NoError(t, err)
	require.Empty(t, daemons)
	templates, err := s.Client.OrganizationTemplates(ctx, org.Name)
	require.NoError(t, err)
	require.Empty(t, templates)
	jobs, err := s.Client.ProvisionerJobs(ctx, org.Name, client.ProvisionerJobsRequest{})
	require.NoError(t, err)
	require.Empty(t, jobs)
	roles, err := s.Client.OrganizationRoles(ctx, org.Name)
	require.NoError(t, err)
	for _, role := range roles {
		require.True(t, role.BuiltIn, role.Name)
	}
	quota, err := s.Client.OrganizationQuota(ctx, org.Name)
	require.NoError(t, err)
	require.Equal(t, client.OrganizationQuota{}, quota)
	page, err := s.Client.AuditLogs(ctx, client.AuditLogsRequest{Query: "organization:" + org.Name})
	require.NoError(t, err)
	require.Len(t, page.AuditLogs, 2, "made, and its first member")
}

// isGone asserts that nothing of a deleted organization comes up.
func (s *scene) isGone(t *testing.T, org client.Organization, workspace uuid.UUID) {
	t.Helper()
	ctx := t.Context()
	groups, err := s.Client.Groups(ctx, "", "")
	require.NoError(t, err)
	for _, g := range groups {
		require.NotEqual(t, org.ID, g.OrganizationID)
	}
	user, err := s.Client.User(ctx, s.user.Username)
	require.NoError(t, err)
	require.NotContains(t, user.OrganizationIDs, org.ID)
	templates, err := s.Client.Templates(ctx, "")
	require.NoError(t, err)
	require.Empty(t, templates)
	found, err := s.Client.Workspaces(ctx, client.WorkspacesRequest{})
	require.NoError(t, err)
	require.Empty(t, found.Workspaces)
	for _, path := range []string{"/workspaces", "/users/" + s.user.Username, "/templates", "/groups", "/debug/health", "/organizations", "/workspaces?q=status:deleted"} {
		status, body := s.Raw(t, s.Token, http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, status, "%s: %s", path, body)
		require.NotContains(t, body, org.ID.String(), path)
	}
	_, err = s.Client.Organization(ctx, org.ID.String())
	refused(t, err, http.StatusNotFound)
	// Owners of the deployment may look at what was, by its id; who was a member may not.
	for _, path := range []string{
		"/workspaces/" + workspace.String() + "?include_deleted=true", "/templateversions/" + s.template.ActiveVersionID.String(),
		"/templateversions/" + s.template.ActiveVersionID.String() + "/logs", "/workspaces/" + workspace.String() + "/builds", "/groups/" + org.ID.String(),
	} {
		status, body := s.Raw(t, s.Token, http.MethodGet, path, "")
		require.Contains(t, []int{http.StatusOK, http.StatusNotFound, http.StatusGone}, status, "%s: %s", path, body)
	}
	_, err = s.member.DeletedWorkspace(ctx, workspace)
	refused(t, err, http.StatusNotFound)
	_, err = s.member.TemplateVersion(ctx, s.template.ActiveVersionID)
	refused(t, err, http.StatusNotFound)
}
