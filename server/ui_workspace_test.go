package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
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
	first := b.Open("/workspaces")
	require.Contains(t, first.Text, "Your first workspace")
	require.NotContains(t, first.Text, "A provisioner", "which is for whoever may make templates")
	choice := first.Click("New workspace")
	require.Contains(t, choice.Text, "Choose a template The new workspace is made of it.")
	require.Contains(t, choice.Form("Search").Fill("q", "docker").Submit().Text, "Choose a template", "a search stays in it")
	page := choice.Click("Create workspace")
	require.NotContains(t, page.Body, "<script>alert")
	require.Contains(t, page.Text, "A whole number from 1 to 16.", "rules are told before anybody breaks them")
	require.Contains(t, page.Text, "Small letters only.")
	require.Contains(t, page.Body, `aria-describedby="field-parameter.owner-notes field-parameter.owner-fault"`)
	require.Regexp(t, `name="parameter.cores"[^>]* step="1"|step="1" name="parameter.cores"`, page.Body)
	form := page.Form("Create workspace")
	require.Equal(t, "eu", form.Value("parameter.region"))
	require.Equal(t, "on", form.Value("parameter.debug"))
	require.Equal(t, "git", form.Value("parameter.tools"))

	require.Contains(t, form.Fill("name", "a b").Submit().Text, `The workspace name "a b" has the character ' ' in it`)
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

// What a script asks while a form is filled in is answered as the API would
// answer when it is sent, and makes nothing.
func TestAnswersAreCheckedAsTheyAreTyped(t *testing.T) {
	t.Parallel()
	s, b := pageScene(t)
	s.newWorkspaceAt(t, "taken")
	const page = "/templates/data-platform/docker/workspace"
	form := b.Open(page).Form("Create workspace")
	form.Fill("name", "two--hyphens").Fill("parameter.owner", "UPPER").Fill("parameter.cores", "99").Fill("parameter.region", "mars")
	faults := checked(t, page+"/check", form)
	require.Equal(t, "Small letters only", faults["field-parameter.owner-fault"], "the template's own words")
	require.Contains(t, faults["field-parameter.cores-fault"], "99 is more than the maximum 16")
	require.Contains(t, faults["field-parameter.region-fault"], "no option")
	require.Contains(t, faults["field-name-fault"], "hyphen")
	require.Empty(t, faults["field-parameter.tools-fault"])
	sent := form.Fill("name", "free").Submit()
	require.Equal(t, http.StatusBadRequest, sent.Status)
	for _, parameter := range []string{"owner", "cores", "region"} {
		require.Contains(t, sent.Text, faults["field-parameter."+parameter+"-fault"], "without script the form says the same")
	}
	require.Contains(t, checked(t, page+"/check", form.Fill("name", "taken"))["field-name-fault"], "already")
	form.Fill("name", "free").Fill("parameter.owner", "ada").Fill("parameter.cores", "4").Fill("parameter.region", "us")
	for place, fault := range checked(t, page+"/check", form) {
		require.Empty(t, fault, place)
	}
	require.Equal(t, http.StatusNotFound, b.Open("/@dev1/free").Status, "asking makes nothing")

	parameters := b.Open("/@dev1/taken/parameters").Form("Save and restart")
	require.NotContains(t, b.Open("/@dev1/taken/parameters").Body, "field-parameter.region-fault", "what cannot be changed is not asked about")
	faults = checked(t, "/@dev1/taken/parameters/check", parameters.Fill("parameter.cores", "0"))
	require.Contains(t, faults["field-parameter.cores-fault"], "0 is less than the minimum 1")
	require.Contains(t, parameters.Submit().Text, "0 is less than the minimum 1")
}

// newWorkspaceAt makes a workspace with answers to all questions, and runs it.
func (s *scene) newWorkspaceAt(t *testing.T, name string) {
	t.Helper()
	s.running(t, name, func(r *client.CreateWorkspaceRequest) {
		r.RichParameterValues = []client.BuildParameter{{Name: "owner", Value: "ada"}}
	})
}

// checked asks what is wrong with a form as it is filled in, as a script does.
func checked(t *testing.T, path string, form *servertest.Form) map[string]string {
	t.Helper()
	reply := form.To(path).Submit()
	require.Equal(t, http.StatusOK, reply.Status, reply.Body)
	var faults map[string]string
	require.NoError(t, json.Unmarshal([]byte(reply.Body), &faults))
	return faults
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
	require.Contains(t, b.Open("/@dev1/box").Text, "in data-platform ·", "an organization without a display name")
	title := "The <data> platform"
	_, err := s.Client.UpdateOrganization(t.Context(), s.org.Name, client.UpdateOrganizationRequest{DisplayName: title})
	require.NoError(t, err)
	page := b.Open("/@dev1/box")
	require.Contains(t, page.Text, "in "+title+" ·")
	require.NotContains(t, b.Open("/workspaces").Text, title, "who is in no other")
	other := s.Person(t, s.DefaultOrganization(t))
	_, err = s.Client.UpdateUserRoles(t.Context(), other.User.Username, client.UpdateRolesRequest{Roles: []string{"owner"}})
	require.NoError(t, err)
	require.Contains(t, s.SignedIn(t, other.User.Email).Open("/workspaces?q=").Text, title, "who is not in it")
	require.Contains(t, page.Links(), "/organizations/data-platform")
	require.Contains(t, page.Body, `data-log="/api/v2/workspacebuilds/`+w.LatestBuild.ID.String()+`/logs?follow"`)
	require.True(t, page.HasButton("Cancel"))
	require.False(t, page.HasButton("Stop"), "one build at a time")
	job := s.worker.take(t)
	_, err = job.attempt.AppendLogs(t.Context(), client.AppendLogsRequest{Next: 1, Entries: []client.JobLogEntry{{CreatedAt: w.CreatedAt, Source: "provisioner", Level: "info", Stage: "Starting workspace", Output: hostile}}})
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
	require.Contains(t, gone.Body, `aria-current="page">Settings`)
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

// A provisioner that dies in the middle of a build: the pages say what is
// waited for and until when, the build comes to an end by itself, and then the
// workspace's page says what to do.
func TestAProvisionerThatDiesInABuild(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	p := newProtocol(t, servertest.WithClock(clock), servertest.WithoutLoops(), servertest.WithOptions(func(o *server.Options) { o.Horizon = 40 * time.Second }))
	p.Server.Server.LeaseClock(clock.Now)
	w := p.workspace(t)
	b, path := p.SignedIn(t, "owner@example.com"), "/@"+w.OwnerName+"/"+w.Name
	h := p.begun(t)
	logs := lines(0, "creating")
	logs.Intents = []client.Intent{{Address: "terraform_data.b", Action: "create"}}
	_, err := h.AppendLogs(t.Context(), logs)
	require.NoError(t, err)
	require.NotContains(t, b.Open(path).Text, "has not been heard of")
	silent := func(until string) *servertest.Page {
		for range 60 {
			clock.Advance(time.Second)
			require.NoError(t, p.Server.Server.LookAtLeases(t.Context()))
			if page := b.Open(path + "/builds/1"); strings.Contains(page.Text, until) {
				return page
			}
		}
		require.Fail(t, "the build's page never says: "+until)
		return nil
	}
	lost := silent("The provisioner has not been heard of")
	require.Contains(t, lost.Body, `<p class="notice warn after">`)
	require.Contains(t, lost.Text, "Unless it comes back, the job ends after")
	front := b.Open(path)
	require.Contains(t, front.Text, "Its engine may still be running; nothing else touches the workspace meanwhile.")
	require.True(t, front.HasButton("Cancel"))

	ended := silent("The last state that it handed in is kept")
	require.NotContains(t, ended.Body, `<p class="notice warn after">`, "nothing is waited for any more")
	require.Contains(t, ended.Text, "terraform_data.b (create)", "what may exist is named")
	front = b.Open(path)
	require.Contains(t, front.Text, "put right what it names, and start it again")
	require.True(t, front.HasButton("Stop"))
	require.Contains(t, front.Links(), path+"/delete")
	require.Contains(t, front.Form("Start").Submit().Text, "is being started")
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

// Who is in several organizations narrows the lists to one, and every link of
// the list stays there; who is in one alone is not asked.
func TestListsAreNarrowedToOneOrganization(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	alone := s.SignedIn(t, s.Person(t, s.org).User.Email)
	other := &scene{Server: s.Server, org: s.Organization(t, "mobile"), member: s.member, user: s.user}
	_, err := s.Client.AddOrganizationMember(t.Context(), "mobile", s.user.Username)
	require.NoError(t, err)
	other.worker = other.newWorker(t, "mobiles-worker", nil)
	other.template = other.newTemplate(t, "phone", client.ImportResult{}, nil)
	s.create(t, "of-data")
	for i := range 26 {
		other.create(t, fmt.Sprintf("of-mobile-%d", i))
	}
	b := s.SignedIn(t, s.user.Email)
	everything := b.Open("/workspaces")
	require.Contains(t, everything.Text, "of 27")
	require.Contains(t, everything.Text, "Organization", "which one each belongs to")

	narrow := everything.Form("Search").Fill("organization", "mobile").Submit()
	require.Contains(t, narrow.Text, "1–25 of 26")
	require.NotContains(t, narrow.Text, "of-data")
	require.Equal(t, "mobile", narrow.Form("Search").Value("organization"))
	for _, link := range []string{"Next", "Mine", "All", "Running", "Outdated", "New workspace"} {
		to := narrow.Click(link)
		require.Equal(t, "mobile", to.URL.Query().Get("organization"), link)
		require.NotContains(t, to.Text, "of-data", link)
		require.NotContains(t, to.Links(), "/templates/data-platform/docker", link)
	}
	require.Equal(t, "mobile", narrow.Form("Start").Submit().URL.Query().Get("organization"), "so does what is done in the list")
	require.Contains(t, b.Open("/workspaces?q=of-data&organization=mobile").Text, "No workspace matches")

	templates := b.Open("/templates")
	require.Contains(t, templates.Links(), "/templates/data-platform/docker")
	one := templates.Form("Search").Fill("organization", "mobile").Submit()
	require.Contains(t, one.Links(), "/templates/mobile/phone")
	require.NotContains(t, one.Links(), "/templates/data-platform/docker")

	for _, path := range []string{"/workspaces?q=", "/templates"} {
		page := alone.Open(path)
		require.NotContains(t, page.Body, `name="organization"`, path)
		require.NotContains(t, page.Text, "mobile", path)
		require.NotContains(t, alone.Open(path+map[bool]string{true: "?", false: "&"}[path == "/templates"]+"organization=mobile").Text, "phone")
	}
}

func TestSharingAWorkspaceOnAPage(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := s.SignedIn(t, s.user.Email)
	s.running(t, "box")
	_, other := s.NamedMember(t, s.org, "dev2")
	friend := s.SignedIn(t, other.Email)
	require.Equal(t, http.StatusNotFound, friend.Open("/@dev1/box").Status)
	_, err := s.Client.CreateGroup(t.Context(), s.org.Name, client.CreateGroupRequest{Name: "backend"})
	require.NoError(t, err)
	whom := b.Open("/@dev1/box/sharing")
	require.Contains(t, whom.Body, `<option value="dev2">`, "whom the API shows is offered")
	require.NotContains(t, whom.Body, `<option value="dev1">`, "it is theirs already")
	require.Contains(t, b.Open("/@dev1/box/sharing?who=DEV2").Body, `<option value="dev2">`)
	require.NotContains(t, b.Open("/@dev1/box/sharing?who=zzz").Body, `<option value="dev2">`)
	require.Contains(t, s.SignedIn(t, "owner@example.com").Open("/@dev1/box/sharing?who=back").Body, `<option value="backend">`)
	require.Equal(t, http.StatusOK, b.Open("/@dev1/box/sharing?who="+url.QueryEscape(`a:b "`+hostile)).Status)
	form := whom.Form("Share")
	unknown := form.Fill("who", "nobody").Submit()
	require.Equal(t, http.StatusBadRequest, unknown.Status)
	require.Contains(t, unknown.Text, "is called that")
	require.Contains(t, friend.Open("/workspaces").Text, "Your first workspace")
	require.Contains(t, form.Fill("who", "dev2").Submit().Text, "is shared with dev2")
	none := friend.Open("/workspaces")
	require.Contains(t, none.Text, "You may also see 1 workspace of other people", "who has none of their own finds what is shared")
	require.Contains(t, none.Click("All workspaces").Links(), "/@dev1/box")
	page := friend.Open("/@dev1/box")
	require.Equal(t, http.StatusOK, page.Status)
	require.NotContains(t, b.Open("/@dev1/box/sharing").Body, `<option value="dev2">`, "it is shared with them already")
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
