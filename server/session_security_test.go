package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
	"coder/server/servertest"
)

func TestRepliesTellBrowsersToBeCareful(t *testing.T) {
	t.Parallel()
	plain := servertest.New(t)
	access, err := url.Parse("https://coder.example.com")
	require.NoError(t, err)
	strict := servertest.New(t, servertest.WithOptions(func(o *server.Options) {
		o.AccessURL, o.TransportSecurity, o.TransportSecurityOptions = access, 31536000, []string{"includeSubDomains", "preload"}
	}))
	for _, path := range []string{"/users/me", "/users/nobody", "/no/such/route", "/users/authmethods", "//", "//cli-auth", "//no-page", "//healthz"} {
		for _, s := range []*servertest.Server{plain, strict} {
			h := s.Response(t, s.Token, http.MethodGet, path, "").Header
			require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
			require.Equal(t, "DENY", h.Get("X-Frame-Options"), path)
			require.Equal(t, "no-referrer", h.Get("Referrer-Policy"), path)
			require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'", path)
			require.Contains(t, h.Get("Content-Security-Policy"), "frame-ancestors 'none'", path)
			if path != "//healthz" {
				require.Contains(t, h.Get("Cache-Control"), "no-store", path)
			}
		}
		require.Empty(t, plain.Response(t, plain.Token, http.MethodGet, path, "").Header.Get("Strict-Transport-Security"), path)
		require.Equal(t, "max-age=31536000; includeSubDomains; preload", strict.Response(t, strict.Token, http.MethodGet, path, "").Header.Get("Strict-Transport-Security"), path)
	}
	r := plain.Response(t, "", http.MethodPost, "/users/login", `{"email":"owner@example.com","password":"`+servertest.Password+`"}`)
	require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	require.Contains(t, r.Header.Get("Set-Cookie"), "SameSite=Lax")
	require.NotContains(t, r.Header.Get("Set-Cookie"), "Secure")
}

func TestTheCookieIsAsTheServerWasTold(t *testing.T) {
	t.Parallel()
	https := &url.URL{Scheme: "https", Host: "coder.example.com"}
	for _, c := range []struct {
		want   string
		change func(*server.Options)
	}{
		{"HttpOnly; SameSite=Lax", func(*server.Options) {}},
		{"Secure; SameSite=Lax", func(o *server.Options) { o.SecureCookie = true }},
		{"Secure; SameSite=None", func(o *server.Options) { o.SameSiteNone = true }},
		{"Secure; SameSite=Lax", func(o *server.Options) { o.AccessURL = https }},
		{"HttpOnly; SameSite=Lax", func(o *server.Options) { o.AccessURL, o.PlainCookie = https, true }},
	} {
		s := servertest.New(t, servertest.WithOptions(c.change))
		r := s.Response(t, "", http.MethodPost, "/users/login", `{"email":"owner@example.com","password":"`+servertest.Password+`"}`)
		require.Contains(t, r.Header.Get("Set-Cookie"), c.want)
	}
}

// What a page of another site can make a browser send, with its cookie.
func TestForeignPagesWriteNothing(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	header := func(pairs ...string) func(*http.Request) {
		return func(r *http.Request) {
			for i := 0; i < len(pairs); i += 2 {
				r.Header.Set(pairs[i], pairs[i+1])
			}
		}
	}
	send := func(method, path, body string, cookie bool, change func(*http.Request)) servertest.Response {
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "text/plain")
		if cookie {
			req.AddCookie(&http.Cookie{Name: client.SessionCookie, Value: s.Token})
		}
		change(req)
		return servertest.Do(t, req)
	}
	foreign := map[string]func(*http.Request){
		"another origin":           header("Origin", "https://evil.example.com"),
		"an origin of no name":     header("Origin", "null"),
		"another port":             header("Origin", "http://127.0.0.1:1"),
		"another scheme and site":  header("Origin", "ftp://127.0.0.1"),
		"another site":             header("Sec-Fetch-Site", "cross-site"),
		"a sibling of the site":    header("Sec-Fetch-Site", "same-site"),
		"a forged token":           header("Origin", "https://evil.example.com", "X-CSRF-TOKEN", "forged"),
		"a wrong token of session": header("Origin", "https://evil.example.com", client.HeaderSessionToken, "0123456789-0123456789012345678901"),
	}
	own := map[string]func(*http.Request){
		"no browser":      header(),
		"the same origin": header("Origin", s.URL),
		"the same site":   header("Sec-Fetch-Site", "same-origin"),
		"typed in":        header("Sec-Fetch-Site", "none"),
		"the same token":  header("Origin", "https://evil.example.com", client.HeaderSessionToken, s.Token),
	}
	login := `{"email":"owner@example.com","password":"` + servertest.Password + `"}`
	for name, change := range foreign {
		for _, call := range [][]string{
			{http.MethodPost, "/api/v2/organizations", `{"name":"forged"}`}, {http.MethodPost, "/api/v2/users/logout", ""},
			{http.MethodPut, "/api/v2/users/me/password", `{}`}, {http.MethodDelete, "/api/v2/organizations/coder", ""}, {http.MethodPost, "/api/v2/users/me/keys", ""},
		} {
			r := send(call[0], call[1], call[2], true, change)
			require.Equal(t, http.StatusBadRequest, r.Status, "%s: %s", name, call[1])
			require.Contains(t, r.Header.Get("Content-Type"), "text/plain", "%s: %s", name, call[1])
		}
		if name != "a wrong token of session" {
			r := send(http.MethodPost, "/api/v2/users/login", login, false, change)
			require.Equal(t, http.StatusBadRequest, r.Status, "nobody is signed in by another site: %s", name)
			require.Empty(t, r.Header.Get("Set-Cookie"))
		}
	}
	made := 0
	for name, change := range own {
		made++
		r := send(http.MethodPost, "/api/v2/organizations", fmt.Sprintf(`{"name":"own-%d"}`, made), true, change)
		require.Equal(t, http.StatusCreated, r.Status, "%s: %s", name, r.Body)
		if name != "the same token" {
			require.Equal(t, http.StatusCreated, send(http.MethodPost, "/api/v2/users/login", login, false, change).Status, name)
		}
	}
	orgs, err := s.Client.Organizations(t.Context())
	require.NoError(t, err)
	require.Len(t, orgs, 1+made)
}

// limited has the limits of a real server, and the API's at 30 a minute.
func limited(t *testing.T, change ...func(*server.Options)) *servertest.Server {
	t.Helper()
	return servertest.New(t, servertest.WithOptions(func(o *server.Options) {
		o.DisableRateLimits, o.APIRateLimit = false, 30
		for _, c := range change {
			c(o)
		}
	}))
}

// accepted counts the requests that are let through, of n.
func accepted(t *testing.T, s *servertest.Server, n int, token, method, path, body string, pairs ...string) int {
	t.Helper()
	ok := 0
	for range n {
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/api/v2"+path, strings.NewReader(body))
		require.NoError(t, err)
		if token != "" {
			req.Header.Set(client.HeaderSessionToken, token)
		}
		for i := 0; i < len(pairs); i += 2 {
			req.Header.Set(pairs[i], strings.ReplaceAll(pairs[i+1], "N", fmt.Sprint(ok%200+1)))
		}
		if r := servertest.Do(t, req); r.Status != http.StatusTooManyRequests {
			ok++
		} else {
			require.Contains(t, r.Body, `"message":`)
		}
	}
	return ok
}

func TestLimitsOfRequests(t *testing.T) {
	t.Parallel()
	const wrong = `{"email":"owner@example.com","password":"wrong"}`
	s := limited(t)
	member := s.Person(t, s.DefaultOrganization(t))
	require.Equal(t, 30, accepted(t, s, 35, member.Token, http.MethodGet, "/users/me", ""))
	require.Equal(t, 30, accepted(t, s, 35, member.Token, http.MethodGet, "/organizations", ""), "each operation by itself")
	require.Equal(t, 30, accepted(t, s, 35, s.Person(t, s.DefaultOrganization(t)).Token, http.MethodGet, "/users/me", ""), "each user by itself")
	require.Equal(t, 12, accepted(t, s, 20, member.Token, http.MethodPost, "/files", ""))

	require.Equal(t, 40, accepted(t, s, 40, s.Token, http.MethodGet, "/users/me", "", client.HeaderBypassRateLimit, "true"), "owners may pass")
	require.Equal(t, http.StatusForbidden, bypass(t, s, member.Token), "nobody else may")
	limitedOwner, err := s.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{Scopes: []string{"user:read"}})
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, bypass(t, s, limitedOwner.Key))

	// One sign-in was the owner's, when the server was made.
	require.Equal(t, 59, accepted(t, s, 70, "", http.MethodPost, "/users/login", wrong, client.HeaderBypassRateLimit, "true", "X-Forwarded-For", "10.0.0.N"))
	require.Equal(t, http.StatusTooManyRequests, s.Response(t, "", http.MethodPost, "/users/login", `{"email":"owner@example.com","password":"`+servertest.Password+`"}`).Status)
}

func bypass(t *testing.T, s *servertest.Server, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/v2/users/authmethods", nil)
	require.NoError(t, err)
	req.URL.Path = "/api/v2/users/me"
	req.Header.Set(client.HeaderSessionToken, token)
	req.Header.Set(client.HeaderBypassRateLimit, "true")
	return servertest.Do(t, req).Status
}

func TestAddressesBehindAProxy(t *testing.T) {
	t.Parallel()
	const wrong = `{"email":"owner@example.com","password":"wrong"}`
	trusting := func(o *server.Options) {
		o.TrustedHeaders, o.TrustedOrigins = []string{"X-Forwarded-For"}, []string{"127.0.0.0/8", "10.1.0.0/16"}
	}
	s := limited(t, trusting)
	require.Equal(t, 70, accepted(t, s, 70, "", http.MethodPost, "/users/login", wrong, "X-Forwarded-For", "203.0.113.N"), "each address behind the proxy by itself")
	require.Equal(t, 60, accepted(t, s, 70, "", http.MethodPost, "/users/login", wrong, "X-Forwarded-For", "198.51.100.N, 192.0.2.7"), "what the client wrote does not count")
	require.Equal(t, 0, accepted(t, s, 5, "", http.MethodPost, "/users/login", wrong, "X-Forwarded-For", "198.51.100.N, 192.0.2.7, 10.1.2.3"), "nor do further trusted proxies")
	require.Equal(t, 59, accepted(t, s, 70, "", http.MethodPost, "/users/login", wrong, "X-Forwarded-For", "nonsense"), "and what is no address leaves the proxy's own")
	page, err := s.Client.AuditLogs(t.Context(), client.AuditLogsRequest{Query: "action:login"})
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, entry := range page.AuditLogs {
		seen[entry.IP] = true
	}
	require.True(t, seen["192.0.2.7"] || seen["203.0.113.1"], "the audit log has the client's address: %v", seen)

	_, err = server.New(t.Context(), server.Options{Store: s.Store, AccessURL: &url.URL{}, TrustedOrigins: []string{"everybody"}})
	require.ErrorContains(t, err, `"everybody" is not a network`)
}

// Whoever knew the old password may have made sessions and tokens with it.
func TestAPasswordChangeEndsEverySessionAndToken(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	p := s.Person(t, s.DefaultOrganization(t))
	named, err := p.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{TokenName: "ci"})
	require.NoError(t, err)
	session, err := p.Client.CreateAPIKey(t.Context(), client.Me)
	require.NoError(t, err)
	tokens := []string{p.Token, named.Key, session.Key, s.Login(t, p.User.Email, servertest.Password)}
	require.NoError(t, p.Client.UpdateUserPassword(t.Context(), client.Me, client.UpdateUserPasswordRequest{OldPassword: servertest.Password, Password: otherPassword}))
	for i, token := range tokens {
		_, err := s.WithToken(t, token).User(t.Context(), client.Me)
		require.Equal(t, http.StatusUnauthorized, client.StatusCode(err), "token %d", i)
	}
	_, err = s.Client.User(t.Context(), client.Me)
	require.NoError(t, err, "others stay")
}

// A limited token gets around its limits by no session, password or role.
func TestALimitedTokenStaysLimited(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	p := s.Person(t, org)
	everyType := []string{"user:*", "organization:*", "organization_member:*", "assign_role:*", "assign_org_role:*", "api_key:*", "group:*"}
	for name, req := range map[string]client.CreateTokenRequest{
		"scopes":     {Scopes: []string{"user:*", "api_key:*", "organization:*", "coder:apikeys.manage_self"}},
		"allow list": {AllowList: everyType},
	} {
		token, err := s.Client.CreateToken(t.Context(), client.Me, req)
		require.NoError(t, err, name)
		c := s.WithToken(t, token.Key)
		_, err = c.User(t.Context(), p.User.Username)
		require.NoError(t, err, name)
		_, err = c.CreateAPIKey(t.Context(), client.Me)
		refused(t, err, http.StatusForbidden)
		for _, user := range []string{client.Me, p.User.Username} {
			refused(t, c.UpdateUserPassword(t.Context(), user, client.UpdateUserPasswordRequest{OldPassword: servertest.Password, Password: otherPassword}), http.StatusForbidden)
		}
		_, err = c.UpdateUserRoles(t.Context(), p.User.Username, client.UpdateRolesRequest{Roles: []string{"owner"}})
		refused(t, err, http.StatusForbidden)
		_, err = c.UpdateOrganizationMemberRoles(t.Context(), "team", p.User.Username, client.UpdateRolesRequest{Roles: []string{client.RoleOrgAdmin}})
		refused(t, err, http.StatusForbidden)
		_, err = c.CreateUser(t.Context(), client.CreateUserRequest{Email: "x@example.com", Username: "xx", Password: otherPassword, Roles: []string{"owner"}, OrganizationIDs: []uuid.UUID{org.ID}})
		refused(t, err, http.StatusForbidden)
		wider, err := c.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{})
		if err == nil { // the limit is passed on
			key, err := s.Client.APIKeyByID(t.Context(), client.Me, wider.Key[:10])
			require.NoError(t, err)
			require.Equal(t, everyType, key.AllowList, name)
			require.Equal(t, "allow list", name)
		}
		_, err = s.WithToken(t, token.Key).Upload(t.Context(), client.ContentTypeTar, bytes.NewReader(nil))
		require.Contains(t, []int{http.StatusForbidden, http.StatusNotFound, http.StatusBadRequest}, client.StatusCode(err), name)
	}
	s.Login(t, p.User.Email, servertest.Password)
	s.Login(t, "owner@example.com", servertest.Password)
}
