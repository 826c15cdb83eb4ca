package server_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
	"coder/server/servertest"
	"coder/store"
)

// refused asserts the status of a refusal and, when given, the fields it names.
func refused(t *testing.T, err error, status int, fields ...string) *client.Error {
	t.Helper()
	var e *client.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, status, e.StatusCode, "status of: %v", e)
	require.NotEmpty(t, e.Message)
	named := map[string]bool{}
	for _, v := range e.Validations {
		named[v.Field] = true
	}
	for _, field := range fields {
		require.True(t, named[field], "a validation of %s in %+v", field, e)
	}
	return e
}

// hiddenLikeMissing asserts that a person gets the same bytes for what is
// hidden from them and for what does not exist.
func hiddenLikeMissing(t *testing.T, s *servertest.Server, token, method, hidden, missing, body string) {
	t.Helper()
	status, got := s.Raw(t, token, method, hidden, body)
	missingStatus, want := s.Raw(t, token, method, missing, body)
	require.Equal(t, http.StatusNotFound, status, "%s %s: %s", method, hidden, got)
	require.Equal(t, missingStatus, status, "%s %s", method, missing)
	require.Equal(t, want, got, "%s %s", method, hidden)
}

func TestTheFirstUserIsMadeOnce(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.WithoutUsers())
	has, err := s.Client.HasFirstUser(t.Context())
	require.NoError(t, err)
	require.False(t, has)

	first := client.CreateFirstUserRequest{Email: "ann@example.com", Username: "ann", Password: servertest.Password}
	weak, nameless, unreachable := first, first, first
	weak.Password = "12345678"
	_, err = s.Client.CreateFirstUser(t.Context(), weak)
	refused(t, err, http.StatusBadRequest, "password")
	nameless.Username = "no such name"
	_, err = s.Client.CreateFirstUser(t.Context(), nameless)
	refused(t, err, http.StatusBadRequest, "username")
	unreachable.Email = "ann"
	_, err = s.Client.CreateFirstUser(t.Context(), unreachable)
	refused(t, err, http.StatusBadRequest, "email")

	made, err := s.Client.CreateFirstUser(t.Context(), first)
	require.NoError(t, err)
	has, err = s.Client.HasFirstUser(t.Context())
	require.NoError(t, err)
	require.True(t, has)
	_, err = s.Client.CreateFirstUser(t.Context(), client.CreateFirstUserRequest{Email: "bob@example.com", Username: "bob", Password: servertest.Password})
	refused(t, err, http.StatusConflict)

	c := s.WithToken(t, s.Login(t, "ANN@example.com", servertest.Password))
	me, err := c.User(t.Context(), client.Me)
	require.NoError(t, err)
	require.Equal(t, made.UserID, me.ID)
	require.Equal(t, client.UserActive, me.Status)
	require.Equal(t, []client.SlimRole{{Name: "owner", DisplayName: "Owner"}}, me.Roles)
	require.Contains(t, me.OrganizationIDs, made.OrganizationID)
}

func TestOfManyFirstUsersAtOnceOneIsMade(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.WithoutUsers())
	var wg sync.WaitGroup
	results := make([]error, 6)
	for i := range results {
		wg.Go(func() {
			name := "user" + string(rune('a'+i))
			_, results[i] = s.Client.CreateFirstUser(t.Context(), client.CreateFirstUserRequest{Email: name + "@example.com", Username: name, Password: servertest.Password})
		})
	}
	wg.Wait()
	made := 0
	for _, err := range results {
		if err == nil {
			made++
			continue
		}
		refused(t, err, http.StatusConflict)
	}
	require.Equal(t, 1, made)
}

func TestSigningIn(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	member := s.Person(t, s.DefaultOrganization(t))
	anonymous := s.Anonymous(t)

	t.Run("the cookie and the token are the same session", func(t *testing.T) {
		r := s.Response(t, "", http.MethodPost, "/users/login", `{"email":"owner@example.com","password":"`+servertest.Password+`"}`)
		require.Equal(t, http.StatusCreated, r.Status)
		cookie := r.Header.Get("Set-Cookie")
		require.Contains(t, cookie, client.SessionCookie+"=")
		require.Contains(t, cookie, "HttpOnly")
		require.Contains(t, cookie, "Path=/")
		require.Contains(t, cookie, "Max-Age=31536000")
		require.Regexp(t, `^\{"session_token":"[A-Za-z0-9]{10}-[A-Za-z0-9]{22}"\}\n?$`, r.Body)
	})
	t.Run("an unknown address and a wrong password get the same answer", func(t *testing.T) {
		wrong, wrongBody := s.Raw(t, "", http.MethodPost, "/users/login", `{"email":"owner@example.com","password":"wrong"}`)
		unknown, unknownBody := s.Raw(t, "", http.MethodPost, "/users/login", `{"email":"nobody@example.com","password":"wrong"}`)
		require.Equal(t, http.StatusUnauthorized, wrong)
		require.Equal(t, wrong, unknown)
		require.Equal(t, wrongBody, unknownBody)
	})
	t.Run("an unknown address takes as long as a wrong password", func(t *testing.T) {
		took := func(email string) time.Duration {
			started := time.Now()
			_, err := anonymous.LoginWithPassword(t.Context(), client.LoginWithPasswordRequest{Email: email, Password: "wrong"})
			refused(t, err, http.StatusUnauthorized)
			return time.Since(started)
		}
		// A hash takes ten times as long as all the rest, so the quickest of
		// many answers tells whether one was made, however busy the machine is.
		known, unknown := time.Hour, time.Hour
		for range 12 {
			known, unknown = min(known, took("owner@example.com")), min(unknown, took("nobody@example.com"))
		}
		require.Greater(t, 3*unknown, known, "unknown %s, known %s", unknown, known)
	})
	t.Run("a suspended user is told so", func(t *testing.T) {
		p := s.Person(t, s.DefaultOrganization(t))
		_, err := s.Client.SuspendUser(t.Context(), p.User.Username)
		require.NoError(t, err)
		_, err = anonymous.LoginWithPassword(t.Context(), client.LoginWithPasswordRequest{Email: p.User.Email, Password: servertest.Password})
		require.Contains(t, refused(t, err, http.StatusUnauthorized).Message, "suspended")
	})
	t.Run("a dormant user wakes at the first sign-in", func(t *testing.T) {
		user, err := s.Client.CreateUser(t.Context(), client.CreateUserRequest{
			Email: "new@example.com", Username: "new-one", Password: servertest.Password, OrganizationIDs: member.User.OrganizationIDs,
		})
		require.NoError(t, err)
		require.Equal(t, client.UserDormant, user.Status)
		s.Login(t, user.Email, servertest.Password)
		user, err = s.Client.User(t.Context(), user.Username)
		require.NoError(t, err)
		require.Equal(t, client.UserActive, user.Status)
		require.False(t, user.LastSeenAt.IsZero())
	})
}

func TestSigningInWithAPasswordCanBeDisabled(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.WithOptions(func(o *server.Options) { o.DisablePasswordAuth = true }))
	s.Login(t, "owner@example.com", servertest.Password) // owners always may
	for _, email := range []string{"owner@example.com", "nobody@example.com"} {
		_, err := s.Client.LoginWithPassword(t.Context(), client.LoginWithPasswordRequest{Email: email, Password: "wrong"})
		refused(t, err, http.StatusForbidden)
	}
	_, err := s.Client.CreateUser(t.Context(), client.CreateUserRequest{
		Email: "a@example.com", Username: "a", Password: servertest.Password, OrganizationIDs: s.Owner.OrganizationIDs,
	})
	refused(t, err, http.StatusForbidden)
	methods, err := s.Client.AuthMethods(t.Context())
	require.NoError(t, err)
	require.False(t, methods.Password.Enabled)
}

func TestSigningOutEndsThatSessionOnly(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	other := s.WithToken(t, s.Login(t, "owner@example.com", servertest.Password))
	require.NoError(t, s.Client.Logout(t.Context()))
	_, err := s.Client.User(t.Context(), client.Me)
	refused(t, err, http.StatusUnauthorized)
	_, err = other.User(t.Context(), client.Me)
	require.NoError(t, err)
	refused(t, s.Anonymous(t).Logout(t.Context()), http.StatusUnauthorized)
}

func TestASessionEndsAndMovesItsEndWhileUsed(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := servertest.New(t, servertest.WithClock(clock), servertest.WithoutLoops())
	for range 30 { // used every six hours, it lives on
		clock.Advance(6 * time.Hour)
		_, err := s.Client.User(t.Context(), client.Me)
		require.NoError(t, err)
	}
	clock.Advance(25 * time.Hour)
	_, err := s.Client.User(t.Context(), client.Me)
	require.Contains(t, refused(t, err, http.StatusUnauthorized).Detail, "expired")
}

func TestEveryWayToCarryAToken(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	cases := map[string]func(r *http.Request){
		"header":       func(r *http.Request) { r.Header.Set(client.HeaderSessionToken, s.Token) },
		"bearer":       func(r *http.Request) { r.Header.Set("Authorization", "bEaReR "+s.Token) },
		"cookie":       func(r *http.Request) { r.AddCookie(&http.Cookie{Name: client.SessionCookie, Value: s.Token}) },
		"query":        func(r *http.Request) { r.URL.RawQuery = client.SessionCookie + "=" + s.Token },
		"access token": func(r *http.Request) { r.URL.RawQuery = "access_token=" + s.Token },
	}
	for name, carry := range cases {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/v2/users/me", nil)
			require.NoError(t, err)
			carry(req)
			require.Equal(t, http.StatusOK, servertest.Do(t, req).Status)
		})
	}
	for _, token := range []string{"x", "a-b", strings.Repeat("a", 10) + "-" + strings.Repeat("b", 22), s.Token[:10] + "-" + strings.Repeat("b", 22)} {
		r := s.Response(t, token, http.MethodGet, "/users/me", "")
		require.Equal(t, http.StatusUnauthorized, r.Status, "token %q", token)
		require.Contains(t, r.Header.Get("WWW-Authenticate"), `Bearer realm="coder"`)
	}
}

func TestAForeignPageCannotWriteWithTheCookie(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	post := func(change func(r *http.Request)) servertest.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/v2/organizations", strings.NewReader(`{"name":"new-org"}`))
		require.NoError(t, err)
		req.AddCookie(&http.Cookie{Name: client.SessionCookie, Value: s.Token})
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Origin", "https://evil.example.com")
		change(req)
		return servertest.Do(t, req)
	}
	r := post(func(*http.Request) {})
	require.Equal(t, http.StatusBadRequest, r.Status)
	require.Contains(t, r.Header.Get("Content-Type"), "text/plain")
	r = post(func(r *http.Request) { r.Header.Set(client.HeaderSessionToken, s.Token) })
	require.Equal(t, http.StatusCreated, r.Status, r.Body)
}

func TestChangingAPassword(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.DefaultOrganization(t)
	const next = "AnotherGoodPassword!7"

	t.Run("one's own needs the old one and ends every session", func(t *testing.T) {
		p := s.Person(t, org)
		refused(t, p.Client.UpdateUserPassword(t.Context(), client.Me, client.UpdateUserPasswordRequest{Password: next}), http.StatusBadRequest, "old_password")
		refused(t, p.Client.UpdateUserPassword(t.Context(), client.Me, client.UpdateUserPasswordRequest{OldPassword: "wrong", Password: next}), http.StatusBadRequest, "old_password")
		refused(t, p.Client.UpdateUserPassword(t.Context(), client.Me, client.UpdateUserPasswordRequest{OldPassword: servertest.Password, Password: "weak"}), http.StatusBadRequest, "password")
		refused(t, p.Client.UpdateUserPassword(t.Context(), client.Me, client.UpdateUserPasswordRequest{OldPassword: servertest.Password, Password: servertest.Password}), http.StatusBadRequest, "password")
		require.NoError(t, p.Client.UpdateUserPassword(t.Context(), client.Me, client.UpdateUserPasswordRequest{OldPassword: servertest.Password, Password: next}))
		_, err := p.Client.User(t.Context(), client.Me)
		refused(t, err, http.StatusUnauthorized)
		s.Login(t, p.User.Email, next)
	})
	t.Run("an owner may set anybody's", func(t *testing.T) {
		p := s.Person(t, org)
		require.NoError(t, s.Client.UpdateUserPassword(t.Context(), p.User.Username, client.UpdateUserPasswordRequest{Password: next}))
		s.Login(t, p.User.Email, next)
	})
	t.Run("nobody else may", func(t *testing.T) {
		p, outsider := s.Person(t, org), s.Outsider(t)
		body := `{"password":"` + next + `"}`
		hiddenLikeMissing(t, s, s.Person(t, org).Token, http.MethodPut, "/users/"+p.User.Username+"/password", "/users/nobody/password", body)
		hiddenLikeMissing(t, s, outsider.Token, http.MethodPut, "/users/"+p.User.Username+"/password", "/users/nobody/password", body)
	})
	t.Run("an account without a password has none to change", func(t *testing.T) {
		user, err := s.Client.CreateUser(t.Context(), client.CreateUserRequest{
			Email: "bot@example.com", Username: "bot", LoginType: client.LoginNone, OrganizationIDs: s.Owner.OrganizationIDs,
		})
		require.NoError(t, err)
		refused(t, s.Client.UpdateUserPassword(t.Context(), user.Username, client.UpdateUserPasswordRequest{Password: next}), http.StatusBadRequest)
	})
}

func TestPasswordsAreJudgedBeforeTheyAreSet(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	for plain, valid := range map[string]bool{"": false, "password": false, servertest.Password: true, strings.Repeat("aB3$x", 20): false} {
		r, err := s.Anonymous(t).ValidatePassword(t.Context(), plain)
		require.NoError(t, err)
		require.Equal(t, valid, r.Valid, "password %q", plain)
		require.Equal(t, valid, r.Details == "", "details %q", r.Details)
	}
}

func TestAPasswordIsStoredAsAHashOnly(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	user, err := s.Store.GetUserByUsername(t.Context(), "owner")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(user.HashedPassword, "$argon2id$v=19$"))
	key, err := s.Store.GetAPIKey(t.Context(), s.Token[:10])
	require.NoError(t, err)
	require.Len(t, key.HashedSecret, 32)
	require.NotContains(t, string(key.HashedSecret), s.Token[11:])
}

func TestSignInsAreLimitedByAddress(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.WithOptions(func(o *server.Options) { o.DisableRateLimits = false }))
	limited := false
	for range 70 {
		status, _ := s.Raw(t, "", http.MethodPost, "/users/login", `{"email":"","password":""}`)
		limited = limited || status == http.StatusTooManyRequests
	}
	require.True(t, limited)
}

func TestCreateAdminUserIsTheWayBackIn(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	id, err := server.CreateAdminUser(t.Context(), s.Store, server.CreateAdminUserRequest{Email: "root@example.com", Username: "root", Password: servertest.Password})
	require.NoError(t, err)
	c := s.WithToken(t, s.Login(t, "root@example.com", servertest.Password))
	me, err := c.User(t.Context(), client.Me)
	require.NoError(t, err)
	require.Equal(t, id, me.ID)
	require.Equal(t, "owner", me.Roles[0].Name)
	require.ElementsMatch(t, []any{org.ID, s.DefaultOrganization(t).ID}, []any{me.OrganizationIDs[0], me.OrganizationIDs[1]})

	for field, req := range map[string]server.CreateAdminUserRequest{
		"username": {Email: "other@example.com", Username: "root", Password: servertest.Password},
		"email":    {Email: "root@example.com", Username: "other", Password: servertest.Password},
	} {
		_, err := server.CreateAdminUser(t.Context(), s.Store, req)
		refused(t, err, http.StatusConflict, field)
	}
	_, err = server.CreateAdminUser(t.Context(), s.Store, server.CreateAdminUserRequest{Email: "x@example.com", Username: "x", Password: "weak"})
	refused(t, err, http.StatusBadRequest, "password")
	users, err := s.Store.ListUsers(t.Context(), store.ListUsersParams{MaxRows: 10})
	require.NoError(t, err)
	require.Len(t, users, 2)
}
