package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"coder/client"
)

func newTemplatePermissions(env *Env) *cobra.Command {
	return group("permissions", "Say who may use and change a template", []string{"acl"},
		newTemplatePermissionList(env), newTemplatePermissionAdd(env), newTemplatePermissionRemove(env))
}

// templatePermissionOptions are those of the commands that change the access
// list of a template.
type templatePermissionOptions struct {
	env          *Env
	organization string
	name         string
	users        []string
	groups       []string
}

func (o *templatePermissionOptions) command(use, short string, aliases []string, run func(context.Context, *client.Client, client.Organization, client.Template) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Aliases: aliases, Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			if len(o.users)+len(o.groups) == 0 {
				return errors.New("say who: give --user or --group")
			}
			c, org, err := o.env.clientAndOrganization(cmd.Context(), o.organization)
			if err != nil {
				return err
			}
			t, err := o.env.template(cmd.Context(), c, org, o.name)
			if err != nil {
				return err
			}
			return run(cmd.Context(), c, org, t)
		},
	}
	addOrganization(cmd.Flags(), &o.organization)
	return cmd
}

func newTemplatePermissionAdd(env *Env) *cobra.Command {
	o := &templatePermissionOptions{env: env}
	cmd := o.command("add <template> --user <user>:<role> --group <group>:<role>", "Let users or groups use or change a template", []string{"set"}, o.add)
	cmd.Long = `Let users or groups of its organization use or change a template. The role use,
which is the default, lets them see it and make workspaces of it; admin lets them
change it, push versions and say who may use it. The group Everyone is all members.
Who has a role already gets the new one.`
	cmd.Example = "  coder templates permissions add docker --user ann,bob:admin --group backend --org data-platform"
	cmd.Flags().StringSliceVar(&o.users, "user", nil, "Users, as name or name:role; may be repeated")
	cmd.Flags().StringSliceVar(&o.groups, "group", nil, "Groups, as name or name:role; may be repeated")
	return cmd
}

func (o *templatePermissionOptions) add(ctx context.Context, c *client.Client, org client.Organization, t client.Template) error {
	who, err := findActors(ctx, c, org, o.users, o.groups)
	if err != nil {
		return err
	}
	if err := c.UpdateTemplateACL(ctx, t.ID, client.UpdateTemplateACLRequest{UserPerms: who.users, GroupPerms: who.groups}); err != nil {
		return fmt.Errorf("change who may use the template %s: %w", t.Name, err)
	}
	o.env.outf("Gave the template %s to %s.\n", t.Name, strings.Join(who.names, ", "))
	return nil
}

func newTemplatePermissionRemove(env *Env) *cobra.Command {
	o := &templatePermissionOptions{env: env}
	cmd := o.command("remove <template> --user <user> --group <group>", "Take a template away from users or groups", []string{"rm"}, o.remove)
	cmd.Long = `Take users or groups off the access list of a template. Take the group Everyone
off to leave it to those on the list, and to administrators.`
	cmd.Example = "  coder templates permissions remove docker --group Everyone --org data-platform"
	cmd.Flags().StringSliceVar(&o.users, "user", nil, "Users to take off, by name or id; may be repeated")
	cmd.Flags().StringSliceVar(&o.groups, "group", nil, "Groups to take off, by name or id; may be repeated")
	return cmd
}

// remove looks for the names among those on the list.
func (o *templatePermissionOptions) remove(ctx context.Context, c *client.Client, org client.Organization, t client.Template) error {
	acl, err := c.TemplateACL(ctx, t.ID)
	if err != nil {
		return fmt.Errorf("read who may use the template %s: %w", t.Name, err)
	}
	missing := func(kind string) func(string) error {
		return func(name string) error {
			return fmt.Errorf("the %s %s is not on the list of the template %s: see `coder templates permissions list %s --org %s`", kind, name, t.Name, t.Name, org.Name)
		}
	}
	users, groups := templateUsers(acl)
	req := client.UpdateTemplateACLRequest{}
	if req.UserPerms, err = offList(users, o.users, missing("user")); err != nil {
		return err
	}
	if req.GroupPerms, err = offList(groups, o.groups, missing("group")); err != nil {
		return err
	}
	if err := c.UpdateTemplateACL(ctx, t.ID, req); err != nil {
		return fmt.Errorf("change who may use the template %s: %w", t.Name, err)
	}
	o.env.outf("Took the template %s away from %s.\n", t.Name, strings.Join(slices.Concat(o.users, o.groups), ", "))
	return nil
}

// templateUsers are the users and groups of a template's access list.
func templateUsers(acl client.TemplateACL) (users, groups []listed) {
	return listedAs(acl.Users, func(u client.TemplateUser) listed { return listed{u.Username, u.ID.String(), u.Role} }),
		listedAs(acl.Groups, func(g client.TemplateGroup) listed { return listed{g.Name, g.ID.String(), g.Role} })
}

type templatePermissionListOptions struct {
	env          *Env
	organization string
	list         listOptions
}

func newTemplatePermissionList(env *Env) *cobra.Command {
	o := &templatePermissionListOptions{env: env}
	cmd := &cobra.Command{
		Use:     "list <template>",
		Aliases: []string{"status"},
		Short:   "List who may use and change a template",
		Long:    "List the users and groups with a role on a template. Administrators of the organization may always use and change it.",
		Args:    exactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	addOrganization(cmd.Flags(), &o.organization)
	addList(cmd, &o.list, shareTable())
	return cmd
}

func (o *templatePermissionListOptions) run(ctx context.Context, name string) error {
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	t, err := o.env.template(ctx, c, org, name)
	if err != nil {
		return err
	}
	acl, err := c.TemplateACL(ctx, t.ID)
	if err != nil {
		return fmt.Errorf("read who may use the template %s: %w", t.Name, err)
	}
	return printList(o.env, o.list, shareTable(), sharesOf(templateUsers(acl)), any(acl), "Nobody but administrators may use the template.")
}
