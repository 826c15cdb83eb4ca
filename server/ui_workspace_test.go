package server_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

// hostile is text that a page must show, and never obey.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)>`

// pageScene is a scene whose template asks one question of each kind.
func pageScene(t *testing.T) (*scene, *servertest.Browser) {
	t.Helper()
	s := newScene(t)
	low, high := int32(1), int32(16)
	v := s.newVersion(t, &s.template.ID, "# questions", client.ImportResult{
		Readme: "# Hello\n" + hostile,
		Parameters: []client.TemplateVersionParameter{
			{Name: "region", DisplayName: "Region", Type: "string", FormType: "radio", DefaultValue: "eu", Options: []client.TemplateVersionParameterOption{{Name: "Europe", Value: "eu"}, {Name: "America", Value: "us"}}},
			{Name: "cores", DescriptionPlaintext: hostile, Type: "number", FormType: "input", Mutable: true, DefaultValue: "2", ValidationMin: &low, ValidationMax: &high},
			{Name: "debug", Type: "bool", FormType: "checkbox", Mutable: true, DefaultValue: "true"},
			{Name: "tools", Type: "list(string)", FormType: "tag-select", Mutable: true, DefaultValue: `["git"]`},
			{Name: "owner", Type: "string", FormType: "input", Mutable: true, Required: true, ValidationRegex: "^[a-z]+$", ValidationError: "Small letters only"},
		},
		Presets: []client.ImportedPreset{{Name: "Large", Parameters: []client.BuildParameter{{Name: "cores", Value: "8"}}}},
	})
	require.NoError(t, s.Client.UpdateActiveTemplateVersion(t.Context(), s.template.ID, client.UpdateActiveTemplateVersionRequest{ID: v.ID}))
	return s, s.SignedIn(t, s.user.Email)
}

func TestAWorkspaceIsMadeOnAPage(t *testing.T) {
	t.Parallel()
	s, b := pageScene(t)
	require.Contains(t, b.Open("/workspaces").Text, "Your first workspace")
	page := b.Open("/templates/data-platform/docker/workspace")
	require.NotContains(t, page.Body, "<script>alert")
	form := page.Form("Create workspace")
	require.Equal(t, "eu", form.Value("parameter.region"))
	require.Equal(t, "on", form.Value("parameter.debug"))
	require.Equal(t, "git", form.Value("parameter.tools"))

	refused := form.Fill("name", "dev1").Fill("parameter.owner", "UPPER").Fill("parameter.cores", "99").Fill("parameter.tools", "git\r\nvim").Submit()
	require.Equal(t, http.StatusBadRequest, refused.Status)
	require.Contains(t, refused.Text, "Small letters only")
	again := refused.Form("Create workspace")
	require.Equal(t, "UPPER", again.Value("parameter.owner"), "what was typed stays")
	require.Equal(t, "git\nvim", again.Value("parameter.tools"))

	again = again.Fill("parameter.owner", "ada").Fill("parameter.cores", "4").Fill("parameter.region", "us")
	delete(again.Fields(), "parameter.debug") // as a browser sends a box without its tick
	made := again.Submit()
	require.Equal(t, "/@dev1/dev1", made.URL.Path, made.Text)
	require.Contains(t, made.Text, "is being made")
	require.Equal(t, http.StatusConflict, again.Submit().Status, "sent twice, made once")

	w, err := s.member.WorkspaceByOwnerAndName(t.Context(), client.Me, "dev1")
	require.NoError(t, err)
	values, err := s.member.WorkspaceBuildParameters(t.Context(), w.LatestBuild.ID)
	require.NoError(t, err)
	require.ElementsMatch(t, []client.BuildParameter{
		{Name: "region", Value: "us"}, {Name: "cores", Value: "4"}, {Name: "debug", Value: "false"}, {Name: "tools", Value: `["git","vim"]`}, {Name: "owner", Value: "ada"},
	}, values)
}

func TestAPresetFixesItsAnswers(t *testing.T) {
	t.Parallel()
	s, b := pageScene(t)
	page := b.Open("/templates/data-platform/docker/workspace?param.owner=ada&name=big").Click("Large")
	require.Contains(t, page.Body, `value="8" readonly`)
	form := page.Form("Create workspace")
	made := form.Fill("name", "big").Fill("parameter.owner", "ada").Submit()
	require.Equal(t, "/@dev1/big", made.URL.Path, made.Text)
	w, err := s.member.WorkspaceByOwnerAndName(t.Context(), client.Me, "big")
	require.NoError(t, err)
	values, err := s.member.WorkspaceBuildParameters(t.Context(), w.LatestBuild.ID)
	require.NoError(t, err)
	require.Contains(t, values, client.BuildParameter{Name: "cores", Value: "8"})
	require.NotNil(t, w.LatestBuild.TemplateVersionPresetID)
}

func TestAWorkspacesPages(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := s.SignedIn(t, s.user.Email)
	w := s.create(t, "box")
	page := b.Open("/@dev1/box")
	require.Contains(t, page.Body, `data-log="/api/v2/workspacebuilds/`+w.LatestBuild.ID.String()+`/logs?follow"`)
	require.True(t, page.HasButton("Cancel"))
	require.False(t, page.HasButton("Stop"), "one build at a time")
	job := s.worker.take(t)
	_, err := job.attempt.AppendLogs(t.Context(), client.AppendLogsRequest{Next: 1, Entries: []client.JobLogEntry{{CreatedAt: w.CreatedAt, Source: "provisioner", Level: "info", Stage: "Starting workspace", Output: hostile}}})
	require.NoError(t, err)
	page = b.Open("/@dev1/box")
	require.Contains(t, page.Text, hostile, "a log line is text")
	require.NotContains(t, page.Body, "<script>alert")
	require.NotContains(t, page.Text, "not shown")
	many := client.AppendLogsRequest{Offset: 1, Next: 2}
	for i := range 1001 {
		many.Entries = append(many.Entries, client.JobLogEntry{Offset: 1, CreatedAt: w.CreatedAt, Source: "provisioner", Level: "info", Stage: "Starting workspace", Output: fmt.Sprintf("line %d.", i)})
	}
	_, err = job.attempt.AppendLogs(t.Context(), many)
	require.NoError(t, err)
	page = b.Open("/@dev1/box")
	require.Contains(t, page.Text, "earlier lines not shown", "the last lines of a log are enough for a page")
	require.NotContains(t, page.Text, "line 0.")
	require.Contains(t, page.Text, "line 1000.")
	job.succeed(t, agentResource(7))

	page = b.Open("/@dev1/box")
	require.Contains(t, page.Text, "running")
	require.Contains(t, page.Text, "ubuntu")
	stopped := page.Form("Stop").Submit()
	require.Contains(t, stopped.Text, "is being stopped")
	require.Contains(t, page.Form("Stop").Submit().Text, "still pending", "a second time says that one is under way")
	s.worker.take(t).fail(t, "the cloud said no")
	page = b.Open("/@dev1/box")
	require.Contains(t, page.Text, "the cloud said no")
	builds := page.Click("Builds")
	require.Contains(t, builds.Text, "2 · stop")
	first := builds.Click("1 · start")
	require.Contains(t, first.Text, "ubuntu")
	require.NotContains(t, first.Text, "Download", "a state holds the template's secrets")
	require.Contains(t, s.SignedIn(t, "owner@example.com").Open("/@dev1/box/builds/1").Links(), "/api/v2/workspacebuilds/"+w.LatestBuild.ID.String()+"/state")
	require.Contains(t, page.Form("☆ Favorite").Submit().Text, "comes first")
	require.Contains(t, b.Open("/@dev1/box").Form("★ Favorite").Submit().Text, "no favorite any more")
	require.Equal(t, http.StatusNotFound, b.Open("/@dev1/box/builds/9").Status)
	require.Equal(t, http.StatusNotFound, b.Open("/@dev1/box/builds/x").Status)

	gone := b.Open("/@dev1/box/delete")
	require.Contains(t, gone.Form("Delete the workspace").Fill("confirm", "bo").Submit().Text, "This is not the name")
	require.Contains(t, gone.Form("Delete the workspace").Fill("confirm", "box").Submit().Text, "is being deleted")
	s.worker.take(t).succeed(t)
	require.Equal(t, http.StatusNotFound, b.Open("/@dev1/box").Status)
}

// A log says how long each stage took, and how long the last one has so far.
func TestALogTellsHowLongItsStagesTook(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := newScene(t, servertest.WithClock(clock))
	b := s.SignedIn(t, s.user.Email)
	s.create(t, "box")
	job := s.worker.take(t)
	begun := clock.Now()
	at := func(after time.Duration, stage, text string) client.JobLogEntry {
		return client.JobLogEntry{CreatedAt: begun.Add(after), Source: "provisioner", Level: "info", Stage: stage, Output: text}
	}
	_, err := job.attempt.AppendLogs(t.Context(), client.AppendLogsRequest{Next: 1, Entries: []client.JobLogEntry{
		at(0, "Setting up", "one"), at(200*time.Millisecond, "Setting up", "two"), at(1500*time.Millisecond, "Planning", "three"),
		at(80*time.Second, "Applying", "four"),
	}})
	require.NoError(t, err)
	clock.Advance(92 * time.Second)
	for _, path := range []string{"/@dev1/box", "/@dev1/box/builds/1"} {
		page := b.Open(path)
		require.Contains(t, page.Text, "Setting up 1.5 s 12:00:00 one two Planning 1 min 18 s 12:00:01 three Applying 12 s so far 12:01:20 four")
		require.Contains(t, page.Body, `title="Began 2026-07-15 12:01:20 UTC"`)
		require.Contains(t, page.Body, `http-equiv="refresh"`, "without script the page looks again")
	}
	last := at(95*time.Second, "Applying", "five")
	last.Offset = 1
	_, err = job.attempt.AppendLogs(t.Context(), client.AppendLogsRequest{Offset: 1, Next: 2, Entries: []client.JobLogEntry{last}})
	require.NoError(t, err)
	job.succeed(t, agentResource(7))
	page := b.Open("/@dev1/box/builds/1")
	require.Contains(t, page.Text, "Applying 15 s 12:01:20 four five", "an ended stage took as long as its lines")
	require.NotContains(t, page.Text, "so far")
	require.NotContains(t, page.Body, `http-equiv="refresh"`)
}

func TestAWorkspacesSettingsAndSchedule(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := s.SignedIn(t, s.user.Email)
	w := s.running(t, "box")
	form := b.Open("/@dev1/box/schedule").Form("Save").Fill("time", "09:30").Fill("days", "monday", "friday").Fill("schedule", "Europe/Dublin")
	wrong := form.Fill("ttl_ms", "soon").Submit()
	require.Equal(t, http.StatusBadRequest, wrong.Status)
	require.Contains(t, wrong.Text, "is no duration")
	require.Equal(t, []string{"monday", "friday"}, wrong.Form("Save").Values("days"))
	require.Nil(t, s.read(t, w.ID).AutostartSchedule, "bad input changes nothing")
	require.Contains(t, form.Fill("ttl_ms", "8h").Submit().Text, "was saved")
	after := s.read(t, w.ID)
	require.Equal(t, "CRON_TZ=Europe/Dublin 30 9 * * 1,5", *after.AutostartSchedule)
	require.EqualValues(t, 8*3600*1000, *after.TTLMillis)
	shown := b.Open("/@dev1/box/schedule").Form("Save")
	require.Equal(t, "09:30", shown.Value("time"))
	require.Equal(t, "8h", shown.Value("ttl_ms"))
	require.Contains(t, shown.Fill("time", "").Fill("ttl_ms", "").Submit().Text, "was saved")
	require.Nil(t, s.read(t, w.ID).AutostartSchedule)

	require.Contains(t, b.Open("/@dev1/box/settings").Form("Save").Fill("updates", "on").Submit().Text, "were saved")
	require.Equal(t, client.AutomaticUpdatesAlways, s.read(t, w.ID).AutomaticUpdates)
}

func TestSharingAWorkspaceOnAPage(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := s.SignedIn(t, s.user.Email)
	_, other := s.NamedMember(t, s.org, "dev2")
	s.running(t, "box")
	friend := s.SignedIn(t, other.Email)
	require.Equal(t, http.StatusNotFound, friend.Open("/@dev1/box").Status)
	form := b.Open("/@dev1/box/sharing").Form("Share")
	unknown := form.Fill("who", "nobody").Submit()
	require.Equal(t, http.StatusBadRequest, unknown.Status)
	require.Contains(t, unknown.Text, "is called that")
	require.Contains(t, form.Fill("who", "dev2").Submit().Text, "is shared with dev2")
	page := friend.Open("/@dev1/box")
	require.Equal(t, http.StatusOK, page.Status)
	require.NotContains(t, page.Links(), "/@dev1/box/sharing", "what would be refused is not offered")
	require.NotContains(t, page.Links(), "/@dev1/box/delete")
	require.Contains(t, b.Open("/@dev1/box/sharing").Form("Remove").Submit().Text, "no longer shared")
	require.Equal(t, http.StatusNotFound, friend.Open("/@dev1/box").Status)
}

func TestManyWorkspacesAtOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := s.SignedIn(t, s.user.Email)
	one, two := s.running(t, "one"), s.running(t, "two")
	page := b.Open("/workspaces")
	done := page.Form("Stop").Fill("id", one.ID.String(), two.ID.String()).Submit()
	require.Contains(t, done.Text, "2 workspaces will be stopped")
	require.Contains(t, page.Form("Stop").Fill("id", one.ID.String()).Submit().Text, "1 will not")
	s.worker.take(t).succeed(t)
	s.worker.take(t).succeed(t)
	ask := page.Form("Delete …").Fill("id", one.ID.String(), two.ID.String()).Submit()
	require.Contains(t, ask.Text, "Delete 2 workspaces")
	require.Equal(t, http.StatusBadRequest, ask.Form("Delete them").Fill("confirm", "yes").Submit().Status)
	require.Contains(t, ask.Form("Delete them").Fill("confirm", "delete 2").Submit().Text, "2 workspaces will be deleted")
	require.Equal(t, http.StatusBadRequest, b.Open("/workspaces?q=nonsense:1").Status)
}
