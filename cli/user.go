package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"coder/client"
)

func newUsers(env *Env) *cobra.Command {
	return group("users", "Manage the users of the deployment", []string{"user"},
		newUserCreate(env), newUserList(env), newUserShow(env), newUserDelete(env), newUserEditRoles(env),
		newUserStatus(env, "activate", "Let a user in again", client.UserActive),
		newUserStatus(env, "suspend", "Keep a user out until activated again", client.UserSuspended))
}

func userTable() table[client.User] {
	return table[client.User]{
		columns: []column[client.User]{
			{"id", func(u client.User) string { return u.ID.String() }},
			{"username", func(u client.User) string { return u.Username }},
			{"name", func(u client.User) string { return u.Name }},
			{"email", func(u client.User) string { return u.Email }},
			{"created at", func(u client.User) string { return timeCell(u.CreatedAt) }},
			{"updated at", func(u client.User) string { return timeCell(u.UpdatedAt) }},
			{"status", func(u client.User) string { return u.Status }},
		},
		defaults: []string{"username", "email", "created at", "status"},
	}
}

type userCreateOptions struct {
	env            *Env
	organization   string
	req            client.CreateUserRequest
	disableLogin   bool
	format         string
	madeUpPassword bool
}

func newUserCreate(env *Env) *cobra.Command {
	o := &userCreateOptions{env: env}
	cmd := &cobra.Command{
		Use:     "create",
		Short:   "Make a user who is a member of an organization",
		Example: "  coder users create --email dev1@example.com --username dev1 --org data-platform",
		Args:    exactArgs(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.req.Email, "email", "e", "", "Address that the user signs in with")
	f.StringVarP(&o.req.Username, "username", "u", "", "Username")
	f.StringVarP(&o.req.Name, "full-name", "n", "", "Full name")
	f.StringVarP(&o.req.Password, "password", "p", "", "Password (default: a random one, which is shown)")
	f.Var(&choiceValue{into: &o.req.LoginType, valid: []string{client.LoginPassword, client.LoginNone, client.LoginGitHub, client.LoginOIDC}},
		"login-type", "How the user signs in (default password)")
	f.BoolVar(&o.req.ServiceAccount, "service-account", false, "Make an account for machines, which signs in with tokens only")
	f.BoolVar(&o.disableLogin, "disable-login", false, "Older form of --login-type none")
	olderName(f, "disable-login", "login-type none")
	addOrganization(f, &o.organization)
	addFormat(cmd, &o.format, "text", "json")
	return cmd
}

func (o *userCreateOptions) run(ctx context.Context) error {
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	if err := o.complete(ctx); err != nil {
		return err
	}
	o.req.OrganizationIDs = []uuid.UUID{org.ID}
	user, err := c.CreateUser(ctx, o.req)
	if err != nil {
		return fmt.Errorf("create the user: %w", err)
	}
	return o.report(c, user)
}

// complete asks for what is missing and makes up a password where one is needed.
func (o *userCreateOptions) complete(ctx context.Context) (err error) {
	req := &o.req
	if o.disableLogin {
		req.LoginType = client.LoginNone
	}
	withName := req.Username == "" && req.Email == "" && !req.ServiceAccount
	if req.Username == "" {
		req.Username, err = o.env.ask(ctx, question{text: "Username:", instead: "give --username", check: checkName(client.NameUsername)})
	} else {
		err = client.CheckName(client.NameUsername, req.Username)
	}
	if err == nil && withName {
		req.Name, err = o.env.ask(ctx, question{text: "Full name (may be empty):", check: checkName(client.NameReal)})
	}
	if err == nil && req.Email == "" && !req.ServiceAccount {
		req.Email, err = o.env.ask(ctx, question{text: "Email:", instead: "give --email", check: checkEmail})
	}
	password := req.LoginType == "" || req.LoginType == client.LoginPassword
	if err == nil && req.Password == "" && password && !req.ServiceAccount {
		req.Password, err = randomPassword()
		o.madeUpPassword = true
	}
	return err
}

// randomPassword is long enough for any rule of the server.
func randomPassword() (string, error) {
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789"
	var b strings.Builder
	for range 20 {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			return "", fmt.Errorf("make a random password: %w", err)
		}
		b.WriteByte(alphabet[n.Int64()])
	}
	return b.String(), nil
}

func (o *userCreateOptions) report(c *client.Client, user client.User) error {
	password := ""
	if o.madeUpPassword {
		password = o.req.Password
	}
	if o.format == "json" {
		return o.env.printJSON(struct {
			client.User
			Password string `json:"password,omitempty"`
		}{user, password})
	}
	o.env.errf("The user %s was created.\n", user.Username)
	switch {
	case user.IsServiceAccount:
		o.env.errf("Make a token for it with: coder tokens create --user %s\n", user.Username)
	case password != "":
		o.env.errf("\nGive these to the person:\n\n\tcoder login %s --email %s\n\tEmail:    %s\n\tPassword: %s\n", c.URL(), user.Email, user.Email, password)
	case o.req.Password != "":
		o.env.errf("\nThe person signs in with:\n\n\tcoder login %s --email %s\n", c.URL(), user.Email)
	default:
		o.env.errf("\nThe person signs in with:\n\n\tcoder login %s\n", c.URL())
	}
	return nil
}

type userListOptions struct {
	env          *Env
	githubUserID int64
	list         listOptions
}

func newUserList(env *Env) *cobra.Command {
	o := &userListOptions{env: env}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List users",
		Args:  exactArgs(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	cmd.Flags().Int64Var(&o.githubUserID, "github-user-id", 0, "Only the user with this GitHub id")
	addList(cmd, &o.list, userTable())
	return cmd
}

func (o *userListOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	req := client.UsersRequest{}
	if o.githubUserID != 0 {
		req.Query = "github_com_user_id:" + strconv.FormatInt(o.githubUserID, 10)
	}
	page, err := c.Users(ctx, req)
	if err != nil {
		return err
	}
	if page.Users == nil {
		page.Users = []client.User{}
	}
	return printList(o.env, o.list, userTable(), page.Users, page.Users, "No users found.")
}

// userDetails is a user with the names of organizations that the caller sees.
type userDetails struct {
	client.User
	Organizations []string `json:"organizations"`
}

func userDetailsTable() table[userDetails] {
	return table[userDetails]{columns: []column[userDetails]{
		{"id", func(u userDetails) string { return u.ID.String() }},
		{"username", func(u userDetails) string { return u.Username }},
		{"name", func(u userDetails) string { return u.Name }},
		{"email", func(u userDetails) string { return u.Email }},
		{"status", func(u userDetails) string { return u.Status }},
		{"created at", func(u userDetails) string { return timeCell(u.CreatedAt) }},
		{"roles", func(u userDetails) string { return rolesCell(u.Roles) }},
		{"organizations", func(u userDetails) string {
			return listCell(u.Organizations, itself)
		}},
	}}
}

type userShowOptions struct {
	env  *Env
	user string
	list listOptions
}

func newUserShow(env *Env) *cobra.Command {
	o := &userShowOptions{env: env}
	cmd := &cobra.Command{
		Use:   "show <username|user_id|'me'>",
		Short: "Show a user",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.user = args[0]
			return o.run(cmd.Context())
		},
	}
	addList(cmd, &o.list, userDetailsTable())
	return cmd
}

func (o *userShowOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	user, err := c.User(ctx, o.user)
	if err != nil {
		return userError(o.user, err)
	}
	orgs, err := c.UserOrganizations(ctx, o.user)
	if err != nil {
		return err
	}
	details := userDetails{User: user, Organizations: []string{}}
	for _, org := range orgs {
		details.Organizations = append(details.Organizations, org.Name)
	}
	return printList(o.env, o.list, userDetailsTable(), []userDetails{details}, details, "")
}

// userError names the user that was not found.
func userError(user string, err error) error {
	if client.IsNotFound(err) {
		return fmt.Errorf("there is no user %q (by username or id) that you may see: see `coder users list`", user)
	}
	return err
}

func newUserDelete(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "delete <username|user_id>",
		Short: "Delete a user who has no workspaces",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := env.Client()
			if err != nil {
				return err
			}
			user, err := c.User(cmd.Context(), args[0])
			if err != nil {
				return userError(args[0], err)
			}
			if err := c.DeleteUser(cmd.Context(), user.ID.String()); err != nil {
				return fmt.Errorf("delete the user: %w", err)
			}
			env.outf("Successfully deleted user %s!\n", user.Username)
			return nil
		},
	}
}

type userEditRolesOptions struct {
	env   *Env
	user  string
	roles []string
	given bool
	yes   bool
}

func newUserEditRoles(env *Env) *cobra.Command {
	o := &userEditRolesOptions{env: env}
	cmd := &cobra.Command{
		Use:     "edit-roles <username|user_id>",
		Short:   "Replace the site roles of a user",
		Example: "  coder users edit-roles dev1 --roles owner\n  coder users edit-roles dev1 --roles \"\"   # none",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.user, o.given = args[0], cmd.Flags().Changed("roles")
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().StringSliceVar(&o.roles, "roles", nil, "All roles that shall remain")
	addYes(cmd, &o.yes)
	return cmd
}

func (o *userEditRolesOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	user, err := c.User(ctx, o.user)
	if err != nil {
		return userError(o.user, err)
	}
	if !o.given {
		if err := o.askRoles(ctx, c, user); err != nil {
			return err
		}
	}
	roles := splitNames(o.roles)
	text := fmt.Sprintf("Give %s the site roles %s?", user.Username, listCell(roles, itself))
	if err := o.env.confirm(ctx, o.yes, text, true); err != nil {
		return err
	}
	user, err = c.UpdateUserRoles(ctx, user.ID.String(), client.UpdateRolesRequest{Roles: roles})
	if err != nil {
		return fmt.Errorf("change the roles: %w", err)
	}
	o.env.outf("User roles updated to %s\n", listCell(user.Roles, func(r client.SlimRole) string { return r.Name }))
	return nil
}

func (o *userEditRolesOptions) askRoles(ctx context.Context, c *client.Client, user client.User) error {
	known, err := c.SiteRoles(ctx)
	if err != nil {
		return err
	}
	for _, r := range known {
		if r.Assignable {
			o.env.errf("  %s\n", printable(r.Name))
		}
	}
	current := make([]string, len(user.Roles))
	for i, r := range user.Roles {
		current[i] = r.Name
	}
	answer, err := o.env.ask(ctx, question{text: "Roles, with commas between:", preset: strings.Join(current, ","), instead: "give --roles"})
	o.roles = []string{answer}
	return err
}

// splitNames is a list without blanks, empty entries and repeats.
func splitNames(lists []string) []string {
	names, seen := []string{}, map[string]bool{}
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name != "" && !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	return names
}

type userStatusOptions struct {
	env    *Env
	user   string
	status string
	list   listOptions
	yes    bool
}

func newUserStatus(env *Env, verb, short, status string) *cobra.Command {
	o := &userStatusOptions{env: env, status: status}
	cmd := &cobra.Command{
		Use:   verb + " <username|user_id>",
		Short: short,
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.user = args[0]
			return o.run(cmd.Context())
		},
	}
	t := userTable()
	cmd.Flags().VarP(&columnValue{into: &o.list.columns, valid: t.names()}, "column", "c", "Columns to show")
	addYes(cmd, &o.yes)
	return cmd
}

func (o *userStatusOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	user, err := c.User(ctx, o.user)
	if err != nil {
		return userError(o.user, err)
	}
	userTable().print(o.env.Stderr, o.list.columns, []client.User{user})
	if user.Status == o.status {
		o.env.outf("The user %s is %s already.\n", user.Username, o.status)
		return nil
	}
	change, text := c.ActivateUser, "Let %s in again?"
	if o.status == client.UserSuspended {
		change, text = c.SuspendUser, "Keep %s out, and end all of the user's sessions?"
	}
	if err := o.env.confirm(ctx, o.yes || !o.env.interactive(), fmt.Sprintf(text, user.Username), true); err != nil {
		return err
	}
	if _, err := change(ctx, user.ID.String()); err != nil {
		return fmt.Errorf("change the user: %w", err)
	}
	o.env.outf("The user %s is %s.\n", user.Username, o.status)
	return nil
}

type publicKeyOptions struct {
	env   *Env
	reset bool
	yes   bool
}

func newPublicKey(env *Env) *cobra.Command {
	o := &publicKeyOptions{env: env}
	cmd := &cobra.Command{
		Use:   "publickey",
		Short: "Print the public SSH key that your workspaces use for Git",
		Args:  exactArgs(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&o.reset, "reset", false, "Make a new key pair; the old one no longer works anywhere")
	addYes(cmd, &o.yes)
	return cmd
}

func (o *publicKeyOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	read := c.GitSSHKey
	if o.reset {
		if err := o.env.confirm(ctx, o.yes, "Make a new key pair? The old public key has to be replaced wherever it was put.", false); err != nil {
			return err
		}
		read = c.RegenerateGitSSHKey
	}
	key, err := read(ctx, client.Me)
	if err != nil {
		return err
	}
	o.env.outf("%s\n", strings.TrimSpace(key.PublicKey))
	return nil
}
