package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"coder/client"
)

func newProvisionerKeys(env *Env) *cobra.Command {
	return group("keys", "Manage the keys that provisioners join with", []string{"key"},
		newProvisionerKeyCreate(env), newProvisionerKeyList(env), newProvisionerKeyRotate(env), newProvisionerKeyJoinToken(env), newProvisionerKeyDelete(env))
}

// parseTags reads name=value pairs.
func parseTags(pairs []string) (map[string]string, error) {
	tags := map[string]string{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("the tag %q has no name and value: write it as name=value", pair)
		}
		tags[name] = value
	}
	return tags, nil
}

type provisionerKeyCreateOptions struct {
	env          *Env
	organization string
	name         string
	tags         []string
	expires      string
	allow        []string
	format       string
}

func newProvisionerKeyCreate(env *Env) *cobra.Command {
	o := &provisionerKeyCreateOptions{env: env}
	cmd := &cobra.Command{
		Use:   "create <name>",
		Short: "Make a key and print its secret, once",
		Example: "  coder provisioner keys create data-cluster-key --org data-platform --tag env=prod\n" +
			"  coder provisioner keys create data-cluster-key --expires 90d --allow 10.0.0.0/8",
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.tags, "tag", "t", nil, "Tag of every provisioner that joins with the key, name=value; may be repeated")
	fromEnv(f, "tag", "CODER_PROVISIONERD_TAGS")
	f.StringVar(&o.expires, "expires", "", "When the key expires, such as 90d or 2030-01-31 (default: never)")
	f.StringSliceVar(&o.allow, "allow", nil, "Address or network that the key is good from, such as 10.0.0.0/8; may be repeated (default: all)")
	addOrganization(f, &o.organization)
	addFormat(cmd, &o.format, "text", "json")
	return cmd
}

func (o *provisionerKeyCreateOptions) run(ctx context.Context) error {
	tags, err := parseTags(o.tags)
	if err != nil {
		return err
	}
	if err := client.CheckName(client.NameProvisionerKey, o.name); err != nil {
		return err
	}
	expires, err := o.env.expiry(o.expires)
	if err != nil {
		return err
	}
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	made, err := c.CreateProvisionerKey(ctx, org.ID.String(), client.CreateProvisionerKeyRequest{Name: o.name, Tags: tags, ExpiresAt: expires, AllowList: allowed(o.allow)})
	if err != nil {
		return fmt.Errorf("create the provisioner key: %w", err)
	}
	name := strings.ToLower(o.name)
	if o.format == "json" {
		return o.env.printJSON(struct {
			Name           string            `json:"name"`
			OrganizationID string            `json:"organization_id"`
			Tags           map[string]string `json:"tags"`
			Key            string            `json:"key"`
		}{name, org.ID.String(), tags, made.Key})
	}
	stdout := o.env.Stdout
	o.env.outf("Successfully created provisioner key %s! Save this authentication token, it will not be shown again.\n\n%s\n",
		o.env.paint(stdout, green, name), o.env.paint(stdout, green, made.Key))
	return nil
}

func provisionerKeyTable() table[client.ProvisionerKey] {
	return table[client.ProvisionerKey]{defaults: []string{"created at", "name", "tags"}, columns: []column[client.ProvisionerKey]{
		{"created at", func(k client.ProvisionerKey) string { return timeCell(k.CreatedAt) }},
		{"name", func(k client.ProvisionerKey) string { return k.Name }},
		{"tags", func(k client.ProvisionerKey) string { return tagsCell(k.Tags) }},
		{"allow", allowCell},
		{"expires at", func(k client.ProvisionerKey) string { return timePointerCell(k.ExpiresAt) }},
		{"last used at", func(k client.ProvisionerKey) string { return timePointerCell(k.LastUsedAt) }},
		{"previous expires at", func(k client.ProvisionerKey) string { return timePointerCell(k.PreviousExpiresAt) }},
	}}
}

// allowCell is empty for a key that is good from everywhere.
func allowCell(k client.ProvisionerKey) string {
	if k.AllowList == nil {
		return "not shown to you"
	}
	return strings.Join(k.AllowList, " ")
}

type provisionerKeyListOptions struct {
	env          *Env
	organization string
	list         listOptions
}

func newProvisionerKeyList(env *Env) *cobra.Command {
	o := &provisionerKeyListOptions{env: env}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys of an organization",
		Args:  exactArgs(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	addOrganization(cmd.Flags(), &o.organization)
	addList(cmd, &o.list, provisionerKeyTable())
	return cmd
}

func (o *provisionerKeyListOptions) run(ctx context.Context) error {
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	keys, err := c.ProvisionerKeys(ctx, org.ID.String())
	if err != nil {
		return err
	}
	return printList(o.env, o.list, provisionerKeyTable(), keys, keys, "No provisioner keys found.")
}

type provisionerKeyDeleteOptions struct {
	env          *Env
	organization string
	name         string
	yes          bool
}

func newProvisionerKeyDelete(env *Env) *cobra.Command {
	o := &provisionerKeyDeleteOptions{env: env}
	cmd := &cobra.Command{
		Use:   "delete <name>",
		Short: "Delete a key; provisioners that joined with it stop",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(cmd.Context())
		},
	}
	addOrganization(cmd.Flags(), &o.organization)
	addYes(cmd, &o.yes)
	return cmd
}

func (o *provisionerKeyDeleteOptions) run(ctx context.Context) error {
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	if err := o.env.confirm(ctx, o.yes, fmt.Sprintf("Delete the provisioner key %s?", printable(o.name)), true); err != nil {
		return err
	}
	err = c.DeleteProvisionerKey(ctx, org.ID.String(), o.name)
	if err != nil {
		return o.env.provisionerKeyError("delete the provisioner key", o.name, org, err)
	}
	o.env.outf("Successfully deleted provisioner key %s!\n", o.env.paint(o.env.Stdout, green, strings.ToLower(o.name)))
	return nil
}
