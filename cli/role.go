package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"coder/client"
)

func newRoles(env *Env, selected *string) *cobra.Command {
	return group("roles", "See the roles of an organization", []string{"role"}, newRoleShow(env, selected))
}

func roleTable() table[client.AssignableRole] {
	type role = client.AssignableRole
	count := func(p []client.Permission) string { return fmt.Sprintf("%d permissions", len(p)) }
	return table[role]{
		columns: []column[role]{
			{"name", func(r role) string { return r.Name }},
			{"display name", func(r role) string { return r.DisplayName }},
			{"organization id", func(r role) string {
				if r.OrganizationID == nil {
					return ""
				}
				return r.OrganizationID.String()
			}},
			{"site permissions", func(r role) string { return count(r.SitePermissions) }},
			{"organization permissions", func(r role) string { return count(r.OrganizationPermissions) }},
			{"user permissions", func(r role) string { return count(r.UserPermissions) }},
		},
		defaults: []string{"name", "display name", "site permissions", "organization permissions", "user permissions"},
	}
}

type roleShowOptions struct {
	env   *Env
	named *string
	roles []string
	list  listOptions
}

func newRoleShow(env *Env, selected *string) *cobra.Command {
	o := &roleShowOptions{env: env, named: selected}
	cmd := &cobra.Command{
		Use:   "show [role_names ...]",
		Short: "Show all roles, or the named ones",
		Args:  rangeArgs(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.roles = args
			return o.run(cmd.Context())
		},
	}
	addList(cmd, &o.list, roleTable())
	return cmd
}

func (o *roleShowOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	org, err := o.env.organization(ctx, c, *o.named)
	if err != nil {
		return err
	}
	roles, err := c.OrganizationRoles(ctx, org.ID.String())
	if err != nil {
		return err
	}
	if len(o.roles) > 0 {
		roles = slices.DeleteFunc(roles, func(r client.AssignableRole) bool {
			return !slices.ContainsFunc(o.roles, func(name string) bool { return strings.EqualFold(name, r.Name) })
		})
	}
	return printList(o.env, o.list, roleTable(), roles, roles, "No roles found.")
}
