package cli

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coder/client"
)

func newTokens(env *Env) *cobra.Command {
	return group("tokens", "Make and revoke tokens for scripts", []string{"token"},
		newTokenCreate(env), newTokenList(env), newTokenView(env), newTokenRemove(env))
}

// tokenRow is a token with its owner's name, where that is known.
type tokenRow struct {
	client.APIKey
	Owner string `json:"username,omitempty"`
}

func tokenTable() table[tokenRow] {
	return table[tokenRow]{
		columns: []column[tokenRow]{
			{"id", func(r tokenRow) string { return r.ID }},
			{"name", func(r tokenRow) string { return r.TokenName }},
			{"scopes", func(r tokenRow) string { return listCell(r.Scopes, itself) }},
			{"allow list", func(r tokenRow) string { return listCell(r.AllowList, itself) }},
			{"last used", func(r tokenRow) string { return timeCell(r.LastUsed) }},
			{"expires at", func(r tokenRow) string { return timeCell(r.ExpiresAt) }},
			{"created at", func(r tokenRow) string { return timeCell(r.CreatedAt) }},
			{"owner", func(r tokenRow) string { return r.Owner }},
		},
		defaults: []string{"id", "name", "scopes", "allow list", "last used", "expires at", "created at"},
	}
}

type tokenCreateOptions struct {
	env      *Env
	name     string
	lifetime string
	user     string
	scopes   []string
	allow    []string
	format   string
}

func newTokenCreate(env *Env) *cobra.Command {
	o := &tokenCreateOptions{env: env}
	cmd := &cobra.Command{
		Use:     "create",
		Short:   "Make a token and print it",
		Example: "  coder tokens create --name ci --lifetime 30d",
		Args:    exactArgs(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.lifetime, "lifetime", "", "How long it is valid, such as 12h, 30d or 1y (default: the longest that is allowed)")
	f.StringVarP(&o.name, "name", "n", "", "Name (default: random)")
	f.StringVarP(&o.user, "user", "u", client.Me, "Whose token it is")
	f.StringArrayVar(&o.scopes, "scope", nil, "What the token may do; may be repeated (default: everything)")
	f.StringArrayVar(&o.allow, "allow", nil, "What the token may touch, type:uuid; may be repeated (default: everything)")
	fromEnv(f, "lifetime", "CODER_TOKEN_LIFETIME")
	fromEnv(f, "name", "CODER_TOKEN_NAME")
	fromEnv(f, "user", "CODER_TOKEN_USER")
	addFormat(cmd, &o.format, "text", "json")
	return cmd
}

func (o *tokenCreateOptions) run(ctx context.Context) error {
	if o.name != "" {
		if err := client.CheckName(client.NameToken, o.name); err != nil {
			return err
		}
	}
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	lifetime, err := o.resolveLifetime(ctx, c)
	if err != nil {
		return err
	}
	made, err := c.CreateToken(ctx, o.user, client.CreateTokenRequest{
		Lifetime: lifetime, TokenName: o.name, Scopes: o.scopes, AllowList: o.allow,
	})
	if err != nil {
		return fmt.Errorf("create the token: %w", err)
	}
	if o.format == "text" {
		o.env.outf("%s\n", made.Key)
		return nil
	}
	id, _, _ := strings.Cut(made.Key, "-")
	key, err := c.APIKeyByID(ctx, o.user, id)
	if err != nil {
		return fmt.Errorf("read the new token: %w", err)
	}
	return o.env.printJSON(struct {
		client.APIKey
		Key string `json:"key"`
	}{key, made.Key})
}

func (o *tokenCreateOptions) resolveLifetime(ctx context.Context, c *client.Client) (time.Duration, error) {
	limits, err := c.TokenConfig(ctx, o.user)
	if err != nil || o.lifetime == "" {
		return limits.MaxTokenLifetime, err
	}
	lifetime, err := parseLongDuration(o.lifetime)
	if err == nil && limits.MaxTokenLifetime > 0 && lifetime > limits.MaxTokenLifetime {
		err = fmt.Errorf("the lifetime %s is longer than the longest that is allowed, %s", o.lifetime, limits.MaxTokenLifetime)
	}
	return lifetime, err
}

var longDuration = regexp.MustCompile(`([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h|d|w|y)`)

// parseLongDuration reads Go's units and also d, w and y (365 days).
func parseLongDuration(text string) (time.Duration, error) {
	units := map[string]float64{
		"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9,
		"d": 24 * 3600e9, "w": 7 * 24 * 3600e9, "y": 365 * 24 * 3600e9,
	}
	total := 0.0
	rest := longDuration.ReplaceAllStringFunc(text, func(part string) string {
		m := longDuration.FindStringSubmatch(part)
		n, _ := strconv.ParseFloat(m[1], 64)
		total += n * units[m[2]]
		return ""
	})
	if strings.TrimSpace(rest) != "" || total <= 0 || total > math.MaxInt64 {
		return 0, fmt.Errorf("%q is not a duration: write it like 90m, 12h, 30d or 1y", text)
	}
	return time.Duration(total), nil
}

type tokenListOptions struct {
	env            *Env
	all            bool
	includeExpired bool
	list           listOptions
}

func newTokenList(env *Env) *cobra.Command {
	o := &tokenListOptions{env: env}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tokens",
		Args:  exactArgs(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	cmd.Flags().BoolVarP(&o.all, "all", "a", false, "Also the tokens of others, where you may see them")
	cmd.Flags().BoolVar(&o.includeExpired, "include-expired", false, "Also tokens that are no longer valid")
	addList(cmd, &o.list, tokenTable())
	return cmd
}

func (o *tokenListOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	keys, err := c.Tokens(ctx, client.Me, client.TokensRequest{IncludeAll: o.all, IncludeExpired: o.includeExpired})
	if err != nil {
		return err
	}
	rows := make([]tokenRow, len(keys))
	for i, k := range keys {
		rows[i] = tokenRow{APIKey: k.APIKey, Owner: k.Username}
	}
	if o.all && len(o.list.columns) == 0 {
		o.list.columns = tokenTable().names()
	}
	return printList(o.env, o.list, tokenTable(), rows, keys, "No tokens found. Make one with `coder tokens create`.")
}

type tokenViewOptions struct {
	env   *Env
	token string
	list  listOptions
}

func newTokenView(env *Env) *cobra.Command {
	o := &tokenViewOptions{env: env}
	cmd := &cobra.Command{
		Use:   "view <name|id>",
		Short: "Show a token",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.token = args[0]
			return o.run(cmd.Context())
		},
	}
	t := tokenTable()
	t.defaults = nil
	addList(cmd, &o.list, t)
	return cmd
}

func (o *tokenViewOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	key, err := findToken(ctx, c, o.token)
	if err != nil {
		return err
	}
	owner, err := c.User(ctx, key.UserID.String())
	if err != nil {
		return err
	}
	row := tokenRow{APIKey: key, Owner: owner.Username}
	t := tokenTable()
	t.defaults = nil
	return printList(o.env, o.list, t, []tokenRow{row}, row, "")
}

// findToken finds one of the caller's tokens by name, by id, or by the token itself.
func findToken(ctx context.Context, c *client.Client, token string) (client.APIKey, error) {
	if id, secret, ok := strings.Cut(token, "-"); ok && len(id) == 10 && len(secret) == 22 {
		token = id
	}
	key, err := c.APIKeyByName(ctx, client.Me, token)
	if client.IsNotFound(err) {
		key, err = c.APIKeyByID(ctx, client.Me, token)
	}
	if client.IsNotFound(err) {
		err = fmt.Errorf("you have no token with the name or id %q: see `coder tokens list`", token)
	}
	return key, err
}

type tokenRemoveOptions struct {
	env    *Env
	token  string
	delete bool
}

func newTokenRemove(env *Env) *cobra.Command {
	o := &tokenRemoveOptions{env: env}
	cmd := &cobra.Command{
		Use:     "remove <name|id|token>",
		Aliases: []string{"delete", "rm"},
		Short:   "End a token's validity, or delete it",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.token = args[0]
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&o.delete, "delete", false, "Delete its record as well")
	return cmd
}

func (o *tokenRemoveOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	key, err := findToken(ctx, c, o.token)
	if err != nil {
		return err
	}
	if o.delete {
		if err := c.DeleteAPIKey(ctx, client.Me, key.ID); err != nil {
			return fmt.Errorf("delete the token: %w", err)
		}
		o.env.outf("Token has been deleted.\n")
		return nil
	}
	if err := c.ExpireAPIKey(ctx, client.Me, key.ID); err != nil {
		return fmt.Errorf("expire the token: %w", err)
	}
	o.env.outf("Token has been expired.\n")
	return nil
}
