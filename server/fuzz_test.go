package server_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

// fuzzed is a deployment on each database with an organization that has
// things in it, and somebody of another one.
type fuzzed struct {
	*servertest.Server
	org      client.Organization
	outsider servertest.Person
	keeper   servertest.Person
}

// hiddenMark is in the name of everything that the outsider must not see.
const hiddenMark = "hidden-thing"

// keeps are what the keeper of roles may do, and so may grant.
func keeps() []client.Permission {
	return []client.Permission{
		may("assign_org_role", "create"), may("assign_org_role", "update"), may("assign_org_role", "delete"), may("assign_org_role", "read"),
		may("template", "read"), may("organization", "read"),
	}
}

func newFuzzed(f *testing.F) []*fuzzed {
	f.Helper()
	stores := []*store.Store{storetest.Open(f, storetest.SQLiteOptions(f))}
	if storetest.Installed() {
		stores = append(stores, storetest.Open(f, storetest.PostgresOptions(f)))
	}
	var all []*fuzzed
	for _, st := range stores {
		quiet := servertest.WithOptions(func(o *server.Options) { o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil)) })
		x := &fuzzed{Server: servertest.New(f, servertest.WithStore(st), servertest.WithoutLoops(), quiet)}
		x.org = x.Organization(f, hiddenMark)
		_, err := x.Client.CreateGroup(f.Context(), hiddenMark, client.CreateGroupRequest{Name: hiddenMark + "-group"})
		require.NoError(f, err)
		_, err = x.Client.CreateRole(f.Context(), hiddenMark, client.CustomRoleRequest{Name: "keeper", OrganizationPermissions: keeps()})
		require.NoError(f, err)
		x.keeper = x.Person(f, x.org, "keeper")
		x.outsider = x.Person(f, x.DefaultOrganization(f))
		all = append(all, x)
	}
	return all
}

func (x *fuzzed) call(t *testing.T, token, method, path, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
	target, err := url.Parse("/api/v2" + path)
	require.NoError(t, err)
	r.URL, r.RequestURI = target, target.RequestURI()
	r.Header.Set(client.HeaderSessionToken, token)
	w := httptest.NewRecorder()
	x.Server.Server.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// Every search answers or says what is wrong with it, and finds nothing of others.
func FuzzSearch(f *testing.F) {
	for _, seed := range []string{
		"", "owner:me", "name:" + hiddenMark, "organization:" + hiddenMark, `"a b"`, `name:"a:b"`, ":", "a:", ":a", "a:b:c", `"`, "status:running", "status:nothing", "last_seen_before:2026-01-01T00:00:00Z",
		"created_after:x", "resource_type:user action:login", "date_from:2026-13-01", "date_to:0000-00-00", "param:region=eu", "has-agent:connected", "role:owner", "%", "_", `\`, "'", "';--", "\x00", "name:\x00", "\xff\xfe",
		"id:" + strings.Repeat("0", 40), "shared_with_group:" + hiddenMark, "deprecated:true", "outdated:maybe", "name:" + strings.Repeat("x", 4000), "limit:1", "K:1", "username:me email:a@b", "request_id:1",
		"last_used_after:9999999-01-01T00:00:00Z", "dormant:true", "build_reason:autostop", "user_id:1", "include_system:x", "github_com_user_id:99999999999999999999",
	} {
		f.Add(seed)
	}
	all := newFuzzed(f)
	f.Fuzz(func(t *testing.T, q string) {
		for _, path := range []string{
			"/users?q=", "/workspaces?q=", "/templates?q=", "/paginated-templates?q=", "/audit?q=", "/audit/entries?q=", "/organizations/default/members?q=", "/organizations/default/paginated-members?q=",
			"/organizations/default/paginated-groups?q=", "/organizations/default/groups/Everyone/members?q=",
		} {
			for _, x := range all {
				for _, token := range []string{x.outsider.Token, x.Token} {
					status, body := x.call(t, token, http.MethodGet, path+url.QueryEscape(q), "")
					require.Contains(t, []int{http.StatusOK, http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound}, status, "%s %q: %.300s", path, q, body)
					if token == x.outsider.Token && status == http.StatusOK && !strings.Contains(strings.ToLower(q), "hidden") {
						require.NotContains(t, body, hiddenMark, "%s %q", path, q)
					}
				}
			}
		}
	})
}

// Whatever stands for a name in a path, the answer is an answer.
func FuzzNamesInPaths(f *testing.F) {
	for _, seed := range []string{"me", "default", hiddenMark, "a b", "a/b", "..", ".", "\x00", "\xff", "%00", "ü", "' OR 1=1", strings.Repeat("9", 400), "00000000-0000-0000-0000-000000000000", "{x}", "a;b", "new"} {
		f.Add(seed)
	}
	all := newFuzzed(f)
	f.Fuzz(func(t *testing.T, name string) {
		part := url.PathEscape(name)
		for _, path := range []string{
			"/users/" + part, "/users/" + part + "/roles", "/users/me/keys/" + part, "/users/me/keys/tokens/" + part, "/organizations/" + part, "/organizations/" + part + "/members",
			"/organizations/default/members/" + part, "/organizations/default/groups/" + part, "/organizations/default/templates/" + part, "/groups/" + part, "/workspaces/" + part,
			"/users/me/workspace/" + part, "/templates/" + part, "/templateversions/" + part, "/files/" + part, "/workspacebuilds/" + part + "/logs", "/audit/head?organization=" + url.QueryEscape(name),
			"/groups?organization=" + url.QueryEscape(name), "/organizations/default/provisionerjobs/" + part, "/organizations/default/provisionerdaemons?tags=" + url.QueryEscape(name),
		} {
			for _, x := range all {
				for _, token := range []string{x.outsider.Token, x.Token} {
					status, body := x.call(t, token, http.MethodGet, path, "")
					require.Less(t, status, http.StatusInternalServerError, "%s: %.300s", path, body)
					if token == x.outsider.Token && !strings.Contains(strings.ToLower(name), "hidden") {
						require.NotContains(t, body, hiddenMark, path)
					}
				}
			}
		}
	})
}

// Whatever document a role is made of, it grants nothing that its maker does
// not hold, and what is wrong with it is said.
func FuzzRoleDocuments(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `[]`, `{"name":"x"}`, `{"name":"x","organization_permissions":[{"resource_type":"template","action":"read"}]}`,
		`{"name":"x","organization_permissions":[{"resource_type":"*","action":"*"}]}`, `{"name":"x","organization_permissions":[{"resource_type":"workspace","action":"ssh"}]}`,
		`{"name":"x","site_permissions":[{"resource_type":"template","action":"read"}]}`, `{"name":"x","user_permissions":[null]}`, `{"name":"x","organization_member_permissions":[{}]}`,
		`{"name":"x","organization_permissions":[{"negate":true,"resource_type":"template","action":"read"}]}`, `{"name":"keeper","organization_permissions":[{"resource_type":"group","action":"create"}]}`,
		`{"name":"x","name":"owner"}`, `{"NAME":"x","Organization_Permissions":[{"Resource_Type":"group","Action":"update"}]}`, `{"name":"x","display_name":"\u0000"}`, `{"name":"x\u0000"}`,
		`{"name":"x","organization_permissions":[{"resource_type":"template\u0000","action":"read"}]}`, `{"name":"x","organization_permissions":[null,{"resource_type":"template"}]}`,
		`{"name":"organization-admin","organization_permissions":[]}`, `{"name":"x","display_name":"` + strings.Repeat("y", 100) + `"}`, `{"name":1}`, "{\"name\":\"\xff\"}", `{"name":"x","organization_permissions":{}}`,
	} {
		f.Add(seed)
	}
	all := newFuzzed(f)
	f.Fuzz(func(t *testing.T, document string) {
		for _, x := range all {
			for _, method := range []string{http.MethodPost, http.MethodPut} {
				status, body := x.call(t, x.keeper.Token, method, "/organizations/"+hiddenMark+"/members/roles", document)
				require.Contains(t, []int{http.StatusOK, http.StatusBadRequest, http.StatusNotFound}, status, "%s %q: %.300s", method, document, body)
			}
			x.keeperGainsNothing(t, document)
		}
	})
}

// keeperGainsNothing looks at all roles of the organization and at the maker,
// and takes the new roles away again.
func (x *fuzzed) keeperGainsNothing(t *testing.T, document string) {
	t.Helper()
	status, body := x.call(t, x.Token, http.MethodGet, "/organizations/"+hiddenMark+"/members/roles", "")
	require.Equal(t, http.StatusOK, status, body)
	var roles []client.AssignableRole
	require.NoError(t, json.Unmarshal([]byte(body), &roles))
	for _, role := range roles {
		if role.BuiltIn {
			continue
		}
		require.Empty(t, slices.Concat(role.SitePermissions, role.UserPermissions, role.OrganizationMemberPermissions), "%q", document)
		for _, p := range role.OrganizationPermissions {
			require.Contains(t, keeps(), p, "%q", document)
		}
		if role.Name != "keeper" {
			status, body := x.call(t, x.keeper.Token, http.MethodDelete, "/organizations/"+hiddenMark+"/members/roles/"+url.PathEscape(role.Name), "")
			require.Equal(t, http.StatusNoContent, status, body)
			continue
		}
		if len(role.OrganizationPermissions) < len(keeps()) { // the maker has given something up
			whole, err := json.Marshal(client.CustomRoleRequest{Name: "keeper", OrganizationPermissions: keeps()})
			require.NoError(t, err)
			status, body := x.call(t, x.Token, http.MethodPut, "/organizations/"+hiddenMark+"/members/roles", string(whole))
			require.Equal(t, http.StatusOK, status, body)
		}
	}
}
