package server_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
	"coder/server/servertest"
)

// postForm sends a form as a browser does; site is the Sec-Fetch-Site header.
func postForm(t *testing.T, s *servertest.Server, site string, values url.Values) servertest.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/cli-auth", strings.NewReader(values.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", site)
	return servertest.Do(t, req)
}

func TestTheSignInPageHandsOverAToken(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	form := s.Response(t, "", http.MethodGet, "//cli-auth", "")
	require.Equal(t, http.StatusOK, form.Status)
	policy := form.Header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.NotContains(t, policy, "unsafe")
	require.NotContains(t, form.Body, "<script")
	require.NotContains(t, form.Body, "style=")

	ok := postForm(t, s, "same-origin", url.Values{"email": {"owner@example.com"}, "password": {servertest.Password}})
	require.Equal(t, http.StatusOK, ok.Status, ok.Body)
	require.Equal(t, "no-store", ok.Header.Get("Cache-Control"))
	token := regexp.MustCompile(`value="([A-Za-z0-9]{10}-[A-Za-z0-9]{22})"`).FindStringSubmatch(ok.Body)
	require.Len(t, token, 2, ok.Body)
	me, err := s.WithToken(t, token[1]).User(t.Context(), client.Me)
	require.NoError(t, err)
	require.Equal(t, s.Owner.ID, me.ID)

	wrong := postForm(t, s, "same-origin", url.Values{"email": {`"><script>@x`}, "password": {"wrong"}})
	require.Equal(t, http.StatusUnauthorized, wrong.Status)
	require.Contains(t, wrong.Body, "is wrong")
	require.NotContains(t, wrong.Body, "<script")
	require.Equal(t, http.StatusBadRequest, postForm(t, s, "same-origin", url.Values{"email": {"owner@example.com"}}).Status)
	require.Equal(t, http.StatusForbidden, postForm(t, s, "cross-site", url.Values{"email": {"owner@example.com"}, "password": {servertest.Password}}).Status)
}

func TestSignInsByThePageAreLimitedByTheBrowsersAddress(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.WithOptions(func(o *server.Options) { o.DisableRateLimits = false }))
	// An address that is too long is refused before a password is hashed, so
	// that the posts fit into a minute on a slow machine.
	email := strings.Repeat("x", 300)
	limited := false
	for range 70 {
		r := postForm(t, s, "same-origin", url.Values{"email": {email}, "password": {"x"}})
		limited = limited || r.Status == http.StatusTooManyRequests
	}
	require.True(t, limited)
}

func TestTheFrontPageSaysWhatThisIs(t *testing.T) {
	t.Parallel()
	fresh := servertest.New(t, servertest.WithoutUsers())
	page := fresh.Response(t, "", http.MethodGet, "//", "")
	require.Equal(t, http.StatusOK, page.Status)
	require.Contains(t, page.Body, "coder login "+fresh.URL)
	require.Contains(t, page.Body, "no users yet")

	s := servertest.New(t)
	page = s.Response(t, "", http.MethodGet, "//", "")
	require.Contains(t, page.Body, `href="/cli-auth"`)
	style := regexp.MustCompile(`href="(/static/[^"]+\.css)"`).FindStringSubmatch(page.Body)
	require.Len(t, style, 2)
	sheet := s.Response(t, "", http.MethodGet, "/"+style[1], "")
	require.Equal(t, http.StatusOK, sheet.Status)
	require.Contains(t, sheet.Header.Get("Content-Type"), "text/css")
	missing := s.Response(t, "", http.MethodGet, "//no-such-page", "")
	require.Equal(t, http.StatusNotFound, missing.Status)
	require.Contains(t, missing.Header.Get("Content-Type"), "text/html")
}
