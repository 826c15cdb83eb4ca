package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"coder/client"
)

func newMembers(env *Env, selected *string) *cobra.Command {
	return group("members", "Manage the members of an organization", []string{"member"},
		newMemberList(env, selected), newMemberAdd(env, selected), newMemberRemove(env, selected), newMemberEditRoles(env, selected))
}

func memberTable() table[client.OrganizationMemberWithUserData] {
	type member = client.OrganizationMemberWithUserData
	return table[member]{
		columns: []column[member]{
			{"username", func(m member) string { return m.Username }},
			{"name", func(m member) string { return m.Name }},
			{"last seen at", func(m member) string { return timeCell(m.LastSeenAt) }},
			{"user created at", func(m member) string { return timeCell(m.UserCreatedAt) }},
			{"user updated at", func(m member) string { return timeCell(m.UserUpdatedAt) }},
			{"user id", func(m member) string { return m.UserID.String() }},
			{"organization id", func(m member) string { return m.OrganizationID.String() }},
			{"created at", func(m member) string { return timeCell(m.CreatedAt) }},
			{"updated at", func(m member) string { return timeCell(m.UpdatedAt) }},
			{"organization roles", func(m member) string { return rolesCell(m.Roles) }},
		},
		defaults: []string{"username", "organization roles"},
	}
}

type memberListOptions struct {
	env   *Env
	named *string
	list  listOptions
}

func newMemberList(env *Env, selected *string) *cobra.Command {
	o := &memberListOptions{env: env, named: selected}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List members and their roles",
		Args:  exactArgs(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	addList(cmd, &o.list, memberTable())
	return cmd
}

func (o *memberListOptions) run(ctx context.Context) error {
	c, org, err := o.env.clientAndOrganization(ctx, *o.named)
	if err != nil {
		return err
	}
	members, err := c.OrganizationMembers(ctx, org.ID.String())
	if err != nil {
		return err
	}
	return printList(o.env, o.list, memberTable(), members, members, "No members found.")
}

// memberOptions are those of commands that change one membership.
type memberOptions struct {
	env   *Env
	named *string
	user  string
	roles []string
}

func newMemberAdd(env *Env, selected *string) *cobra.Command {
	o := &memberOptions{env: env, named: selected}
	return &cobra.Command{
		Use:   "add <username|user_id>",
		Short: "Make a user of the deployment a member",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.user = args[0]
			return o.run(cmd.Context(), func(ctx context.Context, c *client.Client, org client.Organization) error {
				if _, err := c.AddOrganizationMember(ctx, org.ID.String(), o.user); err != nil {
					return fmt.Errorf("add %s: %w", o.user, userError(o.user, err))
				}
				env.outf("Organization member added to %q\n", titleOf(org))
				return nil
			})
		},
	}
}

func newMemberRemove(env *Env, selected *string) *cobra.Command {
	o := &memberOptions{env: env, named: selected}
	return &cobra.Command{
		Use:   "remove <username|user_id>",
		Short: "End a membership; workspaces stay",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.user = args[0]
			return o.run(cmd.Context(), func(ctx context.Context, c *client.Client, org client.Organization) error {
				if err := c.RemoveOrganizationMember(ctx, org.ID.String(), o.user); err != nil {
					return fmt.Errorf("remove %s: %w", o.user, memberError(o.user, org, err))
				}
				env.outf("Organization member removed from %q\n", titleOf(org))
				return nil
			})
		},
	}
}

func newMemberEditRoles(env *Env, selected *string) *cobra.Command {
	o := &memberOptions{env: env, named: selected}
	return &cobra.Command{
		Use:     "edit-roles <username|user_id> [roles...]",
		Aliases: []string{"edit-role"},
		Short:   "Replace a member's roles; no roles clears them",
		Example: "  coder organizations members edit-roles dev1 organization-admin --org data-platform",
		Args:    rangeArgs(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.user, o.roles = args[0], splitNames(args[1:])
			return o.run(cmd.Context(), func(ctx context.Context, c *client.Client, org client.Organization) error {
				member, err := c.UpdateOrganizationMemberRoles(ctx, org.ID.String(), o.user, client.UpdateRolesRequest{Roles: o.roles})
				if err != nil {
					return fmt.Errorf("change the roles of %s: %w", o.user, memberError(o.user, org, err))
				}
				env.outf("Member roles updated to %s\n", listCell(member.Roles, func(r client.SlimRole) string { return r.Name }))
				return nil
			})
		},
	}
}

// memberError names the member that was not found.
func memberError(user string, org client.Organization, err error) error {
	if client.IsNotFound(err) {
		return fmt.Errorf("there is no member %q in the organization %s that you may change: see `coder organizations members list`", user, org.Name)
	}
	return err
}

func (o *memberOptions) run(ctx context.Context, do func(context.Context, *client.Client, client.Organization) error) error {
	c, org, err := o.env.clientAndOrganization(ctx, *o.named)
	if err != nil {
		return err
	}
	return do(ctx, c, org)
}

// titleOf is what people call an organization.
func titleOf(org client.Organization) string {
	if org.DisplayName != "" {
		return org.DisplayName
	}
	return org.Name
}
