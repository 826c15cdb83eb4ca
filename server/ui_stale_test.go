package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
	"coder/server/servertest"
)

// A settings form that stood open while somebody else changed what it shows
// overwrites nothing, says so, and may then be sent again.
func TestSettingsFormsThatStoodOpen(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	v := s.newVersion(t, &s.template.ID, "# questions", client.ImportResult{Parameters: []client.TemplateVersionParameter{
		{Name: "size", Type: "string", FormType: "input", Mutable: true, DefaultValue: "s"},
	}})
	require.NoError(t, s.Client.UpdateActiveTemplateVersion(t.Context(), s.template.ID, client.UpdateActiveTemplateVersionRequest{ID: v.ID}))
	w := s.running(t, "box")
	group, err := s.Client.CreateGroup(t.Context(), s.org.Name, client.CreateGroupRequest{Name: "backend"})
	require.NoError(t, err)
	_, err = s.Client.CreateRole(t.Context(), s.org.Name, client.CustomRoleRequest{Name: "reader", SitePermissions: []client.Permission{}, UserPermissions: []client.Permission{}, OrganizationPermissions: []client.Permission{{ResourceType: "template", Action: "read"}}})
	require.NoError(t, err)
	b, org, box := s.SignedIn(t, "owner@example.com"), "/organizations/"+s.org.Name, "/@"+s.user.Username+"/box"
	for _, form := range []struct{ name, path, button, field, theirs, mine string }{
		{"schedule", box + "/schedule", "Save", "ttl_ms", "8h", "4h"},
		{"workspace", box + "/settings", "Save", "updates", "on", ""},
		{"group", org + "/groups/" + group.Name + "/settings", "Save", "quota_allowance", "20", "7"},
		{"quota", org + "/quota", "Save limits", "max_daily_cost", "100", "7"},
		{"organization", org + "/settings", "Save", "display_name", "Theirs", "Mine"},
		{"template", "/templates/" + s.org.Name + "/" + s.template.Name + "/settings", "Save", "display_name", "Theirs", "Mine"},
		{"role", org + "/roles/reader/edit", "Save", "display_name", "Theirs", "Mine"},
	} {
		t.Run(form.name, func(t *testing.T) {
			open := b.Open(form.path).Form(form.button)
			require.Equal(t, http.StatusOK, b.Open(form.path).Form(form.button).Fill(form.field, form.theirs).Submit().Status)
			stale := open.Fill(form.field, form.mine).Submit()
			require.Equal(t, http.StatusConflict, stale.Status)
			require.Contains(t, stale.Text, "Somebody changed this")
			require.Equal(t, form.theirs, b.Open(form.path).Form(form.button).Value(form.field), "nothing was overwritten")
			again := stale.Form(form.button)
			require.Equal(t, form.mine, again.Value(form.field), "what was typed stays")
			require.Equal(t, http.StatusOK, again.Submit().Status)
			require.Equal(t, form.mine, b.Open(form.path).Form(form.button).Value(form.field))
		})
	}
	t.Run("parameters", func(t *testing.T) {
		open := b.Open(box + "/parameters").Form("Save and restart")
		_, err := s.member.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: "start", RichParameterValues: []client.BuildParameter{{Name: "size", Value: "l"}}})
		require.NoError(t, err)
		s.worker.take(t).succeed(t)
		require.Equal(t, http.StatusConflict, open.Fill("parameter.size", "m").Submit().Status)
	})
}

// A schedule is two parts to the API; its form saves both or neither.
func TestAScheduleIsSavedWhollyOrNotAtAll(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.running(t, "box")
	off := false
	_, err := s.Client.UpdateTemplate(t.Context(), s.template.ID, client.UpdateTemplateRequest{AllowUserAutostop: &off})
	require.NoError(t, err)
	b, path := s.SignedIn(t, s.user.Email), "/@"+s.user.Username+"/box/schedule"
	refused := b.Open(path).Form("Save").Fill("time", "09:30").Fill("ttl_ms", "3h").Submit()
	require.Equal(t, http.StatusBadRequest, refused.Status)
	require.Contains(t, refused.Text, "decides when its workspaces stop")
	now, err := s.member.Workspace(t.Context(), w.ID)
	require.NoError(t, err)
	require.Nil(t, now.AutostartSchedule, "the start was valid, and is not saved either")

	zone := refused.Form("Save").Fill("ttl_ms", "").Fill("schedule", "Mars/Olympus").Submit()
	require.Equal(t, http.StatusBadRequest, zone.Status)
	require.Equal(t, "Mars/Olympus", zone.Form("Save").Value("schedule"))
	saved := zone.Form("Save").Fill("schedule", "Europe/Dublin").Submit()
	require.Contains(t, saved.Text, "was saved", "what stays as it is needs no leave of the template")
	now, err = s.member.Workspace(t.Context(), w.ID)
	require.NoError(t, err)
	require.Equal(t, "CRON_TZ=Europe/Dublin 30 9 * * 1,2,3,4,5", *now.AutostartSchedule)
}

// A workspace's name and its updates are one form, and saved wholly or not at all.
func TestAWorkspacesSettingsAreSavedWhollyOrNotAtAll(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.running(t, "box")
	s.running(t, "other")
	b, path := s.SignedIn(t, s.user.Email), "/@"+s.user.Username+"/box/settings"
	taken := b.Open(path).Form("Save").Fill("name", "other").Fill("updates", "on").Submit()
	require.Equal(t, http.StatusConflict, taken.Status)
	require.Contains(t, taken.Text, "This value is taken")
	require.Equal(t, client.AutomaticUpdatesNever, s.read(t, w.ID).AutomaticUpdates)
	again := taken.Form("Save")
	require.Equal(t, "on", again.Value("updates"), "what was chosen stays")
	saved := again.Fill("name", "box2").Submit()
	require.Equal(t, "/@"+s.user.Username+"/box2/settings", saved.URL.Path)
	now := s.read(t, w.ID)
	require.Equal(t, "box2", now.Name)
	require.Equal(t, client.AutomaticUpdatesAlways, now.AutomaticUpdates)

	err := s.member.UpdateWorkspace(t.Context(), w.ID, client.UpdateWorkspaceRequest{Name: "box3", AutomaticUpdates: "sometimes"})
	require.Equal(t, http.StatusBadRequest, client.StatusCode(err))
	require.Equal(t, "box2", s.read(t, w.ID).Name, "a good name beside a bad answer is not saved")
}

// A part of a path that is only dots would lead elsewhere: nothing has it.
func TestPathsOfDotsAreNotFound(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := s.SignedIn(t, "owner@example.com")
	for _, path := range []string{
		"/organizations/%2e%2e", "/organizations/%2e", "/organizations/%2e%2e/members", "/@me/%2e%2e", "/@%2e%2e/box", "/@me/%2e%2e/builds/1",
		"/templates/%2e%2e/docker", "/templates/" + s.org.Name + "/%2e%2e", "/users/%2e%2e", "/organizations/" + s.org.Name + "/groups/%2e%2e",
	} {
		page := b.Open(path)
		require.Equal(t, http.StatusNotFound, page.Status, path)
		require.Contains(t, page.Text, "There is no such page", path)
	}
}

// Who asks too often gets a page that says so, for a page and for a form, and
// nothing is done.
func TestTooManyRequestsAreAPage(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.WithOptions(func(o *server.Options) { o.DisableRateLimits, o.APIRateLimit = false, 20 }))
	b := s.SignedIn(t, "owner@example.com")
	form := b.Open("/organizations/new").Form("Create organization").Fill("name", "one-too-many")
	page := b.Open("/account/tokens")
	for range 40 {
		if page.Status == http.StatusTooManyRequests {
			break
		}
		page = b.Open("/account/tokens")
	}
	require.Equal(t, http.StatusTooManyRequests, page.Status)
	require.Contains(t, page.Text, "Too many requests")
	require.Contains(t, page.Text, "Wait a little and try again")
	for range 40 {
		if page = form.Submit(); page.Status == http.StatusTooManyRequests {
			break
		}
	}
	require.Equal(t, http.StatusTooManyRequests, page.Status)
}
