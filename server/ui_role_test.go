package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

func TestRolePages(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	b := s.SignedIn(t, s.Person(t, org, client.RoleOrgAdmin).User.Email)

	list := b.Open("/organizations/data-platform/roles")
	require.Contains(t, list.Text, "No roles of its own")
	require.Contains(t, list.Click("Organization Admin").Text, "In the organization")
	require.Contains(t, b.Open("/organizations/data-platform/roles/organization-workspace-creation-ban").Text, "never create")

	form := list.Click("New role").Form("Create role")
	wrong := form.Fill("name", "Not a name").Fill("display_name", "<b>Publisher").Fill("permission", "template:read", "template:update").Submit()
	require.Equal(t, http.StatusBadRequest, wrong.Status)
	back := wrong.Form("Create role")
	require.Equal(t, "Not a name", back.Value("name"))
	require.ElementsMatch(t, []string{"template:read", "template:update"}, back.Values("permission"), "what was ticked stays")
	made := back.Fill("name", "publisher").Submit()
	require.Contains(t, made.Text, "was created")
	require.Contains(t, made.Text, "<b>Publisher")
	require.Equal(t, http.StatusBadRequest, form.Fill("name", "publisher").Submit().Status, "sent twice, made once")

	edit := made.Click("Edit").Form("Save")
	require.ElementsMatch(t, []string{"template:read", "template:update"}, edit.Values("permission"))
	saved := edit.Fill("permission", "group:read").Submit()
	require.Contains(t, saved.Text, "was saved")
	roles, err := s.Client.OrganizationRoles(t.Context(), org.Name)
	require.NoError(t, err)
	require.Equal(t, []client.Permission{{ResourceType: "group", Action: "read"}}, roles[len(roles)-1].OrganizationPermissions)

	remove := saved.Click("Delete …")
	require.Equal(t, http.StatusBadRequest, remove.Form("Delete the role").Fill("confirm", "x").Submit().Status)
	require.Contains(t, remove.Form("Delete the role").Fill("confirm", "publisher").Submit().Text, "was deleted")
}

func TestWhatAnAuthorDoesNotHoldIsGrey(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	allowed := []client.Permission{}
	for _, name := range []string{"assign_org_role:create", "assign_org_role:update", "template:read"} {
		resource, action, _ := strings.Cut(name, ":")
		allowed = append(allowed, client.Permission{ResourceType: resource, Action: action})
	}
	for name, permissions := range map[string][]client.Permission{"author": allowed, "other": {{ResourceType: "workspace", Action: "read"}}} {
		_, err := s.Client.CreateRole(t.Context(), org.Name, client.CustomRoleRequest{
			Name: name, SitePermissions: []client.Permission{}, UserPermissions: []client.Permission{}, OrganizationPermissions: permissions,
		})
		require.NoError(t, err)
	}
	b := s.SignedIn(t, s.Person(t, org, "author").User.Email)
	page := b.Open("/organizations/data-platform/roles/new")
	require.Regexp(t, `value="workspace:create"[^>]* disabled title="You do not hold`, page.Body)
	require.NotRegexp(t, `value="template:read"[^>]* disabled`, page.Body)
	forced := page.Form("Create role").Fill("name", "more").Fill("permission", "workspace:create").Submit()
	require.Equal(t, http.StatusBadRequest, forced.Status)
	require.Contains(t, forced.Text, "you do not hold this permission")

	foreign := b.Open("/organizations/data-platform/roles/other/edit")
	require.Contains(t, foreign.Text, "permissions that you do not hold")
	require.Equal(t, http.StatusBadRequest, foreign.Form("Save").Submit().Status)
	require.Contains(t, foreign.Form("Save").Fill("permission", "template:read").Submit().Text, "was saved")
}

func TestRolePagesOfferNothingThatIsRefused(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	b := s.SignedIn(t, s.Person(t, org).User.Email)
	require.NotContains(t, b.Open("/organizations/data-platform/roles").Text, "New role")
	for path, status := range map[string]int{
		"/roles/new": http.StatusForbidden, "/roles/organization-admin/edit": http.StatusForbidden, "/roles/organization-admin/delete": http.StatusForbidden, "/roles/nothing": http.StatusNotFound,
	} {
		require.Equal(t, status, b.Open("/organizations/data-platform"+path).Status, path)
	}
	outsider := s.SignedIn(t, s.Outsider(t).User.Email)
	for _, path := range []string{"/roles", "/roles/organization-admin", "/roles/new"} {
		require.Equal(t, http.StatusNotFound, outsider.Open("/organizations/data-platform"+path).Status, path)
	}
}
