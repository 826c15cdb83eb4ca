package client

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// Reserved provisioner keys: how a daemon joined that has no key of its own.
var (
	ProvisionerKeyBuiltInID  = uuid.UUID{15: 1}
	ProvisionerKeyUserAuthID = uuid.UUID{15: 2}
	ProvisionerKeyPSKID      = uuid.UUID{15: 3}
)

// ProvisionerKeyLength is the number of letters and digits of a key's secret.
const ProvisionerKeyLength = 43

// Names of the reserved provisioner keys.
const (
	ProvisionerKeyBuiltIn  = "built-in"
	ProvisionerKeyUserAuth = "user-auth"
	ProvisionerKeyPSK      = "psk"
)

// ProvisionerKey is a credential with which daemons join one organization.
type ProvisionerKey struct {
	ID           uuid.UUID         `json:"id"`
	CreatedAt    time.Time         `json:"created_at"`
	Organization uuid.UUID         `json:"organization"`
	Name         string            `json:"name"`
	Tags         map[string]string `json:"tags"`
	// AllowList are the networks that the key is good from; empty is every one.
	// It is nil, and LastUsedAt and PreviousExpiresAt too, for who may make, change
	// or delete no provisioner keys.
	AllowList  []string   `json:"allow_list" doc:"null for who may change no keys"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty" doc:"Never when absent"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty" doc:"To the minute; absent when never, and for who may change no keys"`
	// PreviousExpiresAt is when the last secret of before a rotation ends.
	PreviousExpiresAt *time.Time `json:"previous_expires_at,omitempty" doc:"When the secret before the newest ends; absent without one"`
	// SecretID tells the newest secret from all others; it is none itself.
	SecretID *uuid.UUID `json:"secret_id,omitempty" format:"uuid" doc:"Another one after each rotation; absent for who may change no keys"`
}

// CreateProvisionerKeyRequest makes a key; the name is stored in lower case.
type CreateProvisionerKeyRequest struct {
	Name string            `json:"name" minLength:"1" maxLength:"64" doc:"Not built-in, user-auth or psk"`
	Tags map[string]string `json:"tags,omitempty" doc:"Tags of every daemon that joins with the key"`

	AllowList []string   `json:"allow_list,omitempty" doc:"Addresses and networks that the key is good from; every one when empty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"Never when absent"`
}

// RotateProvisionerKeyRequest gives a key another secret. Nil leaves as it is.
type RotateProvisionerKeyRequest struct {
	OverlapSeconds *int64     `json:"overlap_seconds,omitempty" doc:"How long what was good before stays good; a day when absent, 30 days at most"`
	AllowList      *[]string  `json:"allow_list,omitempty"`
	ExpiresAt      *time.Time `json:"expires_at,omitempty" doc:"0001-01-01T00:00:00Z is never"`
	// SecretID makes sure that a request that is sent twice rotates once.
	SecretID *uuid.UUID `json:"secret_id,omitempty" format:"uuid" doc:"Refused with 409 when the key's newest secret is another one"`
}

// RotateProvisionerKeyResponse carries the newer secret; it is not shown again.
type RotateProvisionerKeyResponse struct {
	Key               string    `json:"key"`
	PreviousExpiresAt time.Time `json:"previous_expires_at"`
}

// CreateJoinTokenRequest says how long a join token is good.
type CreateJoinTokenRequest struct {
	LifetimeSeconds *int64 `json:"lifetime_seconds,omitempty" doc:"An hour when absent, 7 days at most"`
}

// JoinToken lets one daemon join, once; it is not shown again.
type JoinToken struct {
	JoinToken string    `json:"join_token"`
	ExpiresAt time.Time `json:"expires_at"`
}

// JoinProvisionerRequest trades a join token for a key that the daemon has
// made up and keeps: 43 random letters and digits.
type JoinProvisionerRequest struct {
	JoinToken string `json:"join_token"`
	Key       string `json:"key"`
}

// CreateProvisionerKeyResponse carries the key's secret; it is not shown again.
type CreateProvisionerKeyResponse struct {
	Key string `json:"key"`
}

// ProvisionerKeyDaemons is a key with the daemons that joined with it and were
// seen lately.
type ProvisionerKeyDaemons struct {
	Key     ProvisionerKey      `json:"key"`
	Daemons []ProvisionerDaemon `json:"daemons"`
}

// CreateProvisionerKey makes a key; 409 when the organization has one of that name.
func (c *Client) CreateProvisionerKey(ctx context.Context, organization string, req CreateProvisionerKeyRequest) (CreateProvisionerKeyResponse, error) {
	return send[CreateProvisionerKeyResponse](ctx, c, http.MethodPost, apiPath("organizations", organization, "provisionerkeys"), req)
}

// ProvisionerKeys lists the keys of an organization, oldest first, without
// the reserved ones.
func (c *Client) ProvisionerKeys(ctx context.Context, organization string) ([]ProvisionerKey, error) {
	return list[ProvisionerKey](ctx, c, apiPath("organizations", organization, "provisionerkeys"))
}

// ProvisionerKeyDaemons lists the keys of an organization with their daemons.
func (c *Client) ProvisionerKeyDaemons(ctx context.Context, organization string) ([]ProvisionerKeyDaemons, error) {
	return list[ProvisionerKeyDaemons](ctx, c, apiPath("organizations", organization, "provisionerkeys", "daemons"))
}

// DeleteProvisionerKey revokes a key by its name.
func (c *Client) DeleteProvisionerKey(ctx context.Context, organization, name string) error {
	return c.exec(ctx, http.MethodDelete, apiPath("organizations", organization, "provisionerkeys", name), nil)
}

// RotateProvisionerKey gives a key another secret; the one before stays good
// for the overlap.
func (c *Client) RotateProvisionerKey(ctx context.Context, organization, name string, req RotateProvisionerKeyRequest) (RotateProvisionerKeyResponse, error) {
	return send[RotateProvisionerKeyResponse](ctx, c, http.MethodPost, apiPath("organizations", organization, "provisionerkeys", name, "rotate"), req)
}

// CreateJoinToken makes a token that one daemon may join with, under the key.
func (c *Client) CreateJoinToken(ctx context.Context, organization, name string, req CreateJoinTokenRequest) (JoinToken, error) {
	return send[JoinToken](ctx, c, http.MethodPost, apiPath("organizations", organization, "provisionerkeys", name, "jointokens"), req)
}

// JoinProvisioner makes req.Key a secret of the join token's key; 401 when the
// token has ended or was used by another daemon. Asked again with the same
// key, it succeeds again.
func (c *Client) JoinProvisioner(ctx context.Context, req JoinProvisionerRequest) (ProvisionerKey, error) {
	return send[ProvisionerKey](ctx, c, http.MethodPost, apiPath("provisionerkeys", "join"), req)
}

// PresentedProvisionerKey reads the key that this client sends in
// HeaderDaemonKey; 401 when it is unknown.
func (c *Client) PresentedProvisionerKey(ctx context.Context) (ProvisionerKey, error) {
	return get[ProvisionerKey](ctx, c, apiPath("provisionerkeys", "self"))
}
