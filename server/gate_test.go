package server_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/internal/seal"
	"coder/server"
	"coder/store"
)

func TestARequestWithoutATokenIsRefusedAsJSON(t *testing.T) {
	key, err := seal.NewKey()
	require.NoError(t, err)
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), DeploymentKeys: []seal.Key{key}})
	require.NoError(t, err)
	u, _ := url.Parse("http://127.0.0.1")
	srv, err := server.New(t.Context(), server.Options{Store: s, Logger: slog.Default(), AccessURL: u, Version: "v0"})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	srv.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v2/organizations", nil))
	require.Equal(t, 401, w.Code)
	require.True(t, json.Valid(w.Body.Bytes()))
}
