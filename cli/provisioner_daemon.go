package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"coder/client"
)

func newProvisioner(env *Env) *cobra.Command {
	return group("provisioner", "Run provisioners, and see them and their jobs", []string{"provisioners"},
		newProvisionerStart(env), newProvisionerList(env), newProvisionerDrain(env), newProvisionerResume(env), newProvisionerKeys(env), newProvisionerJobs(env), newProvisionerCache(env), newProvisionerRecovery(env))
}

// newProvisionerd keeps the old name of the start command.
func newProvisionerd(env *Env) *cobra.Command {
	cmd := group("provisionerd", "Older name of provisioner start", nil, newProvisionerStart(env))
	cmd.Hidden = true
	return cmd
}

// daemonRow is a daemon and the name of its organization.
type daemonRow struct {
	client.ProvisionerDaemon
	OrganizationName string `json:"organization_name"`
}

func daemonTable() table[daemonRow] {
	job := func(of func(daemonRow) *client.ProvisionerDaemonJob, cell func(client.ProvisionerDaemonJob) string) func(daemonRow) string {
		return func(r daemonRow) string {
			if j := of(r); j != nil {
				return cell(*j)
			}
			return ""
		}
	}
	columns := []column[daemonRow]{
		{"id", func(r daemonRow) string { return r.ID.String() }},
		{"organization id", func(r daemonRow) string { return r.OrganizationID.String() }},
		{"created at", func(r daemonRow) string { return timeCell(r.CreatedAt) }},
		{"last seen at", func(r daemonRow) string { return timePointerCell(r.LastSeenAt) }},
		{"name", func(r daemonRow) string { return r.Name }},
		{"version", func(r daemonRow) string { return r.Version }},
		{"api version", func(r daemonRow) string { return r.APIVersion }},
		{"tags", func(r daemonRow) string { return tagsCell(r.Tags) }},
		{"key name", func(r daemonRow) string { return deref(r.KeyName) }},
		{"status", func(r daemonRow) string { return deref(r.Status) }},
	}
	for _, of := range []struct {
		name string
		job  func(daemonRow) *client.ProvisionerDaemonJob
	}{
		{"current", func(r daemonRow) *client.ProvisionerDaemonJob { return r.CurrentJob }},
		{"previous", func(r daemonRow) *client.ProvisionerDaemonJob { return r.PreviousJob }},
	} {
		columns = append(columns,
			column[daemonRow]{of.name + " job id", job(of.job, func(j client.ProvisionerDaemonJob) string { return j.ID.String() })},
			column[daemonRow]{of.name + " job status", job(of.job, func(j client.ProvisionerDaemonJob) string { return j.Status })},
			column[daemonRow]{of.name + " job template name", job(of.job, func(j client.ProvisionerDaemonJob) string { return j.TemplateName })},
			column[daemonRow]{of.name + " job template icon", job(of.job, func(j client.ProvisionerDaemonJob) string { return j.TemplateIcon })},
			column[daemonRow]{of.name + " job template display name", job(of.job, func(j client.ProvisionerDaemonJob) string { return j.TemplateDisplayName })})
	}
	columns = append(columns,
		column[daemonRow]{"organization", func(r daemonRow) string { return r.OrganizationName }},
		column[daemonRow]{"draining", func(r daemonRow) string { return strconv.FormatBool(r.Draining) }},
		column[daemonRow]{"warnings", func(r daemonRow) string {
			return listCell(r.Warnings, func(w client.ProvisionerWarning) string { return w.Message })
		}})
	return table[daemonRow]{columns: columns, defaults: []string{"created at", "last seen at", "key name", "name", "version", "status", "tags"}}
}

type provisionerListOptions struct {
	env          *Env
	organization string
	limit        int
	offline      bool
	status       []string
	maxAge       time.Duration
	list         listOptions
}

func newProvisionerList(env *Env) *cobra.Command {
	o := &provisionerListOptions{env: env}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the provisioners of an organization",
		Args:  exactArgs(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.IntVarP(&o.limit, "limit", "l", 50, "How many to list at most")
	f.BoolVarP(&o.offline, "show-offline", "f", false, "Also those that are offline")
	f.VarP(&choicesValue{into: &o.status, valid: []string{client.DaemonOffline, client.DaemonIdle, client.DaemonBusy}}, "status", "s", "Only with one of these statuses")
	f.DurationVarP(&o.maxAge, "max-age", "m", 0, "Only those seen within this time")
	fromEnv(f, "limit", "CODER_PROVISIONER_LIST_LIMIT")
	fromEnv(f, "show-offline", "CODER_PROVISIONER_SHOW_OFFLINE")
	fromEnv(f, "status", "CODER_PROVISIONER_LIST_STATUS")
	fromEnv(f, "max-age", "CODER_PROVISIONER_LIST_MAX_AGE")
	addOrganization(f, &o.organization)
	addList(cmd, &o.list, daemonTable())
	return cmd
}

func (o *provisionerListOptions) run(ctx context.Context) error {
	if o.limit < 1 {
		return fmt.Errorf("the limit %d is not a positive number", o.limit)
	}
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	daemons, err := c.ProvisionerDaemons(ctx, org.ID.String(), client.ProvisionerDaemonsRequest{
		Limit: o.limit, Status: o.status, Offline: o.offline, MaxAge: o.maxAge,
	})
	if err != nil {
		return err
	}
	rows := make([]daemonRow, len(daemons))
	for i, d := range daemons {
		rows[i] = daemonRow{d, org.Name}
		for _, w := range d.Warnings {
			o.env.warnf("%s", printable(w.Message))
		}
	}
	// Whoever may not see it can do nothing about it either.
	if r, err := c.Recovery(ctx, org.ID.String(), client.Page{Limit: 1}); err == nil && r.Recovering {
		o.env.warnf("The database is an older copy: no build of %s starts until provisioners have told what it lacks. See: coder provisioner recovery --org %[1]s", org.Name)
	}
	return printList(o.env, o.list, daemonTable(), rows, rows,
		fmt.Sprintf("No provisioners found in %s. Start one with `coder provisioner start`.", org.Name))
}
