package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
)

// answer is a server that gives one reply to everything.
func answer(t *testing.T, status int, contentType, body string) *client.Client {
	t.Helper()
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
}

func serve(t *testing.T, h http.Handler) *client.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := client.New(srv.URL, client.Options{Token: "secret"})
	require.NoError(t, err)
	return c
}

func TestErrors(t *testing.T) {
	t.Parallel()
	t.Run("a refusal of the API keeps its parts", func(t *testing.T) {
		t.Parallel()
		c := answer(t, http.StatusConflict, "application/json; charset=utf-8",
			`{"message":"taken","detail":"choose another","validations":[{"field":"name","detail":"in use"}]}`)
		_, err := c.CreateOrganization(t.Context(), client.CreateOrganizationRequest{Name: "a"})
		var e *client.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, http.StatusConflict, e.StatusCode)
		require.Equal(t, http.MethodPost, e.Method)
		require.True(t, strings.HasSuffix(e.URL, "/api/v2/organizations"), e.URL)
		require.Equal(t, []client.ValidationError{{Field: "name", Detail: "in use"}}, e.Validations)
		require.Equal(t, "taken; name: in use: choose another", e.Error())
	})
	t.Run("a page of a proxy is named as such", func(t *testing.T) {
		t.Parallel()
		for _, status := range []int{http.StatusOK, http.StatusNotFound, http.StatusBadGateway} {
			_, err := answer(t, status, "text/html", "<html>hello</html>").BuildInfo(t.Context())
			require.ErrorContains(t, err, "text/html")
			require.ErrorContains(t, err, "/api/v2/buildinfo")
			require.Equal(t, status, client.StatusCode(err))
			require.False(t, client.IsNotFound(err))
		}
	})
	t.Run("JSON that is no refusal is foreign too", func(t *testing.T) {
		t.Parallel()
		_, err := answer(t, http.StatusForbidden, "application/json", `{"error":"blocked"}`).BuildInfo(t.Context())
		require.ErrorContains(t, err, "not what a Coder server answers")
	})
	t.Run("a redirect is reported and the token not sent on", func(t *testing.T) {
		t.Parallel()
		c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				t.Error("the redirect was followed")
			}
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}))
		_, err := c.User(t.Context(), client.Me)
		require.ErrorContains(t, err, "redirects to /elsewhere")
	})
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		url := "http://" + l.Addr().String()
		require.NoError(t, l.Close())
		c, err := client.New(url, client.Options{})
		require.NoError(t, err)
		_, err = c.BuildInfo(t.Context())
		require.ErrorContains(t, err, url)
		require.ErrorContains(t, err, "Check that the server runs")
	})
	t.Run("HTTPS asked of a plain server", func(t *testing.T) {
		t.Parallel()
		srv := httptest.NewServer(http.NotFoundHandler())
		t.Cleanup(srv.Close)
		c, err := client.New("https"+strings.TrimPrefix(srv.URL, "http"), client.Options{})
		require.NoError(t, err)
		_, err = c.BuildInfo(t.Context())
		require.ErrorContains(t, err, "try http://")
	})
	t.Run("a context that ended is not a lost connection", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := answer(t, 200, "application/json", "{}").BuildInfo(ctx)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("a name that would leave its place in the path", func(t *testing.T) {
		t.Parallel()
		c := answer(t, 200, "application/json", "{}")
		for _, name := range []string{"", ".", ".."} {
			_, err := c.Organization(t.Context(), name)
			require.ErrorContains(t, err, "empty or only dots")
		}
	})
	for _, bad := range []string{"", "coder.example.com", "ftp://x", "http://", "http://a b"} {
		t.Run(fmt.Sprintf("%q is no deployment", bad), func(t *testing.T) {
			t.Parallel()
			_, err := client.New(bad, client.Options{})
			require.Error(t, err)
		})
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	t.Run("carry the token and what a name needs escaped", func(t *testing.T) {
		t.Parallel()
		c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if r.Header.Get(client.HeaderSessionToken) != "secret" || r.URL.EscapedPath() != "/api/v2/organizations/a%2Fb%3Fc" {
				w.WriteHeader(http.StatusTeapot)
			}
			_, _ = io.WriteString(w, `{"name":"x"}`)
		}))
		o, err := c.Organization(t.Context(), "a/b?c")
		require.NoError(t, err)
		require.Equal(t, "x", o.Name)
	})
	t.Run("absent fields of a PATCH are not sent", func(t *testing.T) {
		t.Parallel()
		body, err := json.Marshal(client.UpdateTemplateRequest{Description: new("")})
		require.NoError(t, err)
		require.JSONEq(t, `{"description":""}`, string(body))
	})
	t.Run("an unchanged template is read again", func(t *testing.T) {
		t.Parallel()
		id := uuid.New()
		c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPatch {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(client.Template{ID: id, Name: "docker"})
		}))
		got, err := c.UpdateTemplate(t.Context(), id, client.UpdateTemplateRequest{})
		require.NoError(t, err)
		require.Equal(t, "docker", got.Name)
	})
	t.Run("a list is never nil", func(t *testing.T) {
		t.Parallel()
		rows, err := answer(t, 200, "application/json", "null").Tokens(t.Context(), client.Me, client.TokensRequest{})
		require.NoError(t, err)
		require.NotNil(t, rows)
	})
	t.Run("an upload is sent as it is", func(t *testing.T) {
		t.Parallel()
		id := uuid.New()
		c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got, _ := io.ReadAll(r.Body)
			w.Header().Set("Content-Type", "application/json")
			if string(got) != "archive" || r.Header.Get("Content-Type") != client.ContentTypeTar {
				w.WriteHeader(http.StatusBadRequest)
			}
			_, _ = fmt.Fprintf(w, `{"hash":%q}`, id)
		}))
		up, err := c.Upload(t.Context(), client.ContentTypeTar, strings.NewReader("archive"))
		require.NoError(t, err)
		require.Equal(t, id, up.ID)
	})
	t.Run("the caller sees the head of every reply", func(t *testing.T) {
		t.Parallel()
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(client.HeaderBuildVersion, "v9")
			w.WriteHeader(http.StatusTeapot)
		}))
		t.Cleanup(srv.Close)
		var seen string
		c, err := client.New(srv.URL, client.Options{OnResponse: func(r *http.Response) { seen = r.Header.Get(client.HeaderBuildVersion) }})
		require.NoError(t, err)
		require.Error(t, c.Logout(t.Context()))
		require.Equal(t, "v9", seen)
	})
}

// brokenLog serves a log of n rows over WebSockets that break after every
// third row, except the last.
func brokenLog(n int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
		for id := after + 1; id <= n; id++ {
			row, _ := json.Marshal(client.ProvisionerJobLog{ID: id, Output: strings.Repeat("x", 70_000)})
			if conn.Write(r.Context(), websocket.MessageText, row) != nil {
				return
			}
			if id%3 == 0 && id != n {
				_ = conn.CloseNow()
				return
			}
		}
		_ = conn.Close(websocket.StatusNormalClosure, "")
	})
}

func TestFollow(t *testing.T) {
	t.Parallel()
	t.Run("takes a broken connection up again", func(t *testing.T) {
		t.Parallel()
		c := serve(t, brokenLog(8))
		var ids []int64
		for row, err := range c.FollowWorkspaceBuildLogs(t.Context(), uuid.New(), 1) {
			require.NoError(t, err)
			ids = append(ids, row.ID)
		}
		require.Equal(t, []int64{2, 3, 4, 5, 6, 7, 8}, ids)
	})
	t.Run("a consumer may stop", func(t *testing.T) {
		t.Parallel()
		c := serve(t, brokenLog(8))
		for row, err := range c.FollowWorkspaceBuildLogs(t.Context(), uuid.New(), 0) {
			require.NoError(t, err)
			require.Equal(t, int64(1), row.ID)
			break
		}
	})
	t.Run("a refusal ends it", func(t *testing.T) {
		t.Parallel()
		c := answer(t, http.StatusNotFound, "application/json", `{"message":"no such build"}`)
		calls := 0
		for _, err := range c.FollowWorkspaceBuildLogs(t.Context(), uuid.New(), 0) {
			calls++
			require.True(t, client.IsNotFound(err), "%v", err)
		}
		require.Equal(t, 1, calls)
	})
	t.Run("ends with its context", func(t *testing.T) {
		t.Parallel()
		c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, err := websocket.Accept(w, r, nil)
			if err == nil {
				<-conn.CloseRead(r.Context()).Done()
			}
		}))
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("enough"))
		defer cancel()
		for _, err := range c.FollowWorkspaceBuildLogs(ctx, uuid.New(), 0) {
			require.ErrorContains(t, err, "enough")
		}
	})
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	good := map[client.NameKind][]string{
		client.NameOrganization:    {"a", "data-platform", "A1-b2", strings.Repeat("x", 32)},
		client.NameGroup:           {strings.Repeat("x", 255)},
		client.NameTemplateVersion: {"v1.0.2", "a_b-c", strings.Repeat("x", 64)},
		client.NameProvisionerKey:  {"any thing", strings.Repeat("é", 64)},
		client.NameDisplay:         {"", "Data Platform ✨"},
		client.NameDaemon:          {"host-1", "a--b"},
	}
	for kind, names := range good {
		for _, name := range names {
			require.NoError(t, client.CheckName(kind, name))
		}
	}
	for _, tt := range []struct {
		kind       client.NameKind
		name, says string
	}{
		{client.NameOrganization, "", "is empty"},
		{client.NameOrganization, "default", "is reserved"},
		{client.NameTemplate, "New", "is reserved"},
		{client.NameWorkspace, "create", "is reserved"},
		{client.NameUsername, "me", "is reserved"},
		{client.NameOrganization, strings.Repeat("x", 33), "too long (33"},
		{client.NameOrganization, "a b", `the character ' '`},
		{client.NameOrganization, "zürich", `the character 'ü'`},
		{client.NameOrganization, "a--b", "two in a row"},
		{client.NameOrganization, "-a", "begins or ends with a hyphen"},
		{client.NameOrganization, "a.b", "dot or underscore"},
		{client.NameOrganization, "a\x1b[31m", "cannot be shown"},
		{client.NameTemplateVersion, "a..b", "dot or underscore"},
		{client.NameProvisionerKey, "PSK", "is reserved"},
		{client.NameProvisionerKey, " a", "begins or ends with a blank"},
		{client.NameDisplay, "x\n", "cannot be shown"},
		{client.NameDisplay, strings.Repeat("x", 65), "too long"},
		{client.NameReal, "\xff", "cannot be shown"},
	} {
		err := client.CheckName(tt.kind, tt.name)
		var e *client.NameError
		require.ErrorAs(t, err, &e, "%s %q", tt.kind, tt.name)
		require.ErrorContains(t, err, tt.says)
		require.Less(t, len(err.Error()), 300)
	}
}
