package server_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

func memberNames(members []client.OrganizationMemberWithUserData) []string {
	out := []string{}
	for _, m := range members {
		out = append(out, m.Username)
	}
	return out
}

func TestMembersAreAddedListedAndRemoved(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	_, ann := s.NamedMember(t, s.DefaultOrganization(t), "ann")
	admin, _ := s.NamedMember(t, org, "admin", client.RoleOrgAdmin)

	status, body := s.Raw(t, s.Token, http.MethodPost, "/organizations/team/members/ann", "")
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, `"roles":[]`)
	_, err := admin.AddOrganizationMember(t.Context(), "team", "ann")
	require.Contains(t, refused(t, err, http.StatusBadRequest).Message, "already a member")
	_, err = admin.AddOrganizationMember(t.Context(), "team", "nobody")
	refused(t, err, http.StatusNotFound)

	member, err := admin.OrganizationMember(t.Context(), "team", "ann")
	require.NoError(t, err)
	require.Equal(t, ann.ID, member.UserID)
	require.Equal(t, ann.Email, member.Email)
	require.Empty(t, member.GlobalRoles)
	list, err := admin.OrganizationMembers(t.Context(), org.ID.String())
	require.NoError(t, err)
	require.Equal(t, []string{"admin", "ann", "owner"}, memberNames(list))

	require.NoError(t, admin.RemoveOrganizationMember(t.Context(), "team", "ann"))
	refused(t, admin.RemoveOrganizationMember(t.Context(), "team", "ann"), http.StatusNotFound)
	_, err = admin.OrganizationMember(t.Context(), "team", "ann")
	refused(t, err, http.StatusNotFound)
	refused(t, admin.RemoveOrganizationMember(t.Context(), "team", client.Me), http.StatusBadRequest)
	_, err = s.Client.User(t.Context(), "ann")
	require.NoError(t, err, "the user is still there")
}

func TestPagesOfMembers(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	for _, name := range []string{"cleo", "Anna", "bert"} {
		s.NamedMember(t, org, name)
	}
	page, err := s.Client.PaginatedMembers(t.Context(), "team", client.MembersRequest{Page: client.Page{Limit: 2, Offset: 1}})
	require.NoError(t, err)
	require.Equal(t, 4, page.Count)
	require.Equal(t, []string{"bert", "cleo"}, memberNames(page.Members))
	page, err = s.Client.PaginatedMembers(t.Context(), "team", client.MembersRequest{Page: client.Page{AfterID: page.Members[1].UserID}})
	require.NoError(t, err)
	require.Equal(t, []string{"owner"}, memberNames(page.Members))
	page, err = s.Client.PaginatedMembers(t.Context(), "team", client.MembersRequest{Query: "ANN"})
	require.NoError(t, err)
	require.Equal(t, []string{"Anna"}, memberNames(page.Members))
	require.Equal(t, 1, page.Count)
	page, err = s.Client.PaginatedMembers(t.Context(), "team", client.MembersRequest{Query: "nothing"})
	require.NoError(t, err)
	require.NotNil(t, page.Members)
	for _, query := range []string{"limit=-1", "offset=x", "after_id=1", "q=a:b:c", "q=color:red"} {
		status, body := s.Raw(t, s.Token, http.MethodGet, "/organizations/team/paginated-members?"+query, "")
		require.Equal(t, http.StatusBadRequest, status, body)
	}
	for query, want := range map[string]int{"user_id:" + s.Owner.ID.String(): 1, "user_id:" + uuid.NewString(): 0, "include_system:true": 4, "github_user_id:1": 0} {
		_, body := s.Raw(t, s.Token, http.MethodGet, "/organizations/team/members?q="+query, "")
		require.Len(t, decode[[]client.OrganizationMember](t, body), want, "query %s", query)
	}
	for _, query := range []string{"anna", "user_id:x", "name:x"} {
		status, _ := s.Raw(t, s.Token, http.MethodGet, "/organizations/team/members?q="+query, "")
		require.Equal(t, http.StatusBadRequest, status, "query %s", query)
	}
}

func TestMembersAreHiddenFromOutsiders(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	p := s.Person(t, org)
	outsider := s.Outsider(t)
	member := "/members/" + p.User.Username
	for _, c := range [][3]string{
		{http.MethodGet, "/members", ""}, {http.MethodGet, "/paginated-members", ""}, {http.MethodGet, member, ""},
		{http.MethodGet, "/members/roles", ""}, {http.MethodGet, "/members/me", ""},
		{http.MethodPost, member, ""}, {http.MethodDelete, member, ""}, {http.MethodPut, member + "/roles", `{"roles":[]}`},
		{http.MethodGet, member + "/workspace-quota", ""}, {http.MethodGet, "/groups", ""}, {http.MethodGet, "/groups/Everyone", ""},
		{http.MethodGet, "/groups/Everyone/members", ""},
	} {
		hiddenLikeMissing(t, s, outsider.Token, c[0], "/organizations/team"+c[1], "/organizations/missing"+c[1], c[2])
		hiddenLikeMissing(t, s, outsider.Token, c[0], "/organizations/"+org.ID.String()+c[1], "/organizations/"+uuid.NewString()+c[1], c[2])
	}
}

func TestAPlainMemberReadsMembersAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	_, ann := s.NamedMember(t, org, "ann")
	p := s.Person(t, org)
	list, err := p.Client.OrganizationMembers(t.Context(), "team")
	require.NoError(t, err)
	require.Len(t, list, 3)
	refused(t, p.Client.RemoveOrganizationMember(t.Context(), "team", "ann"), http.StatusNotFound)
	_, err = p.Client.AddOrganizationMember(t.Context(), "team", "ann")
	refused(t, err, http.StatusNotFound)
	_, err = p.Client.UpdateOrganizationMemberRoles(t.Context(), "team", ann.ID.String(), client.UpdateRolesRequest{Roles: []string{}})
	refused(t, err, http.StatusForbidden)
	hiddenLikeMissing(t, s, p.Token, http.MethodGet, "/organizations/team/members/nobody", "/organizations/team/members/"+uuid.NewString(), "")
}

func TestRolesOfMembers(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	admin := s.Person(t, org, client.RoleOrgAdmin)
	p := s.Person(t, org)
	set := func(c *client.Client, user string, roles ...string) (client.OrganizationMember, error) {
		return c.UpdateOrganizationMemberRoles(t.Context(), "team", user, client.UpdateRolesRequest{Roles: roles})
	}
	member, err := set(admin.Client, p.User.Username, client.RoleOrgAdmin, client.RoleOrgWorkspaceAccess, client.RoleOrgAdmin)
	require.NoError(t, err)
	require.Equal(t, []client.SlimRole{
		{Name: client.RoleOrgAdmin, DisplayName: "Organization Admin", OrganizationID: org.ID.String()},
		{Name: client.RoleOrgWorkspaceAccess, DisplayName: "Organization Workspace Access", OrganizationID: org.ID.String()},
	}, member.Roles)
	_, err = p.Client.UpdateOrganization(t.Context(), "team", client.UpdateOrganizationRequest{DisplayName: "Team"})
	require.NoError(t, err, "a new role acts on the next request")
	member, err = set(admin.Client, p.User.Username)
	require.NoError(t, err)
	require.Empty(t, member.Roles)
	require.NotNil(t, member.Roles)

	_, err = set(admin.Client, client.Me)
	refused(t, err, http.StatusBadRequest)
	for _, role := range []string{"owner", "no-such-role", client.RoleOrgAdmin + ":" + org.ID.String(), client.RoleOrgMember} {
		_, err = set(admin.Client, p.User.Username, role)
		refused(t, err, http.StatusBadRequest, "roles")
	}
	_, err = set(admin.Client, "nobody")
	refused(t, err, http.StatusNotFound)
}
