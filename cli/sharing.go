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

func newSharing(env *Env) *cobra.Command {
	return group("sharing", "Share workspaces with users and groups", []string{"share"},
		newSharingAdd(env), newSharingRemove(env), newSharingStatus(env))
}

// sharingOptions are those of the commands that change an access list.
type sharingOptions struct {
	env    *Env
	named  string
	users  []string
	groups []string
}

func (o *sharingOptions) command(use, short string, aliases []string, run func(context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Aliases: aliases, Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.named = args[0]
			if len(o.users)+len(o.groups) == 0 {
				return errors.New("say with whom: give --user or --group")
			}
			return run(cmd.Context())
		},
	}
}

func newSharingAdd(env *Env) *cobra.Command {
	o := &sharingOptions{env: env}
	cmd := o.command("add <workspace> --user <user>:<role> --group <group>:<role>", "Share a workspace with users or groups", []string{"share"}, o.add)
	cmd.Long = `Share a workspace with users or groups of its organization. The role use, which
is the default, lets them see, enter, start and stop it; admin lets them change
and share it too. Nobody but its owner and administrators can delete it.`
	cmd.Example = "  coder sharing add my-workspace --user ann,bob:admin --group backend:use"
	cmd.Flags().StringSliceVar(&o.users, "user", nil, "Users to share with, as name or name:role; may be repeated")
	cmd.Flags().StringSliceVar(&o.groups, "group", nil, "Groups to share with, as name or name:role; may be repeated")
	return cmd
}

func (o *sharingOptions) add(ctx context.Context) error {
	c, w, err := o.workspace(ctx)
	if err != nil {
		return err
	}
	// Asked first, because who may not share does not see with whom they could.
	if err := c.UpdateWorkspaceACL(ctx, w.ID, client.UpdateWorkspaceACLRequest{}); err != nil {
		return fmt.Errorf("share %s: %w", w.FullName(), err)
	}
	org := client.Organization{MinimalOrganization: client.MinimalOrganization{ID: w.OrganizationID, Name: w.OrganizationName}}
	with, err := findActors(ctx, c, org, o.users, o.groups)
	if err != nil {
		return err
	}
	if err := c.UpdateWorkspaceACL(ctx, w.ID, client.UpdateWorkspaceACLRequest{UserRoles: with.users, GroupRoles: with.groups}); err != nil {
		return fmt.Errorf("share %s: %w", w.FullName(), err)
	}
	o.env.outf("Shared %s with %s.\n", w.FullName(), strings.Join(with.names, ", "))
	return nil
}

// actors are members and groups with the role that each gets, by id.
type actors struct {
	users, groups map[string]string
	// names are all of them for people.
	names []string
}

// findActors reads name:role of members and groups of an organization.
func findActors(ctx context.Context, c *client.Client, org client.Organization, users, groups []string) (actors, error) {
	found := actors{users: map[string]string{}, groups: map[string]string{}}
	for _, text := range users {
		name, role, err := splitRole(text)
		if err != nil {
			return found, err
		}
		member, err := c.OrganizationMember(ctx, org.ID.String(), name)
		if client.IsNotFound(err) {
			return found, fmt.Errorf("the organization %s has no member %q that you may see", org.Name, name)
		}
		if err != nil {
			return found, err
		}
		found.users[member.UserID.String()] = role
		found.names = append(found.names, fmt.Sprintf("%s (%s)", member.Username, role))
	}
	for _, text := range groups {
		name, role, err := splitRole(text)
		if err != nil {
			return found, err
		}
		g, err := findGroup(ctx, c, org, name)
		if err != nil {
			return found, err
		}
		found.groups[g.ID.String()] = role
		found.names = append(found.names, fmt.Sprintf("the group %s (%s)", g.Name, role))
	}
	return found, nil
}

// splitRole reads name:role; the role may be left out, but not be empty: that
// would take somebody off.
func splitRole(text string) (name, role string, err error) {
	name, role, found := strings.Cut(text, ":")
	if !found {
		role = client.WorkspaceRoleUse
	}
	if role == "" {
		err = fmt.Errorf("%q names no role: write %[2]s:%[3]s or %[2]s:%[4]s", text, name, client.WorkspaceRoleUse, client.WorkspaceRoleAdmin)
	}
	return name, role, err
}

func (o *sharingOptions) workspace(ctx context.Context) (*client.Client, client.Workspace, error) {
	c, err := o.env.Client()
	if err != nil {
		return nil, client.Workspace{}, err
	}
	w, err := o.env.workspace(ctx, c, o.named)
	return c, w, err
}

func newSharingRemove(env *Env) *cobra.Command {
	o := &sharingOptions{env: env}
	cmd := o.command("remove <workspace> --user <user> --group <group>", "Stop to share a workspace with users or groups", []string{"unshare", "rm"}, o.remove)
	cmd.Example = "  coder sharing remove my-workspace --user ann --group backend"
	cmd.Flags().StringSliceVar(&o.users, "user", nil, "Users to take off, by name or id; may be repeated")
	cmd.Flags().StringSliceVar(&o.groups, "group", nil, "Groups to take off, by name or id; may be repeated")
	return cmd
}

// remove looks for the names among those that the workspace is shared with.
func (o *sharingOptions) remove(ctx context.Context) error {
	c, w, err := o.workspace(ctx)
	if err != nil {
		return err
	}
	acl, err := c.WorkspaceACL(ctx, w.ID)
	if err != nil {
		return err
	}
	missing := func(kind string) func(string) error {
		return func(name string) error {
			return fmt.Errorf("%s is not shared with the %s %s: see `coder sharing status %s`", w.FullName(), kind, name, o.named)
		}
	}
	users, groups := sharedWith(acl)
	req := client.UpdateWorkspaceACLRequest{}
	if req.UserRoles, err = offList(users, o.users, missing("user")); err != nil {
		return err
	}
	if req.GroupRoles, err = offList(groups, o.groups, missing("group")); err != nil {
		return err
	}
	if err := c.UpdateWorkspaceACL(ctx, w.ID, req); err != nil {
		return fmt.Errorf("stop to share %s: %w", w.FullName(), err)
	}
	o.env.outf("Stopped sharing %s with %s.\n", w.FullName(), strings.Join(slices.Concat(o.users, o.groups), ", "))
	return nil
}

func isCalled(text, name, id string) bool {
	return strings.EqualFold(text, name) || strings.EqualFold(text, id)
}

// sharedWith are the users and groups of a workspace's access list.
func sharedWith(acl client.WorkspaceACL) (users, groups []listed) {
	return listedAs(acl.Users, func(u client.WorkspaceUser) listed { return listed{u.Username, u.ID.String(), u.Role} }),
		listedAs(acl.Groups, func(g client.WorkspaceGroup) listed { return listed{g.Name, g.ID.String(), g.Role} })
}

type sharingStatusOptions struct {
	env  *Env
	name string
	list listOptions
}

func newSharingStatus(env *Env) *cobra.Command {
	o := &sharingStatusOptions{env: env}
	cmd := &cobra.Command{
		Use:     "status <workspace>",
		Aliases: []string{"list"},
		Short:   "List with whom a workspace is shared",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(cmd.Context())
		},
	}
	addList(cmd, &o.list, shareTable())
	return cmd
}

func (o *sharingStatusOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	w, err := o.env.workspace(ctx, c, o.name)
	if err != nil {
		return err
	}
	acl, err := c.WorkspaceACL(ctx, w.ID)
	if err != nil {
		return err
	}
	return printList(o.env, o.list, shareTable(), sharesOf(sharedWith(acl)), any(acl), "The workspace is not shared with anybody.")
}
