package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"coder/client"
)

func newRoles(env *Env, selected *string) *cobra.Command {
	return group("roles", "See the roles of an organization, and make some of its own", []string{"role"},
		newRoleShow(env, selected), newRoleWrite(env, selected, roleCreation), newRoleWrite(env, selected, roleUpdate), newRoleDelete(env, selected))
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
	c, org, err := o.env.clientAndOrganization(ctx, *o.named)
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

// roleWrite is what create and update differ in.
type roleWrite struct {
	verb, short, question string
	send                  func(*client.Client, context.Context, string, client.CustomRoleRequest) (client.Role, error)
	exists                bool
}

var (
	roleCreation = roleWrite{"create", "Make a custom role", "Create the role %s?", (*client.Client).CreateRole, false}
	roleUpdate   = roleWrite{"update", "Change a custom role", "Replace the permissions of the role %s?", (*client.Client).UpdateRole, true}
)

type roleWriteOptions struct {
	roleWrite
	env    *Env
	named  *string
	name   string
	stdin  bool
	dryRun bool
	yes    bool
	list   listOptions
}

func newRoleWrite(env *Env, selected *string, write roleWrite) *cobra.Command {
	o := &roleWriteOptions{roleWrite: write, env: env, named: selected}
	cmd := &cobra.Command{
		Use:   write.verb + " <role_name>",
		Short: write.short,
		Long: write.short + `. Its permissions hold in its organization, and may be only such as
you hold there yourself. Without --stdin they are chosen one resource after the
other.`,
		Example: `  coder organizations roles ` + write.verb + ` publisher --org data-platform --stdin <<'EOF'
  {"name": "publisher", "display_name": "Publisher", "organization_permissions": [
    {"resource_type": "template", "action": "read"},
    {"resource_type": "template", "action": "update"}]}
  EOF`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&o.stdin, "stdin", false, "Read one role as JSON from standard input")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "Show the role, and do not send it")
	addYes(cmd, &o.yes)
	addList(cmd, &o.list, roleTable())
	return cmd
}

func (o *roleWriteOptions) run(ctx context.Context) error {
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
	existing, err := o.find(roles)
	if err != nil {
		return err
	}
	request, err := o.request(ctx, roles, existing)
	if err != nil {
		return err
	}
	role := client.Role{
		Name: request.Name, DisplayName: request.DisplayName, OrganizationID: &org.ID, SitePermissions: request.SitePermissions, UserPermissions: request.UserPermissions,
		OrganizationPermissions: request.OrganizationPermissions, OrganizationMemberPermissions: request.OrganizationMemberPermissions,
	}
	if !o.dryRun {
		if role, err = o.send(c, ctx, org.ID.String(), request); err != nil {
			return err
		}
	}
	return printList(o.env, o.list, roleTable(), []client.AssignableRole{{Role: role, Assignable: true}}, role, "")
}

// find returns the role that is to be changed.
func (o *roleWriteOptions) find(roles []client.AssignableRole) (client.Role, error) {
	i := slices.IndexFunc(roles, func(r client.AssignableRole) bool { return r.Name == o.name })
	switch {
	case !o.exists && i < 0:
		return client.Role{Name: o.name}, nil
	case !o.exists:
		return client.Role{}, fmt.Errorf("there is a role %q already; change it with: coder organizations roles update %s", o.name, o.name)
	case i < 0:
		return client.Role{}, fmt.Errorf("there is no role %q in this organization; coder organizations roles show lists them", o.name)
	case roles[i].BuiltIn:
		return client.Role{}, fmt.Errorf("the role %q is built in and cannot be changed; make one of your own with: coder organizations roles create NAME", o.name)
	}
	return roles[i].Role, nil
}

func (o *roleWriteOptions) request(ctx context.Context, roles []client.AssignableRole, existing client.Role) (client.CustomRoleRequest, error) {
	if o.stdin {
		return o.readRequest()
	}
	request := client.CustomRoleRequest{Name: o.name, DisplayName: existing.DisplayName, OrganizationPermissions: existing.OrganizationPermissions}
	if len(existing.SitePermissions)+len(existing.UserPermissions) > 0 {
		return request, fmt.Errorf("the role %q has site or user permissions, which cannot be chosen here; use --stdin", o.name)
	}
	if err := o.choosePermissions(ctx, grantablePermissions(roles), &request); err != nil {
		return request, err
	}
	return request, o.env.confirm(ctx, o.yes || o.dryRun, fmt.Sprintf(o.question, o.name), true)
}

func (o *roleWriteOptions) readRequest() (client.CustomRoleRequest, error) {
	var request client.CustomRoleRequest
	text, err := io.ReadAll(o.env.Stdin)
	if err != nil {
		return request, fmt.Errorf("read the role from standard input: %w", err)
	}
	if strings.HasPrefix(strings.TrimSpace(string(text)), "[") {
		return request, errors.New("standard input holds a list: give one role, as a JSON object")
	}
	if err := json.Unmarshal(text, &request); err != nil {
		return request, fmt.Errorf("read the role from standard input: %w", err)
	}
	if request.Name == "" {
		request.Name = o.name
	}
	if request.Name != o.name {
		return request, fmt.Errorf("the role on standard input has the name %q, the command says %q", request.Name, o.name)
	}
	return request, nil
}

// grantablePermissions are the actions by resource type that an organization's
// administrator holds, which is as far as a custom role can go.
func grantablePermissions(roles []client.AssignableRole) map[string][]string {
	out := map[string][]string{}
	for _, r := range roles {
		if r.Name != client.RoleOrgAdmin {
			continue
		}
		for _, p := range r.OrganizationPermissions {
			out[p.ResourceType] = append(out[p.ResourceType], p.Action)
		}
	}
	return out
}

// choosePermissions asks for one resource type after the other, and replaces
// what the role may do to it.
func (o *roleWriteOptions) choosePermissions(ctx context.Context, grantable map[string][]string, request *client.CustomRoleRequest) error {
	types := slices.Sorted(maps.Keys(grantable))
	for {
		choices := []choice{{text: "done"}}
		for _, name := range types {
			choices = append(choices, choice{text: name, about: strings.Join(actionsOn(*request, name), ", ")})
		}
		picked, err := o.env.choose(ctx, "Which resource type?", "give the role as JSON with --stdin", choices, 0)
		if err != nil || picked == 0 {
			return err
		}
		if err := o.chooseActions(ctx, choices[picked].text, grantable[choices[picked].text], request); err != nil {
			return err
		}
	}
}

func (o *roleWriteOptions) chooseActions(ctx context.Context, resource string, actions []string, request *client.CustomRoleRequest) error {
	var picked []string
	_, err := o.env.ask(ctx, question{
		text:    fmt.Sprintf("Actions on %s, of %s (none for an empty list):", resource, strings.Join(actions, ",")),
		preset:  strings.Join(actionsOn(*request, resource), ","),
		instead: "give the role as JSON with --stdin",
		check: func(answer string) error {
			picked = nil
			for word := range strings.SplitSeq(answer, ",") {
				switch word = strings.TrimSpace(word); {
				case word == "" || word == "none":
				case !slices.Contains(actions, word):
					return fmt.Errorf("%q is no action on %s: choose of %s", word, resource, strings.Join(actions, ", "))
				default:
					picked = append(picked, word)
				}
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	kept := slices.DeleteFunc(slices.Clone(request.OrganizationPermissions), func(p client.Permission) bool { return p.ResourceType == resource })
	for _, action := range picked {
		kept = append(kept, client.Permission{ResourceType: resource, Action: action})
	}
	request.OrganizationPermissions = kept
	return nil
}

func actionsOn(request client.CustomRoleRequest, resource string) []string {
	var actions []string
	for _, p := range request.OrganizationPermissions {
		if p.ResourceType == resource {
			actions = append(actions, p.Action)
		}
	}
	return actions
}

type roleDeleteOptions struct {
	env   *Env
	named *string
	name  string
	yes   bool
}

func newRoleDelete(env *Env, selected *string) *cobra.Command {
	o := &roleDeleteOptions{env: env, named: selected}
	cmd := &cobra.Command{
		Use:     "delete <role_name>",
		Aliases: []string{"rm"},
		Short:   "Delete a custom role, and take it from its members",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(cmd.Context())
		},
	}
	addYes(cmd, &o.yes)
	return cmd
}

func (o *roleDeleteOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	org, err := o.env.organization(ctx, c, *o.named)
	if err != nil {
		return err
	}
	if err := o.env.confirm(ctx, o.yes, fmt.Sprintf("Delete the role %s of %s, and take it from all members?", o.name, org.Name), false); err != nil {
		return err
	}
	if err := c.DeleteRole(ctx, org.ID.String(), o.name); err != nil {
		return err
	}
	o.env.outf("Deleted role %s.\n", o.name)
	return nil
}
