package ui

import (
	"cmp"
	"context"
	"html/template"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"coder/client"
)

func (u *UI) provisionerJobRoutes(on *table) {
	const jobs = "/organizations/{organization}/jobs"
	on.list(jobs, u.provisionerJobs)
	on.page(get, jobs+"/{job}", u.provisionerJob)
	on.page(get, jobs+"/{job}/subject", u.provisionerJobSubject)
	on.page(post, jobs+"/{job}/cancel", u.cancelProvisionerJob)
}

// Numbers of jobs that the list shows: at first, and at most.
const (
	jobsListed = listed
	jobsMost   = 500
)

type provisionerJobsPage struct {
	organizationPage
	Jobs []client.ProvisionerJob
	// Status and Tags are what the list is narrowed to.
	Status, Tags string
	Problem      string
	// MorePath shows more of them, where there may be more.
	MorePath string
	// Live: something waits or runs.
	Live bool
}

// JobStatuses are what the list can be narrowed to.
func (provisionerJobsPage) JobStatuses() []string {
	return []string{client.JobPending, client.JobRunning, client.JobSucceeded, client.JobFailed, client.JobCanceled}
}

// With is the address of the list with another status.
func (p provisionerJobsPage) With(status string) string {
	q := url.Values{}
	if status != "" {
		q.Set("status", status)
	}
	if p.Tags != "" {
		q.Set("tags", p.Tags)
	}
	return strings.TrimSuffix(p.Path("jobs")+"?"+q.Encode(), "?")
}

func (u *UI) provisionerJobs(ctx context.Context, v *visit) (reply, error) {
	p, err := v.organizationPage(ctx, "jobs", "Provisioner jobs")
	if err != nil {
		return nil, err
	}
	data := &provisionerJobsPage{organizationPage: p, Status: v.query("status"), Tags: strings.TrimSpace(v.query("tags"))}
	req := client.ProvisionerJobsRequest{Limit: jobsListed}
	if n, err := strconv.Atoi(v.query("limit")); err == nil {
		req.Limit = min(max(n, 1), jobsMost)
	}
	if data.Status != "" {
		req.Status = []string{data.Status}
	}
	if req.Tags, err = tagsOf(strings.ReplaceAll(data.Tags, " ", "\n")); err == nil {
		data.Jobs, err = v.api.ProvisionerJobs(ctx, p.Organization.ID.String(), req)
	}
	if status := client.StatusCode(err); aboutInput(status) {
		data.Problem = refusalText(err)
		return showAs(status, "provisioner_jobs.html", data), nil
	}
	if err != nil {
		return nil, err
	}
	if len(data.Jobs) == req.Limit && req.Limit < jobsMost {
		data.MorePath = p.Path("jobs") + "?" + url.Values{"status": {data.Status}, "tags": {data.Tags}, "limit": {strconv.Itoa(jobsMost)}}.Encode()
	}
	data.Live = slices.ContainsFunc(data.Jobs, func(j client.ProvisionerJob) bool { return !j.Ended() })
	return show("provisioner_jobs.html", data), nil
}

// Command lists the same jobs; there is none for those of some tags.
func (p provisionerJobsPage) Command() string {
	if p.Tags != "" {
		return ""
	}
	command := "coder provisioner jobs list --org " + p.Organization.Name
	if p.Status != "" {
		command += " --status " + p.Status
	}
	return command
}

// Rows are those of the table.
func (p *provisionerJobsPage) Rows() template.HTML {
	m := rowsOf(len(p.Jobs))
	for i := range p.Jobs {
		j := &p.Jobs[i]
		id := j.ID.String()
		m.put(`<tr>
<td><a class="row" href="%">%</a><small><code>%</code></small></td>
<td>%`, p.Path("jobs", id), jobType(*j), id[:8], pill(j.Status))
		if j.Status == client.JobPending && j.QueuePosition > 0 {
			m.put("<small>% of % in the queue</small>", j.QueuePosition, j.QueueSize)
		}
		m.put("</td>\n<td data-label=\"For\">")
		m.jobSubject(p, j)
		m.put("</td>\n<td data-label=\"Tags\">")
		m.tags(j.Tags)
		m.put("</td>\n<td data-label=\"Provisioner\">")
		if j.WorkerName != "" {
			m.put("%", j.WorkerName)
		} else {
			m.put(`<span class="quiet">none</span>`)
		}
		m.put("</td>\n<td class=\"nowrap\" data-label=\"Asked for\">%</td>\n</tr>", p.since(j.CreatedAt))
		m.jobTrouble(p, j)
		m.put("\n")
	}
	return m.html()
}

// jobSubject names what a job works on.
func (m *markup) jobSubject(p *provisionerJobsPage, j *client.ProvisionerJob) {
	of := &j.Metadata
	subject, template := p.Path("jobs", j.ID.String(), "subject"), cmp.Or(of.TemplateDisplayName, of.TemplateName)
	switch {
	case of.WorkspaceID != nil:
		m.put(`<a href="%">%</a>`, subject, of.WorkspaceName)
		if template != "" {
			m.put("<small>template %</small>", template)
		}
	case template != "":
		m.put(`<a href="%">%</a><small>version %</small>`, templatePath(client.Template{OrganizationName: p.Organization.Name, Name: of.TemplateName}), template, of.TemplateVersionName)
	default:
		m.put(`<a href="%">%</a><small>not a template yet</small>`, subject, cmp.Or(of.TemplateVersionName, "a new template"))
	}
}

// jobTrouble is why a job waits or has failed, in a row of its own.
func (m *markup) jobTrouble(p *provisionerJobsPage, j *client.ProvisionerJob) {
	if j.WaitReason == "" && j.Error == "" {
		return
	}
	m.put(`<tr class="note"><td colspan="6">`)
	if j.WaitReason != "" {
		m.put(`<p class="notice warn small">%<span>%</span></p>`, alertIcon, told(p.now, j.WaitReason))
	}
	if j.Error != "" {
		m.put(`<p class="notice bad small">%<span>%</span></p>`, alertIcon, j.Error)
	}
	m.put("</td></tr>")
}

// jobType is the type of a job in words.
func jobType(j client.ProvisionerJob) string {
	switch j.Type {
	case client.JobTemplateVersionImport:
		return "import"
	case client.JobTemplateVersionDryRun:
		return "dry run"
	}
	return cmp.Or(j.Metadata.WorkspaceBuildTransition, "build")
}

// provisionerJobPage is one job and why it is where it is.
type provisionerJobPage struct {
	organizationPage
	client.ProvisionerJobExplanation
	Initiator string
}

// Took is how long the job ran, or nothing before it ended.
func (p provisionerJobPage) Took() time.Duration { return jobTook(p.Job) }

// Type is the job's type in words.
func (p provisionerJobPage) Type() string { return jobType(p.Job) }

// provisionerJobPage loads the job of the page's path, and asks whether its
// person may cancel it.
func (u *UI) provisionerJobPage(ctx context.Context, v *visit) (*provisionerJobPage, error) {
	id, err := uuid.Parse(v.path("job"))
	if err != nil {
		return nil, errNoPage
	}
	org, err := v.api.Organization(ctx, v.path("organization"))
	if err != nil {
		return nil, err
	}
	x, err := v.api.ExplainProvisionerJob(ctx, org.ID.String(), id)
	if err != nil {
		return nil, err
	}
	p, err := v.page(ctx, "Job "+id.String()[:8]+" · "+cmp.Or(org.DisplayName, org.Name), organizationChecks(org.ID), checks{"cancel": cancelCheck(x.Job)})
	return &provisionerJobPage{organizationPage: organizationPage{page: p, Organization: org, Tab: "jobs"}, ProvisionerJobExplanation: x}, err
}

// cancelCheck asks what the API asks of whoever cancels the job.
func cancelCheck(j client.ProvisionerJob) client.AuthorizationCheck {
	switch {
	case j.Type == client.JobWorkspaceBuild && j.Metadata.WorkspaceID != nil:
		return onObject(*j.Metadata.WorkspaceID, "update", "workspace")
	case j.Type == client.JobTemplateVersionImport && j.Metadata.TemplateID != uuid.Nil:
		return onObject(j.Metadata.TemplateID, "update", "template")
	case j.Type == client.JobTemplateVersionImport:
		return inOrganization(j.OrganizationID, "update", "template")
	}
	return inOrganization(j.OrganizationID, "create", "workspace")
}

func (u *UI) provisionerJob(ctx context.Context, v *visit) (reply, error) {
	p, err := u.provisionerJobPage(ctx, v)
	if err != nil {
		return nil, err
	}
	if by, err := v.api.User(ctx, p.Job.InitiatorID.String()); err == nil {
		p.Initiator = by.Username
	}
	return show("provisioner_job.html", p), nil
}

// provisionerJobSubject leads to the page of what a job works on.
func (u *UI) provisionerJobSubject(ctx context.Context, v *visit) (reply, error) {
	p, err := u.provisionerJobPage(ctx, v)
	if err != nil {
		return nil, err
	}
	input := p.Job.Input
	switch {
	case input.WorkspaceBuildID != nil:
		b, err := v.api.WorkspaceBuild(ctx, *input.WorkspaceBuildID)
		return redirect{to: workspacePath(b.WorkspaceOwnerName, b.WorkspaceName, "builds", strconv.FormatInt(b.BuildNumber, 10))}, err
	case input.TemplateVersionID != nil && p.Job.Metadata.TemplateID != uuid.Nil:
		return redirect{to: templatePath(client.Template{OrganizationName: p.Organization.Name, Name: p.Job.Metadata.TemplateName}, "versions", p.Job.Metadata.TemplateVersionName)}, nil
	case input.TemplateVersionID != nil:
		return redirect{to: newVersionPath(*input.TemplateVersionID)}, nil
	}
	return nil, errNoPage
}

// cancelProvisionerJob asks for the job's end by what it works on.
func (u *UI) cancelProvisionerJob(ctx context.Context, v *visit) (reply, error) {
	p, err := u.provisionerJobPage(ctx, v)
	if err != nil {
		return nil, err
	}
	said, back := "The job is asked to stop.", p.Path("jobs", p.Job.ID.String())
	err = cancelJob(ctx, v.api, p.Job)
	if aboutInput(client.StatusCode(err)) {
		said, err = refusalText(err), nil
	}
	return redirect{to: back, said: said}, err
}

func cancelJob(ctx context.Context, api *client.Client, j client.ProvisionerJob) error {
	switch {
	case j.Type == client.JobWorkspaceBuild && j.Input.WorkspaceBuildID != nil:
		return api.CancelWorkspaceBuild(ctx, *j.Input.WorkspaceBuildID)
	case j.Type == client.JobTemplateVersionDryRun && j.Input.TemplateVersionID != nil:
		return api.CancelDryRun(ctx, *j.Input.TemplateVersionID, j.ID)
	case j.Input.TemplateVersionID != nil:
		return api.CancelTemplateVersion(ctx, *j.Input.TemplateVersionID)
	}
	return errNoPage
}
