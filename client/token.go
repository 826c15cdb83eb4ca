package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
)

// Scopes of tokens that mean all of a kind.
const (
	ScopeAll                = "coder:all"
	ScopeApplicationConnect = "coder:application_connect"
)

// APIKey is a session or token, without its secret. Its ID is the part of the
// token before the hyphen.
type APIKey struct {
	ID              string    `json:"id"`
	UserID          uuid.UUID `json:"user_id"`
	LastUsed        time.Time `json:"last_used"`
	ExpiresAt       time.Time `json:"expires_at"`
	CreatedAt       time.Time `json:"created_at"`
	UpdatedAt       time.Time `json:"updated_at"`
	LoginType       string    `json:"login_type"`
	Scope           string    `json:"scope" doc:"Older form of scopes"`
	Scopes          []string  `json:"scopes"`
	TokenName       string    `json:"token_name"`
	LifetimeSeconds int64     `json:"lifetime_seconds"`
	AllowList       []string  `json:"allow_list"`
}

// APIKeyWithOwner is a row of the list of tokens.
type APIKeyWithOwner struct {
	APIKey
	Username string `json:"username"`
}

// Session is where a user is signed in: a browser or a terminal.
type Session struct {
	APIKey
	// IPAddress is from where it was opened.
	IPAddress string `json:"ip_address"`
}

// CreateTokenRequest makes a token with a name.
type CreateTokenRequest struct {
	Lifetime  time.Duration `json:"lifetime,omitempty" doc:"Nanoseconds; 0 takes the default"`
	TokenName string        `json:"token_name,omitempty" maxLength:"64" doc:"Random when empty"`
	Scopes    []string      `json:"scopes,omitempty"`
	Scope     string        `json:"scope,omitempty" doc:"Older form of scopes: all or application_connect"`
	AllowList []string      `json:"allow_list,omitempty" doc:"type:id entries; everything when empty"`
}

// CreateAPIKeyResponse carries a new token; it is not shown again.
type CreateAPIKeyResponse struct {
	Key string `json:"key"`
}

// TokenConfig is what a user's tokens may be; the lifetime is in nanoseconds.
type TokenConfig struct {
	MaxTokenLifetime time.Duration `json:"max_token_lifetime"`
}

// TokensRequest widens the list of tokens.
type TokensRequest struct {
	IncludeAll     bool
	IncludeExpired bool
}

// Sessions lists where a user is signed in, the last used first. Tokens, and
// sessions that workspaces are given, are not among them.
func (c *Client) Sessions(ctx context.Context, user string) ([]Session, error) {
	return list[Session](ctx, c, apiPath("users", user, "keys"))
}

// CreateAPIKey opens a session of its own for a user, with the default lifetime.
func (c *Client) CreateAPIKey(ctx context.Context, user string) (CreateAPIKeyResponse, error) {
	return send[CreateAPIKeyResponse](ctx, c, http.MethodPost, apiPath("users", user, "keys"), nil)
}

// CreateToken makes a token; 409 when the user has one of that name.
func (c *Client) CreateToken(ctx context.Context, user string, req CreateTokenRequest) (CreateAPIKeyResponse, error) {
	return send[CreateAPIKeyResponse](ctx, c, http.MethodPost, apiPath("users", user, "keys", "tokens"), req)
}

// Tokens lists a user's tokens, or all that the caller may read.
func (c *Client) Tokens(ctx context.Context, user string, req TokensRequest) ([]APIKeyWithOwner, error) {
	q := url.Values{}
	if req.IncludeAll {
		q.Set("include_all", "true")
	}
	if req.IncludeExpired {
		q.Set("include_expired", "true")
	}
	return list[APIKeyWithOwner](ctx, c, withQuery(apiPath("users", user, "keys", "tokens"), q))
}

// TokenConfig reads how long a user's tokens may live.
func (c *Client) TokenConfig(ctx context.Context, user string) (TokenConfig, error) {
	return get[TokenConfig](ctx, c, apiPath("users", user, "keys", "tokens", "tokenconfig"))
}

// APIKeyByName reads a token by its name.
func (c *Client) APIKeyByName(ctx context.Context, user, name string) (APIKey, error) {
	return get[APIKey](ctx, c, apiPath("users", user, "keys", "tokens", name))
}

// APIKeyByID reads a session or token by its id.
func (c *Client) APIKeyByID(ctx context.Context, user, id string) (APIKey, error) {
	return get[APIKey](ctx, c, apiPath("users", user, "keys", id))
}

// Scopes lists the names that a token may be limited to.
func (c *Client) Scopes(ctx context.Context) ([]string, error) {
	scopes, err := get[struct {
		External []string `json:"external"`
	}](ctx, c, apiPath("auth", "scopes"))
	return scopes.External, err
}

// DeleteAPIKey ends a session or token and drops its record.
func (c *Client) DeleteAPIKey(ctx context.Context, user, id string) error {
	return c.exec(ctx, http.MethodDelete, apiPath("users", user, "keys", id), nil)
}

// ExpireAPIKey ends a session or token and keeps its record.
func (c *Client) ExpireAPIKey(ctx context.Context, user, id string) error {
	return c.exec(ctx, http.MethodPut, apiPath("users", user, "keys", id, "expire"), nil)
}
