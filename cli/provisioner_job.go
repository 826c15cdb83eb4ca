package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"coder/client"
)

func newProvisionerJobs(env *Env) *cobra.Command {
	return group("jobs", "See, explain and cancel the jobs of provisioners", []string{"job"},
		newProvisionerJobList(env), newProvisionerJobExplain(env), newProvisionerJobCancel(env))
}

// jobRow is a job and the name of its organization.
type jobRow struct {
	client.ProvisionerJob
	OrganizationName string `json:"organization_name"`
}

func jobTable() table[jobRow] {
	id := func(u *uuid.UUID) string {
		if u == nil {
			return ""
		}
		return u.String()
	}
	return table[jobRow]{
		columns: []column[jobRow]{
			{"id", func(r jobRow) string { return r.ID.String() }},
			{"created at", func(r jobRow) string { return timeCell(r.CreatedAt) }},
			{"started at", func(r jobRow) string { return timePointerCell(r.StartedAt) }},
			{"completed at", func(r jobRow) string { return timePointerCell(r.CompletedAt) }},
			{"canceled at", func(r jobRow) string { return timePointerCell(r.CanceledAt) }},
			{"error", func(r jobRow) string { return r.Error }},
			{"error code", func(r jobRow) string { return r.ErrorCode }},
			{"status", func(r jobRow) string { return r.Status }},
			{"worker id", func(r jobRow) string { return id(r.WorkerID) }},
			{"worker name", func(r jobRow) string { return r.WorkerName }},
			{"file id", func(r jobRow) string { return r.FileID.String() }},
			{"tags", func(r jobRow) string { return tagsCell(r.Tags) }},
			{"queue position", func(r jobRow) string { return strconv.Itoa(r.QueuePosition) }},
			{"queue size", func(r jobRow) string { return strconv.Itoa(r.QueueSize) }},
			{"organization id", func(r jobRow) string { return r.OrganizationID.String() }},
			{"initiator id", func(r jobRow) string { return r.InitiatorID.String() }},
			{"template version id", func(r jobRow) string { return id(r.Input.TemplateVersionID) }},
			{"workspace build id", func(r jobRow) string { return id(r.Input.WorkspaceBuildID) }},
			{"type", func(r jobRow) string { return r.Type }},
			{"available workers", func(r jobRow) string { return listCell(r.AvailableWorkers, uuid.UUID.String) }},
			{"template version name", func(r jobRow) string { return r.Metadata.TemplateVersionName }},
			{"template id", func(r jobRow) string { return r.Metadata.TemplateID.String() }},
			{"template name", func(r jobRow) string { return r.Metadata.TemplateName }},
			{"template display name", func(r jobRow) string { return r.Metadata.TemplateDisplayName }},
			{"template icon", func(r jobRow) string { return r.Metadata.TemplateIcon }},
			{"workspace id", func(r jobRow) string { return id(r.Metadata.WorkspaceID) }},
			{"workspace name", func(r jobRow) string { return r.Metadata.WorkspaceName }},
			{"workspace build transition", func(r jobRow) string { return r.Metadata.WorkspaceBuildTransition }},
			{"logs overflowed", func(r jobRow) string { return strconv.FormatBool(r.LogsOverflowed) }},
			{"organization", func(r jobRow) string { return r.OrganizationName }},
			{"queue", queueCell},
		},
		defaults: []string{"created at", "id", "type", "template display name", "status", "queue", "tags"},
	}
}

func queueCell(r jobRow) string {
	if r.QueuePosition == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", r.QueuePosition, r.QueueSize)
}

type provisionerJobListOptions struct {
	env          *Env
	organization string
	limit        int
	status       []string
	initiator    string
	list         listOptions
}

func newProvisionerJobList(env *Env) *cobra.Command {
	o := &provisionerJobListOptions{env: env}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the jobs of an organization, newest first",
		Args:  exactArgs(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.IntVarP(&o.limit, "limit", "l", 50, "How many to list at most")
	f.VarP(&choicesValue{into: &o.status, valid: []string{client.JobPending, client.JobRunning, client.JobSucceeded,
		client.JobCanceling, client.JobCanceled, client.JobFailed, client.JobUnknown}}, "status", "s", "Only with one of these statuses")
	f.StringVarP(&o.initiator, "initiator", "i", "", "Only those that this user asked for (username or id)")
	fromEnv(f, "limit", "CODER_PROVISIONER_JOB_LIST_LIMIT")
	fromEnv(f, "status", "CODER_PROVISIONER_JOB_LIST_STATUS")
	fromEnv(f, "initiator", "CODER_PROVISIONER_JOB_LIST_INITIATOR")
	addOrganization(f, &o.organization)
	addList(cmd, &o.list, jobTable())
	return cmd
}

func (o *provisionerJobListOptions) run(ctx context.Context) error {
	if o.limit < 1 {
		return fmt.Errorf("the limit %d is not a positive number", o.limit)
	}
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	req := client.ProvisionerJobsRequest{Limit: o.limit, Status: o.status}
	if o.initiator != "" {
		user, err := c.User(ctx, o.initiator)
		if err != nil {
			return userError(o.initiator, err)
		}
		req.Initiator = user.ID
	}
	jobs, err := c.ProvisionerJobs(ctx, org.ID.String(), req)
	if err != nil {
		return err
	}
	rows := make([]jobRow, len(jobs))
	for i, j := range jobs {
		rows[i] = jobRow{j, org.Name}
	}
	return printList(o.env, o.list, jobTable(), rows, rows, "No provisioner jobs found.")
}

type provisionerJobCancelOptions struct {
	env          *Env
	organization string
	job          string
}

func newProvisionerJobCancel(env *Env) *cobra.Command {
	o := &provisionerJobCancelOptions{env: env}
	cmd := &cobra.Command{
		Use:   "cancel <job_id>",
		Short: "Cancel a job: gently the first time, hard the second",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.job = args[0]
			return o.run(cmd.Context())
		},
	}
	addOrganization(cmd.Flags(), &o.organization)
	return cmd
}

func (o *provisionerJobCancelOptions) run(ctx context.Context) error {
	id, err := parseJobID(o.job)
	if err != nil {
		return err
	}
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	job, err := c.ProvisionerJob(ctx, org.ID.String(), id)
	if err != nil {
		return jobNotFound(id, org, err)
	}
	if err := cancelJob(ctx, c, job); err != nil {
		return fmt.Errorf("cancel the job: %w", err)
	}
	o.env.outf("The job %s is being canceled.\n", id)
	return nil
}

// cancelJob cancels what is behind a job; jobs have no cancel of their own.
func cancelJob(ctx context.Context, c *client.Client, job client.ProvisionerJob) error {
	version, build := job.Input.TemplateVersionID, job.Input.WorkspaceBuildID
	switch {
	case job.Type == client.JobWorkspaceBuild && build != nil:
		return c.CancelWorkspaceBuild(ctx, *build)
	case job.Type == client.JobTemplateVersionImport && version != nil:
		return c.CancelTemplateVersion(ctx, *version)
	case job.Type == client.JobTemplateVersionDryRun && version != nil:
		return c.CancelDryRun(ctx, *version, job.ID)
	}
	return errors.New("the server does not say what the job belongs to")
}
