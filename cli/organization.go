package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"coder/client"
)

// addOrganization adds --org.
func addOrganization(f *pflag.FlagSet, into *string) {
	f.StringVarP(into, "org", "O", "", "Organization, by name or id")
	fromEnv(f, "org", "CODER_ORGANIZATION")
}

// organization is the organization that a command acts in: the one that is
// named, else the only one of the caller.
func (e *Env) organization(ctx context.Context, c *client.Client, named string) (client.Organization, error) {
	mine, err := c.UserOrganizations(ctx, client.Me)
	if err != nil {
		return client.Organization{}, err
	}
	names := make([]string, len(mine))
	for i, o := range mine {
		names[i] = o.Name
		if named != "" && (strings.EqualFold(o.Name, named) || strings.EqualFold(o.ID.String(), named)) {
			return o, nil
		}
	}
	switch {
	case named != "":
		// Owners may act in organizations that they are not members of.
		org, err := c.Organization(ctx, named)
		if client.IsNotFound(err) {
			return org, fmt.Errorf("there is no organization %q that you may use; yours are: %s", named, orNone(names))
		}
		return org, err
	case len(mine) == 1:
		return mine[0], nil
	case len(mine) == 0:
		return client.Organization{}, errors.New("you are not a member of any organization: ask an administrator of one to add you")
	}
	return client.Organization{}, fmt.Errorf("you are a member of several organizations: choose one with --org or CODER_ORGANIZATION; yours are: %s", strings.Join(names, ", "))
}

// clientAndOrganization are what commands need that act in an organization.
func (e *Env) clientAndOrganization(ctx context.Context, named string) (*client.Client, client.Organization, error) {
	c, err := e.Client()
	if err != nil {
		return nil, client.Organization{}, err
	}
	org, err := e.organization(ctx, c, named)
	return c, org, err
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "(none)"
	}
	return strings.Join(names, ", ")
}

func newOrganizations(env *Env) *cobra.Command {
	selected := new(string)
	cmd := group("organizations", "Manage organizations and their members", []string{"organization", "org", "orgs"},
		newOrganizationCreate(env), newOrganizationList(env), newOrganizationShow(env, selected), newOrganizationEdit(env, selected),
		newOrganizationDelete(env), newMembers(env, selected), newRoles(env, selected), newOrganizationSettings(env, selected), newQuota(env, selected))
	addOrganization(cmd.PersistentFlags(), selected)
	return cmd
}

func organizationTable() table[client.Organization] {
	return table[client.Organization]{
		columns: []column[client.Organization]{
			{"id", func(o client.Organization) string { return o.ID.String() }},
			{"name", func(o client.Organization) string { return o.Name }},
			{"display name", func(o client.Organization) string { return o.DisplayName }},
			{"icon", func(o client.Organization) string { return o.Icon }},
			{"description", func(o client.Organization) string { return o.Description }},
			{"created at", func(o client.Organization) string { return timeCell(o.CreatedAt) }},
			{"updated at", func(o client.Organization) string { return timeCell(o.UpdatedAt) }},
			{"default", func(o client.Organization) string { return strconv.FormatBool(o.IsDefault) }},
			{"default org member roles", func(o client.Organization) string {
				return listCell(o.DefaultOrgMemberRoles, itself)
			}},
		},
		defaults: []string{"name", "display name", "id", "default"},
	}
}

type organizationCreateOptions struct {
	env    *Env
	name   string
	yes    bool
	format string
}

func newOrganizationCreate(env *Env) *cobra.Command {
	o := &organizationCreateOptions{env: env}
	cmd := &cobra.Command{
		Use:   "create <organization name>",
		Short: "Make an organization",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(cmd.Context())
		},
	}
	addYes(cmd, &o.yes)
	_ = cmd.Flags().MarkHidden("yes")
	addFormat(cmd, &o.format, "text", "json")
	return cmd
}

func (o *organizationCreateOptions) run(ctx context.Context) error {
	if err := client.CheckName(client.NameOrganization, o.name); err != nil {
		return err
	}
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	org, err := c.CreateOrganization(ctx, client.CreateOrganizationRequest{Name: o.name})
	if err != nil {
		return fmt.Errorf("create the organization: %w", err)
	}
	if o.format == "json" {
		return o.env.printJSON(org)
	}
	o.env.outf("Organization %s (%s) created.\n", org.Name, org.ID)
	return nil
}

type organizationListOptions struct {
	env  *Env
	list listOptions
}

func newOrganizationList(env *Env) *cobra.Command {
	o := &organizationListOptions{env: env}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the organizations that you may see",
		Args:  exactArgs(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	addList(cmd, &o.list, organizationTable())
	return cmd
}

func (o *organizationListOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	orgs, err := c.Organizations(ctx)
	if err != nil {
		return err
	}
	return printList(o.env, o.list, organizationTable(), orgs, orgs, "No organizations found.")
}

type organizationShowOptions struct {
	env    *Env
	which  string
	named  *string
	onlyID bool
	list   listOptions
}

func organizationShowTable() table[client.Organization] {
	t := organizationTable()
	t.defaults = []string{"id", "name", "default"}
	return t
}

func newOrganizationShow(env *Env, selected *string) *cobra.Command {
	o := &organizationShowOptions{env: env, which: "selected", named: selected}
	cmd := &cobra.Command{
		Use:   "show [selected|me|uuid|org_name]",
		Short: "Show the selected organization, all of yours, or a named one",
		Args:  rangeArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.which = args[0]
			}
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&o.onlyID, "only-id", false, "Print ids only, one a line")
	addList(cmd, &o.list, organizationShowTable(), "text", "table", "json")
	return cmd
}

func (o *organizationShowOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	orgs, err := o.find(ctx, c)
	if err != nil {
		return err
	}
	switch {
	case o.onlyID:
		for _, org := range orgs {
			o.env.outf("%s\n", org.ID)
		}
		return nil
	case o.list.format != "text":
		return printList(o.env, o.list, organizationShowTable(), orgs, orgs, "No organizations found.")
	case o.which == client.Me:
		o.env.outf("Organizations you are a member in:\n")
		for _, org := range orgs {
			o.env.outf("\t%s (%s)\n", org.Name, org.ID)
		}
		return nil
	}
	o.env.outf("Organization: %s (%s)\n", orgs[0].Name, orgs[0].ID)
	return nil
}

func (o *organizationShowOptions) find(ctx context.Context, c *client.Client) ([]client.Organization, error) {
	if o.which == client.Me {
		return c.UserOrganizations(ctx, client.Me)
	}
	named := o.which
	if named == "selected" {
		named = *o.named
	}
	org, err := o.env.organization(ctx, c, named)
	return []client.Organization{org}, err
}

type organizationEditOptions struct {
	env          *Env
	named        *string
	name         string
	displayName  string
	description  string
	icon         string
	defaultRoles []string
	yes          bool
	format       string
	changed      func(string) bool
}

func newOrganizationEdit(env *Env, selected *string) *cobra.Command {
	o := &organizationEditOptions{env: env, named: selected}
	cmd := &cobra.Command{
		Use:   "edit",
		Short: "Change the organization that --org names",
		Args:  exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.changed = cmd.Flags().Changed
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "New name")
	f.StringVar(&o.displayName, "display-name", "", "New display name")
	f.StringVar(&o.description, "description", "", "New description")
	f.StringVar(&o.icon, "icon", "", "New icon")
	f.StringSliceVar(&o.defaultRoles, "default-org-member-roles", nil, `Roles that every member has; replaces the set, "" is none`)
	addYes(cmd, &o.yes)
	addFormat(cmd, &o.format, "text", "json")
	return cmd
}

func (o *organizationEditOptions) run(ctx context.Context) error {
	req, err := o.request()
	if err != nil {
		return err
	}
	c, org, err := o.env.clientAndOrganization(ctx, *o.named)
	if err != nil {
		return err
	}
	if err := o.confirmRoles(ctx, org, req.DefaultOrgMemberRoles); err != nil {
		return err
	}
	org, err = c.UpdateOrganization(ctx, org.ID.String(), req)
	if err != nil {
		return fmt.Errorf("change the organization: %w", err)
	}
	if o.format == "json" {
		return o.env.printJSON(org)
	}
	o.env.outf("Organization %s (%s) updated.\n", org.Name, org.ID)
	if req.DefaultOrgMemberRoles != nil {
		o.env.outf("Default member roles: %s\n", orNone(org.DefaultOrgMemberRoles))
	}
	return nil
}

func (o *organizationEditOptions) request() (client.UpdateOrganizationRequest, error) {
	req := client.UpdateOrganizationRequest{Name: o.name, DisplayName: o.displayName}
	if o.changed("description") {
		req.Description = &o.description
	}
	if o.changed("icon") {
		req.Icon = &o.icon
	}
	if o.changed("default-org-member-roles") {
		roles := splitNames(o.defaultRoles)
		if len(o.defaultRoles) > 1 && slices.ContainsFunc(o.defaultRoles, func(r string) bool { return strings.TrimSpace(r) == "" }) {
			return req, errors.New(`the list of roles has an empty entry: name each role, or give "" alone for none`)
		}
		req.DefaultOrgMemberRoles = &roles
	}
	if o.name != "" {
		if err := client.CheckName(client.NameOrganization, o.name); err != nil {
			return req, err
		}
	}
	if req == (client.UpdateOrganizationRequest{}) {
		return req, errors.New("nothing to change: give --name, --display-name, --description, --icon or --default-org-member-roles")
	}
	return req, nil
}

// confirmRoles asks only when members would lose something.
func (o *organizationEditOptions) confirmRoles(ctx context.Context, org client.Organization, roles *[]string) error {
	if roles == nil {
		return nil
	}
	lost := slices.DeleteFunc(slices.Clone(org.DefaultOrgMemberRoles), func(r string) bool { return slices.Contains(*roles, r) })
	if len(lost) == 0 {
		return nil
	}
	return o.env.confirm(ctx, o.yes, fmt.Sprintf("Every member of %s loses %s. Go on?", org.Name, strings.Join(lost, ", ")), false)
}

type organizationDeleteOptions struct {
	env    *Env
	name   string
	yes    bool
	dryRun bool
	list   listOptions
}

func newOrganizationDelete(env *Env) *cobra.Command {
	o := &organizationDeleteOptions{env: env}
	cmd := &cobra.Command{
		Use:   "delete <organization_name_or_id>",
		Short: "Delete an organization that is empty",
		Long: `Delete an organization that is empty, for good.

With --dry-run nothing is changed: what stands in the way is listed, with how
many there are of each kind and what they are called. The exit status is 0 when
the organization could be deleted now, and 1 otherwise.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("output") && !o.dryRun {
				return errors.New("--output goes with --dry-run: a delete shows nothing")
			}
			o.name = args[0]
			return o.run(cmd.Context())
		},
	}
	addYes(cmd, &o.yes)
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "List what stands in the way and change nothing; exit status 1 when there is something")
	addList(cmd, &o.list, organizationContentTable())
	return cmd
}

func organizationContentTable() table[client.OrganizationContent] {
	return table[client.OrganizationContent]{columns: []column[client.OrganizationContent]{
		{"kind", func(c client.OrganizationContent) string { return strings.ReplaceAll(c.Kind, "_", " ") }},
		{"count", func(c client.OrganizationContent) string { return strconv.FormatInt(c.Count, 10) }},
		{"may stay", func(c client.OrganizationContent) string { return strconv.FormatInt(c.Stay, 10) }},
		{"names", func(c client.OrganizationContent) string {
			names := strings.Join(c.Names, ", ")
			if more := c.Count - int64(len(c.Names)); more > 0 && len(c.Names) > 0 {
				names += fmt.Sprintf(", and %d more", more)
			}
			return names
		}},
	}}
}

func (o *organizationDeleteOptions) run(ctx context.Context) error {
	c, org, err := o.env.clientAndOrganization(ctx, o.name)
	if err != nil {
		return err
	}
	if o.dryRun {
		return o.showContents(ctx, c, org)
	}
	if org.IsDefault {
		return errDefaultOrganization(org)
	}
	if err := o.env.confirm(ctx, o.yes, fmt.Sprintf("Delete the organization %s for good?", org.Name), false); err != nil {
		return err
	}
	if err := c.DeleteOrganization(ctx, org.ID.String()); err != nil {
		return fmt.Errorf("delete the organization: %w", err)
	}
	o.env.outf("Deleted organization %s at %s\n", org.Name, o.env.stamp())
	return nil
}

func errDefaultOrganization(org client.Organization) error {
	return fmt.Errorf("%s is the default organization, which cannot be deleted", org.Name)
}

// showContents lists what stands in the way; its exit status says whether
// there is anything.
func (o *organizationDeleteOptions) showContents(ctx context.Context, c *client.Client, org client.Organization) error {
	contents, err := c.OrganizationContents(ctx, org.ID.String())
	if err != nil {
		return fmt.Errorf("look into the organization: %w", err)
	}
	none := fmt.Sprintf("Nothing is in the way of deleting the organization %s.", org.Name)
	if org.IsDefault {
		none = "The organization has nothing in it that would be in the way."
	}
	if err := printList(o.env, o.list, organizationContentTable(), contents.InTheWay, contents, none); err != nil {
		return err
	}
	switch {
	case org.IsDefault:
		return errDefaultOrganization(org)
	case !contents.Deletable:
		return fmt.Errorf("the organization %s cannot be deleted yet: what stands in the way must be deleted first", org.Name)
	}
	return nil
}
