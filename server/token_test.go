package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

const day = 24 * time.Hour

func TestTokens(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := servertest.New(t, servertest.WithClock(clock), servertest.WithoutLoops())
	p := s.Person(t, s.DefaultOrganization(t))

	made, err := p.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{TokenName: "ci", Lifetime: 30 * day})
	require.NoError(t, err)
	require.Regexp(t, `^[A-Za-z0-9]{10}-[A-Za-z0-9]{22}$`, made.Key)
	bot := s.WithToken(t, made.Key)
	me, err := bot.User(t.Context(), client.Me)
	require.NoError(t, err)
	require.Equal(t, p.User.ID, me.ID)

	key, err := p.Client.APIKeyByName(t.Context(), client.Me, "ci")
	require.NoError(t, err)
	require.Equal(t, client.APIKey{
		ID: made.Key[:10], UserID: p.User.ID, LastUsed: key.LastUsed, ExpiresAt: clock.Now().Add(30 * day), CreatedAt: clock.Now(), UpdatedAt: key.UpdatedAt,
		LoginType: client.LoginToken, Scope: "all", Scopes: []string{client.ScopeAll}, TokenName: "ci", LifetimeSeconds: int64((30 * day).Seconds()), AllowList: []string{"*:*"},
	}, key)
	byID, err := p.Client.APIKeyByID(t.Context(), client.Me, key.ID)
	require.NoError(t, err)
	require.Equal(t, key, byID)

	_, err = p.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{TokenName: "ci"})
	refused(t, err, http.StatusConflict, "name")
	_, err = s.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{TokenName: "ci"})
	require.NoError(t, err, "names are each user's own")

	list, err := p.Client.Tokens(t.Context(), client.Me, client.TokensRequest{})
	require.NoError(t, err)
	require.Len(t, list, 1, "sessions are not listed")
	require.Equal(t, p.User.Username, list[0].Username)

	clock.Advance(29 * day)
	_, err = bot.User(t.Context(), client.Me)
	require.NoError(t, err)
	clock.Advance(2 * day)
	_, err = bot.User(t.Context(), client.Me)
	refused(t, err, http.StatusUnauthorized) // use does not move the end of a token
}

func TestATokenEndsByExpireOrDelete(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	p := s.Person(t, s.DefaultOrganization(t))
	for name, end := range map[string]func(id string) error{
		"expire": func(id string) error { return p.Client.ExpireAPIKey(t.Context(), client.Me, id) },
		"delete": func(id string) error { return p.Client.DeleteAPIKey(t.Context(), client.Me, id) },
	} {
		made, err := p.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{TokenName: name})
		require.NoError(t, err)
		require.NoError(t, end(made.Key[:10]))
		_, err = s.WithToken(t, made.Key).User(t.Context(), client.Me)
		refused(t, err, http.StatusUnauthorized)
	}
	key, err := p.Client.APIKeyByName(t.Context(), client.Me, "expire")
	require.NoError(t, err)
	require.NoError(t, p.Client.ExpireAPIKey(t.Context(), client.Me, key.ID))
	again, err := p.Client.APIKeyByName(t.Context(), client.Me, "expire")
	require.NoError(t, err)
	require.Equal(t, key, again, "expiring twice changes nothing")
	_, err = p.Client.APIKeyByName(t.Context(), client.Me, "delete")
	refused(t, err, http.StatusNotFound)
	refused(t, p.Client.DeleteAPIKey(t.Context(), client.Me, "0123456789"), http.StatusNotFound)

	live, err := p.Client.Tokens(t.Context(), client.Me, client.TokensRequest{})
	require.NoError(t, err)
	require.Empty(t, live)
	all, err := p.Client.Tokens(t.Context(), client.Me, client.TokensRequest{IncludeExpired: true})
	require.NoError(t, err)
	require.Len(t, all, 1)
	_, body := s.Raw(t, p.Token, http.MethodGet, "/users/me/keys/tokens", "")
	require.Equal(t, "[]", strings.TrimSpace(body), "an empty list is not null")
}

func TestTokenLifetimes(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	p := s.Person(t, s.DefaultOrganization(t))
	for c, longest := range map[*client.Client]time.Duration{s.Client: 168 * time.Hour, p.Client: 876600 * time.Hour} {
		config, err := c.TokenConfig(t.Context(), client.Me)
		require.NoError(t, err)
		require.Equal(t, longest, config.MaxTokenLifetime)
		_, err = c.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{Lifetime: longest})
		require.NoError(t, err)
		for _, lifetime := range []time.Duration{longest + 1, -time.Hour, 1} {
			_, err = c.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{Lifetime: lifetime})
			refused(t, err, http.StatusBadRequest, "lifetime")
		}
	}
	made, err := p.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{})
	require.NoError(t, err)
	key, err := p.Client.APIKeyByID(t.Context(), client.Me, made.Key[:10])
	require.NoError(t, err)
	require.Equal(t, int64((168 * time.Hour).Seconds()), key.LifetimeSeconds)
	require.NotEmpty(t, key.TokenName)
	_, err = p.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{TokenName: strings.Repeat("x", 65)})
	refused(t, err, http.StatusBadRequest, "token_name")
}

func TestScopesOfTokens(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.DefaultOrganization(t)
	make := func(c *client.Client, req client.CreateTokenRequest) *client.Client {
		t.Helper()
		made, err := c.CreateToken(t.Context(), client.Me, req)
		require.NoError(t, err)
		return s.WithToken(t, made.Key)
	}
	t.Run("a token can do what its scopes say and nothing else", func(t *testing.T) {
		reader := make(s.Client, client.CreateTokenRequest{Scopes: []string{"organization:read"}})
		_, err := reader.Organization(t.Context(), org.Name)
		require.NoError(t, err)
		_, err = reader.CreateOrganization(t.Context(), client.CreateOrganizationRequest{Name: "more"})
		refused(t, err, http.StatusForbidden)
		_, err = reader.User(t.Context(), client.Me)
		refused(t, err, http.StatusNotFound)
		refused(t, reader.UpdateUserPassword(t.Context(), client.Me, client.UpdateUserPasswordRequest{OldPassword: servertest.Password, Password: "AnotherGood!Pass9"}), http.StatusNotFound)
		_, err = reader.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{})
		refused(t, err, http.StatusNotFound)
	})
	t.Run("older and composite names", func(t *testing.T) {
		made, err := s.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{Scope: "application_connect"})
		require.NoError(t, err)
		key, err := s.Client.APIKeyByID(t.Context(), client.Me, made.Key[:10])
		require.NoError(t, err)
		require.Equal(t, []string{client.ScopeApplicationConnect}, key.Scopes)
		require.Equal(t, "application_connect", key.Scope)
		make(s.Client, client.CreateTokenRequest{Scopes: []string{"all"}})
	})
	t.Run("internal and unknown scopes are refused", func(t *testing.T) {
		for _, scope := range []string{"user:create", "system:*", "*:*", "coder:everything", ""} {
			_, err := s.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{Scopes: []string{scope}})
			refused(t, err, http.StatusBadRequest, "scopes")
		}
	})
	t.Run("a limited token makes no wider one", func(t *testing.T) {
		manager := make(s.Client, client.CreateTokenRequest{Scopes: []string{"coder:apikeys.manage_self", "organization:read"}})
		for _, scopes := range [][]string{nil, {"all"}, {"organization:update"}, {"organization:*"}} {
			_, err := manager.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{Scopes: scopes})
			refused(t, err, http.StatusBadRequest, "scopes")
		}
		_, err := manager.CreateAPIKey(t.Context(), client.Me)
		refused(t, err, http.StatusForbidden)
		reader := make(manager, client.CreateTokenRequest{Scopes: []string{"organization:read"}})
		_, err = reader.Organization(t.Context(), org.Name)
		require.NoError(t, err)
	})
	t.Run("the allow list limits objects and is passed on", func(t *testing.T) {
		other := s.Organization(t, "other")
		limited := make(s.Client, client.CreateTokenRequest{AllowList: []string{"organization:" + org.ID.String(), "api_key:*"}})
		_, err := limited.Organization(t.Context(), org.Name)
		require.NoError(t, err)
		_, err = limited.Organization(t.Context(), other.Name)
		refused(t, err, http.StatusNotFound)
		child := make(limited, client.CreateTokenRequest{})
		_, err = child.Organization(t.Context(), other.Name)
		refused(t, err, http.StatusNotFound)
		_, err = limited.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{AllowList: []string{"organization:" + other.ID.String()}})
		refused(t, err, http.StatusBadRequest, "allow_list")
		for _, entry := range []string{"workspace", "ship:" + uuid.NewString(), "workspace:x", "*:" + uuid.NewString()} {
			_, err = s.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{AllowList: []string{entry}})
			refused(t, err, http.StatusBadRequest, "allow_list")
		}
	})
	t.Run("what an allow list does not name is not allowed", func(t *testing.T) {
		limited := make(s.Client, client.CreateTokenRequest{AllowList: []string{"user:" + s.Owner.ID.String()}})
		_, err := limited.Organization(t.Context(), org.Name)
		refused(t, err, http.StatusNotFound)
		orgs, err := limited.Organizations(t.Context())
		require.NoError(t, err)
		require.Empty(t, orgs)
		_, err = limited.CreateUser(t.Context(), client.CreateUserRequest{Email: "new@example.com", Username: "new", Password: servertest.Password, OrganizationIDs: []uuid.UUID{org.ID}})
		refused(t, err, http.StatusForbidden)
		s.Member(t, org)
		users, err := limited.Users(t.Context(), client.UsersRequest{})
		require.NoError(t, err)
		require.Len(t, users.Users, 1)
		require.Equal(t, 1, users.Count, "nor is it counted")
		workspaces := make(s.Client, client.CreateTokenRequest{AllowList: []string{"workspace:*"}})
		me, err := workspaces.User(t.Context(), client.Me)
		require.NoError(t, err, "who it belongs to is no secret")
		require.Equal(t, s.Owner.ID, me.ID)
		list, err := workspaces.Workspaces(t.Context(), client.WorkspacesRequest{})
		require.NoError(t, err)
		require.Empty(t, list.Workspaces)
		_, err = workspaces.Templates(t.Context(), "")
		require.NoError(t, err)
	})
	t.Run("the list of scopes is public", func(t *testing.T) {
		status, body := s.Raw(t, "", http.MethodGet, "/auth/scopes", "")
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, body, `"coder:workspaces.create"`)
		require.NotContains(t, body, `"user:create"`)
	})
}

func TestKeysBelongToTheirUser(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.DefaultOrganization(t)
	p, admin := s.Person(t, org), s.Person(t, org, client.RoleOrgAdmin)
	made, err := p.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{TokenName: "mine"})
	require.NoError(t, err)
	id, base := made.Key[:10], "/users/"+p.User.Username+"/keys"

	for _, token := range []string{admin.Token, s.Person(t, org).Token, s.Outsider(t).Token} {
		for _, c := range [][3]string{
			{http.MethodGet, base + "/" + id, "/users/nobody/keys/" + id}, {http.MethodGet, base + "/tokens/mine", "/users/nobody/keys/tokens/mine"},
			{http.MethodGet, base + "/tokens", "/users/nobody/keys/tokens"}, {http.MethodGet, base + "/tokens/tokenconfig", "/users/nobody/keys/tokens/tokenconfig"},
			{http.MethodDelete, base + "/" + id, "/users/nobody/keys/" + id}, {http.MethodPut, base + "/" + id + "/expire", "/users/nobody/keys/" + id + "/expire"},
			{http.MethodGet, base, "/users/nobody/keys"}, {http.MethodPost, base, "/users/nobody/keys"}, {http.MethodPost, base + "/tokens", "/users/nobody/keys/tokens"},
		} {
			hiddenLikeMissing(t, s, token, c[0], c[1], c[2], "{}")
		}
		hiddenLikeMissing(t, s, token, http.MethodDelete, "/users/me/keys/"+id, "/users/me/keys/0123456789", "")
	}
	list, err := admin.Client.Tokens(t.Context(), client.Me, client.TokensRequest{IncludeAll: true})
	require.NoError(t, err)
	require.Empty(t, list)
	list, err = s.Client.Tokens(t.Context(), client.Me, client.TokensRequest{IncludeAll: true})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.NoError(t, s.Client.DeleteAPIKey(t.Context(), p.User.Username, id))

	session, err := s.Client.CreateAPIKey(t.Context(), p.User.Username)
	require.NoError(t, err)
	me, err := s.WithToken(t, session.Key).User(t.Context(), client.Me)
	require.NoError(t, err)
	require.Equal(t, p.User.ID, me.ID)
}

// A request that was let in just before its token ended notes its use after,
// with the end that the token had.
func TestAnEndedTokenStaysEnded(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		s := servertest.New(t, servertest.WithStore(st))
		made, err := s.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{TokenName: "ci"})
		require.NoError(t, err)
		id := made.Key[:10]
		key, err := s.Client.APIKeyByID(t.Context(), client.Me, id)
		require.NoError(t, err)
		require.NoError(t, s.Client.ExpireAPIKey(t.Context(), client.Me, id))
		now := store.At(time.Now())
		require.NoError(t, st.TouchAPIKey(t.Context(), store.TouchAPIKeyParams{ID: id, LastUsedAt: now, ExpiresAt: store.At(key.ExpiresAt), UpdatedAt: now}))
		_, err = s.WithToken(t, made.Key).User(t.Context(), client.Me)
		refused(t, err, http.StatusUnauthorized)
	})
}

func TestSessionsAreListed(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := servertest.New(t, servertest.WithClock(clock))
	p := s.Person(t, s.DefaultOrganization(t))
	_, err := p.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{TokenName: "no-session"})
	require.NoError(t, err)
	clock.Advance(time.Hour)
	_, err = p.Client.Sessions(t.Context(), client.Me) // notes its use, for the next hour
	require.NoError(t, err)
	clock.Advance(30 * time.Minute)
	second := s.Login(t, p.User.Email, servertest.Password)
	sessions, err := p.Client.Sessions(t.Context(), client.Me)
	require.NoError(t, err)
	require.Len(t, sessions, 2)
	require.Equal(t, second[:10], sessions[0].ID, "the last used first")
	require.Equal(t, "127.0.0.1", sessions[0].IPAddress)
	require.Equal(t, client.LoginPassword, sessions[0].LoginType)
	require.NoError(t, p.Client.DeleteAPIKey(t.Context(), client.Me, sessions[0].ID))
	_, err = s.WithToken(t, second).User(t.Context(), client.Me)
	require.Equal(t, http.StatusUnauthorized, client.StatusCode(err))
	clock.Advance(365 * 24 * time.Hour)
	sessions, err = s.WithToken(t, s.Login(t, p.User.Email, servertest.Password)).Sessions(t.Context(), client.Me)
	require.NoError(t, err)
	require.Len(t, sessions, 1, "sessions that have ended are not listed")
}
