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
}

// CreateProvisionerKeyRequest makes a key; the name is stored in lower case.
type CreateProvisionerKeyRequest struct {
	Name string            `json:"name" minLength:"1" maxLength:"64" doc:"Not built-in, user-auth or psk"`
	Tags map[string]string `json:"tags,omitempty" doc:"Tags of every daemon that joins with the key"`
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

// PresentedProvisionerKey reads the key that this client sends in
// HeaderDaemonKey; 401 when it is unknown.
func (c *Client) PresentedProvisionerKey(ctx context.Context) (ProvisionerKey, error) {
	return get[ProvisionerKey](ctx, c, apiPath("provisionerkeys", "self"))
}
