package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

func TestAuditPages(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	admin := s.Person(t, org, client.RoleOrgAdmin)
	_, err := admin.Client.CreateGroup(t.Context(), org.Name, client.CreateGroupRequest{Name: "backend", DisplayName: "<b>Backend"})
	require.NoError(t, err)
	_, err = s.Client.UpdateOrganization(t.Context(), org.Name, client.UpdateOrganizationRequest{DisplayName: "<i>Data"})
	require.NoError(t, err)
	b := s.SignedIn(t, admin.User.Email)

	page := b.Open("/organizations/data-platform/audit")
	require.Contains(t, page.Text, admin.User.Username+" created group backend")
	require.Contains(t, page.Text, "data-platform <i>Data", "the difference is text")
	require.Contains(t, page.Text, "coder audit export --org data-platform")
	narrowed := page.Form("Search").Fill("action", "create").Fill("kind", "group").Fill("who", admin.User.Username).Submit()
	require.Contains(t, narrowed.Text, "created group backend")
	require.NotContains(t, narrowed.Text, "changed organization data-platform")
	require.Equal(t, "create", narrowed.Form("Search").Value("action"))
	require.Contains(t, page.Form("Search").Fill("to", "2001-01-01").Submit().Text, "No entry matches")
	wrong := page.Form("Search").Fill("q", "colour:blue").Submit()
	require.Equal(t, http.StatusBadRequest, wrong.Status)
	require.Contains(t, wrong.Text, "is not a key of this search")
	require.Equal(t, "colour:blue", wrong.Form("Search").Value("q"))

	proof := page.Click("Proof and export")
	head, err := admin.Client.AuditHead(t.Context(), org.Name)
	require.NoError(t, err)
	require.Contains(t, proof.Text, head.String())
	require.Contains(t, proof.Form("Verify").Fill("head", head.String()).Submit().Text, "and the noted head is among them")
	require.Contains(t, proof.Form("Verify").Fill("head", "nonsense").Submit().Text, "is not of the form")
	cut := proof.Form("Verify").Fill("head", "999:"+strings.Repeat("ab", 32)).Submit()
	require.Contains(t, cut.Text, "Not sound")

	all := b.Open("/audit")
	require.Contains(t, all.Text, "created group backend")
	require.NotContains(t, all.Links(), "/audit/proof")
	require.Equal(t, http.StatusForbidden, b.Open("/audit/proof").Status)
}

func TestTheDeploymentsAuditPage(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	s.Organization(t, "data-platform")
	b := s.SignedIn(t, "owner@example.com")
	page := b.Open("/audit?q=user")
	require.Contains(t, page.Text, "owner")
	proof := b.Open("/audit").Click("Proof and export")
	require.Contains(t, proof.Form("Verify").Submit().Text, "Sound: all")
	require.NotContains(t, b.Open("/audit?who=owner").Body, servertest.Password)
}

func TestAuditPagesAreForThoseWhoMayReadTheLog(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	member := s.SignedIn(t, s.Person(t, org).User.Email)
	auditor := s.SignedIn(t, s.Person(t, org, "organization-auditor").User.Email)
	outsider := s.SignedIn(t, s.Outsider(t).User.Email)
	require.Equal(t, http.StatusForbidden, member.Open("/audit").Status)
	for _, path := range []string{"/organizations/data-platform/audit", "/organizations/data-platform/audit/proof"} {
		require.Equal(t, http.StatusOK, auditor.Open(path).Status)
		require.Equal(t, http.StatusNotFound, member.Open(path).Status)
		require.Equal(t, http.StatusNotFound, outsider.Open(path).Status)
	}
	require.NotContains(t, outsider.Open("/audit").Text, "data-platform")
}
