package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// Sizes of a session token: <id>-<secret>, section 2.1 of the reference.
const (
	tokenIDLength     = 10
	tokenSecretLength = 22
)

// refreshAfter is how much of a session is used before its end moves.
const refreshAfter = time.Hour

// sessionToken finds the token of a request; the first that is not empty wins.
func sessionToken(r *http.Request) (token string, fromCookie bool) {
	if c, err := r.Cookie(client.SessionCookie); err == nil && c.Value != "" {
		return c.Value, true
	}
	query := r.URL.Query()
	for _, candidate := range []string{
		query.Get(client.SessionCookie), r.Header.Get(client.HeaderSessionToken), bearerToken(r), query.Get("access_token"),
	} {
		if candidate != "" {
			return candidate, false
		}
	}
	return "", false
}

func bearerToken(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// hashSecret is what the database keeps of a random secret.
func hashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

func sameSecret(secret string, hashed []byte) bool {
	return subtle.ConstantTimeCompare(hashSecret(secret), hashed) == 1
}

// authenticate puts the session's subject into the request.
func (a *api) authenticate(ctx context.Context, r *http.Request) error {
	token, fromCookie := sessionToken(r)
	if token == "" {
		return errUnauthenticated("Send a session token in the header " + client.HeaderSessionToken + "; coder login gets one.")
	}
	id, secret, _ := strings.Cut(token, "-")
	if len(id) != tokenIDLength || len(secret) != tokenSecretLength {
		return errUnauthenticated("The token does not have the form of a session token: sign in again with `coder login`.")
	}
	req := requestFrom(ctx)
	if !fromCookie && req.recall(token, a.now()) {
		return nil
	}
	row, err := a.store.GetAPIKeyWithUser(ctx, id)
	if err == nil && !sameSecret(secret, row.ApiKey.HashedSecret) {
		err = errUnknownToken()
	}
	if err := a.checkSession(row, err); err != nil {
		return err
	}
	if fromCookie && !a.sameOrigin(r, token) {
		return errForgery
	}
	if err := a.admitSession(ctx, row); err != nil {
		return err
	}
	if err := a.touch(ctx, req.user, row.ApiKey); err != nil {
		return err
	}
	req.remember(token, a.now())
	return nil
}

func errUnknownToken() *client.Error {
	return errUnauthenticated("The token is not known: sign in again with `coder login`.")
}

// checkSession refuses a session that was not found, has ended, or whose user
// is suspended; err is that of reading it.
func (a *api) checkSession(row store.GetAPIKeyWithUserRow, err error) error {
	switch {
	case store.IsNotFound(err):
		return errUnknownToken()
	case err != nil:
		return err
	case !row.ApiKey.ExpiresAt.After(a.now()):
		return errUnauthenticated("The token expired at " + row.ApiKey.ExpiresAt.Format(time.RFC3339) + ": sign in again with `coder login`.")
	case row.User.Status == client.UserSuspended:
		return errUnauthenticated("Your account is suspended. Ask an administrator to activate it.")
	}
	return nil
}

// admitSession puts who is signed in into the request, with the roles of this moment.
func (a *api) admitSession(ctx context.Context, row store.GetAPIKeyWithUserRow) error {
	now := stamps{row.MembershipsStamp, row.OrganizationsStamp}
	var s *standing
	var err error
	if row.ApiKey.WorkspaceID == nil {
		s, err = a.standing(ctx, row.User, now)
	} else {
		s, err = a.confined(ctx, row.User, *row.ApiKey.WorkspaceID)
	}
	if err != nil {
		return err
	}
	subject := *s.subject
	subject.Allow, subject.AllowIDs = tokenLimits(row.ApiKey)
	req := requestFrom(ctx)
	req.subject, req.user, req.key, req.memberships, req.stamps = &subject, &row.User, &row.ApiKey, s.memberships, now
	return nil
}

// confined keeps the session of a workspace to the workspace's organization.
// The organization's daemons are handed it, and its templates can read it: it
// must not open what its owner may do elsewhere, nor the roles of the site.
func (a *api) confined(ctx context.Context, user store.User, workspace uuid.UUID) (*standing, error) {
	user.Roles = nil
	s, err := a.newStanding(ctx, user)
	if err != nil {
		return nil, err
	}
	id, err := organizationOfSession(ctx, a.store, workspace)
	if store.IsNotFound(err) {
		return nil, errUnknownToken()
	}
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(s.subject.Organizations, func(other uuid.UUID, _ authz.Membership) bool { return other != id })
	s.subject.Settle()
	return s, nil
}

// sessionWorkspace is whose session the request comes with; nil for one that
// belongs to no workspace.
func sessionWorkspace(ctx context.Context) *uuid.UUID {
	if key := requestFrom(ctx).key; key != nil {
		return key.WorkspaceID
	}
	return nil
}

// errForgery is a write that carries a cookie but not from our own pages. The
// reference answers it with plain text.
var errForgery = errors.New("cross-site request with a session cookie")

// sameOrigin exempts what a foreign page cannot send, section 1.4 of the reference.
func (a *api) sameOrigin(r *http.Request, token string) bool {
	return r.Header.Get(client.HeaderSessionToken) == token || r.URL.Query().Get(client.SessionCookie) == token ||
		bearerToken(r) != "" || r.Header.Get(client.HeaderDaemonKey) != "" || r.Header.Get(client.HeaderDaemonPSK) != "" ||
		a.origins.Check(r) == nil
}

// subject expands a user's roles at this moment: a change of roles acts on
// the next request.
func (a *api) subject(ctx context.Context, user store.User) (*authz.Subject, error) {
	rows, err := a.store.ListMembershipsAndGroupsOfUser(ctx, user.ID)
	if err != nil {
		return nil, err
	}
	return a.subjectOf(ctx, user, rows)
}

func (a *api) subjectOf(ctx context.Context, user store.User, rows []store.ListMembershipsAndGroupsOfUserRow) (*authz.Subject, error) {
	held := make([]string, 0, len(rows))
	for _, row := range rows {
		held = append(held, row.Roles...)
	}
	custom, err := a.customRolesOfUser(ctx, a.store, user.ID, held)
	if err != nil {
		return nil, err
	}
	s := &authz.Subject{ID: user.ID, Name: user.Username, Roles: authz.SiteRoles(user.Roles), Organizations: make(map[uuid.UUID]authz.Membership, len(rows))}
	if a.options.DisableWorkspaceSharing {
		s.Roles = append(s.Roles, authz.SharingDisabled())
	}
	for _, row := range rows {
		m, known := s.Organizations[row.OrganizationID]
		if !known {
			m.Roles = authz.OrganizationRoles(row.OrganizationID, authz.Sharing(row.ShareableWorkspaceOwners), row.Roles, row.DefaultMemberRoles, custom[row.OrganizationID])
			m.Groups = []uuid.UUID{row.OrganizationID}
		}
		if row.GroupID != uuid.Nil {
			m.Groups = append(m.Groups, row.GroupID)
		}
		s.Organizations[row.OrganizationID] = m
	}
	return s, nil
}

// touch records the use of a key, at most once an hour: the session's end
// moves, the user was seen, and a dormant account wakes.
func (a *api) touch(ctx context.Context, user *store.User, key store.ApiKey) error {
	now := a.now()
	if now.Sub(key.LastUsedAt.Time) < refreshAfter && user.Status != client.UserDormant && !user.LastSeenAt.IsZero() {
		return nil
	}
	expires := key.ExpiresAt
	lifetime := time.Duration(key.LifetimeSeconds) * time.Second
	if key.LoginType != client.LoginToken && !a.options.DisableSessionExpiryRefresh && key.ExpiresAt.Sub(now) < lifetime-refreshAfter {
		expires = store.At(now.Add(lifetime))
	}
	at := store.At(now)
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		if err := tx.TouchAPIKey(ctx, store.TouchAPIKeyParams{ID: key.ID, LastUsedAt: at, ExpiresAt: expires, UpdatedAt: at}); err != nil {
			return err
		}
		return tx.TouchUser(ctx, store.TouchUserParams{ID: user.ID, LastSeenAt: at})
	})
	if err != nil {
		return err
	}
	user.LastSeenAt = at
	if user.Status == client.UserDormant {
		user.Status = client.UserActive
	}
	return nil
}

// tokenLimits turns a key's scopes and allow list into what narrows its
// subject; nil is no limit.
func tokenLimits(key store.ApiKey) ([]authz.Permission, map[authz.Resource][]string) {
	return scopePermissions(key.Scopes), allowedIDs(key.AllowList)
}

// scopePermissions reads the reference's scope names; one that nobody knows
// allows nothing.
func scopePermissions(scopes []string) []authz.Permission {
	if len(scopes) == 0 || slices.Contains(scopes, client.ScopeAll) || slices.Contains(scopes, "all") {
		return nil
	}
	permissions := []authz.Permission{}
	for _, name := range scopes {
		if composite, ok := compositeScopes[name]; ok {
			permissions = append(permissions, composite...)
			continue
		}
		resource, action, ok := strings.Cut(name, ":")
		if ok && resource != "coder" {
			permissions = append(permissions, authz.Permission{Resource: authz.Resource(resource), Action: authz.Action(action)})
		}
	}
	return permissions
}

func allowedIDs(entries []string) map[authz.Resource][]string {
	if len(entries) == 0 || slices.Contains(entries, allowAll) {
		return nil
	}
	ids := map[authz.Resource][]string{}
	for _, entry := range entries {
		resource, id, _ := strings.Cut(entry, ":")
		ids[authz.Resource(resource)] = append(ids[authz.Resource(resource)], id)
	}
	return ids
}

// compositeScopes are the reference's bundles, section 2.3.
var compositeScopes = map[string][]authz.Permission{
	"coder:application_connect": {{Resource: authz.Workspace, Action: authz.ApplicationConnect}},
	"application_connect":       {{Resource: authz.Workspace, Action: authz.ApplicationConnect}},
	"coder:workspaces.create": {
		{Resource: authz.Template, Action: authz.Read}, {Resource: authz.Template, Action: authz.Use}, {Resource: authz.Organization, Action: authz.Read},
		{Resource: authz.User, Action: authz.Read}, {Resource: authz.Workspace, Action: authz.Create}, {Resource: authz.Workspace, Action: authz.Read},
		{Resource: authz.Workspace, Action: authz.Update},
	},
	"coder:workspaces.operate": {
		{Resource: authz.Template, Action: authz.Read}, {Resource: authz.Organization, Action: authz.Read}, {Resource: authz.User, Action: authz.Read},
		{Resource: authz.Workspace, Action: authz.Read}, {Resource: authz.Workspace, Action: authz.Update},
		{Resource: authz.Workspace, Action: authz.Start}, {Resource: authz.Workspace, Action: authz.Stop},
	},
	"coder:workspaces.delete": {
		{Resource: authz.Template, Action: authz.Read}, {Resource: authz.Organization, Action: authz.Read}, {Resource: authz.User, Action: authz.Read},
		{Resource: authz.Workspace, Action: authz.Read}, {Resource: authz.Workspace, Action: authz.Delete},
	},
	"coder:workspaces.access": {
		{Resource: authz.Template, Action: authz.Read}, {Resource: authz.Organization, Action: authz.Read}, {Resource: authz.User, Action: authz.Read},
		{Resource: authz.Workspace, Action: authz.Read}, {Resource: authz.Workspace, Action: authz.SSH}, {Resource: authz.Workspace, Action: authz.ApplicationConnect},
	},
	"coder:templates.build": {
		{Resource: authz.Template, Action: authz.Read}, {Resource: authz.File, Action: authz.Create}, {Resource: authz.File, Action: authz.Read},
		{Resource: authz.Organization, Action: authz.Read}, {Resource: authz.ProvisionerJobs, Action: authz.Read},
	},
	"coder:templates.author": {
		{Resource: authz.Template, Action: authz.Star}, {Resource: authz.File, Action: authz.Create}, {Resource: authz.File, Action: authz.Read},
		{Resource: authz.Organization, Action: authz.Read}, {Resource: authz.ProvisionerJobs, Action: authz.Read},
	},
	"coder:apikeys.manage_self": {{Resource: authz.APIKey, Action: authz.Star}, {Resource: authz.User, Action: authz.Read}},
}
