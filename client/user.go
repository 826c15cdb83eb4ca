package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
)

// Me is the caller, where a user is named.
const Me = "me"

// Status values of users.
const (
	UserActive    = "active"
	UserDormant   = "dormant"
	UserSuspended = "suspended"
)

// Login types of users and keys.
const (
	LoginPassword = "password"
	LoginGitHub   = "github"
	LoginOIDC     = "oidc"
	LoginToken    = "token"
	LoginNone     = "none"
)

// MinimalUser is a user as other things mention one.
type MinimalUser struct {
	ID        uuid.UUID `json:"id"`
	Username  string    `json:"username"`
	Name      string    `json:"name,omitempty"`
	AvatarURL string    `json:"avatar_url,omitempty"`
}

// ReducedUser is a user without memberships and roles.
type ReducedUser struct {
	MinimalUser
	Email            string    `json:"email"`
	CreatedAt        time.Time `json:"created_at"`
	UpdatedAt        time.Time `json:"updated_at"`
	LastSeenAt       time.Time `json:"last_seen_at,omitzero"`
	Status           string    `json:"status" enum:"active,dormant,suspended"`
	LoginType        string    `json:"login_type"`
	IsServiceAccount bool      `json:"is_service_account,omitempty"`
	ThemePreference  string    `json:"theme_preference,omitempty"`
}

// User is a user of the deployment. Organizations and roles are cut to what
// the caller may read.
type User struct {
	ReducedUser
	OrganizationIDs []uuid.UUID `json:"organization_ids"`
	Roles           []SlimRole  `json:"roles"`
	HasAISeat       bool        `json:"has_ai_seat"`
}

// UsersResponse is one page of users; Count is the number of all that match.
type UsersResponse struct {
	Users []User `json:"users"`
	Count int    `json:"count"`
}

// CreateFirstUserRequest makes the owner of a new deployment.
type CreateFirstUserRequest struct {
	Email          string          `json:"email" minLength:"3" maxLength:"254" doc:"Address that the user signs in with"`
	Username       string          `json:"username" minLength:"1" maxLength:"32" doc:"1-32 letters and digits, joined by single hyphens"`
	Password       string          `json:"password" minLength:"1" maxLength:"64"`
	Name           string          `json:"name,omitempty" maxLength:"128" doc:"Full name"`
	Trial          bool            `json:"trial,omitempty" doc:"Accepted for compatibility; nothing here needs a licence"`
	TrialInfo      *TrialInfo      `json:"trial_info,omitempty"`
	OnboardingInfo *OnboardingInfo `json:"onboarding_info,omitempty"`
}

// TrialInfo is accepted for compatibility and not kept.
type TrialInfo struct {
	FirstName   string `json:"first_name,omitempty"`
	LastName    string `json:"last_name,omitempty"`
	PhoneNumber string `json:"phone_number,omitempty"`
	JobTitle    string `json:"job_title,omitempty"`
	CompanyName string `json:"company_name,omitempty"`
	Country     string `json:"country,omitempty"`
	Developers  string `json:"developers,omitempty"`
}

// OnboardingInfo is accepted for compatibility and not kept.
type OnboardingInfo struct {
	NewsletterMarketing bool `json:"newsletter_marketing,omitempty"`
	NewsletterReleases  bool `json:"newsletter_releases,omitempty"`
}

// CreateFirstUserResponse names what the first user was made of.
type CreateFirstUserResponse struct {
	UserID         uuid.UUID `json:"user_id"`
	OrganizationID uuid.UUID `json:"organization_id"`
}

// LoginWithPasswordRequest signs in.
type LoginWithPasswordRequest struct {
	Email    string `json:"email" minLength:"1" maxLength:"254"`
	Password string `json:"password" minLength:"1"`
}

// LoginWithPasswordResponse carries the new session's token.
type LoginWithPasswordResponse struct {
	SessionToken string `json:"session_token"`
}

// CreateUserRequest makes a user and its memberships.
type CreateUserRequest struct {
	Email           string      `json:"email,omitempty" maxLength:"254" doc:"Needed, except for service accounts"`
	Username        string      `json:"username" minLength:"1" maxLength:"32" doc:"1-32 letters and digits, joined by single hyphens"`
	Name            string      `json:"name,omitempty" maxLength:"128" doc:"Full name"`
	Password        string      `json:"password,omitempty" maxLength:"64"`
	LoginType       string      `json:"login_type,omitempty" doc:"password (default), github, oidc or none"`
	UserStatus      *string     `json:"user_status,omitzero" doc:"dormant (default) or active"`
	OrganizationIDs []uuid.UUID `json:"organization_ids,omitempty" doc:"At least one; the nil UUID is the default organization"`
	OrganizationID  *uuid.UUID  `json:"organization_id,omitempty" doc:"Older form of organization_ids; added to it"`
	ServiceAccount  bool        `json:"service_account,omitempty"`
	Roles           []string    `json:"roles,omitempty" doc:"Site roles"`
}

// UpdateUserProfileRequest replaces both names of a user.
type UpdateUserProfileRequest struct {
	Username string `json:"username" minLength:"1" maxLength:"32"`
	Name     string `json:"name,omitempty" maxLength:"128"`
}

// UpdateRolesRequest replaces a set of roles.
type UpdateRolesRequest struct {
	Roles []string `json:"roles" doc:"All roles that shall remain; empty clears them"`
}

// UserRoles are the names of a user's roles, by scope.
type UserRoles struct {
	Roles             []string               `json:"roles"`
	OrganizationRoles map[uuid.UUID][]string `json:"organization_roles"`
}

// UpdateUserPasswordRequest changes a password. Every session and token of
// the user ends with it.
type UpdateUserPasswordRequest struct {
	OldPassword string `json:"old_password,omitempty" doc:"Needed for one's own password"`
	Password    string `json:"password" minLength:"1" maxLength:"64"`
}

// ValidatePasswordRequest asks whether a password is good enough.
type ValidatePasswordRequest struct {
	Password string `json:"password"`
}

// ValidatePasswordResponse says what is missing when it is not.
type ValidatePasswordResponse struct {
	Valid   bool   `json:"valid"`
	Details string `json:"details"`
}

// UserLoginType is how a user signs in.
type UserLoginType struct {
	LoginType string `json:"login_type"`
}

// AuthMethods are the ways to sign in that this deployment offers.
type AuthMethods struct {
	TermsOfServiceURL string           `json:"terms_of_service_url,omitempty"`
	Password          AuthMethod       `json:"password"`
	GitHub            GitHubAuthMethod `json:"github"`
	OIDC              OIDCAuthMethod   `json:"oidc"`
}

// AuthMethod is one way to sign in.
type AuthMethod struct {
	Enabled bool `json:"enabled"`
}

// GitHubAuthMethod is sign-in by GitHub.
type GitHubAuthMethod struct {
	Enabled                   bool `json:"enabled"`
	DefaultProviderConfigured bool `json:"default_provider_configured"`
}

// OIDCAuthMethod is sign-in by OpenID Connect.
type OIDCAuthMethod struct {
	Enabled    bool   `json:"enabled"`
	SignInText string `json:"signInText"`
	IconURL    string `json:"iconUrl"`
}

// GitSSHKey is the key pair that the deployment keeps for a user; only the
// public half is in the API.
type GitSSHKey struct {
	UserID    uuid.UUID `json:"user_id"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	PublicKey string    `json:"public_key"`
}

// UsersRequest filters and pages users.
type UsersRequest struct {
	Query string
	Page
}

// HasFirstUser says whether the deployment was set up.
func (c *Client) HasFirstUser(ctx context.Context) (bool, error) {
	err := c.exec(ctx, http.MethodGet, apiPath("users", "first"), nil)
	if IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// CreateFirstUser sets up a new deployment; 409 when it has users already.
func (c *Client) CreateFirstUser(ctx context.Context, req CreateFirstUserRequest) (CreateFirstUserResponse, error) {
	return send[CreateFirstUserResponse](ctx, c, http.MethodPost, apiPath("users", "first"), req)
}

// LoginWithPassword opens a session; 401 for a wrong address or password alike.
func (c *Client) LoginWithPassword(ctx context.Context, req LoginWithPasswordRequest) (LoginWithPasswordResponse, error) {
	return send[LoginWithPasswordResponse](ctx, c, http.MethodPost, apiPath("users", "login"), req)
}

// Logout ends the session of the client's token.
func (c *Client) Logout(ctx context.Context) error {
	return c.exec(ctx, http.MethodPost, apiPath("users", "logout"), nil)
}

// AuthMethods lists the ways to sign in.
func (c *Client) AuthMethods(ctx context.Context) (AuthMethods, error) {
	return get[AuthMethods](ctx, c, apiPath("users", "authmethods"))
}

// ValidatePassword asks the server whether a password is good enough.
func (c *Client) ValidatePassword(ctx context.Context, password string) (ValidatePasswordResponse, error) {
	return send[ValidatePasswordResponse](ctx, c, http.MethodPost, apiPath("users", "validate-password"), ValidatePasswordRequest{password})
}

// Users lists the users that the caller may read.
func (c *Client) Users(ctx context.Context, req UsersRequest) (UsersResponse, error) {
	return get[UsersResponse](ctx, c, withQuery(apiPath("users"), req.values(searchQuery(req.Query))))
}

// searchQuery is the q parameter, left out when empty.
func searchQuery(q string) url.Values {
	if q == "" {
		return url.Values{}
	}
	return url.Values{"q": {q}}
}

// User reads one user by name, id or Me.
func (c *Client) User(ctx context.Context, user string) (User, error) {
	return get[User](ctx, c, apiPath("users", user))
}

// CreateUser makes a user.
func (c *Client) CreateUser(ctx context.Context, req CreateUserRequest) (User, error) {
	return send[User](ctx, c, http.MethodPost, apiPath("users"), req)
}

// DeleteUser deletes a user; 417 while workspaces of the user exist.
func (c *Client) DeleteUser(ctx context.Context, user string) error {
	return c.exec(ctx, http.MethodDelete, apiPath("users", user), nil)
}

// UpdateUserProfile changes the names of a user.
func (c *Client) UpdateUserProfile(ctx context.Context, user string, req UpdateUserProfileRequest) (User, error) {
	return send[User](ctx, c, http.MethodPut, apiPath("users", user, "profile"), req)
}

// SuspendUser ends the sessions of a user and lets the user sign in no more.
func (c *Client) SuspendUser(ctx context.Context, user string) (User, error) {
	return send[User](ctx, c, http.MethodPut, apiPath("users", user, "status", "suspend"), nil)
}

// ActivateUser lifts a suspension.
func (c *Client) ActivateUser(ctx context.Context, user string) (User, error) {
	return send[User](ctx, c, http.MethodPut, apiPath("users", user, "status", "activate"), nil)
}

// UserRoles reads the names of a user's roles.
func (c *Client) UserRoles(ctx context.Context, user string) (UserRoles, error) {
	return get[UserRoles](ctx, c, apiPath("users", user, "roles"))
}

// UpdateUserRoles replaces a user's site roles.
func (c *Client) UpdateUserRoles(ctx context.Context, user string, req UpdateRolesRequest) (User, error) {
	return send[User](ctx, c, http.MethodPut, apiPath("users", user, "roles"), req)
}

// UpdateUserPassword changes a password and ends every session of the user.
func (c *Client) UpdateUserPassword(ctx context.Context, user string, req UpdateUserPasswordRequest) error {
	return c.exec(ctx, http.MethodPut, apiPath("users", user, "password"), req)
}

// UserLoginType reads how the caller signs in; 403 for anybody else.
func (c *Client) UserLoginType(ctx context.Context, user string) (UserLoginType, error) {
	return get[UserLoginType](ctx, c, apiPath("users", user, "login-type"))
}

// UserOrganizations lists the memberships of a user that the caller may read.
func (c *Client) UserOrganizations(ctx context.Context, user string) ([]Organization, error) {
	return list[Organization](ctx, c, apiPath("users", user, "organizations"))
}

// GitSSHKey reads the public half of a user's key.
func (c *Client) GitSSHKey(ctx context.Context, user string) (GitSSHKey, error) {
	return get[GitSSHKey](ctx, c, apiPath("users", user, "gitsshkey"))
}

// RegenerateGitSSHKey replaces a user's key pair.
func (c *Client) RegenerateGitSSHKey(ctx context.Context, user string) (GitSSHKey, error) {
	return send[GitSSHKey](ctx, c, http.MethodPut, apiPath("users", user, "gitsshkey"), nil)
}
