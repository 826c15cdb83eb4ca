package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"coder/client"
)

func newGroups(env *Env) *cobra.Command {
	return group("groups", "Manage the groups of an organization", []string{"group"},
		newGroupCreate(env), newGroupEdit(env), newGroupList(env), newGroupDelete(env))
}

type groupCreateOptions struct {
	env          *Env
	organization string
	request      client.CreateGroupRequest
	format       string
}

func newGroupCreate(env *Env) *cobra.Command {
	o := &groupCreateOptions{env: env}
	cmd := &cobra.Command{
		Use:     "create <name>",
		Short:   "Make a group without members",
		Example: "  coder groups create backend --org data-platform --quota-allowance 20",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.request.Name = args[0]
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.request.AvatarURL, "avatar-url", "u", "", "Picture of the group")
	fromEnv(f, "avatar-url", "CODER_AVATAR_URL")
	f.StringVar(&o.request.DisplayName, "display-name", "", "Name that people see")
	fromEnv(f, "display-name", "CODER_DISPLAY_NAME")
	f.IntVar(&o.request.QuotaAllowance, "quota-allowance", 0, "What the group adds to what each member's workspaces may cost a day")
	addOrganization(f, &o.organization)
	addFormat(cmd, &o.format, "text", "json")
	return cmd
}

func (o *groupCreateOptions) run(ctx context.Context) error {
	if err := client.CheckName(client.NameGroup, o.request.Name); err != nil {
		return err
	}
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	made, err := c.CreateGroup(ctx, org.ID.String(), o.request)
	if client.IsNotFound(err) {
		return fmt.Errorf("you may not make groups in the organization %s", org.Name)
	}
	if err != nil {
		return fmt.Errorf("create the group: %w", err)
	}
	if o.format == "json" {
		return o.env.printJSON(made)
	}
	o.env.outf("Successfully created group %s!\n", o.env.paint(o.env.Stdout, green, made.Name))
	return nil
}

type groupEditOptions struct {
	env          *Env
	changed      func(string) bool
	organization string
	group        string
	name         string
	displayName  string
	avatarURL    string
	quota        int
	add          []string
	remove       []string
}

func newGroupEdit(env *Env) *cobra.Command {
	o := &groupEditOptions{env: env}
	cmd := &cobra.Command{
		Use:     "edit <name>",
		Short:   "Change a group and its members",
		Example: "  coder groups edit backend --org data-platform --add-users ann@example.com,bob@example.com",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.group, o.changed = args[0], cmd.Flags().Changed
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.name, "name", "n", "", "New name")
	f.StringVarP(&o.avatarURL, "avatar-url", "u", "", "Picture of the group; empty removes it")
	f.StringVar(&o.displayName, "display-name", "", "Name that people see; empty removes it")
	f.IntVar(&o.quota, "quota-allowance", 0, "What the group adds to what each member's workspaces may cost a day")
	f.StringSliceVarP(&o.add, "add-users", "a", nil, "Members of the organization to add, by email address or id; may be repeated")
	f.StringSliceVarP(&o.remove, "rm-users", "r", nil, "Members of the group to remove, by email address or id; may be repeated")
	addOrganization(f, &o.organization)
	return cmd
}

func (o *groupEditOptions) run(ctx context.Context) error {
	if !o.changed("name") && !o.changed("avatar-url") && !o.changed("display-name") && !o.changed("quota-allowance") && len(o.add)+len(o.remove) == 0 {
		return errors.New("nothing to change: give --name, --display-name, --avatar-url, --quota-allowance, --add-users or --rm-users")
	}
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	g, err := findGroup(ctx, c, org, o.group)
	if err != nil {
		return err
	}
	req := client.UpdateGroupRequest{Name: o.name}
	if o.changed("avatar-url") {
		req.AvatarURL = &o.avatarURL
	}
	if o.changed("display-name") {
		req.DisplayName = &o.displayName
	}
	if o.changed("quota-allowance") {
		req.QuotaAllowance = &o.quota
	}
	if req.AddUsers, err = userIDs(ctx, c, org, o.add); err != nil {
		return err
	}
	if req.RemoveUsers, err = userIDs(ctx, c, org, o.remove); err != nil {
		return err
	}
	updated, err := c.UpdateGroup(ctx, g.ID, req)
	if client.IsNotFound(err) {
		return fmt.Errorf("you may not change the group %s", g.Name)
	}
	if err != nil {
		return fmt.Errorf("change the group %s: %w", g.Name, err)
	}
	o.env.outf("Successfully patched group %s!\n", o.env.paint(o.env.Stdout, green, updated.Name))
	return nil
}

func findGroup(ctx context.Context, c *client.Client, org client.Organization, named string) (client.Group, error) {
	if id, err := uuid.Parse(named); err == nil {
		g, err := c.Group(ctx, id)
		if client.IsNotFound(err) || (err == nil && g.OrganizationID != org.ID) {
			return g, noGroup(named, org)
		}
		return g, err
	}
	g, err := c.GroupByName(ctx, org.ID.String(), named)
	if client.IsNotFound(err) {
		return g, noGroup(named, org)
	}
	return g, err
}

func noGroup(named string, org client.Organization) error {
	return fmt.Errorf("there is no group %q in the organization %s that you may see: see `coder groups list --org %s`", named, org.Name, org.Name)
}

// userIDs turns email addresses of members into ids; ids pass as they are.
func userIDs(ctx context.Context, c *client.Client, org client.Organization, named []string) ([]string, error) {
	var ids []string
	for _, text := range named {
		if _, err := uuid.Parse(text); err == nil {
			ids = append(ids, text)
			continue
		}
		if !strings.Contains(text, "@") {
			return nil, fmt.Errorf("%q is neither an email address nor the id of a user", text)
		}
		page, err := c.PaginatedMembers(ctx, org.ID.String(), client.MembersRequest{Query: strconv.Quote(text)})
		if err != nil {
			return nil, fmt.Errorf("look for %s among the members of %s: %w", text, org.Name, err)
		}
		found := false
		for _, m := range page.Members {
			if strings.EqualFold(m.Email, text) {
				ids, found = append(ids, m.UserID.String()), true
			}
		}
		if !found {
			return nil, fmt.Errorf("the organization %s has no member with the address %s: add them with `coder organizations members add`", org.Name, text)
		}
	}
	return ids, nil
}

func groupTable() table[client.Group] {
	return table[client.Group]{
		columns: []column[client.Group]{
			{"name", func(g client.Group) string { return g.Name }},
			{"display name", func(g client.Group) string { return g.DisplayName }},
			{"organization id", func(g client.Group) string { return g.OrganizationID.String() }},
			{"members", func(g client.Group) string {
				return listCell(g.Members, func(u client.ReducedUser) string { return u.Email })
			}},
			{"avatar url", func(g client.Group) string { return g.AvatarURL }},
			{"quota allowance", func(g client.Group) string { return strconv.Itoa(g.QuotaAllowance) }},
		},
		defaults: []string{"name", "display name", "organization id", "members", "avatar url"},
	}
}

type groupListOptions struct {
	env          *Env
	organization string
	list         listOptions
}

func newGroupList(env *Env) *cobra.Command {
	o := &groupListOptions{env: env}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List groups and their members",
		Args:  exactArgs(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	addOrganization(cmd.Flags(), &o.organization)
	addList(cmd, &o.list, groupTable())
	return cmd
}

func (o *groupListOptions) run(ctx context.Context) error {
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	groups, err := c.OrganizationGroups(ctx, org.ID.String())
	if err != nil {
		return err
	}
	return printList(o.env, o.list, groupTable(), groups, groups, "No groups found.")
}

type groupDeleteOptions struct {
	env          *Env
	organization string
	group        string
}

func newGroupDelete(env *Env) *cobra.Command {
	o := &groupDeleteOptions{env: env}
	cmd := &cobra.Command{
		Use:     "delete <name>",
		Aliases: []string{"rm"},
		Short:   "Delete a group, and take it off every access list",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.group = args[0]
			return o.run(cmd.Context())
		},
	}
	addOrganization(cmd.Flags(), &o.organization)
	return cmd
}

func (o *groupDeleteOptions) run(ctx context.Context) error {
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	g, err := findGroup(ctx, c, org, o.group)
	if err != nil {
		return err
	}
	err = c.DeleteGroup(ctx, g.ID)
	if client.IsNotFound(err) {
		return fmt.Errorf("you may not delete the group %s", g.Name)
	}
	if err != nil {
		return fmt.Errorf("delete the group %s: %w", g.Name, err)
	}
	o.env.outf("Successfully deleted group %s!\n", o.env.paint(o.env.Stdout, green, g.Name))
	return nil
}
