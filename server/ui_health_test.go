package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

func TestTheHealthPage(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	b := s.SignedIn(t, "owner@example.com")
	without := b.Open("/health")
	require.Contains(t, without.Text, "nothing can be built")
	require.Contains(t, without.Text, "coder provisioner start")
	key, err := s.Client.CreateProvisionerKey(t.Context(), org.Name, client.CreateProvisionerKeyRequest{Name: "k"})
	require.NoError(t, err)
	joinDaemon(t, s, key.Key, "worker")
	title := "Data & Co"
	_, err = s.Client.UpdateOrganization(t.Context(), org.Name, client.UpdateOrganizationRequest{DisplayName: title})
	require.NoError(t, err)
	with := b.Open("/health")
	require.Contains(t, with.Text, title)
	require.Contains(t, with.Text, "1 provisioner at work")
	require.Contains(t, with.Links(), "/organizations/data-platform/provisioners")
	require.Equal(t, http.StatusForbidden, s.SignedIn(t, s.Person(t, org, client.RoleOrgAdmin).User.Email).Open("/health").Status)
}
