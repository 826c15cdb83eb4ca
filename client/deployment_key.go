package client

import (
	"context"
	"net/http"
)

// RotatedDeploymentKey says what a rotation of the deployment key has wrapped
// again. From and To are ids of keys, which tell nothing of them.
type RotatedDeploymentKey struct {
	From          string `json:"from"`
	To            string `json:"to"`
	Organizations int    `json:"organizations"`
	SSHKeys       int    `json:"ssh_keys"`
	// KeyFile is the server's own file that holds the new key; empty where keys are
	// given to the server.
	KeyFile string `json:"key_file"`
}

// RotatedOrganizationKey says what was sealed again with an organization's
// new key. With Pending the rest follows in the background.
type RotatedOrganizationKey struct {
	// Number counts the keys that the organization has had.
	Number    int  `json:"number"`
	States    int  `json:"states"`
	Variables int  `json:"variables"`
	HandOuts  int  `json:"hand_outs"`
	DryRuns   int  `json:"dry_runs"`
	Resources int  `json:"resources"`
	Agents    int  `json:"agents"`
	Pending   bool `json:"pending"`
}

// RotateDeploymentKey moves the deployment to another key.
func (c *Client) RotateDeploymentKey(ctx context.Context) (RotatedDeploymentKey, error) {
	return send[RotatedDeploymentKey](ctx, c, http.MethodPost, apiPath("deployment", "keys", "rotate"), nil)
}

// RotateOrganizationKey gives an organization a new sealing key.
func (c *Client) RotateOrganizationKey(ctx context.Context, organization string) (RotatedOrganizationKey, error) {
	return send[RotatedOrganizationKey](ctx, c, http.MethodPost, apiPath("organizations", organization, "keys", "rotate"), nil)
}
