package server_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/server/ui"
)

// encoding keeps a server from handing values over: what has no other methods
// than these must be written to.
type encoding struct{ http.ResponseWriter }

// TestPagesShowWhatTheAPIWrites opens every page twice, once as it is and once
// as a client that reads the API's JSON would show it.
func TestPagesShowWhatTheAPIWrites(t *testing.T) {
	t.Parallel()
	s := populated(t)
	access, err := url.Parse(s.URL)
	require.NoError(t, err)
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.Server.Server.Handler().ServeHTTP(encoding{w}, r) })
	pages, err := ui.New(ui.Options{API: api, AccessURL: access, Version: servertest.Version, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	require.NoError(t, err)
	mux := http.NewServeMux()
	pages.Register(mux)
	byJSON := httptest.NewServer(mux)
	defer byJSON.Close()

	values := pageValues(t, s)
	for _, token := range []string{s.Token, s.Person(t, s.org, client.RoleOrgAdmin).Token, s.Person(t, s.org).Token} {
		for _, pattern := range ui.Patterns() {
			method, path, _ := strings.Cut(pattern, " ")
			if method != http.MethodGet {
				continue
			}
			path = strings.TrimSuffix(path, "{$}")
			shown := shownPage(t, s.URL, token, path, values)
			require.Equal(t, shownPage(t, byJSON.URL, token, path, values), shown, path)
			require.Equal(t, shown, shownPage(t, s.URL, token, path, values), "shown again: %s", path)
		}
	}
}

// passing is what is another each time: how long ago something was, how long
// the database took to answer, and what tells one form from the next.
var passing = regexp.MustCompile(`(<time [^>]*>)[^<]*|\d+(\.\d+)? s\b|Answers in [^.]*|"import-[0-9a-f]{8}"`)

func shownPage(t *testing.T, base, token, path string, values map[string]string) string {
	t.Helper()
	for name, value := range values {
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+strings.Replace(path, "/workspaces/@/", "/@", 1), nil)
	require.NoError(t, err)
	req.AddCookie(&http.Cookie{Name: client.SessionCookie, Value: token})
	r := servertest.Do(t, req)
	return http.StatusText(r.Status) + r.Header.Get("Location") + "\n" + passing.ReplaceAllString(r.Body, "$1")
}
