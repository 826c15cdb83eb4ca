package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// allowAll is the allow list of a key that reaches every object.
const allowAll = "*:*"

type createTokenInput struct {
	UserPath
	Body client.CreateTokenRequest
}

type listTokensInput struct {
	UserPath
	IncludeAll     bool `query:"include_all" doc:"Tokens of every user that the caller may read"`
	IncludeExpired bool `query:"include_expired"`
}

type tokenNameInput struct {
	UserPath
	Name string `path:"keyname"`
}

type apiKeyInput struct {
	UserPath
	ID string `path:"keyid" doc:"The part of the token before the hyphen"`
}

type scopesResponse struct {
	External []string `json:"external"`
}

// createAPIKey opens a session as signing in does.
func (a *api) createAPIKey(ctx context.Context, in *UserPath) (*output[client.CreateAPIKeyResponse], error) {
	user, err := a.keyOwner(ctx, authz.Create, in.User)
	if err != nil {
		return nil, err
	}
	if err := refuseNarrowed(ctx, "a session made with it would not be; make a token with the same scopes instead"); err != nil {
		return nil, err
	}
	return a.replyToken(ctx, newSessionParams{user: user, loginType: user.LoginType, lifetime: a.tokenLifetime(user)})
}

func (a *api) createToken(ctx context.Context, in *createTokenInput) (*output[client.CreateAPIKeyResponse], error) {
	user, err := a.keyOwner(ctx, authz.Create, in.User)
	if err != nil {
		return nil, err
	}
	p := newSessionParams{user: user, loginType: client.LoginToken, tokenName: in.Body.TokenName, workspaceID: sessionWorkspace(ctx)}
	if p.tokenName == "" {
		p.tokenName = strings.ToLower(newSecret(12))
	}
	if err := checkName("token_name", client.NameToken, p.tokenName); err != nil {
		return nil, err
	}
	if p.lifetime, err = a.checkLifetime(user, in.Body.Lifetime); err != nil {
		return nil, err
	}
	if p.scopes, err = checkScopes(ctx, in.Body); err != nil {
		return nil, err
	}
	if p.allowList, err = checkAllowList(ctx, in.Body.AllowList); err != nil {
		return nil, err
	}
	return a.replyToken(ctx, p)
}

func (a *api) replyToken(ctx context.Context, p newSessionParams) (*output[client.CreateAPIKeyResponse], error) {
	var token string
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		var err error
		var key store.ApiKey
		if token, key, err = a.newSession(ctx, tx, p); err != nil {
			return err
		}
		entry := apiKeyEntry(client.AuditCreate, key, p.user)
		entry.after = auditKey(key)
		return a.audit(ctx, tx, entry)
	})
	if store.IsConflict(err) {
		return nil, taken("Token", p.tokenName, "name")
	}
	if err != nil {
		return nil, fmt.Errorf("create token: %w", err)
	}
	return reply(client.CreateAPIKeyResponse{Key: token}), nil
}

// refuseNarrowed refuses what a limited token could get around its limits by:
// making a session, setting a password to sign in with, handing out roles.
func refuseNarrowed(ctx context.Context, why string) error {
	if !isNarrowed(ctx) {
		return nil
	}
	return forbidden("This token is limited to some scopes or objects, or to the organization of a workspace: " + why + ".")
}

// isNarrowed tells whether the caller's own key is limited to scopes or
// objects, or to the organization of a workspace.
func isNarrowed(ctx context.Context) bool {
	s := subjectFrom(ctx)
	return s.Allow != nil || s.AllowIDs != nil || sessionWorkspace(ctx) != nil
}

// maxLifetime is the longest that a user's tokens may live.
func (a *api) maxLifetime(user store.User) time.Duration {
	if holdsOwner(user) {
		return min(a.options.MaxTokenLifetime, a.options.MaxAdminTokenLifetime)
	}
	return a.options.MaxTokenLifetime
}

func (a *api) tokenLifetime(user store.User) time.Duration {
	return min(a.options.DefaultTokenLifetime, a.maxLifetime(user))
}

func (a *api) checkLifetime(user store.User, lifetime time.Duration) (time.Duration, error) {
	longest := a.maxLifetime(user)
	switch {
	case lifetime == 0:
		return a.tokenLifetime(user), nil
	case lifetime < time.Second:
		return 0, invalid("lifetime", "It must be at least a second.")
	case lifetime > longest:
		return 0, invalid("lifetime", "It must not be longer than %s.", longest)
	}
	return lifetime, nil
}

// checkScopes accepts public scopes, and of a caller whose own token is
// limited only what that token may do itself.
func checkScopes(ctx context.Context, req client.CreateTokenRequest) (store.Strings, error) {
	names := req.Scopes
	if req.Scope != "" {
		names = append(slices.Clone(names), req.Scope)
	}
	if len(names) == 0 {
		names = []string{client.ScopeAll}
	}
	out := make(store.Strings, 0, len(names))
	for _, name := range names {
		if !slices.Contains(publicScopes(), name) {
			return nil, invalid("scopes", "There is no public scope %q; GET /api/v2/auth/scopes lists them.", name)
		}
		if !within(subjectFrom(ctx).Allow, name) {
			return nil, invalid("scopes", "The token of this request does not have the scope %q itself.", name)
		}
		out = append(out, canonicalScope(name))
	}
	return slices.Compact(slices.Sorted(slices.Values(out))), nil
}

// within tells whether a scope allows nothing that own does not; nil own is no limit.
func within(own []authz.Permission, name string) bool {
	if own == nil {
		return true
	}
	asked := scopePermissions([]string{name})
	return asked != nil && !slices.ContainsFunc(asked, func(p authz.Permission) bool {
		return !slices.ContainsFunc(own, func(o authz.Permission) bool {
			return (o.Resource == p.Resource || o.Resource == authz.Star) && (o.Action == p.Action || o.Action == authz.Star)
		})
	})
}

func canonicalScope(name string) string {
	switch name {
	case "all", "application_connect":
		return "coder:" + name
	}
	return name
}

// checkAllowList reads type:id entries. A caller whose own token is limited
// to objects passes its limit on and cannot choose another.
func checkAllowList(ctx context.Context, entries []string) (store.Strings, error) {
	if own := requestFrom(ctx).key; own != nil && subjectFrom(ctx).AllowIDs != nil {
		if len(entries) > 0 && !slices.Equal(entries, own.AllowList) {
			return nil, invalid("allow_list", "The token of this request is limited to %s; a token made with it has the same limit.", strings.Join(own.AllowList, ", "))
		}
		return own.AllowList, nil
	}
	for _, entry := range entries {
		resource, id, ok := strings.Cut(entry, ":")
		_, known := authz.Actions[authz.Resource(resource)]
		_, err := uuid.Parse(id)
		if !ok || (entry != allowAll && (!known || (err != nil && id != authz.Star))) {
			return nil, invalid("allow_list", "%q is not a resource type and an id, such as workspace:%s.", entry, uuid.Nil)
		}
	}
	return entries, nil
}

func (a *api) listTokens(ctx context.Context, in *listTokensInput) (*output[[]client.APIKeyWithOwner], error) {
	user, err := a.keyOwner(ctx, authz.Read, in.User)
	if err != nil {
		return nil, err
	}
	p := store.ListTokensParams{Owner: user.ID.String(), NowAt: store.At(a.now()), IncludeExpired: in.IncludeExpired}
	if in.IncludeAll {
		p.Owner = ""
	}
	rows, err := a.store.ListTokens(ctx, p)
	if err != nil {
		return nil, err
	}
	out := []client.APIKeyWithOwner{}
	for _, row := range rows {
		if mayKey(ctx, authz.Read, row.ApiKey) {
			out = append(out, client.APIKeyWithOwner{APIKey: apiKeyResponse(row.ApiKey), Username: row.Username})
		}
	}
	return reply(out), nil
}

// listSessions shows where somebody is signed in.
func (a *api) listSessions(ctx context.Context, in *UserPath) (*output[[]client.Session], error) {
	user, err := a.keyOwner(ctx, authz.Read, in.User)
	if err != nil {
		return nil, err
	}
	rows, err := a.store.ListSessions(ctx, store.ListSessionsParams{UserID: user.ID, NowAt: store.At(a.now())})
	if err != nil {
		return nil, err
	}
	out := []client.Session{}
	for _, key := range rows {
		if mayKey(ctx, authz.Read, key) {
			out = append(out, client.Session{APIKey: apiKeyResponse(key), IPAddress: key.IPAddress})
		}
	}
	return reply(out), nil
}

func (a *api) tokenConfig(ctx context.Context, in *UserPath) (*output[client.TokenConfig], error) {
	user, err := a.keyOwner(ctx, authz.Read, in.User)
	if err != nil {
		return nil, err
	}
	return reply(client.TokenConfig{MaxTokenLifetime: a.maxLifetime(user)}), nil
}

func (a *api) getTokenByName(ctx context.Context, in *tokenNameInput) (*output[client.APIKey], error) {
	user, err := a.keyOwner(ctx, authz.Read, in.User)
	if err != nil {
		return nil, err
	}
	key, err := a.store.GetTokenByName(ctx, store.GetTokenByNameParams{UserID: user.ID, TokenName: in.Name})
	if err != nil {
		return nil, err
	}
	if !mayKey(ctx, authz.Read, key) {
		return nil, errNotFound()
	}
	return reply(apiKeyResponse(key)), nil
}

func (a *api) getAPIKey(ctx context.Context, in *apiKeyInput) (*output[client.APIKey], error) {
	key, err := a.apiKey(ctx, authz.Read, in.User, in.ID)
	if err != nil {
		return nil, err
	}
	return reply(apiKeyResponse(key)), nil
}

func (a *api) deleteAPIKey(ctx context.Context, in *apiKeyInput) (*empty, error) {
	key, err := a.apiKey(ctx, authz.Delete, in.User, in.ID)
	if err != nil {
		return nil, err
	}
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		n, err := tx.DeleteAPIKey(ctx, store.DeleteAPIKeyParams{ID: key.ID, UserID: key.UserID})
		if err == nil && n == 0 {
			err = errNotFound()
		}
		if err != nil {
			return err
		}
		return a.auditKeyChange(ctx, tx, client.AuditDelete, &key, nil)
	})
	return &empty{}, err
}

// expireAPIKey ends a key and keeps its record; one that has ended stays as it is.
func (a *api) expireAPIKey(ctx context.Context, in *apiKeyInput) (*empty, error) {
	key, err := a.apiKey(ctx, authz.Update, in.User, in.ID)
	if err != nil {
		return nil, err
	}
	at := store.At(a.now())
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		n, err := tx.ExpireAPIKey(ctx, store.ExpireAPIKeyParams{ID: key.ID, ExpiresAt: at, UpdatedAt: at})
		if err != nil || n == 0 {
			return err
		}
		ended := key
		ended.ExpiresAt = at
		return a.auditKeyChange(ctx, tx, client.AuditWrite, &key, &ended)
	})
	return &empty{}, err
}

func (a *api) listScopes(context.Context, *struct{}) (*output[scopesResponse], error) {
	return reply(scopesResponse{publicScopes()}), nil
}

// publicScopes are the names that a token may be limited to, section 2.3 of
// the reference; every other pair of resource and action is internal.
func publicScopes() []string {
	names := []string{"all", "application_connect", client.ScopeAll}
	for name := range compositeScopes {
		names = append(names, name)
	}
	for resource, actions := range map[string]string{
		"workspace": "read create update delete ssh start stop application_connect *", "template": "read create update delete use *",
		"api_key": "read create update delete *", "file": "read create *", "user": "read read_personal update_personal *",
		"user_secret": "read create update delete *", "organization": "read update delete *", "inbox_notification": "read update",
	} {
		for action := range strings.FieldsSeq(actions) {
			names = append(names, resource+":"+action)
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

func apiKeyResponse(k store.ApiKey) client.APIKey {
	scope := "all"
	if slices.Equal(k.Scopes, []string{client.ScopeApplicationConnect}) {
		scope = "application_connect"
	}
	return client.APIKey{
		ID: k.ID, UserID: k.UserID, LastUsed: k.LastUsedAt.Time, ExpiresAt: k.ExpiresAt.Time, CreatedAt: k.CreatedAt.Time, UpdatedAt: k.UpdatedAt.Time,
		LoginType: k.LoginType, Scope: scope, Scopes: nonNil(k.Scopes), TokenName: k.TokenName, LifetimeSeconds: k.LifetimeSeconds, AllowList: nonNil(k.AllowList),
	}
}
