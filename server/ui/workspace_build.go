package ui

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"coder/client"
)

// workspacePage is what every page of a workspace shows.
type workspacePage struct {
	page
	Workspace client.Workspace
	// OrganizationTitle is what people call the workspace's organization.
	OrganizationTitle string
	// Tab is the page's entry in the navigation.
	Tab string
}

// Path is the address of a page of the workspace.
func (p workspacePage) Path(parts ...string) string {
	return workspacePath(p.Workspace.OwnerName, p.Workspace.Name, parts...)
}

// Busy tells whether a build is under way.
func (p workspacePage) Busy() bool { return !p.Workspace.LatestBuild.Job.Ended() }

// Seen is what the page shows of the latest build, so that a script knows news
// from what is there already.
func (p workspacePage) Seen() string {
	return strconv.FormatInt(p.Workspace.LatestBuild.BuildNumber, 10) + " " + p.Workspace.LatestBuild.Job.Status
}

// On tells whether the workspace runs, or will once its build is done.
func (p workspacePage) On() bool {
	return p.Workspace.LatestBuild.Transition == "start" && p.Workspace.LatestBuild.Status == client.WorkspaceRunning
}

// Failed tells whether the latest build came to no good end.
func (p workspacePage) Failed() bool {
	status := p.Workspace.LatestBuild.Job.Status
	return status == client.JobFailed || status == client.JobCanceled
}

// Next is what to do after a build that came to no good end.
func (p workspacePage) Next() string {
	switch p.Workspace.LatestBuild.Transition {
	case "stop":
		return "What it runs may still be there. Read the log, and stop it again."
	case "delete":
		return "What was not destroyed is still there. Read the log, and delete it again."
	}
	return "Read the log, put right what it names, and start it again. Stop it to take down what was made."
}

// workspacePage loads the workspace of the page's path, and what its person
// may do with it.
func (v *visit) workspacePage(ctx context.Context, tab, title string) (workspacePage, error) {
	w, err := v.api.WorkspaceByOwnerAndName(ctx, v.path("owner"), v.path("workspace"))
	if client.IsNotFound(err) {
		err = errNoWorkspace
	}
	if err != nil {
		return workspacePage{}, err
	}
	p, err := v.page(ctx, cmp.Or(title, w.Name)+" · "+w.FullName(), checks{
		"start":  onObject(w.ID, "start", "workspace"),
		"stop":   onObject(w.ID, "stop", "workspace"),
		"change": onObject(w.ID, "update", "workspace"),
		"delete": onObject(w.ID, "delete", "workspace"),
		"share":  onObject(w.ID, "share", "workspace"),
		// A state holds the template's secrets.
		"read states": onObject(w.TemplateID, "update", "template"),
	})
	if err != nil {
		return workspacePage{}, err
	}
	return workspacePage{page: p, Workspace: w, OrganizationTitle: organizationTitle(&w), Tab: tab}, nil
}

var errNoWorkspace = &client.Error{StatusCode: http.StatusNotFound, Message: "There is no such workspace: it was deleted, or renamed, or you may not see it."}

// Facts are what somebody wants to know at a glance.
func (p workspacePage) Facts() []fact {
	w := p.Workspace
	facts := []fact{{"Version", w.LatestBuild.TemplateVersionName, nil}, {"Created", "", &w.CreatedAt}}
	if w.LatestBuild.Deadline != nil {
		facts = append(facts, fact{"Stops", "", w.LatestBuild.Deadline})
	}
	if w.NextStartAt != nil {
		facts = append(facts, fact{"Starts by itself", "", w.NextStartAt})
	}
	if w.DeletingAt != nil {
		facts = append(facts, fact{"Is deleted", "", w.DeletingAt})
	}
	if w.LatestBuild.DailyCost > 0 {
		facts = append(facts, fact{"Costs", plural(w.LatestBuild.DailyCost, "credit") + " a day", nil})
	}
	return facts
}

// fact is a text or a time with its name.
type fact struct {
	Name, Text string
	At         *time.Time
}

// logTail is how many of the last lines of a log a page shows at once; a
// script follows from there.
const logTail = 1000

// jobLog is a job's log as a page shows it.
type jobLog struct {
	// Follow is where a script reads on; empty when the log is whole.
	Follow string
	After  int64
	Stages []logStage
	// Left is how many lines before these are not shown.
	Left int64
	// Now is the server's time, by which a script counts on; Last is that of
	// the last line.
	Now, Last time.Time
}

type logStage struct {
	Name  string
	At    time.Time
	Lines []client.ProvisionerJobLog
	// Took is how long the stage took, or has taken so far if it is Running;
	// negative if its beginning is among the lines that are not shown.
	Took    time.Duration
	Running bool
}

// Duration is how long the stage took, for people.
func (s logStage) Duration() string {
	if s.Running {
		return soFar(s.Took)
	}
	return took(s.Took)
}

// soFar is the length of something that goes on: whole seconds, since tenths
// are old when they are read.
func soFar(d time.Duration) string {
	if d = max(d, 0); d < 10*time.Second {
		return strconv.Itoa(int(d.Seconds())) + " s so far"
	}
	return took(d) + " so far"
}

// LastStage is the stage that a script goes on with.
func (l jobLog) LastStage() string {
	if len(l.Stages) == 0 {
		return ""
	}
	return l.Stages[len(l.Stages)-1].Name
}

// Lost is what a job under way waits for whose provisioner has fallen silent.
func (l jobLog) Lost() string {
	if l.Follow == "" || l.LastStage() != client.StageLost {
		return ""
	}
	lines := l.Stages[len(l.Stages)-1].Lines
	return lines[len(lines)-1].Output
}

// newJobLog groups the last rows of a log by stage; ids count its rows. Stages
// are measured by the rows' times alone: they are of one clock, the daemon's.
func newJobLog(rows []client.ProvisionerJobLog, follow string, now time.Time) jobLog {
	l := jobLog{Follow: follow, Now: now}
	if len(rows) > 0 {
		l.Left = rows[0].ID - 1
	}
	for _, row := range rows {
		if len(l.Stages) == 0 || l.LastStage() != row.Stage {
			l.end(row.CreatedAt)
			l.Stages = append(l.Stages, logStage{Name: row.Stage, At: row.CreatedAt})
		}
		last := &l.Stages[len(l.Stages)-1]
		last.Took = row.CreatedAt.Sub(last.At)
		if row.Output != "" {
			last.Lines = append(last.Lines, row)
		}
		l.After, l.Last = row.ID, row.CreatedAt
	}
	if n := len(l.Stages); n > 0 && follow != "" {
		l.Stages[n-1].Running = true
		l.Stages[n-1].Took = now.Sub(l.Stages[n-1].At)
	}
	if l.Left > 0 {
		l.Stages[0].Took, l.Stages[0].Running = -1, false
	}
	return l
}

// end closes the last stage at the moment that the next one begins.
func (l *jobLog) end(at time.Time) {
	if n := len(l.Stages); n > 0 {
		l.Stages[n-1].Took = at.Sub(l.Stages[n-1].At)
	}
}

func buildLogPath(b client.WorkspaceBuild) string {
	if b.Job.Ended() {
		return ""
	}
	return "/api/v2/workspacebuilds/" + b.ID.String() + "/logs?follow"
}

type workspaceFrontPage struct {
	workspacePage
	Log jobLog
}

// workspace is the workspace's own page: what it is made of, and the log of
// the build that is under way or failed.
func (u *UI) workspace(ctx context.Context, v *visit) (reply, error) {
	p, err := v.workspacePage(ctx, "overview", "")
	if client.IsNotFound(err) && v.fragment() {
		return redirect{to: "/workspaces", said: v.path("workspace") + " is gone."}, nil
	}
	if err != nil {
		return nil, err
	}
	data := &workspaceFrontPage{workspacePage: p}
	build := p.Workspace.LatestBuild
	if p.Busy() || build.Job.Status != client.JobSucceeded {
		rows, err := v.api.WorkspaceBuildLogTail(ctx, build.ID, logTail)
		if err != nil {
			return nil, err
		}
		data.Log = newJobLog(rows, buildLogPath(build), u.options.Now())
	}
	return show("workspace.html", data), nil
}

type workspaceBuildsPage struct {
	workspacePage
	Builds []client.WorkspaceBuild
	Pager  pager
}

func (u *UI) workspaceBuilds(ctx context.Context, v *visit) (reply, error) {
	p, err := v.workspacePage(ctx, "builds", "Builds")
	if err != nil {
		return nil, err
	}
	offset := v.offset()
	builds, err := v.api.WorkspaceBuilds(ctx, p.Workspace.ID, client.WorkspaceBuildsRequest{Page: client.Page{Limit: listed, Offset: offset}})
	if err != nil {
		return nil, err
	}
	count := int(p.Workspace.LatestBuild.BuildNumber)
	return show("workspace_builds.html", &workspaceBuildsPage{p, builds, v.pager(offset, len(builds), count)}), nil
}

type workspaceBuildPage struct {
	workspacePage
	Build client.WorkspaceBuild
	Log   jobLog
	// Parameters are the answers that the build was made with.
	Parameters []client.BuildParameter
}

// StatePath is where the Terraform state after the build is, for who may read it.
func (p workspaceBuildPage) StatePath() string {
	return "/api/v2/workspacebuilds/" + p.Build.ID.String() + "/state"
}

// Underway tells whether the page goes on changing.
func (p workspaceBuildPage) Underway() bool { return !p.Build.Job.Ended() }

// Took is how long the build ran, or nothing before it ended.
func (p workspaceBuildPage) Took() time.Duration { return jobTook(p.Build.Job) }

func jobTook(j client.ProvisionerJob) time.Duration {
	if j.StartedAt == nil || j.CompletedAt == nil {
		return -1
	}
	return j.CompletedAt.Sub(*j.StartedAt)
}

func (u *UI) workspaceBuild(ctx context.Context, v *visit) (reply, error) {
	number, err := strconv.ParseInt(v.path("number"), 10, 64)
	if err != nil {
		return nil, errNoPage
	}
	p, err := v.workspacePage(ctx, "builds", "Build "+v.path("number"))
	if err != nil {
		return nil, err
	}
	build, err := v.api.WorkspaceBuildByNumber(ctx, p.Workspace.OwnerName, p.Workspace.Name, number)
	if err != nil {
		return nil, err
	}
	rows, err := v.api.WorkspaceBuildLogTail(ctx, build.ID, logTail)
	if err != nil {
		return nil, err
	}
	values, err := v.api.WorkspaceBuildParameters(ctx, build.ID)
	if err != nil {
		return nil, err
	}
	return show("workspace_build.html", &workspaceBuildPage{workspacePage: p, Build: build, Log: newJobLog(rows, buildLogPath(build), u.options.Now()), Parameters: values}), nil
}

// actOnWorkspace does what a button of the workspace's page says.
func (u *UI) actOnWorkspace(ctx context.Context, v *visit) (reply, error) {
	w, err := v.api.WorkspaceByOwnerAndName(ctx, v.path("owner"), v.path("workspace"))
	if err != nil {
		return nil, err
	}
	said, err := u.act(ctx, v, w, v.path("action"))
	if v.path("action") == "update" && client.StatusCode(err) == http.StatusBadRequest {
		to := workspacePath(w.OwnerName, w.Name, "parameters") + "?version=newest"
		return redirect{to: to, said: "The newest version asks for something more. " + refusalText(err)}, nil
	}
	underway := err == nil && slices.Contains(underwayActions, v.path("action"))
	if err != nil && aboutInput(client.StatusCode(err)) {
		said, err = refusalText(err), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: workspacePath(w.OwnerName, w.Name), said: said, underway: underway}, nil
}

// underwayActions begin or end a build: what is said of them holds until it has ended.
var underwayActions = []string{"start", "stop", "restart", "update", "cancel"}

func (u *UI) act(ctx context.Context, v *visit, w client.Workspace, action string) (string, error) {
	build := func(req client.CreateWorkspaceBuildRequest) error {
		req.Reason = client.BuildReasonDashboard
		_, err := v.api.CreateWorkspaceBuild(ctx, w.ID, req)
		return err
	}
	switch action {
	case "start":
		return w.Name + " is being started.", build(client.CreateWorkspaceBuildRequest{Transition: "start"})
	case "stop":
		return w.Name + " is being stopped.", build(client.CreateWorkspaceBuildRequest{Transition: "stop"})
	case "restart":
		return w.Name + " is stopped, and then started again.", build(client.CreateWorkspaceBuildRequest{Transition: "stop", OnSuccess: &client.BuildOnSuccessRequest{Transition: "start"}})
	case "update":
		return w.Name + " is being started with the newest version of its template.", build(client.CreateWorkspaceBuildRequest{Transition: "start", TemplateVersionID: &w.TemplateActiveVersionID})
	case "cancel":
		return "The build is asked to stop.", v.api.CancelWorkspaceBuild(ctx, w.LatestBuild.ID)
	case "favorite", "unfavorite":
		said := map[bool]string{true: w.Name + " comes first in your list now.", false: w.Name + " is no favorite any more."}[action == "favorite"]
		return said, v.api.SetWorkspaceFavorite(ctx, w.ID, action == "favorite")
	case "wake":
		return w.Name + " is no longer dormant.", v.api.UpdateWorkspaceDormancy(ctx, w.ID, client.UpdateWorkspaceDormancyRequest{})
	}
	return "", &client.Error{StatusCode: http.StatusNotFound, Message: errNoPage.Message}
}
