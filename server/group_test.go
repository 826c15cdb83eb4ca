package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/store"
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

// insertGroup makes one below the API, which does not make groups yet.
func insertGroup(t *testing.T, s *servertest.Server, organizationID uuid.UUID, name string, members ...uuid.UUID) uuid.UUID {
	t.Helper()
	at, id := store.At(time.Now()), uuid.New()
	_, err := s.Store.InsertGroup(t.Context(), store.InsertGroupParams{ID: id, OrganizationID: organizationID, Name: name, Source: "user", QuotaAllowance: 7, CreatedAt: at, UpdatedAt: at})
	require.NoError(t, err)
	for _, member := range members {
		require.NoError(t, s.Store.InsertGroupMember(t.Context(), store.InsertGroupMemberParams{GroupID: id, OrganizationID: organizationID, UserID: member}))
	}
	return id
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
