package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
	"coder/server/servertest"
)

func TestHowPagesLookForAUser(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	p := s.Person(t, s.DefaultOrganization(t))
	before, err := p.Client.UserAppearance(t.Context(), client.Me)
	require.NoError(t, err)
	require.Equal(t, client.UserAppearance{}, before)
	want := client.UserAppearance{ThemePreference: "dark", TerminalFont: "fira-code"}
	got, err := p.Client.UpdateUserAppearance(t.Context(), client.Me, want)
	require.NoError(t, err)
	require.Equal(t, want, got)
	got, err = p.Client.UserAppearance(t.Context(), client.Me)
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = p.Client.UpdateUserAppearance(t.Context(), client.Me, client.UserAppearance{TerminalFont: "comic"})
	refused(t, err, http.StatusBadRequest, "terminal_font")
	_, err = p.Client.UpdateUserAppearance(t.Context(), client.Me, client.UserAppearance{ThemeMode: "disco"})
	refused(t, err, http.StatusBadRequest, "theme_mode")
}

func TestQuietHours(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock() // a Wednesday, 12:00 UTC
	s := servertest.New(t, servertest.WithClock(clock), servertest.WithoutLoops())
	hours, err := s.Client.QuietHours(t.Context(), client.Me)
	require.NoError(t, err)
	require.Equal(t, client.QuietHours{RawSchedule: "CRON_TZ=UTC 0 0 * * *", UserCanSet: true, Time: "00:00", Timezone: "UTC", Next: clock.Now().Add(12 * time.Hour)}, hours)
	hours, err = s.Client.UpdateQuietHours(t.Context(), client.Me, client.UpdateQuietHoursRequest{Schedule: "CRON_TZ=Europe/Berlin 30 22 * * *"})
	require.NoError(t, err)
	require.Equal(t, "22:30", hours.Time)
	require.True(t, hours.UserSet)
	require.True(t, hours.Next.Equal(time.Date(2026, 7, 15, 20, 30, 0, 0, time.UTC)), "%s", hours.Next)
	for _, schedule := range []string{"noon", "CRON_TZ=Moon/Sea 0 0 * * *", "CRON_TZ=UTC 0 24 * * *", "CRON_TZ=UTC 0 0 * * 1", "CRON_TZ=UTC */5 0 * * *"} {
		_, err = s.Client.UpdateQuietHours(t.Context(), client.Me, client.UpdateQuietHoursRequest{Schedule: schedule})
		refused(t, err, http.StatusBadRequest, "schedule")
	}
	hours, err = s.Client.UpdateQuietHours(t.Context(), client.Me, client.UpdateQuietHoursRequest{})
	require.NoError(t, err)
	require.False(t, hours.UserSet)
}

func TestADeploymentSetsQuietHoursForEverybody(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.WithOptions(func(o *server.Options) {
		o.DefaultQuietHours, o.DisableCustomQuietHours = "CRON_TZ=Europe/Dublin 30 3 * * *", true
	}))
	hours, err := s.Client.QuietHours(t.Context(), client.Me)
	require.NoError(t, err)
	require.False(t, hours.UserCanSet)
	require.Equal(t, []string{"CRON_TZ=Europe/Dublin 30 3 * * *", "03:30", "Europe/Dublin"}, []string{hours.RawSchedule, hours.Time, hours.Timezone})
	_, err = s.Client.UpdateQuietHours(t.Context(), client.Me, client.UpdateQuietHoursRequest{Schedule: "CRON_TZ=UTC 0 0 * * *"})
	refused(t, err, http.StatusForbidden)
}

func TestOtherPreferencesOfAUser(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	status, body := s.Raw(t, s.Token, http.MethodPut, "/users/me/preferences", `{"task_notification_alert_dismissed":true}`)
	require.Equal(t, http.StatusOK, status, body)
	_, body = s.Raw(t, s.Token, http.MethodGet, "/users/me/preferences", "")
	require.JSONEq(t, `{"task_notification_alert_dismissed":true}`, body)
	_, body = s.Raw(t, s.Token, http.MethodGet, "/users/me/notifications/preferences", "")
	require.JSONEq(t, `[]`, body)
	status, _ = s.Raw(t, s.Token, http.MethodPut, "/users/me/notifications/preferences", `{"template_disabled_map":{}}`)
	require.Equal(t, http.StatusOK, status)
	status, body = s.Raw(t, s.Token, http.MethodPut, "/users/me/notifications/preferences", `{"template_disabled_map":{"x":true}}`)
	require.Equal(t, http.StatusBadRequest, status, body)
}

func TestSettingsAreTheUsersOwn(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	admin := s.Person(t, s.DefaultOrganization(t), client.RoleOrgAdmin)
	for path, body := range map[string]string{"appearance": `{"theme_preference":"","terminal_font":""}`, "preferences": "{}", "quiet-hours": "{}", "notifications/preferences": "{}"} {
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			hiddenLikeMissing(t, s, admin.Token, method, "/users/owner/"+path, "/users/nobody/"+path, body)
		}
		status, _ := s.Raw(t, s.Token, http.MethodGet, "/users/"+admin.User.Username+"/"+path, "")
		require.Equal(t, http.StatusOK, status, "an owner may")
	}
}

func TestQuota(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	p := s.Person(t, org)
	insertGroup(t, s, org.ID, "devs", p.User.ID)
	quota, err := p.Client.WorkspaceQuota(t.Context(), "team", client.Me)
	require.NoError(t, err)
	require.Equal(t, client.WorkspaceQuota{Budget: 7}, quota)
	_, body := s.Raw(t, s.Token, http.MethodGet, "/workspace-quota/me", "")
	require.JSONEq(t, `{"credits_consumed":0,"budget":0}`, body)
	_, err = p.Client.WorkspaceQuota(t.Context(), "team", "owner")
	refused(t, err, http.StatusNotFound)
}
