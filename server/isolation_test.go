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
)

// documented is one operation of the OpenAPI document.
type documented struct {
	method, path, permission string
}

// operations reads the document that the server publishes.
func operations(t *testing.T, s *servertest.Server) []documented {
	t.Helper()
	reply := s.Response(t, s.Token, http.MethodGet, "/openapi.json", "")
	require.Equal(t, http.StatusOK, reply.Status)
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	require.NoError(t, json.Unmarshal([]byte(reply.Body), &document))
	var out []documented
	for path, methods := range document.Paths {
		for method, raw := range methods {
			var operation struct {
				Permission string `json:"x-permission"`
			}
			require.NoError(t, json.Unmarshal(raw, &operation), path)
			out = append(out, documented{strings.ToUpper(method), strings.TrimPrefix(path, "/api/v2"), operation.Permission})
		}
	}
	require.Greater(t, len(out), 100, "the document lists the whole API")
	return out
}

// publicOperations need no session; each is public for a reason.
var publicOperations = map[string]string{
	"GET /":                           "a greeting",
	"GET /openapi.json":               "the document itself",
	"GET /buildinfo":                  "clients compare versions before they sign in",
	"GET /updatecheck":                "the reference has it public",
	"GET /entitlements":               "clients gate on it before they sign in",
	"GET /auth/scopes":                "names only",
	"GET /users/first":                "the first question of coder login",
	"POST /users/first":               "works once, on an empty deployment",
	"POST /users/login":               "signs in",
	"GET /users/authmethods":          "asked by the sign-in page",
	"POST /users/validate-password":   "a rule, no data",
	"POST /users/otp/request":         "answers the same whoever asks",
	"POST /users/otp/change-password": "takes a passcode",
	"POST /provisionerkeys/join":      "takes a join token",
	"POST /csp/reports":               "browsers send these without credentials",
	"GET /provisionerkeys/{anything}": "authenticates by the key that it presents",
	"GET /organizations/{organization}/provisionerdaemons/serve": "refuses everybody alike",
	"GET /init-script/{os}/{arch}":                               "the agent's bootstrap has no session",
}

func TestEveryOperationIsGuarded(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	for _, op := range operations(t, s) {
		name := op.method + " " + op.path
		require.NotEmpty(t, op.permission, "%s declares no permission", name)
		status, body := s.Raw(t, "", op.method, filled(op.path, uuid.NewString()), "{}")
		if op.permission == "public" {
			require.NotEmpty(t, publicOperations[name], "%s is public: that needs a reason in publicOperations", name)
			continue
		}
		require.Equal(t, http.StatusUnauthorized, status, "%s without a credential answers %s", name, body)
	}
}

// filled puts a value into every parameter of a path that is not filled yet.
func filled(path, value string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, "{") {
			parts[i] = value
		}
	}
	return strings.Join(parts, "/")
}

// An organization that somebody is no member of looks like one that does not
// exist, byte for byte, for every operation, and whatever their role at home.
func TestAForeignOrganizationLooksLikeNone(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	outside := s.Organization(t, "outside")
	for _, role := range [][]string{nil, {client.RoleOrgAdmin}} {
		_, user := s.MemberUser(t, outside, role...)
		key, err := s.Client.CreateAPIKey(t.Context(), user.ID.String())
		require.NoError(t, err)
		tried := 0
		for _, op := range operations(t, s) {
			if !strings.Contains(op.path, "{organization}") || op.permission == "public" {
				continue
			}
			for _, body := range []string{"", "{}", "{", `{"name":"x"}`} {
				call := func(ref string) (int, string) {
					return s.Raw(t, key.Key, op.method, filled(strings.ReplaceAll(op.path, "{organization}", ref), s.Owner.ID.String()), body)
				}
				status, text := call(org.ID.String())
				missing, missingText := call(uuid.NewString())
				require.Equal(t, missing, status, "%s %s as %v with body %q", op.method, op.path, role, body)
				require.Equal(t, missingText, text, "%s %s as %v with body %q", op.method, op.path, role, body)
				byName, byNameText := call(org.Name)
				unnamed, unnamedText := call("nothing-here")
				require.Equal(t, unnamed, byName, "%s %s by name", op.method, op.path)
				require.Equal(t, unnamedText, byNameText, "%s %s by name", op.method, op.path)
			}
			tried++
		}
		require.Greater(t, tried, 20)
	}
}
