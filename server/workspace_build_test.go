package server_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
)

func sizeParameters() client.ImportResult {
	return client.ImportResult{
		Parameters: []client.TemplateVersionParameter{
			{Name: "size", Type: "number", Mutable: true, DefaultValue: "1", ValidationMin: pointer(int32(1)), ValidationMax: pointer(int32(4))},
			{Name: "region", Type: "string", Mutable: false, Required: true},
			{Name: "once", Type: "string", Mutable: true, Ephemeral: true, DefaultValue: "no"},
		},
		Presets: []client.ImportedPreset{{Name: "large", Parameters: []client.BuildParameter{{Name: "size", Value: "4"}}}},
	}
}

func TestBuildParameters(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.template = s.newTemplate(t, "sized", sizeParameters(), nil)
	_, err := s.member.CreateWorkspace(t.Context(), s.org.Name, client.Me, client.CreateWorkspaceRequest{TemplateID: &s.template.ID, Name: "none"})
	refused(t, err, http.StatusBadRequest, "region")
	require.Empty(t, s.find(t, "").Workspaces, "a refused request leaves no workspace behind")

	w := s.running(t, "box", func(r *client.CreateWorkspaceRequest) {
		r.RichParameterValues = []client.BuildParameter{{Name: "region", Value: "eu"}, {Name: "once", Value: "yes"}, {Name: "undeclared", Value: "dropped"}}
	})
	values, err := s.member.WorkspaceBuildParameters(t.Context(), w.LatestBuild.ID)
	require.NoError(t, err)
	require.Equal(t, []client.BuildParameter{{Name: "size", Value: "1"}, {Name: "region", Value: "eu"}, {Name: "once", Value: "yes"}}, values)

	ask := func(values ...client.BuildParameter) (client.WorkspaceBuild, error) {
		return s.member.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart, RichParameterValues: values})
	}
	_, err = ask(client.BuildParameter{Name: "size", Value: "5"}, client.BuildParameter{Name: "region", Value: "us"})
	refused(t, err, http.StatusBadRequest, "size", "region")
	b, err := ask(client.BuildParameter{Name: "size", Value: "3"})
	require.NoError(t, err)
	j := s.worker.take(t)
	require.Equal(t, []client.BuildParameter{{Name: "size", Value: "3"}, {Name: "region", Value: "eu"}, {Name: "once", Value: "no"}}, j.Parameters)
	require.Equal(t, values, j.PreviousParameters)
	j.succeed(t)
	require.Equal(t, int64(2), b.BuildNumber)

	presets, err := s.member.TemplateVersionPresets(t.Context(), s.template.ActiveVersionID)
	require.NoError(t, err)
	_, err = s.member.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart, TemplateVersionPresetID: pointer(uuid.New())})
	refused(t, err, http.StatusBadRequest, "template_version_preset_id")
	b, err = s.member.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{
		Transition: client.TransitionStart, TemplateVersionPresetID: &presets[0].ID, RichParameterValues: []client.BuildParameter{{Name: "size", Value: "2"}},
	})
	require.NoError(t, err)
	require.Equal(t, presets[0].ID, *b.TemplateVersionPresetID)
	require.Contains(t, s.worker.take(t).Parameters, client.BuildParameter{Name: "size", Value: "4"}, "the preset wins")

	status, body := s.Raw(t, s.Token, http.MethodGet, "/users/"+s.user.Username+"/autofill-parameters?template_id="+s.template.ID.String(), "")
	require.Equal(t, http.StatusOK, status)
	require.ElementsMatch(t, []client.BuildParameter{{Name: "size", Value: "4"}, {Name: "region", Value: "eu"}}, decode[[]client.BuildParameter](t, body))
}

func TestBuildRefusals(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.running(t, "box")
	admin := s.Member(t, s.org, client.RoleOrgAdmin)
	ask := func(c *client.Client, change func(*client.CreateWorkspaceBuildRequest)) error {
		req := client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart}
		change(&req)
		_, err := c.CreateWorkspaceBuild(t.Context(), w.ID, req)
		return err
	}
	type change = func(*client.CreateWorkspaceBuildRequest)
	other := s.newTemplate(t, "other", client.ImportResult{}, nil)
	pending := s.pendingVersion(t, &s.template.ID, "")
	for name, c := range map[string]struct {
		by     *client.Client
		status int
		field  string
		change change
	}{
		"a transition that is none":         {s.member, 400, "transition", func(r *client.CreateWorkspaceBuildRequest) { r.Transition = "explode" }},
		"a state without template rights":   {s.member, 403, "", func(r *client.CreateWorkspaceBuildRequest) { r.State = []byte(stateOf(w.ID)) }},
		"an orphan without template rights": {s.member, 403, "", func(r *client.CreateWorkspaceBuildRequest) { r.Transition, r.Orphan = "delete", true }},
		"an orphan that is no delete":       {admin, 400, "orphan", func(r *client.CreateWorkspaceBuildRequest) { r.Orphan = true }},
		"an orphan with a state": {admin, 400, "orphan", func(r *client.CreateWorkspaceBuildRequest) {
			r.Transition, r.Orphan, r.State = "delete", true, []byte("{}")
		}},
		"a state that is none":              {admin, 400, "state", func(r *client.CreateWorkspaceBuildRequest) { r.State = []byte("not json") }},
		"debug logs by a member":            {s.member, 400, "log_level", func(r *client.CreateWorkspaceBuildRequest) { r.LogLevel = "debug" }},
		"a log level that is none":          {admin, 400, "log_level", func(r *client.CreateWorkspaceBuildRequest) { r.LogLevel = "loud" }},
		"an unknown version":                {s.member, 400, "template_version_id", func(r *client.CreateWorkspaceBuildRequest) { r.TemplateVersionID = pointer(uuid.New()) }},
		"a version of another template":     {s.member, 400, "template_version_id", func(r *client.CreateWorkspaceBuildRequest) { r.TemplateVersionID = &other.ActiveVersionID }},
		"a version that is still importing": {s.member, 406, "", func(r *client.CreateWorkspaceBuildRequest) { r.TemplateVersionID = &pending.ID }},
		"a reason that cannot be given":     {s.member, 400, "reason", func(r *client.CreateWorkspaceBuildRequest) { r.Reason = client.BuildReasonAutostart }},
		"somebody else's workspace":         {s.Member(t, s.org), 404, "", func(*client.CreateWorkspaceBuildRequest) {}},
		"a workspace of another deployment": {s.Outsider(t).Client, 404, "", func(*client.CreateWorkspaceBuildRequest) {}},
	} {
		t.Run(name, func(t *testing.T) {
			fields := slices.DeleteFunc([]string{c.field}, func(f string) bool { return f == "" })
			refused(t, ask(c.by, c.change), c.status, fields...)
		})
	}
	require.Equal(t, 1, s.builds(t, w.ID))

	s.worker.take(t).fail(t, "syntax error")
	refused(t, ask(s.member, func(r *client.CreateWorkspaceBuildRequest) { r.TemplateVersionID = &pending.ID }), http.StatusBadRequest)
	require.NoError(t, ask(s.member, func(r *client.CreateWorkspaceBuildRequest) { r.Reason = client.BuildReasonCLI }))
	refused(t, ask(s.member, func(r *client.CreateWorkspaceBuildRequest) { r.Transition = client.TransitionStop }), http.StatusConflict)
	s.worker.take(t).succeed(t)
	require.NoError(t, ask(admin, func(r *client.CreateWorkspaceBuildRequest) { r.LogLevel = "debug" }))
	require.Equal(t, "debug", s.worker.take(t).LogLevel)
}

func TestVersionsThatMayBeBuilt(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	first := s.template.ActiveVersionID
	w := s.running(t, "box")
	second := s.newVersion(t, &s.template.ID, "", client.ImportResult{})
	require.NoError(t, s.Client.UpdateActiveTemplateVersion(t.Context(), s.template.ID, client.UpdateActiveTemplateVersionRequest{ID: second.ID}))
	require.True(t, s.read(t, w.ID).Outdated)
	b := s.ask(t, w.ID, client.TransitionStop)
	require.Equal(t, first, b.TemplateVersionID, "a build stays on its version")
	s.worker.take(t).succeed(t)

	s.change(t, client.UpdateTemplateRequest{RequireActiveVersion: pointer(true)})
	start := func(c *client.Client, version *uuid.UUID) error {
		_, err := c.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart, TemplateVersionID: version})
		if err == nil {
			s.worker.take(t).succeed(t)
		}
		return err
	}
	refused(t, start(s.member, nil), http.StatusForbidden)
	require.NoError(t, start(s.Member(t, s.org, client.RoleOrgAdmin), nil), "template administrators are not bound")
	require.NoError(t, start(s.member, &second.ID))
	require.False(t, s.read(t, w.ID).Outdated)

	s.change(t, client.UpdateTemplateRequest{RequireActiveVersion: pointer(false)})
	require.NoError(t, s.Client.SetTemplateVersionArchived(t.Context(), first, true))
	refused(t, start(s.member, &first), http.StatusBadRequest, "template_version_id")
}

func TestTwentyAskForABuildAndOneGetsIt(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.running(t, "box")
	const askers = 20
	statuses := make([]int, askers)
	var all sync.WaitGroup
	for i := range askers {
		all.Go(func() {
			_, err := s.member.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStop})
			statuses[i] = client.StatusCode(err)
		})
	}
	all.Wait()
	slices.Sort(statuses)
	require.Equal(t, append([]int{0}, slices.Repeat([]int{http.StatusConflict}, askers-1)...), statuses)
	require.Equal(t, 2, s.builds(t, w.ID))
}

func TestCancelABuild(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.running(t, "box")
	cancel := func(c *client.Client, b client.WorkspaceBuild) error {
		return c.CancelWorkspaceBuild(t.Context(), b.ID)
	}
	refused(t, cancel(s.member, w.LatestBuild), http.StatusBadRequest)

	stop := s.ask(t, w.ID, client.TransitionStop)
	status, _ := s.Raw(t, s.Token, http.MethodPatch, "/workspacebuilds/"+stop.ID.String()+"/cancel?expect_status=running", "")
	require.Equal(t, http.StatusPreconditionFailed, status)
	status, _ = s.Raw(t, s.Token, http.MethodPatch, "/workspacebuilds/"+stop.ID.String()+"/cancel?expect_status=sometimes", "")
	require.Equal(t, http.StatusBadRequest, status)
	refused(t, cancel(s.Member(t, s.org), stop), http.StatusNotFound)
	require.NoError(t, cancel(s.member, stop))
	require.Equal(t, client.JobCanceled, s.read(t, w.ID).LatestBuild.Status, "what waits is canceled at once")

	stop = s.ask(t, w.ID, client.TransitionStop)
	j := s.worker.take(t)
	require.NoError(t, cancel(s.member, stop))
	require.Equal(t, client.JobCanceling, s.read(t, w.ID).LatestBuild.Status)
	require.NoError(t, cancel(s.member, stop), "the second time kills")
	refused(t, cancel(s.member, stop), http.StatusBadRequest)
	_, err := j.attempt.Fail(t.Context(), client.FailJobRequest{Error: "interrupted", Canceled: true, EngineDead: true})
	require.NoError(t, err)
	require.Equal(t, client.JobCanceled, s.read(t, w.ID).LatestBuild.Status)

	s.change(t, client.UpdateTemplateRequest{AllowUserCancelWorkspaceJobs: pointer(false)})
	stop = s.ask(t, w.ID, client.TransitionStop)
	refused(t, cancel(s.member, stop), http.StatusForbidden)
	require.NoError(t, cancel(s.Client, stop), "owners of the deployment always may")
}

func TestListBuilds(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.running(t, "box")
	s.build(t, w.ID, client.TransitionStop)
	w = s.build(t, w.ID, client.TransitionStart)
	list := func(req client.WorkspaceBuildsRequest) []int64 {
		builds, err := s.member.WorkspaceBuilds(t.Context(), w.ID, req)
		require.NoError(t, err)
		numbers := []int64{}
		for _, b := range builds {
			numbers = append(numbers, b.BuildNumber)
		}
		return numbers
	}
	require.Equal(t, []int64{3, 2, 1}, list(client.WorkspaceBuildsRequest{}))
	require.Equal(t, []int64{2}, list(client.WorkspaceBuildsRequest{Page: client.Page{Limit: 1, Offset: 1}}))
	require.Equal(t, []int64{2, 1}, list(client.WorkspaceBuildsRequest{Page: client.Page{AfterID: w.LatestBuild.ID}}))
	require.Equal(t, []int64{3}, list(client.WorkspaceBuildsRequest{Since: w.LatestBuild.CreatedAt}))
	_, err := s.member.WorkspaceBuilds(t.Context(), w.ID, client.WorkspaceBuildsRequest{Page: client.Page{AfterID: uuid.New()}})
	refused(t, err, http.StatusBadRequest, "after_id")

	b, err := s.member.WorkspaceBuildByNumber(t.Context(), client.Me, "box", 3)
	require.NoError(t, err)
	require.Equal(t, w.LatestBuild.ID, b.ID)
	_, err = s.member.WorkspaceBuildByNumber(t.Context(), client.Me, "box", 4)
	refused(t, err, http.StatusNotFound)
	status, _ := s.Raw(t, s.Token, http.MethodGet, "/users/dev1/workspace/box/builds/three", "")
	require.Equal(t, http.StatusBadRequest, status)
	timings, err := s.member.WorkspaceBuildTimings(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, "apply", timings.ProvisionerTimings[0].Stage)
	require.Equal(t, b.Job.ID, timings.ProvisionerTimings[0].JobID)
	logs, err := s.member.WorkspaceBuildLogs(t.Context(), b.ID, 0)
	require.NoError(t, err)
	require.Empty(t, logs)
	_, err = s.Outsider(t).Client.WorkspaceBuild(t.Context(), b.ID)
	refused(t, err, http.StatusNotFound)
}

func TestOrphan(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.running(t, "box")
	orphan := func() client.WorkspaceBuild {
		b, err := s.Client.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionDelete, Orphan: true})
		require.NoError(t, err)
		return b
	}
	require.Equal(t, client.JobPending, orphan().Status)
	j := s.worker.take(t)
	require.Empty(t, j.State, "nothing is destroyed")
	j.succeed(t)
	require.Equal(t, client.WorkspaceDeleted, s.read(t, w.ID).LatestBuild.Status)

	w = s.running(t, "other")
	require.NoError(t, s.worker.client.DeregisterDaemon(t.Context(), s.worker.id))
	b := orphan()
	require.Equal(t, client.WorkspaceDeleted, b.Status, "nobody could run it, so it ends at once")
	logs, err := s.Client.WorkspaceBuildLogs(t.Context(), b.ID, 0)
	require.NoError(t, err)
	require.Contains(t, logs[0].Output, "left as they are")
	_, err = s.member.Workspace(t.Context(), w.ID)
	refused(t, err, http.StatusGone)
}

func TestState(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.running(t, "box")
	admin := s.Member(t, s.org, client.RoleOrgAdmin)
	_, err := s.member.WorkspaceBuildState(t.Context(), w.LatestBuild.ID)
	refused(t, err, http.StatusNotFound)
	refused(t, s.member.UpdateWorkspaceBuildState(t.Context(), w.LatestBuild.ID, client.UpdateWorkspaceBuildStateRequest{State: []byte("{}")}), http.StatusNotFound)
	state, err := admin.WorkspaceBuildState(t.Context(), w.LatestBuild.ID)
	require.NoError(t, err)
	require.JSONEq(t, stateOf(w.LatestBuild.Job.ID), string(state))
	before := s.latestState(t, w)
	require.NotContains(t, string(before.Data), "lineage", "states are sealed")

	push := func(text string) error {
		return admin.UpdateWorkspaceBuildState(t.Context(), w.LatestBuild.ID, client.UpdateWorkspaceBuildStateRequest{State: []byte(text)})
	}
	refused(t, push("half a {"), http.StatusBadRequest, "state")
	require.NoError(t, push(stateOf(w.ID)))
	after := s.latestState(t, w)
	require.Greater(t, after.Fence, before.Fence, "a pushed state stands above every engine's")
	stop := s.ask(t, w.ID, client.TransitionStop)
	refused(t, push(stateOf(w.ID)), http.StatusConflict)
	j := s.worker.take(t)
	require.JSONEq(t, stateOf(w.ID), string(j.State))
	j.fail(t, "no")
	state, err = admin.WorkspaceBuildState(t.Context(), stop.ID)
	require.NoError(t, err)
	require.JSONEq(t, stateOf(w.ID), string(state), "a build that wrote none has that of the one before")

	other := uuid.New()
	_, err = admin.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStop, State: []byte(stateOf(other))})
	require.NoError(t, err)
	require.JSONEq(t, stateOf(other), string(s.worker.take(t).State))
}

func TestWorkspaceTagsChooseTheDaemon(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	text := `
data "coder_parameter" "zone" {
  name    = "zone"
  type    = "string"
  default = "a"
}
data "coder_workspace_tags" "t" {
  tags = { "zone" = data.coder_parameter.zone.value, "scope" = "user" }
}
`
	zoneA := s.newWorker(t, "zone-a", map[string]string{"zone": "a"})
	plain := s.worker
	s.worker = zoneA
	v := s.newVersion(t, nil, text, client.ImportResult{Parameters: []client.TemplateVersionParameter{{Name: "zone", Type: "string", Mutable: true, DefaultValue: "a"}}})
	template, err := s.Client.CreateTemplate(t.Context(), s.org.Name, client.CreateTemplateRequest{Name: "zoned", VersionID: v.ID})
	require.NoError(t, err)
	s.template, s.worker = template, plain

	w := s.create(t, "box", func(r *client.CreateWorkspaceRequest) {
		r.RichParameterValues = []client.BuildParameter{{Name: "zone", Value: "b"}}
	})
	require.Equal(t, map[string]string{"scope": "organization", "owner": "", "zone": "b"}, w.LatestBuild.Job.Tags)
	b, err := s.member.WorkspaceBuild(t.Context(), w.LatestBuild.ID)
	require.NoError(t, err)
	require.Equal(t, 0, b.MatchedProvisioners.Count)
	require.Contains(t, b.Job.WaitReason, "zone=b")
	zoneB := s.newWorker(t, "zone-b", map[string]string{"zone": "b"})
	require.Equal(t, w.LatestBuild.Job.ID, zoneB.take(t).ID)
}

// find searches as the member.
func (s *scene) find(t *testing.T, q string) client.WorkspacesResponse {
	t.Helper()
	r, err := s.member.Workspaces(t.Context(), client.WorkspacesRequest{Query: q})
	require.NoError(t, err)
	return r
}
