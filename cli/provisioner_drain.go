package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"coder/client"
)

type provisionerDrainOptions struct {
	env          *Env
	organization string
	name         string
	wait         bool
	format       string
}

func newProvisionerDrain(env *Env) *cobra.Command {
	o := &provisionerDrainOptions{env: env}
	cmd := &cobra.Command{
		Use:   "drain <name>",
		Short: "Let a provisioner finish its job and take no other",
		Long: "Let a provisioner finish its job and take no other, until `coder provisioner resume`. It stays connected,\n" +
			"and drained when it is restarted under its name.",
		Example: "  coder provisioner drain host-1 --wait && ssh host-1 reboot",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&o.wait, "wait", false, "Return when its job has ended")
	addOrganization(cmd.Flags(), &o.organization)
	addFormat(cmd, &o.format, "text", "json")
	return cmd
}

func (o *provisionerDrainOptions) run(ctx context.Context) error {
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	found, err := findDaemon(ctx, c, org, o.name)
	if err != nil {
		return err
	}
	d, err := c.DrainProvisionerDaemon(ctx, org.ID.String(), found.ID)
	if err != nil {
		return daemonError("drain", found.Name, org, err)
	}
	if o.wait {
		if d, err = o.untilDone(ctx, c, org, d); err != nil {
			return err
		}
	}
	if o.format == "json" {
		return o.env.printJSON(daemonRow{d, org.Name})
	}
	name := o.env.paint(o.env.Stdout, green, printable(d.Name))
	if d.CurrentJob == nil {
		o.env.outf("The provisioner %s has no job and takes none until it is resumed.\n", name)
		return nil
	}
	o.env.outf("The provisioner %s finishes its job %s and takes no other until it is resumed.\n", name, d.CurrentJob.ID)
	return nil
}

// untilDone waits for the end of the job that a draining daemon has.
func (o *provisionerDrainOptions) untilDone(ctx context.Context, c *client.Client, org client.Organization, d client.ProvisionerDaemon) (client.ProvisionerDaemon, error) {
	if d.CurrentJob != nil {
		o.env.errf("Waiting for the job %s to end.\n", d.CurrentJob.ID)
	}
	for d.CurrentJob != nil {
		if !sleep(ctx, time.Second) {
			return d, ctx.Err()
		}
		list, err := c.ProvisionerDaemons(ctx, org.ID.String(), client.ProvisionerDaemonsRequest{IDs: []uuid.UUID{d.ID}, Offline: true})
		if err != nil {
			return d, fmt.Errorf("see whether the provisioner's job has ended: %w", err)
		}
		if len(list) == 0 {
			return d, fmt.Errorf("the provisioner %s is not known any more", d.Name)
		}
		d = list[0]
		if !d.Draining {
			return d, fmt.Errorf("the provisioner %s was resumed meanwhile", d.Name)
		}
	}
	return d, nil
}

type provisionerResumeOptions struct {
	env          *Env
	organization string
	name         string
	format       string
}

func newProvisionerResume(env *Env) *cobra.Command {
	o := &provisionerResumeOptions{env: env}
	cmd := &cobra.Command{
		Use:   "resume <name>",
		Short: "Let a drained provisioner take jobs again",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(cmd.Context())
		},
	}
	addOrganization(cmd.Flags(), &o.organization)
	addFormat(cmd, &o.format, "text", "json")
	return cmd
}

func (o *provisionerResumeOptions) run(ctx context.Context) error {
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	found, err := findDaemon(ctx, c, org, o.name)
	if err != nil {
		return err
	}
	d, err := c.ResumeProvisionerDaemon(ctx, org.ID.String(), found.ID)
	if err != nil {
		return daemonError("resume", found.Name, org, err)
	}
	if o.format == "json" {
		return o.env.printJSON(daemonRow{d, org.Name})
	}
	o.env.outf("The provisioner %s takes jobs again.\n", o.env.paint(o.env.Stdout, green, printable(d.Name)))
	return nil
}

// findDaemon finds a provisioner by its name or id, offline ones too. Those of
// users may have the name of another one.
func findDaemon(ctx context.Context, c *client.Client, org client.Organization, ref string) (client.ProvisionerDaemon, error) {
	list, err := c.ProvisionerDaemons(ctx, org.ID.String(), client.ProvisionerDaemonsRequest{Limit: maxDaemons, Offline: true})
	if err != nil {
		return client.ProvisionerDaemon{}, fmt.Errorf("find the provisioner %q: %w", ref, err)
	}
	var found []client.ProvisionerDaemon
	var ids []string
	for _, d := range list {
		if d.ID.String() == ref {
			return d, nil
		}
		if d.Name == ref {
			found, ids = append(found, d), append(ids, d.ID.String())
		}
	}
	switch len(found) {
	case 0:
		return client.ProvisionerDaemon{}, fmt.Errorf("there is no provisioner %q in the organization %s that you may see: see `coder provisioner list --show-offline`", ref, org.Name)
	case 1:
		return found[0], nil
	}
	return client.ProvisionerDaemon{}, fmt.Errorf("several provisioners have the name %q: give one of their ids, %s", ref, strings.Join(ids, " or "))
}

// maxDaemons is more than an organization has.
const maxDaemons = 100_000

func daemonError(what, name string, org client.Organization, err error) error {
	if client.IsNotFound(err) {
		return fmt.Errorf("you may not %s provisioners of the organization %s: ask one of its administrators", what, org.Name)
	}
	return fmt.Errorf("%s the provisioner %q: %w", what, name, err)
}
