package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

// decode reads a body that must be JSON.
func decode[T any](t *testing.T, body string) T {
	t.Helper()
	var out T
	require.NoError(t, json.Unmarshal([]byte(body), &out), "%s", body)
	return out
}

func TestTheEveryoneGroup(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	p := s.Person(t, org)

	groups, err := s.Client.OrganizationGroups(t.Context(), "team")
	require.NoError(t, err)
	require.Len(t, groups, 1)
	g := groups[0]
	require.True(t, g.IsEveryone())
	require.Equal(t, client.EveryoneGroup, g.Name)
	require.Equal(t, "team", g.OrganizationName)
	require.Equal(t, 2, g.TotalMemberCount)
	require.Len(t, g.Members, 2)
	byName, err := s.Client.GroupByName(t.Context(), "team", "everyone")
	require.NoError(t, err)
	require.Equal(t, g, byName)
	byID, err := s.Client.Group(t.Context(), g.ID)
	require.NoError(t, err)
	require.Equal(t, g, byID)
	_, body := s.Raw(t, s.Token, http.MethodGet, "/groups/"+g.ID.String()+"?exclude_members=true", "")
	counted := decode[client.Group](t, body)
	require.Empty(t, counted.Members)
	require.NotNil(t, counted.Members)
	require.Equal(t, 2, counted.TotalMemberCount)

	// A plain member sees the group, itself in it, and how many there are.
	own, err := p.Client.Group(t.Context(), g.ID)
	require.NoError(t, err)
	require.Equal(t, 2, own.TotalMemberCount)
	require.Len(t, own.Members, 1)
	require.Equal(t, p.User.ID, own.Members[0].ID)
}

func TestMembersOfGroups(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	_, ann := s.NamedMember(t, org, "ann")
	p := s.Person(t, org)
	devs := insertGroup(t, s, org.ID, "devs", ann.ID)

	page, err := s.Client.GroupMembers(t.Context(), org.ID, client.MembersRequest{Page: client.Page{Limit: 1}})
	require.NoError(t, err)
	require.Equal(t, 3, page.Count)
	require.Equal(t, ann.ID, page.Users[0].ID)
	page, err = s.Client.GroupMembers(t.Context(), devs, client.MembersRequest{})
	require.NoError(t, err)
	require.Equal(t, 1, page.Count)
	page, err = s.Client.GroupMembers(t.Context(), devs, client.MembersRequest{Query: "owner"})
	require.NoError(t, err)
	require.Empty(t, page.Users)
	require.NotNil(t, page.Users)
	_, err = s.Client.GroupMembers(t.Context(), devs, client.MembersRequest{Query: "a:b:c"})
	refused(t, err, http.StatusBadRequest, "q")
	page, err = p.Client.GroupMembers(t.Context(), devs, client.MembersRequest{})
	require.NoError(t, err)
	require.Zero(t, page.Count)
	_, body := s.Raw(t, s.Token, http.MethodGet, "/organizations/team/groups/devs/members", "")
	require.Equal(t, "ann", decode[client.GroupMembersResponse](t, body).Users[0].Username)

	// Who leaves the organization leaves its groups.
	require.NoError(t, s.Client.RemoveOrganizationMember(t.Context(), "team", "ann"))
	_, err = s.Client.AddOrganizationMember(t.Context(), "team", "ann")
	require.NoError(t, err)
	page, err = s.Client.GroupMembers(t.Context(), devs, client.MembersRequest{})
	require.NoError(t, err)
	require.Zero(t, page.Count)
}

// insertGroup makes a group with members.
func insertGroup(t *testing.T, s *servertest.Server, organizationID uuid.UUID, name string, members ...uuid.UUID) uuid.UUID {
	t.Helper()
	g, err := s.Client.CreateGroup(t.Context(), organizationID.String(), client.CreateGroupRequest{Name: name, QuotaAllowance: 7})
	require.NoError(t, err)
	_, err = s.Client.UpdateGroup(t.Context(), g.ID, client.UpdateGroupRequest{AddUsers: texts(members...)})
	require.NoError(t, err)
	return g.ID
}

func texts(ids ...uuid.UUID) []string {
	var out []string
	for _, id := range ids {
		out = append(out, id.String())
	}
	return out
}

func TestGroupsAreMadeChangedAndDeleted(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := servertest.New(t, servertest.WithStore(st))
		org := s.Organization(t, "team")
		admin := s.Member(t, org, "organization-user-admin")
		_, ann := s.NamedMember(t, org, "ann")
		_, bob := s.NamedMember(t, org, "bob")
		ctx := t.Context()

		g, err := admin.CreateGroup(ctx, "team", client.CreateGroupRequest{Name: "devs", DisplayName: "Developers", AvatarURL: "/x.png", QuotaAllowance: 5})
		require.NoError(t, err)
		require.Equal(t, client.Group{
			ID: g.ID, Name: "devs", DisplayName: "Developers", OrganizationID: org.ID, Members: []client.ReducedUser{}, AvatarURL: "/x.png", QuotaAllowance: 5,
			Source: "user", OrganizationName: "team", OrganizationDisplayName: org.DisplayName,
		}, g)
		g, err = admin.UpdateGroup(ctx, g.ID, client.UpdateGroupRequest{AddUsers: texts(ann.ID, bob.ID)})
		require.NoError(t, err)
		require.Equal(t, 2, g.TotalMemberCount)
		g, err = admin.UpdateGroup(ctx, g.ID, client.UpdateGroupRequest{
			Name: "makers", RemoveUsers: texts(bob.ID), DisplayName: pointer(""), AvatarURL: pointer(""), QuotaAllowance: pointer(0),
		})
		require.NoError(t, err)
		require.Equal(t, []string{"makers", "", ""}, []string{g.Name, g.DisplayName, g.AvatarURL})
		require.Zero(t, g.QuotaAllowance)
		require.Equal(t, ann.ID, g.Members[0].ID)
		status, body := s.Raw(t, s.Token, http.MethodPatch, "/groups/"+g.ID.String(), `{"name":"","display_name":null,"avatar_url":null,"quota_allowance":null,"add_users":null}`)
		require.Equal(t, http.StatusOK, status, body)
		require.Equal(t, g, decode[client.Group](t, body))

		require.NoError(t, admin.DeleteGroup(ctx, g.ID))
		_, err = admin.Group(ctx, g.ID)
		refused(t, err, http.StatusNotFound)
		_, err = admin.CreateGroup(ctx, "team", client.CreateGroupRequest{Name: "makers"})
		require.NoError(t, err, "the name is free again")
	})
}

// A change that is refused for one reason changes nothing at all.
func TestGroupChangesThatAreRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := servertest.New(t, servertest.WithStore(st))
		org := s.Organization(t, "team")
		_, ann := s.NamedMember(t, org, "ann")
		_, bob := s.NamedMember(t, org, "bob")
		outsider := s.Outsider(t).User.ID
		insertGroup(t, s, org.ID, "other")
		devs := insertGroup(t, s, org.ID, "devs", ann.ID)
		before, err := s.Client.Groups(t.Context(), "team", "")
		require.NoError(t, err)

		for name, c := range map[string]struct {
			group  uuid.UUID
			req    client.UpdateGroupRequest
			status int
			field  string
		}{
			"not a UUID":           {devs, client.UpdateGroupRequest{AddUsers: []string{bob.ID.String(), "bob"}}, 400, "add_users"},
			"no such user":         {devs, client.UpdateGroupRequest{AddUsers: texts(bob.ID, uuid.New())}, 400, "add_users"},
			"of elsewhere":         {devs, client.UpdateGroupRequest{AddUsers: texts(bob.ID, outsider)}, 400, "add_users"},
			"in it already":        {devs, client.UpdateGroupRequest{AddUsers: texts(bob.ID, ann.ID)}, 400, "add_users"},
			"twice":                {devs, client.UpdateGroupRequest{AddUsers: []string{bob.ID.String(), strings.ToUpper(bob.ID.String())}}, 400, "add_users"},
			"added and removed":    {devs, client.UpdateGroupRequest{AddUsers: texts(bob.ID), RemoveUsers: texts(bob.ID)}, 400, "remove_users"},
			"not in it":            {devs, client.UpdateGroupRequest{Name: "x", RemoveUsers: texts(bob.ID)}, 400, "remove_users"},
			"name taken":           {devs, client.UpdateGroupRequest{Name: "Other", AddUsers: texts(bob.ID)}, 409, "name"},
			"name everyone":        {devs, client.UpdateGroupRequest{Name: "everyone", AddUsers: texts(bob.ID)}, 400, "name"},
			"name malformed":       {devs, client.UpdateGroupRequest{Name: "a b"}, 400, "name"},
			"name reserved":        {devs, client.UpdateGroupRequest{Name: "new"}, 400, "name"},
			"display name":         {devs, client.UpdateGroupRequest{DisplayName: pointer(" x")}, 400, "display_name"},
			"allowance negative":   {devs, client.UpdateGroupRequest{QuotaAllowance: pointer(-1), AddUsers: texts(bob.ID)}, 400, "quota_allowance"},
			"allowance too large":  {devs, client.UpdateGroupRequest{QuotaAllowance: pointer(1 << 40)}, 400, "quota_allowance"},
			"everyone renamed":     {org.ID, client.UpdateGroupRequest{Name: "all"}, 400, "name"},
			"everyone displayed":   {org.ID, client.UpdateGroupRequest{DisplayName: pointer("All")}, 400, "display_name"},
			"everyone added to":    {org.ID, client.UpdateGroupRequest{AddUsers: texts(bob.ID)}, 403, ""},
			"everyone removed":     {org.ID, client.UpdateGroupRequest{RemoveUsers: texts(ann.ID), QuotaAllowance: pointer(3)}, 403, ""},
			"no such group":        {uuid.New(), client.UpdateGroupRequest{}, 404, ""},
			"no such group, quota": {uuid.New(), client.UpdateGroupRequest{QuotaAllowance: pointer(1)}, 404, ""},
		} {
			_, err := s.Client.UpdateGroup(t.Context(), c.group, c.req)
			var fields []string
			if c.field != "" {
				fields = []string{c.field}
			}
			require.Error(t, err, name)
			refused(t, err, c.status, fields...)
		}
		for name, status := range map[string]int{"Everyone": 400, "EVERYONE": 400, "": 400, "a_b": 400, "create": 400, "Devs": 409} {
			_, err := s.Client.CreateGroup(t.Context(), "team", client.CreateGroupRequest{Name: name})
			refused(t, err, status, "name")
		}
		refused(t, s.Client.DeleteGroup(t.Context(), org.ID), http.StatusBadRequest)
		after, err := s.Client.Groups(t.Context(), "team", "")
		require.NoError(t, err)
		require.Equal(t, before, after)

		everyone, err := s.Client.UpdateGroup(t.Context(), org.ID, client.UpdateGroupRequest{Name: "Everyone", DisplayName: pointer(""), QuotaAllowance: pointer(3), AvatarURL: pointer("/e.png")})
		require.NoError(t, err, "what may change of the group of all members")
		require.Equal(t, 3, everyone.QuotaAllowance)
	})
}

func TestPagesOfGroups(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := servertest.New(t, servertest.WithStore(st))
		org := s.Organization(t, "team")
		p := s.Person(t, org)
		insertGroup(t, s, org.ID, "alpha")
		beta := insertGroup(t, s, org.ID, "Beta", p.User.ID)
		insertGroup(t, s, org.ID, "gamma")
		_, gone := s.MemberUser(t, org)
		insertGroup(t, s, org.ID, "left", p.User.ID, gone.ID)
		require.NoError(t, s.Client.DeleteUser(t.Context(), gone.Username))
		list := func(c *client.Client, req client.MembersRequest) (names []string, count int) {
			page, err := c.PaginatedGroups(t.Context(), "team", req)
			require.NoError(t, err)
			counted, err := c.PaginatedGroupsWithoutMembers(t.Context(), "team", req)
			require.NoError(t, err)
			for i := range counted.Groups {
				require.NotNil(t, counted.Groups[i].Members)
				require.Empty(t, counted.Groups[i].Members)
				counted.Groups[i].Members = page.Groups[i].Members
			}
			require.Equal(t, page, counted)
			for _, g := range page.Groups {
				names = append(names, g.Name)
			}
			return names, page.Count
		}
		names, count := list(s.Client, client.MembersRequest{})
		require.Equal(t, []string{"alpha", "Beta", "Everyone", "gamma", "left"}, names)
		require.Equal(t, 5, count)
		names, count = list(s.Client, client.MembersRequest{Page: client.Page{Limit: 1, Offset: 1}})
		require.Equal(t, []string{"Beta"}, names)
		require.Equal(t, 5, count)
		names, _ = list(s.Client, client.MembersRequest{Page: client.Page{AfterID: beta}})
		require.Equal(t, []string{"Everyone", "gamma", "left"}, names)
		names, count = list(s.Client, client.MembersRequest{Query: "ET"})
		require.Equal(t, []string{"Beta"}, names)
		require.Equal(t, 1, count)
		_, err := s.Client.PaginatedGroups(t.Context(), "team", client.MembersRequest{Query: "colour:red"})
		refused(t, err, http.StatusBadRequest, "colour")
		status, _ := s.Raw(t, s.Token, http.MethodGet, "/organizations/team/paginated-groups?color=red", "")
		require.Equal(t, http.StatusBadRequest, status)

		// Where workspaces are not shared, members see only the groups they are in.
		names, _ = list(p.Client, client.MembersRequest{})
		require.Len(t, names, 5)
		_, err = s.Client.UpdateWorkspaceSharingSettings(t.Context(), "team", client.UpdateWorkspaceSharingSettingsRequest{ShareableWorkspaceOwners: client.ShareableNone})
		require.NoError(t, err)
		names, count = list(p.Client, client.MembersRequest{})
		require.Equal(t, []string{"Beta", "Everyone", "left"}, names)
		require.Equal(t, 3, count)
		groups, err := p.Client.OrganizationGroups(t.Context(), "team")
		require.NoError(t, err)
		require.Len(t, groups, 3)
		_, err = p.Client.GroupByName(t.Context(), "team", "gamma")
		refused(t, err, http.StatusNotFound)
	})
}

// Whoever lacks the permission sees what does not exist, by every route.
func TestGroupsOfOthersLookLikeNone(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	devs := insertGroup(t, s, org.ID, "devs")
	outsider := s.Outsider(t)
	plain := s.Person(t, org)
	for _, body := range []string{"{}", `{"name":"x"}`, `{"add_users":["` + outsider.User.ID.String() + `"]}`, "{", `{"quota_allowance":-1}`} {
		for _, method := range []string{http.MethodPatch, http.MethodDelete} {
			status, got := s.Raw(t, outsider.Token, method, "/groups/"+devs.String(), body)
			missing, want := s.Raw(t, outsider.Token, method, "/groups/"+uuid.NewString(), body)
			require.Equal(t, missing, status, "%s %s", method, body)
			require.Equal(t, want, got, "%s %s", method, body)
			status, got = s.Raw(t, outsider.Token, method, "/groups/"+org.ID.String(), body)
			require.Equal(t, missing, status, "%s %s", method, body)
			require.Equal(t, want, got, "%s %s", method, body)
		}
	}
	_, err := plain.Client.UpdateGroup(t.Context(), devs, client.UpdateGroupRequest{Name: "x"})
	refused(t, err, http.StatusNotFound)
	refused(t, plain.Client.DeleteGroup(t.Context(), devs), http.StatusNotFound)
	_, err = plain.Client.CreateGroup(t.Context(), "team", client.CreateGroupRequest{Name: "x"})
	refused(t, err, http.StatusNotFound)
	_, body := s.Raw(t, outsider.Token, http.MethodGet, "/groups?group_ids="+devs.String(), "")
	require.Equal(t, "[]", strings.TrimSpace(body))
}

func TestGroupsOfAllOrganizations(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	_, ann := s.NamedMember(t, org, "ann")
	devs := insertGroup(t, s, org.ID, "devs", ann.ID)
	outsider := s.Outsider(t)

	all, err := s.Client.Groups(t.Context(), "", "")
	require.NoError(t, err)
	require.Len(t, all, 4, "three Everyone groups and one more")
	of, err := s.Client.Groups(t.Context(), "team", "ann")
	require.NoError(t, err)
	require.Len(t, of, 2)
	_, body := s.Raw(t, s.Token, http.MethodGet, "/groups?group_ids="+devs.String()+","+uuid.NewString(), "")
	require.Len(t, decode[[]client.Group](t, body), 1)
	for _, query := range []string{"organization=missing", "has_member=nobody", "group_ids=x", "color=red"} {
		status, body := s.Raw(t, s.Token, http.MethodGet, "/groups?"+query, "")
		require.Equal(t, http.StatusBadRequest, status, "%s: %s", query, body)
	}

	own, err := outsider.Client.Groups(t.Context(), "", "")
	require.NoError(t, err)
	require.Len(t, own, 1)
	for _, hidden := range []uuid.UUID{org.ID, devs} {
		hiddenLikeMissing(t, s, outsider.Token, http.MethodGet, "/groups/"+hidden.String(), "/groups/"+uuid.NewString(), "")
		hiddenLikeMissing(t, s, outsider.Token, http.MethodGet, "/groups/"+hidden.String()+"/members", "/groups/"+uuid.NewString()+"/members", "")
	}
	_, hidden := s.Raw(t, outsider.Token, http.MethodGet, "/groups?organization=team", "")
	_, missing := s.Raw(t, outsider.Token, http.MethodGet, "/groups?organization=meat", "")
	require.Equal(t, missing, strings.ReplaceAll(hidden, "team", "meat"))
}
