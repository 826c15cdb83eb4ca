package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coder/client"
)

// neverExpires is what --expires takes for a key without an end.
const neverExpires = "never"

// expiry reads what --expires was given: how long, a time, or never. It is
// nil when nothing was given, and the zero time for never.
func (e *Env) expiry(text string) (*time.Time, error) {
	switch text {
	case "":
		return nil, nil
	case neverExpires:
		return &time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return &at, nil
		}
	}
	lifetime, err := parseLongDuration(text)
	if err != nil {
		return nil, fmt.Errorf("--expires: %q is neither a time from now such as 90d, nor a date such as 2030-01-31, nor never", text)
	}
	at := time.Now().Add(lifetime)
	return &at, nil
}

// seconds reads a duration that a flag was given; nil when it was not.
func seconds(flag, text string) (*int64, error) {
	if text == "" {
		return nil, nil
	}
	var n int64
	if text != "0" {
		d, err := parseLongDuration(text)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", flag, err)
		}
		n = int64(d / time.Second)
	}
	return &n, nil
}

type provisionerKeyRotateOptions struct {
	env          *Env
	organization string
	name         string
	overlap      string
	expires      string
	allow        []string
	format       string
	yes          bool
}

func newProvisionerKeyRotate(env *Env) *cobra.Command {
	o := &provisionerKeyRotateOptions{env: env}
	var allowGiven bool
	cmd := &cobra.Command{
		Use:   "rotate <name>",
		Short: "Give a key another secret, and end the one it has after a while",
		Long: "Give a key another secret and print it, once. Provisioners go on with the secret they have until the\n" +
			"overlap is over; start them with the other one before. A key has two secrets at most: rotating it again\n" +
			"within the overlap ends the older one at once.\n\n" +
			"With --overlap 0 whatever joined with the key before stops taking jobs within seconds, what it runs\n" +
			"may end.",
		Example: "  coder provisioner keys rotate data-cluster-key --org data-platform --overlap 48h\n" +
			"  coder provisioner keys rotate data-cluster-key --expires 90d --allow 10.0.0.0/8",
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name, allowGiven = args[0], cmd.Flags().Changed("allow")
			return o.run(cmd.Context(), allowGiven)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.overlap, "overlap", "", "How long the secret before stays good, such as 1h or 7d (default: a day)")
	f.StringVar(&o.expires, "expires", "", "When the key expires: 90d, 2030-01-31 or never (default: as before)")
	f.StringSliceVar(&o.allow, "allow", nil, "Address or network that the key is good from, such as 10.0.0.0/8; may be repeated; an empty one allows all (default: as before)")
	addOrganization(f, &o.organization)
	addFormat(cmd, &o.format, "text", "json")
	addYes(cmd, &o.yes)
	return cmd
}

func (o *provisionerKeyRotateOptions) run(ctx context.Context, allowGiven bool) error {
	req, err := o.request(allowGiven)
	if err != nil {
		return err
	}
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	if req.OverlapSeconds != nil && *req.OverlapSeconds == 0 {
		if err := o.env.confirm(ctx, o.yes, fmt.Sprintf("End the secret of %s now? Provisioners that joined with it stop.", printable(o.name)), false); err != nil {
			return err
		}
	}
	made, err := c.RotateProvisionerKey(ctx, org.ID.String(), o.name, req)
	if err != nil {
		return o.env.provisionerKeyError("rotate the provisioner key", o.name, org, err)
	}
	if o.format == "json" {
		return o.env.printJSON(made)
	}
	stdout := o.env.Stdout
	o.env.outf("Successfully rotated provisioner key %s! Save this authentication token, it will not be shown again.\nThe one before is good until %s.\n\n%s\n",
		o.env.paint(stdout, green, strings.ToLower(o.name)), timeCell(made.PreviousExpiresAt), o.env.paint(stdout, green, made.Key))
	return nil
}

func (o *provisionerKeyRotateOptions) request(allowGiven bool) (req client.RotateProvisionerKeyRequest, err error) {
	if req.OverlapSeconds, err = seconds("overlap", o.overlap); err != nil {
		return req, err
	}
	if req.ExpiresAt, err = o.env.expiry(o.expires); err != nil {
		return req, err
	}
	if allowGiven {
		networks := allowed(o.allow)
		req.AllowList = &networks
	}
	return req, nil
}

// allowed leaves out the empty entry that stands for every network.
func allowed(given []string) []string {
	networks := []string{}
	for _, network := range given {
		if network = strings.TrimSpace(network); network != "" {
			networks = append(networks, network)
		}
	}
	return networks
}

type joinTokenOptions struct {
	env          *Env
	organization string
	name         string
	expires      string
	format       string
}

func newProvisionerKeyJoinToken(env *Env) *cobra.Command {
	o := &joinTokenOptions{env: env}
	cmd := &cobra.Command{
		Use:   "join-token <name>",
		Short: "Make a token with which one provisioner may join, once",
		Long: "Make a token with which one provisioner may join, once, and print it. The provisioner trades it for\n" +
			"a secret of its own that never leaves its host; the token is worth nothing afterwards. So it may go\n" +
			"where a key may not: into the start script of a machine, or a chat.",
		Example: "  coder provisioner keys join-token data-cluster-key --org data-platform --expires 15m\n" +
			"  CODER_PROVISIONER_DAEMON_JOIN_TOKEN=<token> coder provisioner start",
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&o.expires, "expires", "", "How long the token is good, such as 15m, 7d at most (default: 1h)")
	addOrganization(cmd.Flags(), &o.organization)
	addFormat(cmd, &o.format, "text", "json")
	return cmd
}

func (o *joinTokenOptions) run(ctx context.Context) error {
	lifetime, err := seconds("expires", o.expires)
	if err != nil {
		return err
	}
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	made, err := c.CreateJoinToken(ctx, org.ID.String(), o.name, client.CreateJoinTokenRequest{LifetimeSeconds: lifetime})
	if err != nil {
		return o.env.provisionerKeyError("make a join token of the provisioner key", o.name, org, err)
	}
	if o.format == "json" {
		return o.env.printJSON(made)
	}
	o.env.outf("One provisioner may join with this token until %s; it will not be shown again.\n\n%s\n",
		timeCell(made.ExpiresAt), o.env.paint(o.env.Stdout, green, made.JoinToken))
	return nil
}

// provisionerKeyError says of which key and organization, and where to look.
func (e *Env) provisionerKeyError(what, name string, org client.Organization, err error) error {
	if client.IsNotFound(err) {
		return fmt.Errorf("there is no provisioner key %q in the organization %s that you may change: see `coder provisioner keys list`", name, org.Name)
	}
	return fmt.Errorf("%s %q: %w", what, name, err)
}
