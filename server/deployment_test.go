package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/provisioner"
	"coder/server"
	"coder/server/servertest"
	"coder/store"
)

func TestWhatEverybodyMayAsk(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	anonymous := s.Anonymous(t)

	info, err := anonymous.BuildInfo(t.Context())
	require.NoError(t, err)
	require.Equal(t, servertest.Version, info.Version)
	require.Equal(t, s.URL, info.ExternalURL)
	require.NotEmpty(t, info.DeploymentID)
	require.False(t, info.Telemetry)

	entitlements, err := anonymous.Entitlements(t.Context())
	require.NoError(t, err)
	require.True(t, entitlements.HasLicense)
	require.Equal(t, client.Feature{Entitlement: "entitled", Enabled: true}, entitlements.Features["multiple_organizations"])
	require.Equal(t, client.Feature{Entitlement: "entitled"}, entitlements.Features["browser_only"], "it would stop the command line")
	require.EqualValues(t, 1, *entitlements.Features["user_limit"].Actual)
	require.NotNil(t, entitlements.Warnings)

	update, err := anonymous.UpdateCheck(t.Context())
	require.NoError(t, err)
	require.Equal(t, client.UpdateCheck{Current: true, Version: servertest.Version}, update)
	require.NoError(t, anonymous.Healthz(t.Context()))
	for path, want := range map[string]string{"//healthz": "OK", "//latency-check": ""} {
		r := s.Response(t, "", http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, r.Status)
		require.Equal(t, want, r.Body)
	}
	for _, path := range []string{"/", ""} {
		status, body := s.Raw(t, "", http.MethodGet, path, "")
		if path == "" {
			require.Equal(t, http.StatusTemporaryRedirect, status)
			continue
		}
		require.Equal(t, http.StatusOK, status)
		require.NotEmpty(t, decode[client.MessageResponse](t, body).Message)
	}
	r := s.Response(t, "", http.MethodPost, "/csp/reports", `{"csp-report":{}}`)
	require.Equal(t, http.StatusOK, r.Status)
	require.Equal(t, servertest.Version, r.Header.Get(client.HeaderBuildVersion))
	require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"))
}

func TestWhatASessionMayAsk(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	p := s.Person(t, s.DefaultOrganization(t))
	experiments, err := p.Client.Experiments(t.Context())
	require.NoError(t, err)
	require.Empty(t, experiments)
	available, err := p.Client.AvailableExperiments(t.Context())
	require.NoError(t, err)
	require.NotNil(t, available.Safe)
	regions, err := p.Client.Regions(t.Context())
	require.NoError(t, err)
	require.Len(t, regions.Regions, 1)
	require.Equal(t, s.URL, regions.Regions[0].PathAppURL)
	ssh, err := p.Client.DeploymentSSHConfig(t.Context())
	require.NoError(t, err)
	require.NotNil(t, ssh.SSHConfigOptions)
	licenses, err := p.Client.Licenses(t.Context())
	require.NoError(t, err)
	require.Empty(t, licenses)

	paths := []string{"/experiments", "/experiments/available", "/regions", "/deployment/ssh", "/licenses", "/applications/host", "/appearance"}
	for _, path := range paths {
		status, _ := s.Raw(t, p.Token, http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, status, path)
		status, _ = s.Raw(t, "", http.MethodGet, path, "")
		require.Equal(t, http.StatusUnauthorized, status, path)
	}
	for _, c := range [][2]string{
		{http.MethodGet, "/deployment/config"}, {http.MethodGet, "/deployment/stats"}, {http.MethodGet, "/replicas"}, {http.MethodGet, "/debug/health"},
		{http.MethodPut, "/appearance"}, {http.MethodPost, "/licenses"}, {http.MethodDelete, "/licenses/1"},
	} {
		status, body := s.Raw(t, p.Token, c[0], c[1], "{}")
		require.Equal(t, http.StatusForbidden, status, "%s %s: %s", c[0], c[1], body)
	}
}

func TestLicencesAreNotNeeded(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	status, body := s.Raw(t, s.Token, http.MethodPost, "/licenses", `{"license":"x.y.z"}`)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, body, "no licence")
	for _, id := range []string{"1", "x"} {
		status, _ = s.Raw(t, s.Token, http.MethodDelete, "/licenses/"+id, "")
		require.Equal(t, http.StatusNotFound, status)
	}
	status, _ = s.Raw(t, s.Token, http.MethodPost, "/licenses/refresh-entitlements", "")
	require.Equal(t, http.StatusOK, status)
}

func TestSettingsAndStatisticsOfTheDeployment(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.WithOptions(func(o *server.Options) { o.Advertised = map[string]string{"http-address": "127.0.0.1:3000"} }))
	insertWorkspace(t, s, s.DefaultOrganization(t).ID, s.Owner.ID)
	status, body := s.Raw(t, s.Token, http.MethodGet, "/deployment/config", "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"config":{"http-address":"127.0.0.1:3000"},"options":[{"name":"http-address","flag":"http-address","value":"127.0.0.1:3000"}]}`, body)
	status, body = s.Raw(t, s.Token, http.MethodGet, "/deployment/stats", "")
	require.Equal(t, http.StatusOK, status)
	stats := decode[map[string]any](t, body)["workspaces"].(map[string]any)
	require.InDelta(t, 1, stats["pending"], 0)
	require.Contains(t, stats["connection_latency_ms"], "P50")
	status, body = s.Raw(t, s.Token, http.MethodGet, "/replicas", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "[]", strings.TrimSpace(body))
}

func TestHealthReport(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	type report struct {
		Healthy            bool
		Severity           string
		ProvisionerDaemons struct {
			Severity string
			Warnings []struct{ Code string }
			Items    []any
		} `json:"provisioner_daemons"`
		Database struct{ Reachable bool }
	}
	_, body := s.Raw(t, s.Token, http.MethodGet, "/debug/health", "")
	without := decode[report](t, body)
	require.False(t, without.Healthy)
	require.True(t, without.Database.Reachable)
	require.Equal(t, "EPD01", without.ProvisionerDaemons.Warnings[0].Code)

	key, err := s.Client.CreateProvisionerKey(t.Context(), "default", client.CreateProvisionerKeyRequest{Name: "k"})
	require.NoError(t, err)
	joinDaemon(t, s, key.Key, "worker")
	_, body = s.Raw(t, s.Token, http.MethodGet, "/debug/health", "")
	with := decode[report](t, body)
	require.True(t, with.Healthy)
	require.Equal(t, "ok", with.Severity)
	require.Len(t, with.ProvisionerDaemons.Items, 1)
}

// Engines of one user of a host can read each other's files: the report says
// where organizations meet there.
func TestTheHealthReportNamesWhatIsNotApart(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	codes := func() (severity string, codes []string) {
		report, err := s.Client.Health(t.Context())
		require.NoError(t, err)
		codes = []string{}
		for _, w := range report.ProvisionerDaemons.Warnings {
			codes = append(codes, w.Code)
		}
		return report.Severity, codes
	}
	join := func(org client.Organization, key uuid.UUID, name, host string) {
		now := store.At(time.Now())
		_, err := s.Store.UpsertProvisionerDaemon(t.Context(), store.UpsertProvisionerDaemonParams{
			ID: uuid.New(), OrganizationID: org.ID, KeyID: key, Name: name, Version: servertest.Version, ApiVersion: provisioner.APIVersion,
			Provisioners: []string{"terraform"}, HostID: host, CreatedAt: now, LastSeenAt: now,
		})
		require.NoError(t, err)
	}
	join(s.DefaultOrganization(t), client.ProvisionerKeyBuiltInID, "built-in-1", "server")
	severity, found := codes()
	require.Empty(t, found, "alone, nobody else has anything to lose")
	require.Equal(t, client.HealthOK, severity)
	team, other := s.Organization(t, "team"), s.Organization(t, "other")
	severity, found = codes()
	require.Equal(t, []string{client.HealthBuiltIn}, found)
	require.Equal(t, client.HealthWarning, severity)
	join(team, uuid.New(), "one", "shared")
	join(other, uuid.New(), "two", "own")
	_, found = codes()
	require.Equal(t, []string{client.HealthBuiltIn}, found)
	join(other, uuid.New(), "three", "shared")
	_, found = codes()
	require.Equal(t, []string{client.HealthBuiltIn, client.HealthSharedHost}, found)
}

func TestAppearance(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	before, err := s.Client.Appearance(t.Context())
	require.NoError(t, err)
	require.NotNil(t, before.AnnouncementBanners)
	_, err = s.Client.UpdateAppearance(t.Context(), client.UpdateAppearanceRequest{
		ApplicationName: "Platform", AnnouncementBanners: []client.Banner{{Enabled: true, Message: "Maintenance at noon", BackgroundColor: "#004852"}},
	})
	require.NoError(t, err)
	after, err := s.Client.Appearance(t.Context())
	require.NoError(t, err)
	require.Equal(t, "Platform", after.ApplicationName)
	require.Equal(t, "Maintenance at noon", after.AnnouncementBanners[0].Message)
	for _, color := range []string{"red", "#12345", "#1234567", "#12345g"} {
		_, err = s.Client.UpdateAppearance(t.Context(), client.UpdateAppearanceRequest{ServiceBanner: client.Banner{BackgroundColor: color}})
		refused(t, err, http.StatusBadRequest, "background_color")
	}
}

func TestAuthCheck(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	admin, outsider := s.Person(t, org, client.RoleOrgAdmin), s.Outsider(t)
	w := insertWorkspace(t, s, org.ID, admin.User.ID)
	check := func(o client.AuthorizationObject, action string) client.AuthorizationCheck {
		return client.AuthorizationCheck{Object: o, Action: action}
	}
	req := client.AuthorizationRequest{Checks: map[string]client.AuthorizationCheck{
		"own profile":    check(client.AuthorizationObject{ResourceType: "user", OwnerID: client.Me}, "update_personal"),
		"make users":     check(client.AuthorizationObject{ResourceType: "user"}, "create"),
		"this team":      check(client.AuthorizationObject{ResourceType: "organization", OrganizationID: org.ID.String()}, "update"),
		"some team":      check(client.AuthorizationObject{ResourceType: "organization", AnyOrg: true}, "update"),
		"this workspace": check(client.AuthorizationObject{ResourceType: "workspace", ResourceID: w.ID.String()}, "read"),
		"no workspace":   check(client.AuthorizationObject{ResourceType: "workspace", ResourceID: uuid.NewString()}, "read"),
		"no such kind":   check(client.AuthorizationObject{ResourceType: "ship"}, "sail"),
	}}
	for name, c := range map[string]struct {
		client *client.Client
		want   map[string]bool
	}{
		"owner":    {s.Client, map[string]bool{"own profile": true, "make users": true, "this team": true, "some team": true, "this workspace": true}},
		"admin":    {admin.Client, map[string]bool{"own profile": true, "this team": true, "some team": true, "this workspace": true}},
		"outsider": {outsider.Client, map[string]bool{"own profile": true, "some team": true}},
	} {
		got, err := c.client.AuthCheck(t.Context(), req)
		require.NoError(t, err)
		require.Len(t, got, len(req.Checks))
		for key, allowed := range got {
			require.Equal(t, c.want[key], allowed, "%s: %s", name, key)
		}
	}
	for _, o := range []client.AuthorizationObject{
		{}, {ResourceType: "organization", AnyOrg: true, OrganizationID: org.ID.String()}, {ResourceType: "user", OwnerID: "x"}, {ResourceType: "user", OrganizationID: "x"},
	} {
		_, err := s.Client.AuthCheck(t.Context(), client.AuthorizationRequest{Checks: map[string]client.AuthorizationCheck{"c": check(o, "read")}})
		require.NotEmpty(t, refused(t, err, http.StatusBadRequest).Validations)
	}
	_, err := s.Anonymous(t).AuthCheck(t.Context(), req)
	refused(t, err, http.StatusUnauthorized)
}

func TestUnknownRoutesAndMethodsAnswerJSON(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/no/such/route", 404}, {http.MethodPost, "/no/such/route", 404}, {http.MethodPatch, "/users/me", 405}, {http.MethodDelete, "/buildinfo", 405}, {http.MethodPost, "/", 405},
	} {
		for _, token := range []string{"", s.Token} {
			r := s.Response(t, token, c.method, c.path, "")
			require.Equal(t, c.status, r.Status, "%s %s", c.method, c.path)
			require.Equal(t, "application/json; charset=utf-8", r.Header.Get("Content-Type"))
			require.NotEmpty(t, decode[client.MessageResponse](t, r.Body).Message)
			if c.status == 405 {
				require.NotEmpty(t, r.Header.Get("Allow"))
			}
		}
	}
	_, missing := s.Raw(t, s.Token, http.MethodGet, "/users/nobody", "")
	_, unrouted := s.Raw(t, s.Token, http.MethodGet, "/nobody", "")
	require.NotEqual(t, missing, unrouted, "no route and no such thing are told apart")
}

// Every operation declares who may, and reads every parameter of its path.
func TestTheDescriptionOfTheAPI(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	r := s.Response(t, "", http.MethodGet, "/openapi.json", "")
	require.Equal(t, http.StatusOK, r.Status)
	document := decode[struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]map[string]struct {
			Permission string `json:"x-permission"`
			Summary    string
			Parameters []struct{ Name, In string }
		}
	}](t, r.Body)
	require.True(t, strings.HasPrefix(document.OpenAPI, "3.1"))
	require.Greater(t, len(document.Paths), 80)
	parameter := regexp.MustCompile(`\{(\w+)\}`)
	for path, operations := range document.Paths {
		for method, op := range operations {
			require.NotEmpty(t, op.Permission, "%s %s", method, path)
			require.NotEmpty(t, op.Summary, "%s %s", method, path)
			declared := map[string]bool{}
			for _, p := range op.Parameters {
				declared[p.Name] = declared[p.Name] || p.In == "path"
			}
			for _, name := range parameter.FindAllStringSubmatch(path, -1) {
				require.True(t, declared[name[1]], "%s %s does not read {%s}", method, path, name[1])
			}
		}
	}
}

func TestMachinesFetchTheirAgent(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	script := s.Response(t, "", http.MethodGet, "/init-script/linux/amd64", "")
	require.Equal(t, http.StatusOK, script.Status)
	require.Equal(t, "text/plain; charset=utf-8", script.Header.Get("Content-Type"))
	require.Contains(t, script.Body, s.URL+"/bin/coder-linux-amd64")
	require.Contains(t, script.Body, `CODER_AGENT_AUTH="token"`)
	require.NotContains(t, script.Body, "${A")
	none := s.Response(t, "", http.MethodGet, "/init-script/plan9/mips", "")
	require.Equal(t, http.StatusNotFound, none.Status)
	require.Contains(t, none.Body, "linux/amd64")

	arch := strings.Replace(runtime.GOARCH, "arm", "armv7", 1)
	if runtime.GOARCH == "arm64" {
		arch = "arm64"
	}
	own := fmt.Sprintf("//bin/coder-%s-%s", runtime.GOOS, arch)
	if runtime.GOOS == "windows" {
		own += ".exe"
	}
	path, err := os.Executable()
	require.NoError(t, err)
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	binary := s.Response(t, "", http.MethodGet, own, "")
	require.Equal(t, http.StatusOK, binary.Status)
	require.True(t, bytes.Equal(want, []byte(binary.Body)), "the very binary that runs")
	other := s.Response(t, "", http.MethodGet, "//bin/coder-plan9-mips", "")
	require.Equal(t, http.StatusNotFound, other.Status)
	require.Contains(t, other.Body, "platform")
	require.Equal(t, http.StatusNotFound, s.Response(t, "", http.MethodGet, "//bin/..%2f..%2fetc%2fpasswd", "").Status)
}
