package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
)

func TestCreateRefusals(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.running(t, "box")
	hidden := s.newTemplate(t, "hidden", client.ImportResult{}, func(r *client.CreateTemplateRequest) { r.DisableEveryoneGroupAccess = true })
	deprecated := s.newTemplate(t, "deprecated", client.ImportResult{}, nil)
	_, err := s.Client.UpdateTemplate(t.Context(), deprecated.ID, client.UpdateTemplateRequest{DeprecationMessage: pointer("Use docker.")})
	require.NoError(t, err)
	deleted := s.newTemplate(t, "deleted", client.ImportResult{}, nil)
	require.NoError(t, s.Client.DeleteTemplate(t.Context(), deleted.ID))
	fixed := s.newTemplate(t, "fixed", client.ImportResult{}, nil)
	_, err = s.Client.UpdateTemplate(t.Context(), fixed.ID, client.UpdateTemplateRequest{AllowUserAutostart: pointer(false), AllowUserAutostop: pointer(false)})
	require.NoError(t, err)
	pending := s.pendingVersion(t, nil, "")

	valid := client.CreateWorkspaceRequest{TemplateID: &s.template.ID, Name: "other"}
	for name, c := range map[string]struct {
		status int
		field  string
		change func(*client.CreateWorkspaceRequest)
	}{
		"neither template nor version": {400, "template_id", func(r *client.CreateWorkspaceRequest) { r.TemplateID = nil }},
		"template and version":         {400, "template_id", func(r *client.CreateWorkspaceRequest) { r.TemplateVersionID = &s.template.ActiveVersionID }},
		"an unknown template":          {400, "template_id", func(r *client.CreateWorkspaceRequest) { r.TemplateID = pointer(uuid.New()) }},
		"a hidden template":            {400, "template_id", func(r *client.CreateWorkspaceRequest) { r.TemplateID = &hidden.ID }},
		"an unknown version":           {400, "template_version_id", func(r *client.CreateWorkspaceRequest) { r.TemplateID, r.TemplateVersionID = nil, pointer(uuid.New()) }},
		"a version without a template": {400, "template_version_id", func(r *client.CreateWorkspaceRequest) { r.TemplateID, r.TemplateVersionID = nil, &pending.ID }},
		"a deleted template":           {404, "", func(r *client.CreateWorkspaceRequest) { r.TemplateID = &deleted.ID }},
		"a deprecated template":        {400, "", func(r *client.CreateWorkspaceRequest) { r.TemplateID = &deprecated.ID }},
		"a taken name":                 {409, "name", func(r *client.CreateWorkspaceRequest) { r.Name = "BOX" }},
		"a name with two hyphens":      {400, "name", func(r *client.CreateWorkspaceRequest) { r.Name = "a--b" }},
		"a reserved name":              {400, "name", func(r *client.CreateWorkspaceRequest) { r.Name = "new" }},
		"a name that is too long":      {400, "name", func(r *client.CreateWorkspaceRequest) { r.Name = strings.Repeat("a", 33) }},
		"a name that is not ASCII":     {400, "name", func(r *client.CreateWorkspaceRequest) { r.Name = "böx" }},
		"no name":                      {400, "name", func(r *client.CreateWorkspaceRequest) { r.Name = "" }},
		"a schedule that is none":      {400, "schedule", func(r *client.CreateWorkspaceRequest) { r.AutostartSchedule = pointer("@daily") }},
		"a schedule that is not allowed": {400, "schedule", func(r *client.CreateWorkspaceRequest) {
			r.TemplateID, r.AutostartSchedule = &fixed.ID, pointer("0 9 * * 1-5")
		}},
		"a time to live that is too long": {400, "ttl_ms", func(r *client.CreateWorkspaceRequest) { r.TTLMillis = pointer((31 * 24 * time.Hour).Milliseconds()) }},
		"a time to live not allowed": {400, "ttl_ms", func(r *client.CreateWorkspaceRequest) {
			r.TemplateID, r.TTLMillis = &fixed.ID, pointer(time.Hour.Milliseconds())
		}},
		"updates that are neither": {400, "automatic_updates", func(r *client.CreateWorkspaceRequest) { r.AutomaticUpdates = "sometimes" }},
	} {
		t.Run(name, func(t *testing.T) {
			req := valid
			c.change(&req)
			_, err := s.member.CreateWorkspace(t.Context(), s.org.Name, client.Me, req)
			if c.field == "" {
				refused(t, err, c.status)
				return
			}
			refused(t, err, c.status, c.field)
		})
	}
	require.Len(t, s.find(t, "").Workspaces, 1)

	_, err = s.member.CreateWorkspace(t.Context(), s.org.Name, s.Owner.Username, valid)
	refused(t, err, http.StatusNotFound)
	_, err = s.Client.CreateWorkspace(t.Context(), s.org.Name, "nobody", valid)
	refused(t, err, http.StatusNotFound)
	outsider := s.Outsider(t)
	_, err = outsider.Client.CreateWorkspace(t.Context(), s.org.Name, client.Me, valid)
	refused(t, err, http.StatusNotFound)
	_, err = s.Client.CreateWorkspace(t.Context(), s.org.Name, outsider.User.Username, valid)
	refused(t, err, http.StatusNotFound)
	_, err = outsider.Client.CreateUserWorkspace(t.Context(), client.Me, valid)
	refused(t, err, http.StatusBadRequest, "template_id")
	elsewhere := s.Organization(t, "elsewhere")
	_, err = s.Client.CreateWorkspace(t.Context(), elsewhere.Name, client.Me, valid)
	refused(t, err, http.StatusForbidden)

	w, err := s.Member(t, s.org, client.RoleOrgAdmin).CreateUserWorkspace(t.Context(), "dev1", valid)
	require.NoError(t, err, "an administrator makes one for a member")
	require.Equal(t, "dev1/other", w.FullName())
}

func TestSearchWorkspaces(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.template = s.newTemplate(t, "sized", sizeParameters(), nil)
	with := func(region string) func(*client.CreateWorkspaceRequest) {
		return func(r *client.CreateWorkspaceRequest) {
			r.RichParameterValues = []client.BuildParameter{{Name: "region", Value: region}}
		}
	}
	alpha := s.create(t, "alpha", with("EU west"))
	s.worker.take(t).succeed(t, agentResource(0))
	s.running(t, "beta", with(`50%"`))
	s.create(t, "gamma", with("us"))
	colleague, user := s.NamedMember(t, s.org, "dev2")
	_, err := colleague.CreateWorkspace(t.Context(), s.org.Name, client.Me, client.CreateWorkspaceRequest{TemplateID: &s.template.ID, Name: "delta", RichParameterValues: []client.BuildParameter{{Name: "region", Value: "us"}}})
	require.NoError(t, err)
	require.NoError(t, s.member.UpdateWorkspaceDormancy(t.Context(), alpha.ID, client.UpdateWorkspaceDormancyRequest{Dormant: true}))

	names := func(c *client.Client, q string) string {
		r, err := c.Workspaces(t.Context(), client.WorkspacesRequest{Query: q})
		require.NoError(t, err, q)
		require.Equal(t, len(r.Workspaces), r.Count, q)
		found := []string{}
		for _, w := range r.Workspaces {
			found = append(found, w.Name)
		}
		return strings.Join(found, " ")
	}
	admin := s.Member(t, s.org, client.RoleOrgAdmin)
	for q, want := range map[string]string{
		"":                                "alpha beta gamma delta",
		"owner:dev2":                      "delta",
		"user:dev1 name:ET":               "beta",
		"dev1/A":                          "alpha beta gamma",
		"owner:dev2 gam":                  "",
		"a status:running":                "alpha beta",
		"status:pending,running owner:x":  "",
		"status:stopped status:pending":   "gamma delta",
		"template:sized":                  "alpha beta gamma delta",
		"template:docker":                 "",
		"organization:data-platform beta": "beta",
		"organization:" + s.org.ID.String() + " beta": "beta",
		"organization:coder":                          "",
		"id:" + alpha.ID.String():                     "alpha",
		"dormant:true":                                "alpha",
		"dormant:false":                               "beta gamma delta",
		"outdated:false dev1/":                        "alpha beta gamma",
		"outdated:true":                               "",
		"param:region":                                "alpha beta gamma delta",
		"param:nothing":                               "",
		`param:"region=eu west"`:                      "alpha",
		"param:region=us":                             "gamma delta",
		"param:region=5_":                             "",
		"param:region=u":                              "",
		"has-agent:connecting":                        "alpha",
		"has-agent:connected":                         "",
		"healthy:false":                               "",
		"healthy:true dev2/":                          "delta",
		"shared:true":                                 "",
		`last_used_after:"2020-01-01T00:00:00Z"`:      "alpha beta gamma delta",
		`last_used_before:"2020-01-01T00:00:00Z"`:     "",
		"template_id:" + s.template.ID.String():       "alpha beta gamma delta",
		"template_id:" + uuid.NewString():             "",
		"has_external_agent:true":                     "",
		"%":                                           "",
	} {
		require.Equal(t, want, names(admin, q), "q=%s", q)
	}
	require.Equal(t, "alpha beta gamma", names(s.member, ""), "members see their own")
	require.Equal(t, "", names(s.member, "owner:"+user.Username))
	require.Equal(t, "alpha beta gamma", names(s.member, "owner:me"))
	require.Equal(t, "", names(s.Outsider(t).Client, ""))
	require.Equal(t, "alpha beta gamma delta", names(s.Client, ""))
	for _, q := range []string{"nokey:1", "status:odd", "dormant:maybe", "owner:a:b", "id:1", "has-agent:gone"} {
		_, err := s.member.Workspaces(t.Context(), client.WorkspacesRequest{Query: q})
		refused(t, err, http.StatusBadRequest)
	}
}

func TestPagesOfWorkspaces(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for i := range 5 {
		s.create(t, fmt.Sprintf("box-%d", i))
	}
	favorite := s.find(t, "box-3").Workspaces[0]
	require.NoError(t, s.member.SetWorkspaceFavorite(t.Context(), favorite.ID, true))
	refused(t, s.Client.SetWorkspaceFavorite(t.Context(), favorite.ID, true), http.StatusForbidden)
	s.worker.take(t).succeed(t)
	page := func(limit, offset int) (names []string) {
		r, err := s.member.Workspaces(t.Context(), client.WorkspacesRequest{Page: client.Page{Limit: limit, Offset: offset}})
		require.NoError(t, err)
		require.Equal(t, 5, r.Count)
		for _, w := range r.Workspaces {
			names = append(names, w.Name)
		}
		return names
	}
	require.Equal(t, []string{"box-3", "box-0", "box-1"}, page(3, 0), "favorites, then what runs, then by name")
	require.Equal(t, []string{"box-2", "box-4"}, page(3, 3))
	require.Empty(t, page(3, 6))
	require.Len(t, page(0, 0), 5)
	require.False(t, s.read(t, favorite.ID).Favorite, "it is the member's favorite, not the owner's")
	require.NoError(t, s.member.SetWorkspaceFavorite(t.Context(), favorite.ID, false))
	require.Equal(t, []string{"box-0", "box-1", "box-2"}, page(3, 0))
	status, _ := s.Raw(t, s.Token, http.MethodGet, "/workspaces?limit=-1", "")
	require.Equal(t, http.StatusBadRequest, status)
}

func TestRenameAndSmallThings(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.running(t, "box")
	s.create(t, "taken")
	rename := func(name string) error {
		return s.member.UpdateWorkspace(t.Context(), w.ID, client.UpdateWorkspaceRequest{Name: name})
	}
	refused(t, rename("TAKEN"), http.StatusConflict, "name")
	refused(t, rename("a b"), http.StatusBadRequest, "name")
	require.NoError(t, rename("renamed"))
	got, err := s.member.WorkspaceByOwnerAndName(t.Context(), client.Me, "Renamed")
	require.NoError(t, err)
	require.Equal(t, w.ID, got.ID)
	_, err = s.Member(t, s.org).WorkspaceByOwnerAndName(t.Context(), "dev1", "renamed")
	refused(t, err, http.StatusNotFound)
	require.NoError(t, s.member.UpdateWorkspaceAutomaticUpdates(t.Context(), w.ID, client.UpdateWorkspaceAutomaticUpdatesRequest{AutomaticUpdates: "always"}))
	require.Equal(t, "always", s.read(t, w.ID).AutomaticUpdates)
	refused(t, s.member.UpdateWorkspaceAutomaticUpdates(t.Context(), w.ID, client.UpdateWorkspaceAutomaticUpdatesRequest{AutomaticUpdates: "now"}), http.StatusBadRequest)

	path := "/workspaces/" + w.ID.String()
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{http.MethodGet, path + "/acl", "", 200, `{"users":[],"group":[]}`},
		{http.MethodGet, path + "/port-share", "", 200, `{"shares":[]}`},
		{http.MethodPost, path + "/port-share", `{"agent_name":"main","port":80}`, 400, ""},
		{http.MethodDelete, path + "/port-share", `{"agent_name":"main","port":80}`, 404, ""},
		{http.MethodGet, path + "/timings", "", 200, ""},
		{http.MethodGet, path + "/resolve-autostart", "", 200, `{"parameter_mismatch":false}`},
		{http.MethodGet, "/workspaces/" + uuid.NewString(), "", 404, ""},
		{http.MethodGet, "/workspaces/box", "", 400, ""},
	} {
		status, body := s.Raw(t, s.Token, c.method, c.path, c.body)
		require.Equal(t, c.status, status, "%s %s: %s", c.method, c.path, body)
		if c.want != "" {
			require.JSONEq(t, c.want, body)
		}
	}
	users := func(c *client.Client, token string) []client.MinimalUser {
		status, body := s.Raw(t, token, http.MethodGet, "/organizations/data-platform/members/me/workspaces/available-users?q=dev", "")
		require.Equal(t, http.StatusOK, status)
		return decode[[]client.MinimalUser](t, body)
	}
	require.Equal(t, "dev1", users(s.Client, s.Token)[0].Username)
}

func TestWatch(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.create(t, "box")
	key, err := s.member.CreateAPIKey(t.Context(), client.Me)
	require.NoError(t, err)

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/v2/workspaces/"+w.ID.String()+"/watch", nil)
	require.NoError(t, err)
	req.Header.Set(client.HeaderSessionToken, key.Key)
	reply, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer reply.Body.Close()
	require.Equal(t, "text/event-stream", reply.Header.Get("Content-Type"))
	lines := bufio.NewScanner(reply.Body)
	lines.Buffer(nil, 1<<20)
	next := func() (event, data string) {
		for lines.Scan() && lines.Text() != "" {
			if text, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				event = text
			}
			if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				data = text
			}
		}
		return event, data
	}
	event, _ := next()
	require.Equal(t, "ping", event)
	event, data := next()
	require.Equal(t, "data", event)
	require.Equal(t, client.JobPending, decode[client.Workspace](t, data).LatestBuild.Status)

	socket, _, err := websocket.Dial(t.Context(), s.URL+"/api/v2/workspaces/"+w.ID.String()+"/watch-ws", &websocket.DialOptions{HTTPHeader: http.Header{client.HeaderSessionToken: {key.Key}}})
	require.NoError(t, err)
	defer socket.CloseNow()
	socket.SetReadLimit(1 << 20)
	type message struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	hear := func() (m message) {
		require.NoError(t, wsjson.Read(t.Context(), socket, &m))
		return m
	}
	require.Equal(t, "ping", hear().Type)
	require.Equal(t, "data", hear().Type)

	s.worker.take(t).succeed(t)
	until := func(next func() (string, string)) {
		require.Eventually(t, func() bool {
			event, data := next()
			return event == "data" && decode[client.Workspace](t, data).LatestBuild.Status == client.WorkspaceRunning
		}, waitLong, time.Millisecond)
	}
	until(next)
	until(func() (string, string) { m := hear(); return m.Type, string(m.Data) })

	id, _, _ := strings.Cut(key.Key, "-")
	require.NoError(t, s.member.DeleteAPIKey(t.Context(), client.Me, id))
	require.Eventually(t, func() bool { event, _ := next(); return event == "error" }, waitLong, time.Millisecond, "a watch ends with its session")
	require.Eventually(t, func() bool { return hear().Type == "error" }, waitLong, time.Millisecond)
	status, _ := s.Raw(t, "", http.MethodGet, "/workspaces/"+w.ID.String()+"/watch", "")
	require.Equal(t, http.StatusUnauthorized, status)
	_, err = s.Outsider(t).Client.Workspace(t.Context(), w.ID)
	refused(t, err, http.StatusNotFound)
}
