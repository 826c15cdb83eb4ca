package server_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

func TestRolesThatCanBeHandedOut(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	admin, plain := s.Member(t, org, client.RoleOrgAdmin), s.Member(t, org)
	for name, c := range map[string]struct {
		client    *client.Client
		site, org bool
	}{"owner": {s.Client, true, true}, "organization admin": {admin, false, true}, "member": {plain, false, false}} {
		t.Run(name, func(t *testing.T) {
			site, err := c.client.SiteRoles(t.Context())
			require.NoError(t, err)
			require.Len(t, site, 1)
			require.Equal(t, "owner", site[0].Name)
			require.Equal(t, c.site, site[0].Assignable)
			require.True(t, site[0].BuiltIn)
			require.NotEmpty(t, site[0].SitePermissions)
			require.NotNil(t, site[0].OrganizationPermissions)
			require.Nil(t, site[0].OrganizationID)

			roles, err := c.client.OrganizationRoles(t.Context(), "team")
			require.NoError(t, err)
			var names []string
			for _, r := range roles {
				names = append(names, r.Name)
				require.Equal(t, c.org, r.Assignable)
				require.Equal(t, org.ID, *r.OrganizationID)
				require.NotEmpty(t, r.DisplayName)
			}
			require.Equal(t, []string{client.RoleOrgAdmin, client.RoleOrgWorkspaceAccess}, names)
		})
	}
}
