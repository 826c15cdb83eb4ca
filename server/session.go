package server

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/crypto/ssh"

	"coder/client"
	"coder/internal/authz"
	"coder/internal/password"
	"coder/store"
)

// cookieLifetime is how long browsers keep the session cookie; the session
// behind it ends earlier.
const cookieLifetime = 365 * 24 * time.Hour

type createFirstUserInput struct {
	Body client.CreateFirstUserRequest
}

type loginInput struct {
	Body client.LoginWithPasswordRequest
}

type sessionOutput[T any] struct {
	Cookie http.Cookie `header:"Set-Cookie"`
	Body   T
}

type validatePasswordInput struct {
	Body client.ValidatePasswordRequest
}

type updatePasswordInput struct {
	UserPath
	Body client.UpdateUserPasswordRequest
}

func (a *api) getFirstUser(ctx context.Context, _ *struct{}) (*output[message], error) {
	n, err := a.store.CountUsers(ctx)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, refuse(http.StatusNotFound, "This deployment has no users yet.", "Make the first one with: coder login "+a.accessURL.String())
	}
	return said("The first user has been created."), nil
}

func (a *api) createFirstUser(ctx context.Context, in *createFirstUserInput) (*output[client.CreateFirstUserResponse], error) {
	if err := checkPassword("password", in.Body.Password); err != nil {
		return nil, err
	}
	user, err := a.newUser(ctx, newUserParams{
		email: in.Body.Email, username: in.Body.Username, name: in.Body.Name, password: in.Body.Password,
		loginType: client.LoginPassword, status: client.UserActive, roles: []string{authz.RoleOwner},
	})
	if err != nil {
		return nil, err
	}
	var org store.Organization
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		n, err := tx.CountUsers(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			return conflict("The first user has already been created.")
		}
		if org, err = tx.GetDefaultOrganization(ctx); err != nil {
			return err
		}
		_, err = a.insertUser(ctx, tx, user, []uuid.UUID{org.ID})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("create first user: %w", err)
	}
	return reply(client.CreateFirstUserResponse{UserID: user.ID, OrganizationID: org.ID}), nil
}

// login answers an unknown address and a wrong password alike, in words and in time.
func (a *api) login(ctx context.Context, in *loginInput) (*sessionOutput[client.LoginWithPasswordResponse], error) {
	email := strings.TrimSpace(in.Body.Email)
	user, err := a.store.GetUserByEmail(ctx, email)
	if err != nil && !store.IsNotFound(err) {
		return nil, err
	}
	ok, err := a.passwords.Verify(ctx, user.HashedPassword, in.Body.Password)
	if err != nil {
		return nil, err
	}
	if refused := a.checkLogin(user, ok); refused != nil {
		return nil, a.auditFailedLogin(ctx, user, email, refused)
	}
	var token string
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		var key store.ApiKey
		token, key, err = a.newSession(ctx, tx, newSessionParams{user: user, loginType: user.LoginType, lifetime: a.options.SessionDuration})
		if err != nil {
			return err
		}
		if err := tx.TouchUser(ctx, store.TouchUserParams{ID: user.ID, LastSeenAt: store.At(a.now())}); err != nil {
			return err
		}
		entry := apiKeyEntry(client.AuditLogin, key, user)
		entry.user, entry.after = &user, auditKey(key)
		return a.audit(ctx, tx, entry)
	})
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	return &sessionOutput[client.LoginWithPasswordResponse]{
		Cookie: a.sessionCookie(token, cookieLifetime), Body: client.LoginWithPasswordResponse{SessionToken: token},
	}, nil
}

// checkLogin refuses who may not sign in; ok is whether the password was right.
func (a *api) checkLogin(user store.User, ok bool) *client.Error {
	switch {
	case a.options.DisablePasswordAuth && !(ok && holdsOwner(user)):
		return forbidden("Signing in with a password is disabled on this deployment.")
	case !ok:
		return refuse(http.StatusUnauthorized, "The email address or the password is wrong.", "")
	case user.LoginType != client.LoginPassword:
		return forbidden("This account signs in with " + user.LoginType + ", not with a password.")
	case user.Status == client.UserSuspended:
		return refuse(http.StatusUnauthorized, "Your account is suspended.", "Ask an administrator to activate it.")
	}
	return nil
}

func (a *api) sessionCookie(token string, lifetime time.Duration) http.Cookie {
	c := http.Cookie{
		Name: client.SessionCookie, Value: token, Path: "/", HttpOnly: true, MaxAge: int(lifetime.Seconds()),
		Secure: a.options.SecureCookie || (a.accessURL.Scheme == "https" && !a.options.PlainCookie), SameSite: http.SameSiteLaxMode,
	}
	if a.options.SameSiteNone {
		c.SameSite, c.Secure = http.SameSiteNoneMode, true
	}
	return c
}

func (a *api) logout(ctx context.Context, _ *struct{}) (*sessionOutput[message], error) {
	req := requestFrom(ctx)
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		if _, err := tx.DeleteAPIKey(ctx, store.DeleteAPIKeyParams{ID: req.key.ID, UserID: req.key.UserID}); err != nil {
			return err
		}
		entry := apiKeyEntry(client.AuditLogout, *req.key, *req.user)
		entry.before = auditKey(*req.key)
		return a.audit(ctx, tx, entry)
	})
	if err != nil {
		return nil, fmt.Errorf("sign out: %w", err)
	}
	cookie := a.sessionCookie("", 0)
	cookie.MaxAge = -1
	return &sessionOutput[message]{Cookie: cookie, Body: message{"You are signed out."}}, nil
}

func (a *api) authMethods(context.Context, *struct{}) (*output[client.AuthMethods], error) {
	return reply(client.AuthMethods{Password: client.AuthMethod{Enabled: !a.options.DisablePasswordAuth}}), nil
}

func (a *api) validatePassword(_ context.Context, in *validatePasswordInput) (*output[client.ValidatePasswordResponse], error) {
	if err := password.Check(in.Body.Password); err != nil {
		return reply(client.ValidatePasswordResponse{Details: sentence(err)}), nil
	}
	return reply(client.ValidatePasswordResponse{Valid: true}), nil
}

func (a *api) updatePassword(ctx context.Context, in *updatePasswordInput) (*empty, error) {
	user, err := a.personalUser(ctx, authz.UpdatePersonal, in.User)
	if err != nil {
		return nil, err
	}
	if err := refuseNarrowed(ctx, "a password set with it would not be; sign in to set one"); err != nil {
		return nil, err
	}
	if err := a.checkActingAs(ctx, user.ID); err != nil {
		return nil, err
	}
	if user.LoginType != client.LoginPassword {
		return nil, badRequest("This account does not sign in with a password.")
	}
	if err := a.checkOldPassword(ctx, user, in.Body.OldPassword); err != nil {
		return nil, err
	}
	if err := checkPassword("password", in.Body.Password); err != nil {
		return nil, err
	}
	same, err := a.passwords.Verify(ctx, user.HashedPassword, in.Body.Password)
	if err != nil {
		return nil, err
	}
	if same {
		return nil, invalid("password", "The new password is the current one; choose another.")
	}
	hash, err := a.passwords.Hash(ctx, in.Body.Password)
	if err != nil {
		return nil, err
	}
	err = a.store.InTx(ctx, func(tx *store.Store) error { return a.setPassword(ctx, tx, user, hash) })
	if err != nil {
		return nil, fmt.Errorf("change password: %w", err)
	}
	return &empty{}, nil
}

// setPassword also ends every session and token: whoever knew the old
// password may have made them.
func (a *api) setPassword(ctx context.Context, tx *store.Store, user store.User, hash string) error {
	if err := a.withStore(tx).checkActingAs(ctx, user.ID); err != nil {
		return err // the user was given a role while the password was hashed
	}
	if err := tx.UpdateUserPassword(ctx, store.UpdateUserPasswordParams{ID: user.ID, HashedPassword: hash, UpdatedAt: store.At(a.now())}); err != nil {
		return err
	}
	ended, err := tx.DeleteAPIKeysOfUser(ctx, user.ID)
	if err != nil {
		return err
	}
	entry := userEntry(client.AuditWrite, user)
	entry.secrets, entry.fields = []string{"password"}, map[string]any{"sessions_ended": ended}
	return a.audit(ctx, tx, entry)
}

// checkOldPassword asks people for it when they change their own.
func (a *api) checkOldPassword(ctx context.Context, user store.User, old string) error {
	if user.ID != callerID(ctx) && old == "" {
		return nil
	}
	ok, err := a.passwords.Verify(ctx, user.HashedPassword, old)
	if err != nil {
		return err
	}
	if !ok {
		return invalid("old_password", "This is not the current password.")
	}
	return nil
}

func checkPassword(field, plain string) error {
	if err := password.Check(plain); err != nil {
		return invalid(field, "%s", sentence(err))
	}
	return nil
}

// sentence makes an error's text into one.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// newSessionParams describe a key; scopes and allowList empty mean everything.
type newSessionParams struct {
	user store.User
	// loginType is the user's own, or token for a named token.
	loginType   string
	tokenName   string
	scopes      store.Strings
	allowList   store.Strings
	lifetime    time.Duration
	workspaceID *uuid.UUID
}

// newSession makes a key of a user and returns the token that presents it;
// only a hash of it is kept.
func (a *api) newSession(ctx context.Context, tx *store.Store, p newSessionParams) (string, store.ApiKey, error) {
	id, secret := newSecret(tokenIDLength), newSecret(tokenSecretLength)
	now := a.now()
	at := store.At(now)
	if len(p.scopes) == 0 {
		p.scopes = store.Strings{client.ScopeAll}
	}
	if len(p.allowList) == 0 {
		p.allowList = store.Strings{allowAll}
	}
	key := store.InsertAPIKeyParams{
		ID: id, UserID: p.user.ID, HashedSecret: hashSecret(secret), LoginType: p.loginType, TokenName: p.tokenName,
		Scopes: p.scopes, AllowList: p.allowList, LifetimeSeconds: int64(p.lifetime.Seconds()), IPAddress: requestFrom(ctx).ip,
		WorkspaceID: p.workspaceID, LastUsedAt: at, ExpiresAt: store.At(now.Add(p.lifetime)), CreatedAt: at, UpdatedAt: at,
	}
	return id + "-" + secret, store.ApiKey(key), tx.InsertAPIKey(ctx, key)
}

// newSSHKey makes the pair that workspaces of a user reach Git hosts with.
func newSSHKey() (public string, private []byte, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", nil, fmt.Errorf("make an SSH key: %w", err)
	}
	sshKey, err := ssh.NewPublicKey(pub)
	if err != nil {
		return "", nil, fmt.Errorf("make an SSH key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(priv, "")
	if err != nil {
		return "", nil, fmt.Errorf("make an SSH key: %w", err)
	}
	return string(ssh.MarshalAuthorizedKey(sshKey)), pem.EncodeToMemory(block), nil
}
