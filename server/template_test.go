package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/store"
)

func to[T any](value T) *T { return &value }

func TestANewTemplateHasTheDefaultsOfTheReference(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	v := b.version(t, plainTemplate, nil) // still waiting for its import
	tpl, err := b.admin.CreateTemplate(t.Context(), "platform", client.CreateTemplateRequest{Name: "docker", VersionID: v.ID})
	require.NoError(t, err)
	require.Equal(t, b.org.ID, tpl.OrganizationID)
	require.Equal(t, "platform", tpl.OrganizationName)
	require.Equal(t, v.ID, tpl.ActiveVersionID)
	require.Equal(t, client.ProvisionerTerraform, tpl.Provisioner)
	require.Equal(t, v.CreatedBy.Username, tpl.CreatedByName)
	require.EqualValues(t, 3_600_000, tpl.ActivityBumpMS)
	require.Zero(t, tpl.DefaultTTLMS)
	require.True(t, tpl.AllowUserAutostart && tpl.AllowUserAutostop && tpl.AllowUserCancelWorkspaceJobs && tpl.UseClassicParameterFlow)
	require.False(t, tpl.RequireActiveVersion || tpl.Deprecated || tpl.Deleted)
	require.Equal(t, "owner", tpl.MaxPortShareLevel)
	require.Equal(t, "simple", tpl.CORSBehavior)
	require.Equal(t, client.AutostopRequirement{DaysOfWeek: []string{}, Weeks: 1}, tpl.AutostopRequirement)
	require.Len(t, tpl.AutostartRequirement.DaysOfWeek, 7)
	require.Zero(t, tpl.ActiveUserCount)
	_, body := b.Raw(t, b.Token, http.MethodGet, "/templates/"+tpl.ID.String(), "")
	require.Contains(t, body, `"build_time_stats":{"delete":{"P50":null,"P95":null},"start":{"P50":null,"P95":null},"stop":{"P50":null,"P95":null}}`)

	byName, err := b.member.TemplateByName(t.Context(), "platform", "Docker")
	require.NoError(t, err, "members use what Everyone may use")
	require.Equal(t, tpl.ID, byName.ID)
}

func TestCreatingATemplateTakesItsOwnFieldNames(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	v := b.version(t, plainTemplate, nil)
	code, body := b.Raw(t, b.Token, http.MethodPost, "/organizations/platform/templates", `{"name":"docker","template_version_id":"`+v.ID.String()+`",
		"display_name":"Docker","description":"With containers","default_ttl_ms":60000,"activity_bump_ms":0,"failure_ttl_ms":1,"dormant_ttl_ms":2,"delete_ttl_ms":3,
		"allow_user_cancel_workspace_jobs":false,"allow_user_autostart":false,"allow_user_autostop":false,"require_active_version":true,
		"autostop_requirement":{"days_of_week":["sunday","monday"],"weeks":2},"autostart_requirement":{"days_of_week":["friday"]},
		"max_port_share_level":"public","cors_behavior":"passthru","disable_everyone_group_access":true,"template_use_classic_parameter_flow":false}`)
	require.Equal(t, http.StatusCreated, code, body)
	var got map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	for field, want := range map[string]any{
		"display_name": "Docker", "description": "With containers", "default_ttl_ms": 60000.0, "activity_bump_ms": 0.0, "failure_ttl_ms": 1.0,
		"time_til_dormant_ms": 2.0, "time_til_dormant_autodelete_ms": 3.0, "allow_user_cancel_workspace_jobs": false, "allow_user_autostart": false,
		"allow_user_autostop": false, "require_active_version": true, "max_port_share_level": "public", "cors_behavior": "passthru",
		"autostop_requirement":  map[string]any{"days_of_week": []any{"monday", "sunday"}, "weeks": 2.0},
		"autostart_requirement": map[string]any{"days_of_week": []any{"friday"}}, "use_classic_parameter_flow": true,
	} {
		require.Equal(t, want, got[field], field)
	}
	_, err := b.member.TemplateByName(t.Context(), "platform", "docker")
	refused(t, err, http.StatusNotFound)
}

func TestATemplateThatCannotBeMadeSaysWhy(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	taken := b.template(t, "docker")
	free := b.version(t, plainTemplate, nil)
	for name, c := range map[string]struct {
		change func(*client.CreateTemplateRequest)
		status int
		field  string
	}{
		"no name":                  {func(r *client.CreateTemplateRequest) { r.Name = "" }, 400, "name"},
		"a name with a dot":        {func(r *client.CreateTemplateRequest) { r.Name = "a.b" }, 400, "name"},
		"a name that is not ASCII": {func(r *client.CreateTemplateRequest) { r.Name = "köln" }, 400, "name"},
		"a reserved name":          {func(r *client.CreateTemplateRequest) { r.Name = "new" }, 400, "name"},
		"a name over the limit":    {func(r *client.CreateTemplateRequest) { r.Name = strings.Repeat("a", 33) }, 400, "name"},
		"a name that is taken":     {func(r *client.CreateTemplateRequest) { r.Name = "DOCKER" }, 409, "name"},
		"a long description":       {func(r *client.CreateTemplateRequest) { r.Description = strings.Repeat("a", 128) }, 400, "description"},
		"a bound version":          {func(r *client.CreateTemplateRequest) { r.VersionID = taken.ActiveVersionID }, 400, "template_version_id"},
		"an unknown version":       {func(r *client.CreateTemplateRequest) { r.VersionID = uuid.New() }, 404, ""},
		"a negative time to live":  {func(r *client.CreateTemplateRequest) { r.DefaultTTLMS = to(int64(-1)) }, 400, "default_ttl_ms"},
		"a negative dormancy":      {func(r *client.CreateTemplateRequest) { r.DormantTTLMS = to(int64(-1)) }, 400, "dormant_ttl_ms"},
		"a time of ages":           {func(r *client.CreateTemplateRequest) { r.DeleteTTLMS = to(int64(1) << 62) }, 400, "delete_ttl_ms"},
		"an unknown day": {func(r *client.CreateTemplateRequest) {
			r.AutostopRequirement = &client.AutostopRequirement{DaysOfWeek: []string{"someday"}}
		}, 400, "autostop_requirement.days_of_week"},
		"too many weeks":   {func(r *client.CreateTemplateRequest) { r.AutostopRequirement = &client.AutostopRequirement{Weeks: 17} }, 400, "autostop_requirement.weeks"},
		"an unknown level": {func(r *client.CreateTemplateRequest) { r.MaxPortShareLevel = to("everyone") }, 400, "max_port_share_level"},
		"unknown CORS":     {func(r *client.CreateTemplateRequest) { r.CORSBehavior = to("none") }, 400, "cors_behavior"},
	} {
		t.Run(name, func(t *testing.T) {
			req := client.CreateTemplateRequest{Name: "fresh", VersionID: free.ID}
			c.change(&req)
			_, err := b.admin.CreateTemplate(t.Context(), "platform", req)
			e := refused(t, err, c.status)
			if c.field != "" {
				fieldOf(t, e, c.field)
			}
		})
	}
	_, err := b.member.CreateTemplate(t.Context(), "platform", client.CreateTemplateRequest{Name: "fresh", VersionID: free.ID})
	refused(t, err, http.StatusNotFound)
	other := b.Organization(t, "other")
	_, err = b.Client.CreateTemplate(t.Context(), other.ID.String(), client.CreateTemplateRequest{Name: "fresh", VersionID: free.ID})
	refused(t, err, http.StatusNotFound)
	all, err := b.admin.OrganizationTemplates(t.Context(), "platform")
	require.NoError(t, err)
	require.Len(t, all, 1, "nothing was made")
}

func TestChangingATemplate(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	tpl := b.template(t, "docker")
	b.template(t, "other")
	path := "/templates/" + tpl.ID.String()

	t.Run("to what it is answers 304 without a body", func(t *testing.T) {
		for _, body := range []string{`{}`, `{"name":"docker","display_name":"","default_ttl_ms":0,"autostop_requirement":{"days_of_week":[],"weeks":1}}`, `{"deprecation_message":""}`} {
			r := b.Response(t, b.Token, http.MethodPatch, path, body)
			require.Equal(t, http.StatusNotModified, r.Status, body)
			require.Empty(t, r.Body)
		}
		same, err := b.admin.UpdateTemplate(t.Context(), tpl.ID, client.UpdateTemplateRequest{})
		require.NoError(t, err)
		require.Equal(t, tpl.ID, same.ID)
	})
	t.Run("keeps what is absent", func(t *testing.T) {
		_, err := b.admin.UpdateTemplate(t.Context(), tpl.ID, client.UpdateTemplateRequest{DisplayName: to("Docker"), TimeTilDormantMS: to(int64(5)), TimeTilDormantAutoDeleteMS: to(int64(6))})
		require.NoError(t, err)
		got, err := b.admin.UpdateTemplate(t.Context(), tpl.ID, client.UpdateTemplateRequest{DeprecationMessage: to("Use other")})
		require.NoError(t, err)
		require.True(t, got.Deprecated)
		require.Equal(t, "Docker", got.DisplayName)
		require.EqualValues(t, 5, got.TimeTilDormantMS)
		require.EqualValues(t, 6, got.TimeTilDormantAutoDeleteMS)
		require.EqualValues(t, 3_600_000, got.ActivityBumpMS)
		got, err = b.admin.UpdateTemplate(t.Context(), tpl.ID, client.UpdateTemplateRequest{DeprecationMessage: to("")})
		require.NoError(t, err)
		require.False(t, got.Deprecated)
	})
	t.Run("refuses what is wrong, all of it at once", func(t *testing.T) {
		_, err := b.admin.UpdateTemplate(t.Context(), tpl.ID, client.UpdateTemplateRequest{
			Name: to("a b"), FailureTTLMS: to(int64(-5)), AutostartRequirement: &client.AutostartRequirement{DaysOfWeek: []string{"x"}},
		})
		refused(t, err, http.StatusBadRequest, "name", "failure_ttl_ms", "autostart_requirement.days_of_week")
		_, err = b.admin.UpdateTemplate(t.Context(), tpl.ID, client.UpdateTemplateRequest{Name: to("other")})
		refused(t, err, http.StatusConflict, "name")
		_, err = b.member.UpdateTemplate(t.Context(), tpl.ID, client.UpdateTemplateRequest{Name: to("mine")})
		refused(t, err, http.StatusNotFound)
		_, err = b.admin.UpdateTemplate(t.Context(), uuid.New(), client.UpdateTemplateRequest{Name: to("mine")})
		refused(t, err, http.StatusNotFound)
	})
	t.Run("takes Everyone away", func(t *testing.T) {
		_, err := b.member.Template(t.Context(), tpl.ID)
		require.NoError(t, err)
		_, err = b.admin.UpdateTemplate(t.Context(), tpl.ID, client.UpdateTemplateRequest{DisableEveryoneGroupAccess: to(true)})
		require.NoError(t, err)
		_, err = b.member.Template(t.Context(), tpl.ID)
		refused(t, err, http.StatusNotFound)
	})
}

func TestDeletingATemplate(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	tpl := b.template(t, "docker")
	w := b.workspaceRow(t, tpl)
	require.Contains(t, refused(t, b.admin.DeleteTemplate(t.Context(), tpl.ID), http.StatusBadRequest).Message, "1 workspace")
	require.NoError(t, b.Store.DeleteWorkspace(t.Context(), store.DeleteWorkspaceParams{OrganizationID: b.org.ID, ID: w, UpdatedAt: store.At(tpl.CreatedAt)}))
	refused(t, b.member.DeleteTemplate(t.Context(), tpl.ID), http.StatusNotFound)
	require.NoError(t, b.admin.DeleteTemplate(t.Context(), tpl.ID))
	_, err := b.admin.Template(t.Context(), tpl.ID)
	refused(t, err, http.StatusNotFound)
	refused(t, b.admin.DeleteTemplate(t.Context(), tpl.ID), http.StatusNotFound)
	deleted, err := b.admin.Templates(t.Context(), "deleted:true")
	require.NoError(t, err)
	require.Len(t, deleted, 1)
	require.True(t, deleted[0].Deleted)
	again := b.template(t, "docker") // the name is free
	require.NotEqual(t, tpl.ID, again.ID)
}

// workspaceRow puts a workspace of the owner into the store.
func (b *templateBench) workspaceRow(t *testing.T, tpl client.Template) uuid.UUID {
	t.Helper()
	w, err := b.Store.InsertWorkspace(t.Context(), store.InsertWorkspaceParams{
		ID: uuid.New(), OrganizationID: b.org.ID, OwnerID: b.Owner.ID, TemplateID: tpl.ID, Name: "box-" + uuid.NewString()[:8],
		AutomaticUpdates: "never", LatestBuildID: uuid.New(), LastUsedAt: store.At(tpl.CreatedAt), CreatedAt: store.At(tpl.CreatedAt), UpdatedAt: store.At(tpl.CreatedAt),
	})
	require.NoError(t, err)
	return w.ID
}

// What no list is as long as is refused, and no page is taken for another one.
func TestPagesThatNoListHas(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, list := range []string{"/paginated-templates", "/workspaces", "/users", "/audit", "/organizations/data-platform/paginated-groups", "/organizations/data-platform/paginated-members"} {
		for _, page := range []string{"?offset=3000000000", "?limit=3000000000"} {
			status, _ := s.Raw(t, s.Token, http.MethodGet, list+page, "")
			require.Equal(t, http.StatusBadRequest, status, list+page)
		}
		status, _ := s.Raw(t, s.Token, http.MethodGet, list+"?offset=2147483647", "")
		require.Equal(t, http.StatusOK, status, list)
	}
	require.Equal(t, http.StatusBadRequest, s.SignedIn(t, "owner@example.com").Open("/templates?offset=3000000000").Status)
	for _, list := range []string{"/templates", "/paginated-templates", "/workspaces", "/users"} {
		status, _ := s.Raw(t, s.Token, http.MethodGet, list+"?q="+strings.Repeat("a", 60_000), "")
		require.Equal(t, http.StatusBadRequest, status, list)
		status, _ = s.Raw(t, s.Token, http.MethodGet, list+"?q="+strings.Repeat("%25", 9_000), "")
		require.Equal(t, http.StatusOK, status, list)
	}
}

func TestSearchingTemplates(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	docker, podman, kube := b.template(t, "docker"), b.template(t, "podman"), b.template(t, "kubernetes")
	b.workspaceRow(t, podman)
	_, err := b.admin.UpdateTemplate(t.Context(), kube.ID, client.UpdateTemplateRequest{DeprecationMessage: to("old"), DisableEveryoneGroupAccess: to(true)})
	require.NoError(t, err)
	author, err := b.admin.User(t.Context(), client.Me)
	require.NoError(t, err)
	for query, want := range map[string][]uuid.UUID{
		"":                                       {podman.ID, docker.ID, kube.ID}, // most used first
		"DO":                                     {docker.ID},
		"name:man":                               {podman.ID},
		"exact_name:docker":                      {docker.ID},
		"exact_name:dock":                        {},
		"deprecated:true":                        {kube.ID},
		"deprecated:false organization:platform": {podman.ID, docker.ID},
		"organization:" + b.org.ID.String():      {podman.ID, docker.ID, kube.ID},
		"organization:elsewhere":                 {},
		"ids:" + docker.ID.String():              {docker.ID},
		"author:me":                              {podman.ID, docker.ID, kube.ID},
		"author:" + author.Username + " kube":    {kube.ID},
		"author:nobody":                          {},
		"has-ai-task:true":                       {},
		"has_external_agent:false docker":        {docker.ID},
		"has_external_agent:true":                {},
		"deleted:true":                           {},
	} {
		got, err := b.admin.Templates(t.Context(), query)
		require.NoError(t, err, query)
		require.Equal(t, want, templateIDs(got), query)
		require.Equal(t, got, paged(t, b.admin, query), query)
		if query != "author:me" {
			require.Equal(t, got, paged(t, b.Client, query), "the owner: %s", query)
		}
	}
	_, err = b.admin.Templates(t.Context(), "colour:red deprecated:maybe")
	refused(t, err, http.StatusBadRequest, "colour", "deprecated")

	seen, err := b.member.Templates(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{podman.ID, docker.ID}, templateIDs(seen))
	require.Equal(t, seen, paged(t, b.member, ""))
	seen, err = b.member.OrganizationTemplates(t.Context(), "platform")
	require.NoError(t, err)
	require.Len(t, seen, 2)
	outsider := b.Outsider(t).Client
	seen, err = outsider.Templates(t.Context(), "")
	require.NoError(t, err)
	require.Empty(t, seen)
	require.Empty(t, paged(t, outsider, ""))
	_, err = outsider.OrganizationTemplates(t.Context(), "platform")
	refused(t, err, http.StatusNotFound)
	_, hidden := outsider.TemplateByName(t.Context(), "platform", "docker")
	_, missing := outsider.TemplateByName(t.Context(), "nowhere", "docker")
	sameRefusal(t, missing, hidden)
}

// paged are all templates that a search finds, read one at a time.
func paged(t *testing.T, c *client.Client, query string) []client.Template {
	t.Helper()
	out := []client.Template{}
	for {
		page, err := c.PaginatedTemplates(t.Context(), client.TemplatesRequest{Query: query, Page: client.Page{Limit: 1, Offset: len(out)}})
		require.NoError(t, err)
		if len(page.Templates) == 0 {
			require.Len(t, out, page.Count)
			return out
		}
		require.Len(t, page.Templates, 1)
		require.Less(t, len(out), page.Count, "a page behind the end")
		out = append(out, page.Templates...)
	}
}

func TestAPageOfTemplatesIsNarrowedToAnOrganization(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	docker := b.template(t, "docker")
	other := newTemplateBenchIn(t, b.Server, "zebra")
	there := other.template(t, "podman")
	list := func(c *client.Client, organization string) (ids []uuid.UUID, count int, organizations []string) {
		t.Helper()
		page, err := c.PaginatedTemplates(t.Context(), client.TemplatesRequest{Organization: organization, Page: client.Page{Limit: 25}})
		require.NoError(t, err)
		for _, o := range page.Organizations {
			organizations = append(organizations, o.Name)
		}
		return templateIDs(page.Templates), page.Count, organizations
	}
	for organization, want := range map[string][]uuid.UUID{"": {docker.ID, there.ID}, "zebra": {there.ID}, other.org.ID.String(): {there.ID}, "nowhere": {}} {
		ids, count, organizations := list(b.Client, organization)
		require.Equal(t, want, ids, organization)
		require.Equal(t, len(want), count, organization)
		require.Equal(t, []string{"platform", "zebra"}, organizations, "to narrow to, whatever it is narrowed to")
	}
	ids, count, organizations := list(b.member, "zebra")
	require.Empty(t, ids)
	require.Zero(t, count)
	require.Equal(t, []string{"platform"}, organizations, "not those of others")
	status, _ := b.Raw(t, b.Token, http.MethodGet, "/paginated-templates?color=red", "")
	require.Equal(t, http.StatusBadRequest, status)
	page, err := b.Client.PaginatedTemplates(t.Context(), client.TemplatesRequest{Page: client.Page{Limit: 25, Offset: 10}})
	require.NoError(t, err)
	require.Equal(t, 2, page.Count, "behind the end")
	require.Empty(t, page.Templates)
}

func templateIDs(templates []client.Template) []uuid.UUID {
	ids := []uuid.UUID{}
	for _, tpl := range templates {
		ids = append(ids, tpl.ID)
	}
	return ids
}

func TestTheAccessListOfATemplate(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	tpl := b.template(t, "docker")
	member, user := b.MemberUser(t, b.org)
	update := func(c *client.Client, users, groups map[string]string) error {
		return c.UpdateTemplateACL(t.Context(), tpl.ID, client.UpdateTemplateACLRequest{UserPerms: users, GroupPerms: groups})
	}
	_, err := member.TemplateACL(t.Context(), tpl.ID)
	refused(t, err, http.StatusNotFound)

	require.NoError(t, update(b.admin, map[string]string{user.ID.String(): client.TemplateRoleAdmin}, nil))
	acl, err := member.TemplateACL(t.Context(), tpl.ID)
	require.NoError(t, err)
	require.Len(t, acl.Users, 1)
	require.Equal(t, user.ID, acl.Users[0].ID)
	require.Equal(t, client.TemplateRoleAdmin, acl.Users[0].Role)
	require.Len(t, acl.Groups, 1)
	require.Equal(t, b.org.ID, acl.Groups[0].ID)
	require.Equal(t, client.TemplateRoleUse, acl.Groups[0].Role)
	_, body := b.Raw(t, b.Token, http.MethodGet, "/templates/"+tpl.ID.String()+"/acl", "")
	require.Contains(t, body, `"group":[`)
	_, err = member.UpdateTemplate(t.Context(), tpl.ID, client.UpdateTemplateRequest{DisplayName: to("Mine")})
	require.NoError(t, err, "an admin of the template changes it")
	req := versionRequest(t, member, plainTemplate)
	req.TemplateID = &tpl.ID
	_, err = member.CreateTemplateVersion(t.Context(), "platform", req)
	require.NoError(t, err, "an admin of the template pushes versions")
	req.TemplateID = nil
	_, err = member.CreateTemplateVersion(t.Context(), "platform", req)
	refused(t, err, http.StatusNotFound)

	for name, c := range map[string]struct{ users, groups map[string]string }{
		"an unknown user":                {map[string]string{uuid.NewString(): "use"}, nil},
		"a user of no such organization": {map[string]string{b.Outsider(t).User.ID.String(): "use"}, nil},
		"an unknown group":               {nil, map[string]string{uuid.NewString(): "use"}},
		"an unknown role":                {map[string]string{user.ID.String(): "owner"}, nil},
		"what is no UUID":                {map[string]string{"owner": "use"}, nil},
		"the Everyone of somewhere else": {nil, map[string]string{b.Organization(t, "elsewhere").ID.String(): "use"}},
	} {
		t.Run(name, func(t *testing.T) { refused(t, update(b.admin, c.users, c.groups), http.StatusBadRequest) })
	}
	require.NoError(t, update(b.admin, map[string]string{user.ID.String(): ""}, map[string]string{b.org.ID.String(): "", uuid.NewString(): ""}))
	_, err = member.Template(t.Context(), tpl.ID)
	refused(t, err, http.StatusNotFound)

	available, err := b.admin.TemplateACLAvailable(t.Context(), tpl.ID, user.Username)
	require.NoError(t, err)
	require.Len(t, available.Users, 1)
	require.Equal(t, user.ID, available.Users[0].ID)
	available, err = b.admin.TemplateACLAvailable(t.Context(), tpl.ID, "")
	require.NoError(t, err)
	require.Len(t, available.Groups, 1)
}

func TestInsightsAreWellFormedAndEmpty(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	tpl := b.template(t, "docker")
	const span = "start_time=2026-01-01T00:00:00Z&end_time=2026-01-08T00:00:00Z"
	path := "/templates/" + tpl.ID.String() + "/daus"
	for _, c := range []struct {
		token, path string
		status      int
		want        string
	}{
		{b.Token, path + "?tz_offset=2", 200, `{"entries":[],"tz_hour_offset":2}`},
		{b.Token, path + "?colour=red", 400, ""},
		{b.Token, "/insights/daus?tz_offset=0", 200, `{"entries":[],"tz_hour_offset":0}`},
		{b.Token, "/insights/templates?" + span, 200, `{"report":{"start_time":"2026-01-01T00:00:00Z","end_time":"2026-01-08T00:00:00Z","template_ids":[],"active_users":0,"apps_usage":[],"parameters_usage":[]}}`},
		{b.Token, "/insights/templates", 400, ""},
		{b.Token, "/insights/user-activity?template_ids=" + tpl.ID.String() + "&" + span, 200, `{"report":{"start_time":"2026-01-01T00:00:00Z","end_time":"2026-01-08T00:00:00Z","template_ids":["` + tpl.ID.String() + `"],"users":[]}}`},
		{b.Token, "/insights/user-activity?template_ids=" + uuid.NewString() + "&" + span, 404, ""},
		{b.Token, "/insights/user-latency?" + span, 200, `{"report":{"start_time":"2026-01-01T00:00:00Z","end_time":"2026-01-08T00:00:00Z","template_ids":[],"users":[]}}`},
		{b.Token, "/insights/user-latency?start_time=2026-01-08T00:00:00Z&end_time=2026-01-01T00:00:00Z", 400, ""},
		{b.Token, "/insights/user-status-counts?tz_offset=0", 200, `{"status_counts":{}}`},
	} {
		status, body := b.Raw(t, c.token, http.MethodGet, c.path, "")
		require.Equal(t, c.status, status, "%s: %s", c.path, body)
		if c.want != "" {
			require.JSONEq(t, c.want, body, c.path)
		}
	}
}

func TestTwoWhoCreateOneTemplate(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t, servertest.WithoutLoops())
	v := b.version(t, plainTemplate, nil)
	results := make(chan error, 8)
	for i := range cap(results) {
		go func() {
			_, err := b.admin.CreateTemplate(t.Context(), "platform", client.CreateTemplateRequest{Name: "t" + string(rune('a'+i)), VersionID: v.ID})
			results <- err
		}()
	}
	made := 0
	for range cap(results) {
		if err := <-results; err == nil {
			made++
		} else {
			refused(t, err, http.StatusBadRequest, "template_version_id")
		}
	}
	require.Equal(t, 1, made)
	all, err := b.admin.OrganizationTemplates(t.Context(), "platform")
	require.NoError(t, err)
	require.Len(t, all, 1)
}

func TestBuildTimesAreCountedForEachTransition(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	b := newTemplateBench(t, servertest.WithClock(clock), servertest.WithoutLoops())
	tpl := b.template(t, "docker")
	for i := range 4 {
		b.buildRow(t, tpl, clock, time.Duration(i+1)*time.Second)
	}
	cached, err := b.admin.Template(t.Context(), tpl.ID)
	require.NoError(t, err)
	require.Nil(t, cached.BuildTimeStats[client.TransitionStart].P50, "counted when the template was made, not since")
	clock.Advance(11 * time.Minute)
	got, err := b.admin.Template(t.Context(), tpl.ID)
	require.NoError(t, err)
	require.Equal(t, map[string]client.TransitionStats{
		client.TransitionStart: {P50: to(int64(2000)), P95: to(int64(4000))}, client.TransitionStop: {}, client.TransitionDelete: {},
	}, got.BuildTimeStats)
	require.Equal(t, 1, got.ActiveUserCount)
}

// buildRow puts a workspace into the store whose start took so long.
func (b *templateBench) buildRow(t *testing.T, tpl client.Template, clock *servertest.Clock, took time.Duration) {
	t.Helper()
	w, now := b.workspaceRow(t, tpl), store.At(clock.Now())
	v, err := b.admin.TemplateVersion(t.Context(), tpl.ActiveVersionID)
	require.NoError(t, err)
	buildID := uuid.New()
	job, err := b.Store.InsertProvisionerJob(t.Context(), store.InsertProvisionerJobParams{
		ID: uuid.New(), OrganizationID: b.org.ID, Type: client.JobWorkspaceBuild, Provisioner: "terraform", FileID: v.Job.FileID, InitiatorID: b.Owner.ID,
		TemplateVersionID: v.ID, WorkspaceID: &w, WorkspaceBuildID: &buildID, Input: "{}", CreatedAt: now, UpdatedAt: now,
	})
	require.NoError(t, err)
	_, err = b.Store.InsertWorkspaceBuild(t.Context(), store.InsertWorkspaceBuildParams{
		ID: buildID, OrganizationID: b.org.ID, WorkspaceID: w, TemplateVersionID: v.ID, JobID: job.ID, BuildNumber: 1, Transition: client.TransitionStart,
		Reason: "initiator", InitiatorID: b.Owner.ID, Parameters: "[]", CreatedAt: now, UpdatedAt: now,
	})
	require.NoError(t, err)
	_, err = b.Store.ClaimProvisionerJob(t.Context(), store.ClaimProvisionerJobParams{OrganizationID: b.org.ID, ID: job.ID, StartedAt: now, UpdatedAt: now})
	require.NoError(t, err)
	err = b.Store.FinishProvisionerJob(t.Context(), store.FinishProvisionerJobParams{
		OrganizationID: b.org.ID, ID: job.ID, Status: client.JobSucceeded, InDoubt: "[]", Timings: "[]", CompletedAt: store.At(clock.Now().Add(took)),
	})
	require.NoError(t, err)
}

func TestOneShotFlagsResetTheClocksOfWorkspaces(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	b := newTemplateBench(t, servertest.WithClock(clock), servertest.WithoutLoops())
	tpl := b.template(t, "docker")
	w, dormant := b.workspaceRow(t, tpl), store.At(clock.Now())
	_, err := b.Store.SetWorkspaceDormant(t.Context(), store.SetWorkspaceDormantParams{
		OrganizationID: b.org.ID, ID: w, DormantAt: dormant, LastUsedAt: dormant, UpdatedAt: dormant,
	})
	require.NoError(t, err)
	clock.Advance(time.Hour)
	_, err = b.admin.UpdateTemplate(t.Context(), tpl.ID, client.UpdateTemplateRequest{TimeTilDormantAutoDeleteMS: to(int64(60_000))})
	require.NoError(t, err)
	row, err := b.Store.GetWorkspace(t.Context(), w)
	require.NoError(t, err)
	require.True(t, row.DeletingAt.IsZero())
	require.Equal(t, dormant, row.LastUsedAt)

	got, err := b.admin.UpdateTemplate(t.Context(), tpl.ID, client.UpdateTemplateRequest{UpdateWorkspaceLastUsedAt: true, UpdateWorkspaceDormantAt: true})
	require.NoError(t, err)
	require.Equal(t, tpl.ID, got.ID)
	row, err = b.Store.GetWorkspace(t.Context(), w)
	require.NoError(t, err)
	require.Equal(t, dormant.Add(time.Minute), row.DeletingAt.Time)
	require.Equal(t, clock.Now(), row.LastUsedAt.Time)
}
