package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"coder/client"
)

type serverKeyOptions struct {
	env          *Env
	organization string
	yes          bool
	output       string
}

func newServerRotateKey(env *Env) *cobra.Command {
	o := &serverKeyOptions{env: env}
	cmd := &cobra.Command{
		Use:   "rotate-key",
		Short: "Move a running deployment to a new key, or give an organization a new one",
		Long: `Move a running deployment to a new key, or give an organization a new one.

The deployment key wraps the keys of the organizations, users' SSH keys and the
key of the audit log. With SQLite the server makes the new one itself, in the
file deployment.key of its data directory. Where keys are given to the server,
first give every replica both, CODER_DEPLOYMENT_KEY=<current>,<new>, and restart
them one by one; this command then moves to the new one, and the old one may be
dropped after that. A backup opens with the key of its time: keep that with it.

With --org the organization gets a new key of its own, and its states and
variables are sealed again with it. The earlier key is destroyed an hour later.

Builds and people go on meanwhile. Only owners of the deployment may do this.`,
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&o.organization, "org", "", "Organization whose own key is replaced, by name or id (default: the key of the deployment)")
	addYes(cmd, &o.yes)
	addFormat(cmd, &o.output, "text", "json")
	return cmd
}

func (o *serverKeyOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	if o.organization != "" {
		return o.rotateOrganization(ctx, c)
	}
	if err := o.env.confirm(ctx, o.yes, "Move the deployment to a new key?", true); err != nil {
		return err
	}
	done, err := c.RotateDeploymentKey(ctx)
	if err != nil {
		return fmt.Errorf("rotate the deployment key: %w", err)
	}
	if o.output == "json" {
		return o.env.printJSON(done)
	}
	o.env.outf("The deployment key %s was replaced by %s: the keys of %s, %s and the key of the audit log are wrapped with it.\n",
		printable(done.From), printable(done.To), amount(done.Organizations, "organization"), amount(done.SSHKeys, "SSH key"))
	if done.KeyFile == "" {
		o.env.outf("Give the replicas the new key alone from now on, and keep the old one with the backups of before.\n")
		return nil
	}
	o.env.outf("%s on the server holds both, the new one first: keep a copy of it. Remove the old line when no backup needs it.\n", printable(done.KeyFile))
	return nil
}

func (o *serverKeyOptions) rotateOrganization(ctx context.Context, c *client.Client) error {
	org, err := c.Organization(ctx, o.organization)
	if err != nil {
		return fmt.Errorf("find the organization %q: %w", o.organization, err)
	}
	if err := o.env.confirm(ctx, o.yes, fmt.Sprintf("Give the organization %s a new key?", org.Name), true); err != nil {
		return err
	}
	done, err := c.RotateOrganizationKey(ctx, org.ID.String())
	if err != nil {
		return fmt.Errorf("rotate the key of organization %s: %w", org.Name, err)
	}
	if o.output == "json" {
		return o.env.printJSON(done)
	}
	o.env.outf("The organization %s has its key %d: %s, %s, %s, %s, %s and %s were sealed again.\n", org.Name, done.Number,
		amount(done.States, "state"), amount(done.Variables, "variable"), amount(done.HandOuts, "hand-out"), amount(done.DryRuns, "dry run"),
		amount(done.Resources, "resource"), amount(done.Agents, "agent"))
	if done.Pending {
		o.env.outf("The rest follows in the background; the earlier key stays until then.\n")
	}
	return nil
}

func amount(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
