package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	"coder/client"
)

type loginOptions struct {
	env               *Env
	url               string
	email             string
	password          string
	useTokenAsSession bool
	firstUser         client.CreateFirstUserRequest
	trialInfo         client.TrialInfo
}

func newLogin(env *Env) *cobra.Command {
	o := &loginOptions{env: env}
	cmd := &cobra.Command{
		Use:   "login [<url>]",
		Short: "Sign in to a deployment; on a new one, make its first user",
		Example: "  coder login https://coder.example.com\n" +
			"  coder login https://coder.example.com --email me@example.com   # password by prompt or $CODER_LOGIN_PASSWORD\n" +
			"  coder login https://coder.example.com --token \"$TOKEN\"",
		Args: rangeArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.url = strings.Join(args, "")
			o.password = env.Getenv("CODER_LOGIN_PASSWORD")
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.email, "email", "e", "", "Sign in with this address and a password")
	f.BoolVar(&o.useTokenAsSession, "use-token-as-session", false, "Keep the given token itself as the session, instead of making one with it")
	f.StringVar(&o.firstUser.Email, "first-user-email", "", "Address of the first user")
	f.StringVar(&o.firstUser.Username, "first-user-username", "", "Name of the first user")
	f.StringVar(&o.firstUser.Name, "first-user-full-name", "", "Full name of the first user")
	f.StringVar(&o.firstUser.Password, "first-user-password", "", "Password of the first user; the variable is safer")
	f.BoolVar(&o.firstUser.Trial, "first-user-trial", false, "Accepted for compatibility; nothing here needs a licence")
	fromEnv(f, "email", "CODER_LOGIN_EMAIL")
	for _, name := range []string{"email", "username", "full-name", "password", "trial"} {
		fromEnv(f, "first-user-"+name, "CODER_FIRST_USER_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
	}
	for name, into := range map[string]*string{
		"first-name": &o.trialInfo.FirstName, "last-name": &o.trialInfo.LastName, "phone-number": &o.trialInfo.PhoneNumber,
		"job-title": &o.trialInfo.JobTitle, "company-name": &o.trialInfo.CompanyName, "country": &o.trialInfo.Country,
		"developers": &o.trialInfo.Developers,
	} {
		flag := "first-user-trial-" + name
		f.StringVar(into, flag, "", "Accepted for compatibility")
		fromEnv(f, flag, "CODER_FIRST_USER_TRIAL_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
		_ = f.MarkHidden(flag)
	}
	cmd.AddCommand(newLoginToken(env))
	return cmd
}

func (o *loginOptions) run(ctx context.Context) error {
	deployment, err := o.deployment()
	if err != nil {
		return err
	}
	c, err := o.env.clientFor(deployment, "", nil)
	if err != nil {
		return err
	}
	set, err := c.HasFirstUser(ctx)
	if err != nil {
		return err
	}
	var token string
	switch {
	case !set:
		token, err = o.createFirstUser(ctx, c)
	case o.email != "":
		token, err = o.withPassword(ctx, c)
	case o.env.global.token != "":
		token, err = o.withToken(ctx, deployment)
	default:
		token, err = o.withBrowser(ctx, deployment)
	}
	if err != nil {
		return err
	}
	return o.finish(ctx, deployment, token, !set)
}

// deployment is the URL to sign in to, and says where it came from.
func (o *loginOptions) deployment() (string, error) {
	raw, from := o.url, "argument"
	if raw == "" {
		raw, from = o.env.global.url, "flag or CODER_URL"
	}
	if raw == "" {
		stored, err := o.env.readConfig(urlFile)
		if err != nil {
			return "", err
		}
		raw, from = stored, "last login"
	}
	if raw == "" {
		return "", errors.New("no deployment is known: run `coder login <url>`")
	}
	deployment, err := normalizeURL(raw)
	if err == nil {
		o.env.errf("Signing in to %s (from %s)\n", deployment, from)
	}
	return deployment, err
}

func (o *loginOptions) createFirstUser(ctx context.Context, c *client.Client) (string, error) {
	req := o.firstUser
	if req.Username == "" && !o.env.interactive() {
		return "", errors.New("the deployment has no users yet: give the first one by --first-user-username, --first-user-email and CODER_FIRST_USER_PASSWORD, or run this on a terminal")
	}
	o.env.errf("This deployment has no users yet. The first one owns it.\n")
	asked := req.Username == ""
	if err := o.askFirstUser(ctx, c, &req, asked); err != nil {
		return "", err
	}
	if o.trialInfo != (client.TrialInfo{}) {
		req.TrialInfo = &o.trialInfo
	}
	if _, err := c.CreateFirstUser(ctx, req); err != nil {
		return "", fmt.Errorf("create the first user: %w", err)
	}
	session, err := c.LoginWithPassword(ctx, client.LoginWithPasswordRequest{Email: req.Email, Password: req.Password})
	return session.SessionToken, err
}

func (o *loginOptions) askFirstUser(ctx context.Context, c *client.Client, req *client.CreateFirstUserRequest, withName bool) (err error) {
	if req.Username == "" {
		req.Username, err = o.env.ask(ctx, question{text: "Username:", preset: systemUser(), instead: "give --first-user-username", check: checkName(client.NameUsername)})
	}
	if err == nil && withName && req.Name == "" {
		req.Name, err = o.env.ask(ctx, question{text: "Full name (may be empty):", check: checkName(client.NameReal)})
	}
	if err == nil && req.Email == "" {
		req.Email, err = o.env.ask(ctx, question{text: "Email:", instead: "give --first-user-email", check: checkEmail})
	}
	if err == nil && req.Password == "" {
		req.Password, err = askNewPassword(ctx, o.env, c, "give CODER_FIRST_USER_PASSWORD")
	}
	return err
}

func checkName(kind client.NameKind) func(string) error {
	return func(name string) error { return client.CheckName(kind, name) }
}

func checkEmail(email string) error {
	name, host, ok := strings.Cut(email, "@")
	if !ok || name == "" || host == "" || strings.ContainsAny(email, " \t") {
		return fmt.Errorf("%q is not an email address", email)
	}
	return nil
}

// systemUser is a proposal for a username.
func systemUser() string {
	u, err := user.Current()
	if err != nil || client.CheckName(client.NameUsername, u.Username) != nil {
		return ""
	}
	return u.Username
}

// askNewPassword asks twice for a password that the server finds good enough.
func askNewPassword(ctx context.Context, env *Env, c *client.Client, instead string) (string, error) {
	for {
		password, err := env.ask(ctx, question{text: "Password:", secret: true, instead: instead, check: func(p string) error {
			verdict, err := c.ValidatePassword(ctx, p)
			if err == nil && !verdict.Valid {
				err = errors.New(verdict.Details)
			}
			return err
		}})
		if err != nil {
			return "", err
		}
		again, err := env.ask(ctx, question{text: "Password again:", secret: true, instead: instead})
		if err != nil || password == again {
			return password, err
		}
		if !env.interactive() {
			return "", errors.New("the two passwords differ")
		}
		env.errf("The two passwords differ.\n")
	}
}

func (o *loginOptions) withPassword(ctx context.Context, c *client.Client) (string, error) {
	password, err := o.password, error(nil)
	if password == "" {
		password, err = o.env.ask(ctx, question{text: "Password:", secret: true, instead: "give it by CODER_LOGIN_PASSWORD"})
	}
	if err != nil {
		return "", err
	}
	session, err := c.LoginWithPassword(ctx, client.LoginWithPasswordRequest{Email: o.email, Password: password})
	return session.SessionToken, err
}

// withToken makes a session of its own with the token, so that a logout does
// not end the token itself.
func (o *loginOptions) withToken(ctx context.Context, deployment string) (string, error) {
	token := o.env.global.token
	if o.useTokenAsSession {
		return token, nil
	}
	c, err := o.env.clientFor(deployment, token, nil)
	if err != nil {
		return "", err
	}
	key, err := c.CreateAPIKey(ctx, client.Me)
	return key.Key, err
}

func (o *loginOptions) withBrowser(ctx context.Context, deployment string) (string, error) {
	page := deployment + "/cli-auth"
	if !o.env.interactive() {
		if o.firstUser.Username != "" {
			o.env.warnf("the deployment has its first user already: --first-user-username has no effect")
		}
		return "", fmt.Errorf("nobody is there to sign in with a browser: give --token or --email, or take a token from %s", page)
	}
	opened := !o.env.global.noOpen && o.env.isTTY(o.env.Stdout) && o.env.OpenBrowser(page) == nil
	if opened {
		o.env.errf("Your browser was opened at this page; sign in there and copy the token:\n\n\t%s\n\n", page)
	} else {
		o.env.errf("Open this page, sign in and copy the token:\n\n\t%s\n\n", page)
	}
	return o.env.ask(ctx, question{text: "Token:", secret: true, instead: "give --token", check: func(token string) error {
		c, err := o.env.clientFor(deployment, strings.TrimSpace(token), nil)
		if err != nil {
			return err
		}
		if _, err = c.User(ctx, client.Me); client.StatusCode(err) == http.StatusUnauthorized {
			return errors.New("the server does not know this token: copy it whole from the page")
		}
		return err
	}})
}

// finish stores the session. The old one goes first, so that no token is ever
// stored beside another deployment's URL.
func (o *loginOptions) finish(ctx context.Context, deployment, token string, first bool) error {
	token = strings.TrimSpace(token)
	c, err := o.env.clientFor(deployment, token, nil)
	if err != nil {
		return err
	}
	me, err := c.User(ctx, client.Me)
	if err != nil {
		return err
	}
	err = errors.Join(o.env.removeConfig(sessionFile), o.env.writeConfig(urlFile, deployment))
	if err == nil {
		err = o.env.writeConfig(sessionFile, token)
	}
	if err != nil {
		return err
	}
	o.env.outf("Welcome to Coder, %s! You're authenticated.\n", o.env.paint(o.env.Stdout, green, me.Username))
	if first {
		o.env.errf("\nMake your first template with: coder templates init\n")
	}
	return nil
}

func newLoginToken(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "token",
		Short: "Print the token of the session",
		Args:  exactArgs(0),
		RunE: func(*cobra.Command, []string) error {
			deployment, err := env.deploymentURL()
			if err != nil {
				return err
			}
			token, err := env.sessionToken(deployment)
			if err == nil && token == "" {
				err = fmt.Errorf("there is no session for %s: run `coder login %s`", deployment, deployment)
			}
			if err == nil {
				env.outf("%s\n", token)
			}
			return err
		},
	}
}

type logoutOptions struct {
	env *Env
	yes bool
}

func newLogout(env *Env) *cobra.Command {
	o := &logoutOptions{env: env}
	cmd := &cobra.Command{
		Use:   "logout",
		Short: "End the session and forget it",
		Args:  exactArgs(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	addYes(cmd, &o.yes)
	return cmd
}

func addYes(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVarP(yes, "yes", "y", false, "Answer yes to every confirmation")
}

func (o *logoutOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	if err := o.env.confirm(ctx, o.yes, "Log out?", true); err != nil {
		return err
	}
	// A session that is over already, or a server that is gone, is no reason
	// to keep the token here.
	revoked := c.Logout(ctx)
	if err := errors.Join(o.env.removeConfig(sessionFile), o.env.removeConfig(urlFile)); err != nil {
		return err
	}
	if revoked != nil && client.StatusCode(revoked) != http.StatusUnauthorized {
		o.env.warnf("the session was forgotten here, but the server did not end it: %s", revoked)
	}
	o.env.outf("You are no longer logged in. You can log in using 'coder login <url>'.\n")
	return nil
}

type whoamiOptions struct {
	env  *Env
	list listOptions
}

type whoamiRow struct {
	URL             string            `json:"url"`
	Username        string            `json:"username"`
	ID              string            `json:"id"`
	OrganizationIDs []string          `json:"organization_ids"`
	Roles           []client.SlimRole `json:"roles"`
}

func whoamiTable() table[whoamiRow] {
	return table[whoamiRow]{
		columns: []column[whoamiRow]{
			{"url", func(r whoamiRow) string { return r.URL }},
			{"username", func(r whoamiRow) string { return r.Username }},
			{"id", func(r whoamiRow) string { return r.ID }},
			{"orgs", func(r whoamiRow) string { return listCell(r.OrganizationIDs, itself) }},
			{"roles", func(r whoamiRow) string { return rolesCell(r.Roles) }},
		},
		defaults: []string{"url", "username", "id"},
	}
}

func rolesCell(roles []client.SlimRole) string {
	return listCell(roles, func(r client.SlimRole) string {
		if r.DisplayName != "" {
			return r.DisplayName
		}
		return r.Name
	})
}

func newWhoami(env *Env) *cobra.Command {
	o := &whoamiOptions{env: env}
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Show who you are, and where",
		Args:  exactArgs(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	addList(cmd, &o.list, whoamiTable(), "text", "json", "table")
	return cmd
}

func (o *whoamiOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	me, err := c.User(ctx, client.Me)
	if err != nil {
		return err
	}
	row := whoamiRow{URL: c.URL(), Username: me.Username, ID: me.ID.String(), OrganizationIDs: []string{}, Roles: me.Roles}
	for _, id := range me.OrganizationIDs {
		row.OrganizationIDs = append(row.OrganizationIDs, id.String())
	}
	if o.list.format == "text" {
		o.env.outf("Coder is running at %s, You're authenticated as %s !\n", c.URL(), me.Username)
		return nil
	}
	rows := []whoamiRow{row}
	return printList(o.env, o.list, whoamiTable(), rows, rows, "")
}
