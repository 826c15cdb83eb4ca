package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
)

func TestTemplateSettingsPages(t *testing.T) {
	t.Parallel()
	s := newTemplateBench(t)
	tpl := s.template(t, "docker")
	b := s.adminsBrowser(t)
	page := b.Open("/templates/platform/docker/settings")
	open := page.Form("Save")
	require.Equal(t, "1h", open.Value("activity_bump_ms"))
	wrong := page.Form("Save").Fill("default_ttl_ms", "soon").Fill("display_name", "Docker <b>").Submit()
	require.Equal(t, http.StatusBadRequest, wrong.Status)
	require.Contains(t, wrong.Text, `"soon" is not a length of time`)
	require.Equal(t, "soon", wrong.Form("Save").Value("default_ttl_ms"))
	bad := wrong.Form("Save").Fill("default_ttl_ms", "").Fill("name", "a b").Submit()
	require.Equal(t, http.StatusBadRequest, bad.Status)
	require.Contains(t, bad.Body, "aria-invalid")

	saved := bad.Form("Save").Fill("name", "docker").Fill("default_ttl_ms", "8").Fill("activity_bump_ms", "1h30m").Fill("time_til_dormant_ms", "14d").
		Fill("failure_ttl_ms", "90m").Fill("autostart_requirement.days_of_week", "monday", "friday").Fill("autostop_requirement.days_of_week", "sunday").
		Fill("autostop_requirement.weeks", "2").Fill("allow_user_cancel_workspace_jobs").Fill("deprecation_message", "Use <i>podman").Submit()
	require.Contains(t, saved.Text, "were saved")
	got, err := s.Client.Template(t.Context(), tpl.ID)
	require.NoError(t, err)
	const hour = 3_600_000
	require.Equal(t, []int64{8 * hour, hour * 3 / 2, 14 * 24 * hour, hour * 3 / 2, 0}, []int64{got.DefaultTTLMS, got.ActivityBumpMS, got.TimeTilDormantMS, got.FailureTTLMS, got.TimeTilDormantAutoDeleteMS})
	require.Equal(t, []string{"monday", "friday"}, got.AutostartRequirement.DaysOfWeek)
	require.Equal(t, client.AutostopRequirement{DaysOfWeek: []string{"sunday"}, Weeks: 2}, got.AutostopRequirement)
	require.False(t, got.AllowUserCancelWorkspaceJobs)
	require.True(t, got.AllowUserAutostart)
	again := b.Open("/templates/platform/docker/settings").Form("Save")
	require.Equal(t, "14d", again.Value("time_til_dormant_ms"))
	require.Equal(t, "1h30m0s", again.Value("activity_bump_ms"))
	require.Contains(t, saved.Text, "Use <i>podman")
	require.NotContains(t, b.Open("/templates").Links(), "/templates/platform/docker/workspace", "a deprecated template makes no new ones")

	stale := open.Fill("display_name", "Mine").Submit()
	require.Equal(t, http.StatusConflict, stale.Status)
	require.Contains(t, stale.Text, "Somebody changed this")

	remove := b.Open("/templates/platform/docker/delete")
	require.Equal(t, http.StatusBadRequest, remove.Form("Delete the template").Fill("confirm", "x").Submit().Status)
	gone := remove.Form("Delete the template").Fill("confirm", "docker").Submit()
	require.Equal(t, "/templates", gone.URL.Path)
	require.Contains(t, gone.Text, "was deleted")
	require.Equal(t, http.StatusNotFound, remove.Form("Delete the template").Fill("confirm", "docker").Submit().Status)
}

func TestATemplateInUseIsNotDeletedOnItsPage(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	_, err := s.member.CreateWorkspace(t.Context(), s.org.Name, client.Me, client.CreateWorkspaceRequest{TemplateID: &s.template.ID, Name: "dev"})
	require.NoError(t, err)
	page := s.SignedIn(t, "owner@example.com").Open("/templates/data-platform/docker/delete")
	require.Contains(t, page.Text, "1 workspace is made of it")
	require.Contains(t, page.Links(), "/@dev1/dev")
	require.False(t, page.HasButton("Delete the template"))
	member := s.SignedIn(t, s.user.Email)
	for _, path := range []string{"settings", "delete", "permissions"} {
		require.Equal(t, http.StatusForbidden, member.Open("/templates/data-platform/docker/"+path).Status, path)
	}
}

func TestTemplatePermissionPages(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := s.SignedIn(t, "owner@example.com")
	const path = "/templates/data-platform/docker/permissions"
	page := b.Open(path)
	require.Contains(t, page.Text, "All members may use the template")
	closed := page.Form("Only those below").Submit()
	require.Contains(t, closed.Text, "Only the people and groups below")
	member := s.SignedIn(t, s.user.Email)
	require.Equal(t, http.StatusNotFound, member.Open("/templates/data-platform/docker").Status)

	require.Contains(t, b.Open(path+"?add=nobody").Text, "No other member or group matches")
	found := b.Open(path + "?add=dev1")
	added := found.Form("Add to use").Submit()
	require.Contains(t, added.Text, "were saved")
	require.Contains(t, added.Text, "dev1")
	require.Equal(t, http.StatusOK, member.Open("/templates/data-platform/docker").Status)
	require.NotContains(t, member.Open("/templates/data-platform/docker").Links(), "/templates/data-platform/docker/settings")
	require.False(t, b.Open(path+"?add=dev1").HasButton("Add to use"), "who has a role is not added again")

	admin := added.Form("Make admin").Submit()
	require.Contains(t, admin.Text, "use and change it")
	require.Contains(t, member.Open("/templates/data-platform/docker").Links(), "/templates/data-platform/docker/settings")
	require.Contains(t, admin.Form("Remove").Submit().Text, "Nobody by name")
	require.Equal(t, http.StatusNotFound, member.Open("/templates/data-platform/docker").Status)
	require.Contains(t, b.Open(path).Form("Let everyone use it").Submit().Text, "All members may use the template")
}
