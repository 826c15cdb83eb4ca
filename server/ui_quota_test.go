package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

func TestQuotaPages(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	b := s.SignedIn(t, s.Person(t, org, client.RoleOrgAdmin).User.Email)
	page := b.Open("/organizations/data-platform/quota")
	require.Contains(t, page.Text, "no limit")
	wrong := page.Form("Save limits").Fill("max_daily_cost", "-5").Fill("max_running_workspaces", "3").Submit()
	require.Equal(t, http.StatusBadRequest, wrong.Status)
	require.Contains(t, wrong.Body, "aria-invalid")
	require.Equal(t, http.StatusBadRequest, page.Form("Save limits").Fill("max_daily_cost", "1e99").Submit().Status)
	saved := wrong.Form("Save limits").Fill("max_daily_cost", "100").Submit()
	require.Contains(t, saved.Text, "0 of 100 credits")
	require.Contains(t, saved.Text, "0 of 3 running")
	quota, err := s.Client.OrganizationQuota(t.Context(), org.Name)
	require.NoError(t, err)
	require.EqualValues(t, 100, *quota.MaxDailyCost)
	require.Contains(t, saved.Form("Save limits").Fill("max_daily_cost", "").Fill("max_running_workspaces", "").Submit().Text, "no limit")

	member := s.SignedIn(t, s.Person(t, org).User.Email)
	require.False(t, member.Open("/organizations/data-platform/quota").HasButton("Save limits"))
	forced := member.Open("/organizations/data-platform/quota")
	require.Contains(t, forced.Text, "Your own workspaces")
	outsider := s.SignedIn(t, s.Outsider(t).User.Email)
	require.Equal(t, http.StatusNotFound, outsider.Open("/organizations/data-platform/quota").Status)
}
